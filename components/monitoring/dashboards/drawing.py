"""Makes the JSON that Grafana reads of a board, by builders of Grafana's own: what they do not know has no type."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import common, dashboard, logs, loki, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, TooltipDisplayMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from components.monitoring.dashboards.board import Board, Look, Mark, Panel, Row

PROMETHEUS = models.DataSourceRef(type_val="prometheus", uid="prometheus")
LOKI = models.DataSourceRef(type_val="loki", uid="loki")
"""The data sources that Grafana is provisioned with."""

TAG = "slipway"
_FORMATS = {Look.NUMBER: PromQueryFormat.TIME_SERIES, Look.TABLE: PromQueryFormat.TABLE}
_HEIGHT, _NUMBER_HEIGHT, _LOGS_HEIGHT = 8, 4, 12

Built = TypeVar("Built", timeseries.Panel, stat.Panel, table.Panel, logs.Panel)


class _Mark(models.AnnotationQuery, Builder[models.AnnotationQuery]):
    """Moments told by Prometheus, with two fields of its data source that the schema of annotations leaves open."""

    def __init__(self, mark: Mark) -> None:
        super().__init__(name=mark.name, datasource=PROMETHEUS, enable=True, icon_color=mark.colour, expr=mark.query)
        self._text = mark.text

    def build(self) -> models.AnnotationQuery:
        """Itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """As any other, and what is said at each moment."""
        return super().to_json() | {"titleFormat": self._text, "step": "60s"}


def draw(board: Board, rows: Iterable[Row]) -> str:
    """The text of a dashboard's file with some of its rows; the same for the same."""
    drawn = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .time(board.since, "now")
        .refresh("30s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Slipway").type(models.DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(True)
        )
        .variables([_variable(name, values) for name, values in board.variables.items()])
        .annotations([_Mark(mark) for mark in board.marks])
    )
    number = 0
    for row in rows:
        drawn.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            number += 1
            drawn.with_panel(_LOOKS[panel.look](panel, number))
    return json.dumps(drawn.build(), cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _lines(panel: Panel, number: int) -> Builder[models.Panel]:
    return (
        _common(timeseries.Panel(), panel, number, _HEIGHT)
        .min(0)
        .fill_opacity(10)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )


def _number(panel: Panel, number: int) -> Builder[models.Panel]:
    steps = [models.Threshold(value=None, color="green")]
    if panel.alarm is not None:
        steps.append(models.Threshold(value=panel.alarm, color="red"))
    return (
        _common(stat.Panel(), panel, number, _NUMBER_HEIGHT)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    )


def _table(panel: Panel, number: int) -> Builder[models.Panel]:
    (column,) = panel.queries
    columns = {"excludeByName": {"Time": True}, "renameByName": {"Value": column}}
    return _common(table.Panel(), panel, number, _HEIGHT).with_transformation(
        models.DataTransformerConfig(id_val="organize", options=columns)
    )


def _logs(panel: Panel, number: int) -> Builder[models.Panel]:
    return (
        _common(logs.Panel(), panel, number, _LOGS_HEIGHT)
        .show_time(True)
        .wrap_log_message(True)
        .enable_log_details(True)
    )


_LOOKS = {Look.LINES: _lines, Look.NUMBER: _number, Look.TABLE: _table, Look.LOGS: _logs}


def _common(built: Built, panel: Panel, number: int, height: int) -> Built:
    """What every panel has; `number` is what a link to it names."""
    built.id(number).title(panel.title).description(panel.description).unit(panel.unit)
    built.datasource(LOKI if panel.logql else PROMETHEUS).span(panel.width).height(height)
    built.targets(list(_queries(panel)))
    return built


def _queries(panel: Panel) -> Iterator[Builder[Dataquery]]:
    for index, (legend, expression) in enumerate(panel.queries.items()):
        letter = chr(ord("A") + index)
        if panel.logql:
            yield loki.Dataquery().ref_id(letter).expr(expression).legend_format(legend).query_type("range")
        else:
            query = prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend)
            yield query.range() if panel.look is Look.LINES else query.instant().format(_FORMATS[panel.look])


def _variable(name: str, values: Sequence[str]) -> dashboard.CustomVariable:
    options = [models.VariableOption(selected=value == values[0], text=value, value=value) for value in values]
    return dashboard.CustomVariable(name).values(",".join(values)).options(options).current(options[0])
