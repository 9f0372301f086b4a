"""`slipway sign-off`: an approver's signed word that a release may enter an environment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from adapters.errors import BadInput, Refused
from adapters.registry import RegistryClient
from components.settings import EnvironmentSettings
from delivery import options
from delivery.console import table
from delivery.factory import Factory
from delivery.releases.access import open_store
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.entering import judge_entry
from delivery.releases.gates import Verdict, builders_of
from delivery.releases.people import signer_for
from delivery.releases.present import read_present
from delivery.releases.proof import Kind
from delivery.releases.signing import Signer
from delivery.releases.store import ReleaseStore
from delivery.workspace import Workspace

_APPROVER = "approver"

_HELP = f"""Say that a release may enter STACK, and sign it.

RELEASE is a version, a `sha-` tag or the beginning of a digest. Without it: what the stack names that the last of
STACK's gates asks about, of those that ask about another stack; for prod that is stage.

The word is an approver's, and who built any part of the release has none. It is about this release and this stack, and
opens the gate `signedOff` there; how the other gates stand is shown with it. Nothing is deployed.

\b
Examples:
  slipway sign-off prod --note "orders and refunds tried, ticket 214" --as alice
  slipway sign-off prod v1.4.0

{options.EXIT_CODES}"""


@click.command("sign-off", help=_HELP)
@options.stack_argument
@click.argument("release", required=False)
@click.option("--note", default="", metavar="TEXT", help="What it is based upon; kept with the signature.")
@options.as_option
@options.json_option
@options.common
@options.pass_factory
def sign_off(factory: Factory, stack: str, release: str | None, *, note: str, name: str | None) -> None:
    """Say that a release may enter a stack, and sign it."""
    workspace = factory.workspace()
    settings = workspace.environment(stack)
    with open_store(workspace, stack) as (store, registry):
        found, called = _found(workspace, store, registry, settings, release)
        signer = signer_for(workspace, _APPROVER, name)
        _check_entitled(store, signer, found, called, stack)
        predicate = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "stack": stack,
            "by": signer.name,
            "note": note.strip(),
        }
        piece = store.attach(REPOSITORY, found.digest, Kind.SIGN_OFF, predicate, signer)
        verdicts = judge_entry(workspace, store, settings, found)
    if piece.fault is not None:
        raise Refused(f"the sign-off was attached and does not count in {stack}: {piece.fault}")
    facts: dict[str, Any] = {
        "stack": stack,
        "release": found.digest,
        "name": called,
        "signed_by": piece.signed_by,
        "piece": piece.digest,
        "tag": piece.tag,
        "gates": [{"gate": each.gate, "open": each.open, "why": each.why} for each in verdicts],
    }
    title = f"{called} may enter {stack}, says {piece.signed_by}."
    factory.console.facts(facts, lambda: [title, *_gate_lines(verdicts)])


def _found(
    workspace: Workspace,
    store: ReleaseStore,
    registry: RegistryClient,
    settings: EnvironmentSettings,
    release: str | None,
) -> tuple[Release, str]:
    """The release that is meant, and what to call it."""
    if release is not None:
        return store.find(release)
    asked = [gate.needs for gate in settings.gates if gate.needs is not None]
    if not asked:
        raise BadInput(
            f"no gate of {settings.stack} asks about another stack, so which release is meant cannot be known",
            fix=f"Name it: `slipway sign-off {settings.stack} RELEASE`; `slipway release list` shows them",
        )
    there = read_present(workspace, store, registry, asked[-1])
    if there.release is None:
        raise BadInput(
            f"what {asked[-1]} names is no release: {there.name}",
            fix=f"Promote a release to {asked[-1]} first, or name one that is to enter {settings.stack}",
        )
    return there.release, there.name


def _check_entitled(store: ReleaseStore, signer: Signer, release: Release, called: str, stack: str) -> None:
    known = store.trust.name_of(signer.known_by)
    if known is None or _APPROVER not in store.trust.roles_of(known):
        raise Refused(
            f"{signer.name} is no approver in {stack}, so the word would not count",
            where=f"Pulumi.{stack}.yaml, slipway:signers",
            fix="Ask one who is, or have the role added there",
        )
    if known in builders_of(release, store.proof_of(release)):
        raise Refused(
            f"{known} built {called}, and nobody signs off their own work; nothing was signed",
            fix=f"Ask another approver: `slipway sign-off {stack} --as NAME`",
        )


def _gate_lines(verdicts: Sequence[Verdict]) -> list[str]:
    rows = [("open" if each.open else "CLOSED", each.gate, each.why) for each in verdicts]
    return table(rows, ("state", "gate", "why")) if rows else []
