"""Images that somebody proposes by editing stack files: whether they carry the proof that a promotion would ask for.

Judged is by the gates and signers of the environment as it is before the change, so that nobody lets in their own
images by a change of who counts, in one go. What ran there before with success is let in again: to revert a promotion
is a way back that must not need proof of today.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.registry import Reference, RegistryClient
from components.delivery_model import Hold
from components.settings import EnvironmentSettings
from delivery.releases.access import open_store
from delivery.releases.artifact import Release
from delivery.releases.entering import judge_entry
from delivery.releases.gates import Verdict
from delivery.releases.records import read_records
from delivery.releases.store import ReleaseStore
from delivery.workspace import Workspace

_NOBODYS = "0" * 40
"""The commit of images that make up no release: proof of each of them is asked for all the same."""


@dataclass(frozen=True)
class Proposed:
    """The images that an environment's file would come to name."""

    stack: str
    images: Mapping[str, str]
    verdicts: Sequence[Verdict]

    @property
    def closed(self) -> list[Verdict]:
        """The gates that do not let them in."""
        return [verdict for verdict in self.verdicts if not verdict.open]

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        gates = [{"gate": each.gate, "open": each.open, "why": each.why} for each in self.verdicts]
        return {"stack": self.stack, "images": dict(self.images), "gates": gates}


def proposed(base: Workspace, head: Workspace) -> Iterator[Proposed]:
    """The environments whose images differ between two states of the stack files, each judged by the first one.

    An environment that is new is judged by what its own file asks for. Raises `BadInput` for a file that is none.
    """
    for name, declared in head.stacks.items():
        if declared.kind != "environment":
            continue
        before = base.environment(name).images if name in base.stacks else {}
        after = head.environment(name)
        if after.images != before:
            yield _judged(base if name in base.stacks else head, after)


def _judged(workspace: Workspace, wanted: EnvironmentSettings) -> Proposed:
    settings, images = workspace.environment(wanted.stack), wanted.images
    named = {name: str(image) for name, image in images.items()}
    with open_store(workspace, wanted.stack) as (store, registry):
        asked = {name: (image.name, image.digest or image.tag or "") for name, image in images.items()}
        found = {name: registry.digest_of(*reference) for name, reference in asked.items()}
        digests = {name: digest for name, digest in found.items() if digest is not None}
        verdicts = [_not_pushed(image) for name, image in images.items() if name not in digests]
        verdicts += [_held(hold) for digest in digests.values() if (hold := wanted.hold_on(digest))]
        if verdicts or not images:
            return Proposed(wanted.stack, named, verdicts)
        release = store.of_images(digests) or Release(_NOBODYS, digests)
        if _ran_there(store, registry, wanted.stack, release):
            verdict = Verdict("ran before", True, f"{wanted.stack} ran it, and it was verified there")
            return Proposed(wanted.stack, named, [verdict])
        return Proposed(wanted.stack, named, judge_entry(workspace, store, settings, release))


def _not_pushed(image: Reference) -> Verdict:
    return Verdict("pushed", False, f"the registry has no {image}; `slipway release build` in CI pushes one")


def _held(hold: Hold) -> Verdict:
    return Verdict("not held", False, f"{hold.digest} is on hold: {hold.reason} ({hold.author})")


def _ran_there(store: ReleaseStore, registry: RegistryClient, stack: str, release: Release) -> bool:
    return any(record.release == release.digest for record in read_records(store, registry, stack).succeeded())
