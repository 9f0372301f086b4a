"""`slipway settle`: a release is done baking."""

from __future__ import annotations

import click

from delivery import options
from delivery.factory import Factory
from delivery.settling import settle as end

_HELP = f"""End the baking of STACK's release: the replica of the release before, which served beside it, goes.

It is refused before the time is over (`slipway:bake.minutes` after the promotion) unless --now is given. From then on
alerts roll the release back no more. `slipway:baking` is taken out of the stack's file, which is committed, and the
stack is updated; no request is lost. Where nothing bakes nothing is changed. The receiver of alerts (`slipway serve`)
runs it by itself when the time is over. A freeze does not stop it: it brings nothing new.

With --json: stack, changed, controls (the Deployments that were taken away), until, commit.

\b
Examples:
  slipway settle prod
  slipway settle prod --now --yes

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@options.stack_argument
@click.option("--now", "early", is_flag=True, help="Also before the time is over.")
@options.as_option
@options.yes_option
@options.json_option
@options.common
@options.pass_factory
def settle(factory: Factory, stack: str, *, early: bool, name: str | None) -> None:
    """End the baking of a release."""
    done = end(factory, factory.workspace(), stack, early=early, name=name)
    facts = {
        "stack": stack,
        "changed": done.changed,
        "controls": list(done.controls),
        "until": done.baking.until.isoformat() if done.baking else None,
        "commit": done.commit,
    }
    gone = f" {', '.join(done.controls)} was taken away." if done.controls else ""
    said = f"The release of {stack} is done baking.{gone}" if done.changed else f"Nothing bakes in {stack}."
    factory.console.facts(facts, lambda: [said])
