"""What a dashboard is made of: rows of panels, each with its queries. `drawing` makes of it what Grafana reads.

What Grafana could not show is refused where it is declared, so by a preview. Like an alert, a panel whose source of
metrics is not there is left out: an empty one would look as if nothing happened.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from adapters.errors import BadInput
from adapters.paths import REPOSITORY
from components.monitoring.sources import Source, selectors, source_of

WINDOW = "$__rate_interval"
"""The range of a rate: Grafana makes it longer the further one looks back, and never shorter than four scrapes."""

RANGE = "$__range"
"""All that the dashboard shows."""

_FILLED = {WINDOW: "5m", RANGE: "1h", "$__auto": "1m"}


class Look(Enum):
    """How values are shown."""

    LINES = "lines"
    NUMBER = "number"
    TABLE = "table"
    LOGS = "logs"


@dataclass(frozen=True)
class Panel:
    """`queries` maps what a series is called (`{{label}}` is filled in) to its query: PromQL, or LogQL with `logql`.

    `width` is in 24ths of the screen, `unit` one of Grafana's (`s`, `percentunit`, `reqps`, …), `alarm` the value from
    which a number is red. A table's column of values is called as its one query is.
    """

    title: str
    queries: Mapping[str, str]
    look: Look = Look.LINES
    unit: str = "short"
    width: int = 8
    description: str = ""
    alarm: float | None = None
    logql: bool = False

    def __post_init__(self) -> None:
        if not self.title or not self.queries:
            raise BadInput(f"the panel {self.title!r} lacks a title or queries", where=_declared_at())
        if self.look is Look.TABLE and len(self.queries) != 1:
            raise BadInput(
                f"the panel {self.title!r} is a table, and has {len(self.queries)} queries for its one column",
                where=_declared_at(),
            )
        for query in self.queries.values():
            _check_query(f"the panel {self.title!r}", query)

    def is_given(self, present: Iterable[Source], recorded: Iterable[str]) -> bool:
        """Whether there is all it reads: its sources, and the series that rules record."""
        if self.logql:
            return Source.LOKI in present
        found = [selector for query in self.queries.values() for selector in selectors(filled(query))]
        borrowed = {selector.name for selector in found if ":" in (selector.name or "")}
        return borrowed <= {*recorded} and {source_of(selector) for selector in found} - {None} <= {*present}


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Mark:
    """Moments that every panel shows: those at which the query has series. `{{label}}` of the text is filled in."""

    name: str
    text: str
    query: str
    colour: str

    def __post_init__(self) -> None:
        _check_query(f"the mark {self.name!r}", self.query)


@dataclass(frozen=True)
class Board:
    """A dashboard. `uid` is its address for good, `since` how far back it looks at first.

    `variables` are what one chooses from above it, the first value at once.
    """

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()
    since: str = "now-1h"

    def given(self, present: Iterable[Source], recorded: Iterable[str]) -> Iterator[Row]:
        """The rows with the panels whose sources are there, without those that would be empty."""
        present, recorded = frozenset(present), frozenset(recorded)
        for row in self.rows:
            if panels := tuple(panel for panel in row.panels if panel.is_given(present, recorded)):
                yield Row(row.title, panels)


def filled(query: str, variables: Mapping[str, str] | None = None) -> str:
    """A query with values in place of Grafana's variables, as Prometheus or Loki itself would take it."""
    for name, value in (_FILLED | {f"${name}": value for name, value in (variables or {}).items()}).items():
        query = query.replace(name, value)
    return query


def _check_query(whose: str, query: str) -> None:
    """Raises `BadInput` for what is no PromQL; queries of logs stay within what LogQL has in common with it."""
    try:
        selectors(filled(query))
    except ValueError as error:
        raise BadInput(f"a query of {whose} is no PromQL: {error}: {query}", where=_declared_at()) from None


def _declared_at() -> str:
    """File and line of the dashboard that is being declared: the first place that is neither here nor generated."""
    frame = sys._getframe()
    while frame.f_back and frame.f_code.co_filename in (__file__, "<string>"):
        frame = frame.f_back
    path = Path(frame.f_code.co_filename)
    return f"{path.relative_to(REPOSITORY) if path.is_relative_to(REPOSITORY) else path}, line {frame.f_lineno}"
