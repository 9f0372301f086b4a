"""`slipway promote`: a release goes into an environment, through its gates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from adapters.errors import BadInput, SlipwayError
from delivery import options
from delivery.console import table
from delivery.factory import Factory
from delivery.moving import Moving, look, moving
from delivery.releases.journal import Entry
from delivery.releases.promotion import Promotion, keep_part, plan_promotion

_HELP = f"""Bring a release into the environment TO.

FROM is a stack, for the release that its file names, or a release: sha-COMMIT, vX.Y.Z, or the beginning of its digest.
TO's gates are checked and shown first. Then: pre-deploy commands, the images in TO's file, a commit, the update, the
smoke suite, a signed record. If anything fails once the file is written, the images before are restored as a new
commit, the environment is updated to them again, and the command ends with 1. A service whose pre-deploy command
cannot be undone is not restored by itself. What was cut short before is brought to its end first.

With --service only that service moves: TO's present images with that one exchanged are a release of their own. It has
the proof of its images; verification, soak and sign-off it has to earn, so begin with the first environment.

--override opens closed gates, not freezes and holds; it needs --reason, is recorded, and shows in the history.
Where the stack has `slipway:bake`, the release bakes: for its minutes a replica of the release before serves beside it,
and alerts that compare the two may roll it back.

With --json: stack, release, name, from, gates, images, and result, baking (since, until, controls), seconds (by step),
error; or diff of a dry run.

\b
Examples:
  slipway promote sha-1a2b3c4d5e6f test
  slipway promote test stage --dry-run
  slipway promote stage prod --yes
  slipway promote v1.4.1 prod --override --reason "orders are lost, ticket 311"

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--service", metavar="NAME", help="Only this service.")
@click.option("--dry-run", is_flag=True, help="Show the gates, and how TO's file would change; change nothing.")
@click.option("--override", is_flag=True, help="Go through closed gates; needs --reason.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the commit and the record.")
@options.urls_option
@options.as_option
@options.yes_option
@options.json_option
@options.common
@options.pass_factory
def promote(
    factory: Factory,
    source: str,
    target: str,
    *,
    service: str | None,
    dry_run: bool,
    override: bool,
    reason: str,
    urls: Mapping[str, str],
    name: str | None,
) -> None:
    """Bring a release into an environment whose gates are open."""
    if override and not reason.strip():
        raise BadInput("--override needs --reason", fix="Say why: it is recorded and shown in the history")
    if dry_run:
        with look(factory, target, name=name) as found:
            _dry_run(found, _plan(found, source, service), override=override)
        return
    with moving(factory, target, f"promoting {source}", name=name, urls=urls) as found:
        found.recover()
        _promote(found, _plan(found, source, service), reason=reason, override=override)


def _plan(found: Moving, source: str, service: str | None) -> Promotion:
    planned = plan_promotion(
        found.workspace, found.store, found.registry, source=source, stack=found.stack, service=service
    )
    say = found.factory.console.say
    say(f"{planned.source.name} to {planned.stack}, which has {planned.present.name}")
    if planned.is_part:
        say(f"  a part: {planned.source.name} is {planned.present.name} with another {service}, a release of its own")
    rows = [("open" if verdict.open else "CLOSED", verdict.gate, verdict.why) for verdict in planned.verdicts]
    for line in table(rows, ("state", "gate", "why")) if rows else ("  no gates",):
        say(line)
    found.timings.step("gates")
    return planned


def _dry_run(found: Moving, planned: Promotion, *, override: bool) -> None:
    diff = planned.diff()
    facts = planned.to_json() | {"diff": diff, "changed": False}
    found.factory.console.facts(facts, lambda: diff.splitlines() or ["Nothing would change in its file."])
    if not planned.is_there:
        planned.check(override=override)


def _promote(found: Moving, planned: Promotion, *, reason: str, override: bool) -> None:
    console = found.factory.console
    if planned.is_there:
        said = f"The file of {planned.stack} names {planned.source.name} already; nothing was changed."
        console.facts(planned.to_json() | {"changed": False, "result": None}, lambda: [said])
        return
    try:
        planned.check(override=override)
        entry = planned.entry(by=found.by, reason=reason, override=override)
        if entry.override:
            console.say(f"OVERRIDDEN by {found.by}: {entry.override}")
        found.check_ground()
        found.agree(f"promote {planned.source.name} to {planned.stack}")
        keep_part(found.store, planned)
        found.message = f"Promote {planned.source.name} to {planned.stack}"
        found.move().run(entry, planned.present.file)
    except SlipwayError as error:
        failed = {"result": "failed", "error": error.paragraph(), "seconds": found.timings.seconds}
        if console.json:
            console.facts(planned.to_json() | failed, list)
        raise
    facts = planned.to_json() | {
        "changed": True,
        "result": "succeeded",
        "baking": entry.bakes,
        "seconds": found.timings.seconds,
    }
    console.facts(facts, lambda: _done(planned, entry, found))


def _done(planned: Promotion, entry: Entry, found: Moving) -> Iterator[str]:
    yield f"{planned.stack} runs {planned.source.name}, verified. {_took(found)}"
    if entry.bakes:
        controls = ", ".join(entry.bakes.get("controls", {}).values())
        beside = f" beside {controls}, of which one replica serves on" if controls else ""
        yield f"It bakes until {entry.bakes['until']}{beside}; `slipway settle {planned.stack}` ends that."


def _took(found: Moving) -> str:
    return ", ".join(f"{step} {seconds:.1f} s" for step, seconds in found.timings.seconds.items())
