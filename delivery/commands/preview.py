"""`slipway preview`: what `up` would do."""

from __future__ import annotations

import click

from delivery import options
from delivery.factory import Factory
from delivery.updates import run

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
    """Preview stacks."""
    workspace = factory.workspace()
    chosen = workspace.select(stacks)
    names = [stack.name for stack in chosen]
    for name in names:
        workspace.settings(name)

    results = run(chosen, lambda name: workspace.manage(name).preview(factory.console.lines_of(name, names)))
    factory.console.facts(
        results.to_json(), lambda: [] if results.changed or results.errors else ["Nothing to change."]
    )
    results.raise_errors()
