"""`slipway preview`: what `up` would do."""

from __future__ import annotations

import contextlib

import click

from components.settings import ClusterSettings
from delivery import options
from delivery.engines import PULUMI
from delivery.factory import Factory
from delivery.stack import Outcome
from delivery.updates import run
from delivery.workspace import Workspace

_HELP = f"""Show what `up` would change, object by object and field by field. Changes nothing.

Without STACK: all of them. What `up` would refuse is refused here too, with the same exit codes.

\b
Examples:
  slipway preview
  slipway preview prod --json

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@options.stacks_argument
@options.json_option
@options.common
@options.pass_factory
def preview(factory: Factory, stacks: tuple[str, ...]) -> None:
    """Show what `up` would change, field by field."""
    workspace = factory.workspace()
    chosen = workspace.select(stacks)
    names = [stack.name for stack in chosen]
    for name in names:
        workspace.settings(name)

    def look(name: str) -> Outcome:
        _reach_cluster(factory, workspace, name)
        return workspace.manage(name).preview(factory.console.lines_of(name, names))

    results = run(chosen, look)
    factory.console.facts(
        results.to_json(), lambda: [] if results.changed or results.errors else ["Nothing to change."]
    )
    results.raise_errors()


def _reach_cluster(factory: Factory, workspace: Workspace, stack: str) -> None:
    """Raises `Unreachable`. The Pulumi CLI does not: it compares with what it remembers, and ends well."""
    settings = workspace.settings(stack)
    if isinstance(settings, ClusterSettings) and workspace.engine_of(stack) == PULUMI:
        with contextlib.closing(factory.seams.connect(settings)) as kube:
            kube.version()
