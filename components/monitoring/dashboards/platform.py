"""The dashboards of the stack `monitoring`: all but those of services, which their environments bring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from components.monitoring import rules
from components.monitoring.dashboards import cluster, delivery, environment, monitoring
from components.monitoring.dashboards.board import Board
from components.monitoring.dashboards.drawing import draw
from components.monitoring.slo import BUDGET_LEFT
from components.monitoring.sources import Source


def boards(environments: Sequence[str]) -> tuple[Board, ...]:
    """Every dashboard, whole."""
    return (delivery.board(), environment.board(environments), cluster.board(), monitoring.board())


def load(present: Iterable[Source], environments: Sequence[str]) -> Mapping[str, str]:
    """The files to deploy where these sources of metrics are, by the dashboards' uids."""
    present = frozenset(present)
    recorded = rules.recorded(present) | {BUDGET_LEFT}
    return {board.uid: draw(board, board.given(present, recorded)) for board in boards(environments)}
