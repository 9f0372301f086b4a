"""What a verifier says something of: a release as it runs in an environment, in the configuration it runs with.

Something found out about an environment is said of a release only if that release ran all the while. So what runs is
read before and after, and where it differs nothing is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.errors import BadInput, Drifted, SlipwayError
from adapters.kubernetes import Kubernetes
from components.settings import ClusterSettings
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.gates import configuration_hash
from delivery.releases.proof import Kind, Piece
from delivery.releases.running import RunningService, connect, running_services
from delivery.releases.signing import Signer
from delivery.releases.store import ReleaseStore
from delivery.workspace import Workspace

PASS, FAIL = "pass", "fail"

Look = Callable[[], tuple[Mapping[str, RunningService], str]]
"""Reads anew what runs, and the hash of how it is configured."""

Connect = Callable[[ClusterSettings], Kubernetes]
"""Gives a client of a stack's cluster."""


@dataclass(frozen=True)
class Subject:
    """A release that runs in the environment `stack`, configured as the hash `configuration` says."""

    stack: str
    release: Release
    configuration: str
    running: Mapping[str, RunningService]
    look: Look

    def require_unchanged(self) -> None:
        """Raises `SlipwayError` if another release or configuration is there now, or was in between."""
        try:
            running, configuration = self.look()
        except Drifted as error:
            raise self._changed(error.what) from None
        changed = [f"{name} was rolled out" for name in running if running[name] != self.running.get(name)]
        changed += [f"{name} is gone" for name in self.running.keys() - running.keys()]
        if configuration != self.configuration:
            changed.append("its configuration was changed")
        if changed:
            raise self._changed(", ".join(changed))

    def _changed(self, how: str) -> SlipwayError:
        return SlipwayError(
            f"{self.stack} changed meanwhile, so nothing was recorded: {how}", fix="Verify again what runs there now"
        )


@contextmanager
def subject_of(workspace: Workspace, stack: str, store: ReleaseStore, connect: Connect = connect) -> Iterator[Subject]:
    """The release that an environment runs.

    Raises `BadInput` where what runs is no release, `Drifted` where it is not what the stack file names.
    """
    kube = connect(workspace.environment(stack))

    def look() -> tuple[Mapping[str, RunningService], str]:
        settings = workspace.environment(stack)
        return running_services(kube, settings), configuration_hash(settings)

    try:
        running, configuration = look()
        release = store.of_images({name: found.image for name, found in running.items()})
        if release is None:
            named = ", ".join(f"{name} {found.release}" for name, found in running.items())
            raise BadInput(
                f"what runs in {stack} is no release: {named or 'nothing'}",
                fix="Build one with `slipway release build` and promote it: proof belongs to a release",
            )
        yield Subject(stack, release, configuration, running, look)
    finally:
        kube.close()


def require_declared(workspace: Workspace, stack: str) -> None:
    """Raises `Drifted` if an update would change the environment: then it does not run as its file says."""
    outcome = workspace.manage(stack).preview(lambda _: None)
    if outcome.changed:
        changes = ", ".join(map(str, outcome.changes)) or "an update would change it"
        raise Drifted(
            f"{stack} does not run as its file says, so nothing can be said of it: {changes}",
            fix=f"Bring it there with `slipway up {stack}`",
        )


def attach(
    store: ReleaseStore,
    subject: Subject,
    signer: Signer,
    kind: Kind,
    predicate: Mapping[str, Any],
    *,
    blobs: Mapping[str, bytes] | None = None,
) -> Piece:
    """Attach what was found out to the subject's release; what failed names the pass before it, which it revokes."""
    statement = {
        "stack": subject.stack,
        "configuration": subject.configuration,
        "by": signer.name,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        **predicate,
    }
    if predicate["result"] == FAIL and (passed := _last_pass(store, subject, kind, predicate.get("suite"))):
        statement["revokes"] = passed.digest
    return store.attach(REPOSITORY, subject.release.digest, kind, statement, signer, blobs or {})


def _last_pass(store: ReleaseStore, subject: Subject, kind: Kind, suite: object) -> Piece | None:
    """The newest word of this kind about the stack, if it is a pass that counts."""
    said = [
        piece
        for piece in store.proof(REPOSITORY, subject.release.digest)
        if piece.kind is kind
        and not piece.fault
        and (piece.predicate.get("stack"), piece.predicate.get("suite")) == (subject.stack, suite)
    ]
    return said[-1] if said and said[-1].predicate.get("result") == PASS else None
