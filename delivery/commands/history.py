"""`slipway history`: what was done to a stack."""

from __future__ import annotations

import click

from delivery import options
from delivery.console import table
from delivery.factory import Factory
from delivery.stack import Update

_HELP = f"""List what the engine recorded of a stack, the latest first: when, what, how it ended, why.

\b
Examples:
  slipway history prod
  slipway history prod --limit 5 --json

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@options.stack_argument
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many. [default: all]")
@options.json_option
@options.common
@options.pass_factory
def history(factory: Factory, stack: str, limit: int | None) -> None:
    """Show a stack's history."""
    workspace = factory.workspace()
    workspace.select([stack])
    updates = workspace.manage(stack).history(limit)
    facts = {
        "stack": stack,
        "engine": workspace.engine_of(stack),
        "updates": [update.to_json() for update in updates],
    }
    factory.console.facts(facts, lambda: _lines(updates))


def _lines(updates: list[Update]) -> list[str]:
    if not updates:
        return ["Nothing was done yet."]
    return table(map(_row, updates), ("#", "when (UTC)", "what", "result", "took", "changes", "message"))


def _row(update: Update) -> tuple[str, ...]:
    took = f"{(update.ended - update.started).total_seconds():.1f} s" if update.ended else ""
    changes = ", ".join(f"{count} {op}" for op, count in update.counts.items() if op != "same" and count)
    when = update.started.strftime("%Y-%m-%d %H:%M:%S")
    return (
        str(update.version or ""),
        when,
        update.kind,
        update.result,
        took,
        changes,
        update.message.splitlines()[0][:60] if update.message else "",
    )
