"""`slipway rollback`: an environment goes back to a release that was verified there."""

from __future__ import annotations

from collections.abc import Mapping

import click

from adapters.errors import BadInput, SlipwayError
from delivery import options
from delivery.factory import Factory
from delivery.moving import Moving, moving
from delivery.releases.rollback import Rollback, plan_rollback
from delivery.serving.dispatched import why_not

_HELP = f"""Bring STACK back to an earlier release, and put what it leaves on hold.

Without --to: the newest earlier release that was verified there and is not on hold. Images and holds are written as one
commit; then the update, the smoke suite, a signed record of who and why. A freeze does not stop it. `git revert` of the
promotion's commit and `slipway up STACK` lead to the same images, without hold and record.

A release from before a pre-deploy command that cannot be undone, or one never verified there, is refused unless
--override says that a person has decided. What is on hold stays refused until `slipway unhold`.

--recover does nothing new: it only brings a promotion or rollback that was cut short to its end. One that had not
completed its update is taken back, one that had is verified and recorded; a rollback is always completed.

--alert says that no person asks but an alert, as the rollback workflow does: then it happens only if the rules of
`slipway serve` let it, of which a freeze is one, and only while the release --leaving runs; otherwise nothing is done.

\b
Examples:
  slipway rollback prod --reason "orders are lost, ticket 311"
  slipway rollback prod --to v1.3.0 --reason "1.4 is slow" --yes
  slipway rollback prod --recover

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@options.stack_argument
@click.option("--to", metavar="RELEASE", help="The release: sha-COMMIT, vX.Y.Z, or the beginning of its digest.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the hold, the commit and the record.")
@click.option("--override", is_flag=True, help="With --to: also one that was not verified there, or not reversible.")
@click.option("--alert", metavar="NAME", help="The alert that asks for it; with --leaving.")
@click.option("--leaving", metavar="RELEASE", help="With --alert: the release that it is about, 12 hex digits.")
@click.option("--recover", is_flag=True, help="Only bring what was cut short to its end.")
@options.urls_option
@options.as_option
@options.yes_option
@options.json_option
@options.common
@options.pass_factory
def rollback(
    factory: Factory,
    stack: str,
    *,
    to: str | None,
    reason: str,
    override: bool,
    alert: str | None,
    leaving: str | None,
    recover: bool,
    urls: Mapping[str, str],
    name: str | None,
) -> None:
    """Bring an environment back to an earlier release."""
    if recover == bool(reason.strip()):
        raise BadInput(
            "a rollback needs --reason; with --recover, which decides nothing, there is none",
            fix='Such as --reason "orders are lost, ticket 311"',
        )
    if override and not to:
        raise BadInput("--override is for a release that is named by --to", fix="See `slipway history`, then name one")
    if bool(alert) != bool(leaving):
        raise BadInput("--alert and --leaving go together: an alert is about a release")
    with moving(factory, stack, "rolling back", name=name, urls=urls) as found:
        done = found.recover()
        if recover:
            said = [] if done else ["Nothing was cut short."]
            factory.console.facts({"stack": stack, "changed": done is not None, "recovered": done}, lambda: said)
            return
        if alert and leaving and (why := why_not(found, alert, leaving)):
            factory.console.facts({"stack": stack, "changed": False, "why": why}, lambda: [f"Nothing to do: {why}."])
            return
        planned = plan_rollback(found.workspace, found.store, found.registry, stack, to=to, override=override)
        found.timings.step("plan")
        _roll_back(found, planned, reason, alert)


def _roll_back(found: Moving, planned: Rollback, reason: str, alert: str | None) -> None:
    console = found.factory.console
    console.say(f"{planned.stack}: from {planned.present.name} back to {planned.name}")
    for digest in planned.replaced:
        console.say(f"  on hold from now on: {digest}")
    for what in planned.overridden:
        console.say(f"OVERRIDDEN by {found.by}: {what}")
    try:
        found.check_ground()
        found.agree(f"roll {planned.stack} back to {planned.name}")
        found.message = f"Roll {planned.stack} back to {planned.name}: {reason}"
        found.move().run(
            planned.entry(by=found.by, reason=reason, alert={"name": alert} if alert else None), planned.present.file
        )
    except SlipwayError as error:
        if console.json:
            failed = {"result": "failed", "error": error.paragraph(), "seconds": found.timings.seconds}
            console.facts(planned.to_json() | failed, list)
        raise
    facts = planned.to_json() | {"changed": True, "result": "succeeded", "seconds": found.timings.seconds}
    took = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in found.timings.seconds.items())
    console.facts(facts, lambda: [f"{planned.stack} runs {planned.name} again, verified. {took}"])
