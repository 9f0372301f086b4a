"""The rules of Prometheus that come with the platform, and the checks every rule passes before anything is deployed.

One file of `rules/` is about one thing that can be watched, and is deployed as it is where its source of metrics is
there. A rule that is wrong is refused with file and line, by a parser of the query language rather than by Prometheus
once it runs. Alerts say how bad they are, what is the matter, and which page tells what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Self

import promql_parser
import yaml
from promql_parser import VectorSelector
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from adapters import yamledit
from adapters.errors import BadInput
from adapters.paths import REPOSITORY
from adapters.stackfile import KeyPath
from components.complaints import complaint
from components.model import RUNBOOKS
from components.monitoring.sources import Source, selectors, source_of

DIRECTORY = Path(__file__).parent / "rules"
BASIC = frozenset((Source.SERVICES, Source.KUBELET, Source.APISERVER, Source.COREDNS, Source.PROMETHEUS))
"""What is there wherever Prometheus is."""

SEVERITIES = ("critical", "warning", "none")
"""critical: a person now; warning: a person this working day; none: nobody (the watchdog)."""

_DURATION = r"^(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$"
_NEEDED_ANNOTATIONS = ("summary", "description", "runbook_url")

Duration = Annotated[str, Field(pattern=_DURATION, min_length=1)]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Rule(_Strict):
    """A recording rule or an alert: https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/."""

    record: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*(:[a-zA-Z0-9_]+)+$")] | None = Field(
        default=None, description="The name of the series to record, `level:metric:operation`."
    )
    alert: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$")] | None = Field(
        default=None, description="The alert's name, such as `ErrorRatioHigh`; its page is called the same."
    )
    expr: str = Field(description="The PromQL expression.")
    for_: Duration | None = Field(
        default=None, alias="for", description="How long it must hold before the alert fires."
    )
    keep_firing_for: Duration | None = Field(default=None, description="How long the alert outlasts its cause.")
    labels: dict[LabelName, str] = Field(default={}, description="Labels by name.")
    annotations: dict[LabelName, str] = Field(default={}, description="What the alert tells people.")

    @field_validator("expr")
    @classmethod
    def _parses(cls, expr: str) -> str:
        try:
            promql_parser.parse(expr)
        except ValueError as error:
            raise ValueError(f"the expression is not PromQL: {error}") from None
        return expr

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.record is None) == (self.alert is None):
            raise ValueError("a rule has either `record` or `alert`")
        if self.record and (self.for_ or self.keep_firing_for or self.annotations):
            raise ValueError("`for`, `keep_firing_for` and `annotations` belong to alerts")
        if self.alert:
            self._check_alert()
        return self

    def _check_alert(self) -> None:
        if self.labels.get("severity") not in SEVERITIES:
            raise ValueError(f"an alert has the label severity: {', '.join(SEVERITIES)}")
        if missing := [name for name in _NEEDED_ANNOTATIONS if not self.annotations.get(name)]:
            raise ValueError(f"an alert has the annotations {', '.join(_NEEDED_ANNOTATIONS)}; missing: {missing[0]}")
        if self.labels.get("action") not in (None, "rollback"):
            raise ValueError("the label action can be `rollback` only")


class Group(_Strict):
    """Rules that are evaluated one after the other, together."""

    name: str = Field(min_length=1, description="The group's name, once a file.")
    interval: Duration | None = Field(default=None, description="How often its rules are evaluated.")
    limit: int | None = Field(default=None, ge=0, description="The most alerts or series a rule may give.")
    query_offset: Duration | None = Field(default=None, description="How far back the rules look.")
    labels: dict[LabelName, str] = Field(default={}, description="Labels of every rule of the group.")
    rules: Annotated[tuple[Rule, ...], Field(strict=False, min_length=1)] = Field(description="The rules.")


class _Document(_Strict):
    groups: Annotated[tuple[Group, ...], Field(strict=False, min_length=1)] = Field(description="Groups of rules.")


@dataclass(frozen=True)
class RuleFile:
    """A file of rules that has been checked. `where` is what a person is told it is called."""

    where: str
    text: str
    groups: tuple[Group, ...]

    @classmethod
    def parse(cls, where: str, text: str) -> RuleFile:
        """Raises `BadInput` with file and line for whatever Prometheus, or a person who is woken, could not use."""
        try:
            content = yamledit.parse(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            raise BadInput(
                f"this is not YAML: {error.problem}", where=f"{where}, line {mark.line + 1}" if mark else where
            ) from None

        file = cls(where, text, ())
        try:
            file = replace(file, groups=_Document.model_validate(content).groups)
        except ValidationError as error:
            raise complaint(error, _Document, file.place) from None
        file._refuse_duplicates()
        return file

    def place(self, path: KeyPath) -> str:
        """Where a key path of it is, for error messages: file and line."""
        lines = (yamledit.line_of(self.text, tuple(path[:end])) for end in range(len(path), -1, -1))
        return f"{self.where}, line {next((line for line in lines if line), 1)}"

    @property
    def rules(self) -> list[Rule]:
        """The rules of all groups, in order."""
        return [rule for group in self.groups for rule in group.rules]

    @property
    def recorded(self) -> frozenset[str]:
        """The names of the series that its rules record."""
        return frozenset(rule.record for rule in self.rules if rule.record)

    @property
    def sources(self) -> frozenset[Source]:
        """What gives the metrics that its rules read."""
        return frozenset(source for selector in self._selectors() if (source := source_of(selector)))

    @property
    def borrowed(self) -> frozenset[str]:
        """The names of series that its rules read and other files record."""
        names = {selector.name or "" for selector in self._selectors()}
        return frozenset(name for name in names if ":" in name) - self.recorded

    def _selectors(self) -> Iterator[VectorSelector]:
        return (selector for rule in self.rules for selector in selectors(rule.expr))

    def _refuse_duplicates(self) -> None:
        seen: set[object] = set()
        for at, group in enumerate(self.groups):
            if group.name in seen:
                raise BadInput(f"there are two groups {group.name!r}", where=self.place(("groups", at, "name")))
            seen.add(group.name)
            for index, rule in enumerate(group.rules):
                key = (rule.record, rule.alert, tuple(sorted(rule.labels.items())))
                if key in seen:
                    raise BadInput(
                        f"the rule {rule.record or rule.alert} is there twice",
                        where=self.place(("groups", at, "rules", index)),
                        fix="Give one of them another name or labels",
                    )
                seen.add(key)


def load(
    present: Iterable[Source] = BASIC, *, directory: Path = DIRECTORY, runbooks: str = RUNBOOKS
) -> Mapping[str, str]:
    """The files of rules to deploy where these sources of metrics are, by name; raises `BadInput` for a bad one.

    `runbooks` is what the addresses of the pages begin with, for where the repository can be read by browser.
    """
    deployed = _deployed(read(directory), frozenset(present))
    return {
        name: file.text.replace(f"runbook_url: {RUNBOOKS}", f"runbook_url: {runbooks}")
        for name, file in deployed.items()
    }


def unwatched(present: Iterable[Source] = BASIC, *, directory: Path = DIRECTORY) -> Mapping[str, str]:
    """What is not watched where only these sources are: the alerts that are left out, with what each of them lacks.

    Of the one alert that several files have (`SourceMissing`) nothing is said: no source is missed that is not there.
    """
    have, files = frozenset(present), read(directory)
    deployed = _deployed(files, have)
    watched = {rule.alert for file in deployed.values() for rule in file.rules}
    return {
        rule.alert: _lacking(file, files, have)
        for name, file in files.items()
        if name not in deployed
        for rule in file.rules
        if rule.alert and rule.alert not in watched
    }


def recorded(present: Iterable[Source] = BASIC, *, directory: Path = DIRECTORY) -> frozenset[str]:
    """The names of the series that the rules record where these sources are."""
    return frozenset(name for file in _deployed(read(directory), frozenset(present)).values() for name in file.recorded)


def read(directory: Path = DIRECTORY) -> Mapping[str, RuleFile]:
    """Every file of rules by name, checked, whether it is deployed or not."""
    if not (paths := sorted(directory.glob("*.yaml"))):
        raise BadInput("there are no rules", where=str(directory))
    return {path.name: RuleFile.parse(_shown(path), path.read_text(encoding="utf-8")) for path in paths}


def _deployed(files: Mapping[str, RuleFile], have: frozenset[Source]) -> dict[str, RuleFile]:
    """Files whose sources are there. Of two that record the same from different sources, the first."""
    chosen: dict[str, RuleFile] = {}
    recorded: set[str] = set()
    for name, file in files.items():
        if file.sources <= have and not file.recorded & recorded:
            chosen[name] = file
            recorded |= file.recorded
    return {name: file for name, file in chosen.items() if file.borrowed <= recorded}


def _lacking(file: RuleFile, files: Mapping[str, RuleFile], have: frozenset[Source]) -> str:
    """What would have to be there, in words: sources that are missing, or one of those that record what it reads."""
    lenders = [other for other in files.values() if other.recorded & file.borrowed]
    alternatives = sorted({" and ".join(sorted(lender.sources - have)) for lender in lenders})
    return ", ".join([*sorted(file.sources - have), *filter(None, [" or ".join(alternatives)])])


def _shown(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix() if path.is_relative_to(REPOSITORY) else str(path)
