"""`slipway verify`: finds out whether what an environment runs is good, and signs the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from adapters.errors import BadInput, Refused, SlipwayError
from delivery import options
from delivery.factory import Factory
from delivery.releases.access import open_store
from delivery.releases.people import signer_for
from delivery.releases.proof import Piece
from delivery.releases.signing import Signer
from delivery.releases.soak import MARGIN_S, Needs, needs_of, soak
from delivery.releases.subject import PASS, require_declared, subject_of
from delivery.releases.verification import DEADLINE_S, record_by_hand
from delivery.workspace import Workspace

_SOAK = "soak"

_HELP = """Test what an environment runs, and attach the signed result to its release.

SUITE is a folder of tests/environments: smoke, regression, or one of your own. It is run from here against the running
services. Pass or fail is recorded, with its JUnit report; a fail revokes the pass before it. Nothing is recorded if
the environment does not run as its file says, or changes meanwhile.

SUITE `soak` records that the release has run there for a time, unchanged, under requests; how long and how many is what
the gates of other stacks ask for. With --manual a person's own verdict is recorded, as suite `manual`.

\b
Examples:
  slipway verify test regression
  slipway verify stage smoke --url hello=https://hello.stage.example.com
  slipway verify stage soak --wait
  slipway verify test --manual --result pass --note "orders by hand, ticket 214" --as alice

\b
Exit codes: 0 passed, 1 failed or not complete, 2 what runs is not what the file
says, 3 bad input, 4 refused, 5 unreachable, 7 the machine lacks something."""


@click.command(help=_HELP)
@options.stack_argument
@click.argument("suite", required=False, metavar="[SUITE]")
@options.urls_option
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help=f"The longest a suite may take [{DEADLINE_S:g}], or --wait [the soak and {MARGIN_S:g} more].",
)
@click.option("--wait", is_flag=True, help="Wait until the soak is complete.")
@click.option("--minutes", type=click.IntRange(min=1), help="Length of the soak. [default: what gates ask for]")
@click.option("--requests", type=click.IntRange(min=0), help="Least requests of the soak. [default: the same]")
@click.option("--manual", is_flag=True, help="Record a person's verdict, given by --result and --note.")
@click.option("--result", type=click.Choice(["pass", "fail"]), help="The verdict.")
@click.option("--note", metavar="TEXT", help="What was tried, and what came of it.")
@click.option("--as", "name", metavar="NAME", help="Whose key signs; also SLIPWAY_IDENTITY. [default: the one at hand]")
@options.json_option
@options.common
@options.pass_factory
def verify(
    factory: Factory,
    stack: str,
    suite: str | None,
    *,
    urls: Mapping[str, str],
    deadline: float | None,
    wait: bool,
    minutes: int | None,
    requests: int | None,
    manual: bool,
    result: str | None,
    note: str | None,
    name: str | None,
) -> None:
    """Test what an environment runs, and attach the signed result."""
    _check_usage(
        suite, manual=manual, result=result, note=note, soaks=wait or minutes is not None or requests is not None
    )
    workspace = factory.workspace()
    workspace.environment(stack)
    needs = _needs(workspace, stack, minutes, requests) if suite == _SOAK else None
    say, connect = factory.console.say, factory.seams.connect
    with open_store(workspace, stack) as (store, _):
        if manual:
            signer = _person(workspace, name)
            with subject_of(workspace, stack, store, connect) as subject:
                piece = record_by_hand(store, subject, signer, result=str(result), note=str(note))
        else:
            signer = signer_for(workspace, "verifier", name)
            require_declared(workspace, stack)
            if needs is not None:
                wait_s = (needs.minutes * 60 + MARGIN_S if deadline is None else deadline) if wait else 0.0
                piece = soak(
                    workspace, stack, signer, store=store, needs=needs, wait_s=wait_s, say=say, connect=connect
                )
            else:
                piece = factory.seams.verify(
                    workspace,
                    stack,
                    suite,
                    signer,
                    store=store,
                    say=say,
                    urls=urls,
                    deadline_s=deadline or DEADLINE_S,
                    connect=connect,
                )
    factory.console.facts(_facts(piece), lambda: [_line(piece)])
    if piece.fault is not None:
        raise SlipwayError(
            f"what was recorded does not count in {stack}: {piece.fault}",
            fix="Correct `slipway:signers` of its stack file, and verify again",
        )
    if piece.predicate["result"] != PASS:
        raise SlipwayError(f"{_title(piece)} failed in {stack}: {piece.predicate.get('note', '')}")


def _check_usage(suite: str | None, *, manual: bool, result: str | None, note: str | None, soaks: bool) -> None:
    if manual and (suite is not None or result is None or not note):
        raise BadInput(
            "--manual needs --result and --note, and no SUITE", fix='Such as --manual --result pass --note "by hand"'
        )
    if not manual and (suite is None or result is not None or note is not None):
        raise BadInput(
            "there is no SUITE" if suite is None else "--result and --note belong to --manual",
            allowed="smoke, regression, soak, another folder of tests/environments, or --manual",
        )
    if soaks and suite != _SOAK:
        raise BadInput("--wait, --minutes and --requests belong to the suite `soak`")


def _needs(workspace: Workspace, stack: str, minutes: int | None, requests: int | None) -> Needs:
    if minutes is not None and requests is not None:
        return Needs(minutes, requests)
    asked = needs_of(workspace, stack)
    return Needs(asked.minutes if minutes is None else minutes, asked.requests if requests is None else requests)


def _person(workspace: Workspace, name: str | None) -> Signer:
    """Whose word a manual verification is: an approver's, or a verifier's where there is none at hand."""
    try:
        return signer_for(workspace, "approver", name)
    except Refused:
        return signer_for(workspace, "verifier", name)


def _facts(piece: Piece) -> dict[str, Any]:
    return {
        "kind": str(piece.kind),
        "release": piece.subject,
        "piece": piece.digest,
        "tag": piece.tag,
        "signed_by": piece.signed_by,
        **piece.predicate,
    }


def _title(piece: Piece) -> str:
    return str(piece.predicate.get("suite", piece.kind))


def _line(piece: Piece) -> str:
    revoked = f", which revokes {piece.predicate['revokes']}" if "revokes" in piece.predicate else ""
    return (
        f"{_title(piece)} of release {piece.subject}: {piece.predicate['result']}, signed by {piece.signed_by}{revoked}"
    )
