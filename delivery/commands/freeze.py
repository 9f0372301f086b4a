"""`slipway freeze` and `slipway unfreeze`: for a time nothing new comes into an environment."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from adapters.errors import BadInput
from delivery import options
from delivery.decree import decree
from delivery.factory import Factory

_FREEZE_HELP = f"""Let nothing new into STACK until a time, and let nothing happen there by itself.

Promotions, `slipway down`, `slipway up` of anything that its file did not declare before, and rollbacks for an alert
are refused meanwhile. A person's repair is not: `rollback`, `hold`, and `slipway up STACK` after a `git revert`. The
freeze is written into the stack's file and committed, and ends by itself.

\b
Examples:
  slipway freeze prod --until 2h --reason "database moves"
  slipway freeze prod --until 2026-12-27T08:00:00+01:00 --reason holidays

{options.EXIT_CODES}"""

_UNFREEZE_HELP = f"""End a freeze before its time.

\b
Example:
  slipway unfreeze prod

{options.EXIT_CODES}"""


@click.command(help=_FREEZE_HELP)
@options.stack_argument
@click.option("--until", required=True, metavar="TIME", help="A time with its zone, or from now: 30m, 2h, 3d.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; shown to whoever is stopped by it.")
@options.as_option
@options.json_option
@options.common
@options.pass_factory
def freeze(factory: Factory, stack: str, *, until: str, reason: str, name: str | None) -> None:
    """Let nothing new into a stack until a time."""
    now = datetime.now(UTC)
    end, why = _end(until, now), reason.strip()
    if not why:
        raise BadInput("--reason is empty", fix='Such as --reason "database moves"')
    with decree(factory.workspace(), stack, "freezing", name) as found:
        before = found.settings.freeze
        written = {"until": _text(end), "reason": why, "author": found.by}
        found.file.set(["freeze"], written)
        found.message, found.reason = f"Freeze {stack} until {end:%Y-%m-%d %H:%M} UTC", why
    replaced = f" In place of the freeze until {_text(before.until)}." if before and before.is_on(now) else ""
    factory.console.facts(
        {"stack": stack, "changed": True, "freeze": written, "commit": found.commit},
        lambda: [f"{stack} is frozen until {end:%Y-%m-%d %H:%M} UTC: nothing new comes in.{replaced}"],
    )


@click.command(help=_UNFREEZE_HELP)
@options.stack_argument
@options.as_option
@options.json_option
@options.common
@options.pass_factory
def unfreeze(factory: Factory, stack: str, *, name: str | None) -> None:
    """End a freeze before its time."""
    with decree(factory.workspace(), stack, "unfreezing", name) as found:
        before = found.settings.freeze
        if before is not None:
            found.file.delete(["freeze"])
            found.message = f"End the freeze of {stack}"
            found.reason = f"It was until {_text(before.until)}: {before.reason} ({before.author})"
    said = f"{stack} is frozen no more." if before else f"{stack} was not frozen."
    factory.console.facts(
        {"stack": stack, "changed": before is not None, "freeze": None, "commit": found.commit}, lambda: [said]
    )


def _end(until: str, now: datetime) -> datetime:
    """When a freeze ends; raises `BadInput` for what is no time to come."""
    allowed = "a time with its zone, such as 2026-12-24T18:00:00Z, or a length from now, such as 30m, 2h, 3d"
    if (length := options.length(until)) is not None:
        end = now + length
    else:
        try:
            end = datetime.fromisoformat(until)
        except ValueError:
            raise BadInput(f"--until {until!r} is no time", allowed=allowed) from None
        if end.tzinfo is None:
            raise BadInput(f"--until {until!r} does not say in which zone", allowed=allowed)
    if end <= now:
        raise BadInput(f"--until {until!r} is not to come: it is {_text(now)} now", allowed=allowed)
    return end.astimezone(UTC)


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
