"""`slipway engine …`: which engine keeps a stack."""

from __future__ import annotations

import click

from adapters.errors import Refused
from delivery import options
from delivery.engines import LOCAL, PULUMI
from delivery.factory import Factory


@click.group(help="Which engine runs the program for a stack, and keeps the record of what the stack has.")
@options.common
def engine() -> None:
    """Hand a stack from one engine to the other."""


@engine.command(
    help=f"""Hand STACK to the other engine, or to the one named by --engine.

Only if a preview by the new engine shows no changes: then it sees the same objects as the old one. The old engine
refuses the stack from then on. The new one writes its record with the next `slipway up`.

\b
Example:
  slipway engine adopt stage --engine pulumi

{options.EXIT_CODES}"""
)
@options.stack_argument
@options.json_option
@options.common
@options.pass_factory
def adopt(factory: Factory, stack: str) -> None:
    """Change a stack's engine."""
    wanted, factory.options.engine = factory.options.engine, None
    workspace = factory.workspace()
    workspace.select([stack])
    marker = workspace.marker(stack)
    before = marker.read()
    new = wanted or (PULUMI if before == LOCAL else LOCAL)
    if new == before:
        said = f"Stack {stack} is kept by the engine {new!r} already, nothing changed."
    else:
        workspace.settings(stack)
        outcome = workspace.manage(stack, engine=new).preview(factory.console.say)
        if outcome.changed:
            raise Refused(
                f"the engine {new!r} would change the stack {stack}: "
                f"{', '.join(map(str, outcome.changes)) or 'see above'}; its engine stays {before or 'unrecorded'}",
                fix="Bring it in line first with the present engine (`slipway up`), or import what the new one does "
                "not know (`pulumi import`)",
            )
        marker.write(new)
        said = f"Stack {stack} is kept by the engine {new!r} from now on; the preview showed no changes."
    facts = {"stack": stack, "engine": new, "before": before, "changed": new != before}
    factory.console.facts(facts, lambda: [said])
