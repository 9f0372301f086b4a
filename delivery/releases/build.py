"""Makes a release of a repository: builds what changed, scans everything, and pushes it with its proof.

The order is what makes an interrupted build harmless: an image is pushed, then its proof, then the tag that says of
which commit it is; the release comes last of all. So nothing that carries a commit's name lacks its proof, and the
same command run again finishes what is missing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from adapters import ociarchive
from adapters.errors import Refused, SlipwayError
from adapters.progress import say, step
from adapters.registry import RegistryClient
from delivery.releases import provenance
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.making import BuiltService, Image, Making, built
from delivery.releases.proof import Kind
from delivery.releases.scanners import Parts
from delivery.releases.signing import Signer
from delivery.releases.source import SourceService, tag_of
from delivery.releases.store import ReleaseStore

_CONTENT_DIGITS = 24
_AT_ONCE = 4
_ROLE = "builder"
FIXED = ("sha-", "v")
"""What tags begin with that mean one image for ever."""


@dataclass(frozen=True)
class BuiltRelease:
    """A release that is in the registry with its proof; `is_new` unless it was there already."""

    release: Release
    tag: str
    services: Sequence[BuiltService]
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class ReleaseBuild(Making):
    """Everything that a build works with which is pushed."""

    store: ReleaseStore
    registry: RegistryClient
    signer: Signer

    @classmethod
    def of(cls, making: Making, store: ReleaseStore, registry: RegistryClient, signer: Signer) -> Self:
        """What is made as `making` does, pushed to a registry and signed."""
        shared = {each.name: getattr(making, each.name) for each in fields(making)}
        return cls(store=store, registry=registry, signer=signer, **shared)

    def run(self) -> BuiltRelease:
        """Build, scan, push.

        Raises `BadInput` where a service does not build, `Refused` where a scan finds too much or a tag means another
        image already, and `CouldNotLook` (`Unreachable`) or `MachineUnfit` where a scan could not look.
        """
        started = self.now()
        self._require_trusted()
        with tempfile.TemporaryDirectory(prefix="slipway-build-") as scratch:
            images = [self._make(service, Path(scratch)) for service in self.source.services]
            release = Release(self.source.commit, {image.service.name: image.digest for image in images})
            self._require_free_tags(release)
            for image in images:
                self.examine(image)
            self._refuse_what_failed(images)
            with step(f"pushing {', '.join(image.service.name for image in images)}"):
                with ThreadPoolExecutor(_AT_ONCE) as executor:
                    list(executor.map(self._publish, images))
                is_new = self._publish_release(release, started)
        return BuiltRelease(release, self.source.tag, built(images), is_new)

    def _require_trusted(self) -> None:
        """Nothing is built whose proof would not count in the end."""
        known = self.store.trust.name_of(self.signer.known_by)
        if known is None or _ROLE not in self.store.trust.roles_of(known):
            kind = "key" if isinstance(self.signer.known_by, str) else "identity"
            what = "is unknown" if known is None else f"is {known}'s, who is no {_ROLE}"
            raise Refused(
                f"the {kind} that {self.signer.name} signs with {what}, so no proof of this build would count",
                where="slipway:signers",
                fix=f"Name the public half of the key, or the identity, there, with the role {_ROLE}",
            )

    def _make(self, service: SourceService, scratch: Path) -> Image:
        known = None if self.options.rebuild else self._known(service)
        if known is not None:
            say(f"  {service.name} has not changed since {tag_of(known.commit)}: {known.digest[:19]}")
            return known
        return self.build(service, scratch)

    def _known(self, service: SourceService) -> Image | None:
        """The image made of the same content before, if a builder says so whose word counts.

        The tag only says where to look. What was built of files that are in no commit is not taken for a commit's.
        """
        digest = self.registry.digest_of(service.name, _content_tag(service))
        if digest is None:
            return None
        proof = [piece for piece in self.store.proof(service.name, digest) if piece.counts]
        fitting = [
            (piece, commit)
            for piece in proof
            if piece.kind is Kind.PROVENANCE
            and provenance.content_of(piece) == service.content
            and (commit := provenance.commit_of(piece))
            and (Release(commit, {service.name: digest}).is_clean or self.source.commit == commit)
        ]
        listed = [piece for piece in proof if piece.kind is Kind.SBOM]
        if not fitting or not listed:
            return None
        piece, commit = fitting[-1]
        parts = Parts(listed[-1].predicate)
        return Image(service, digest, None, commit, piece.at, piece.at, parts=parts, proof=proof)

    def _require_free_tags(self, release: Release) -> None:
        """Nothing is scanned or pushed if in the end a tag could not be set."""
        tag = self.source.tag
        if not tag.startswith(FIXED):
            return
        names = [(REPOSITORY, release.digest), *release.services.items()]
        for repository, digest in names:
            there = self.registry.digest_of(repository, tag)
            if there not in (None, digest):
                raise Refused(
                    f"{repository}:{tag} is {there} already, and this build would be {digest}",
                    fix="Such a tag never comes to mean another image. Leave out --rebuild if you gave it; else commit "
                    "again (`git commit --allow-empty`), since the base or the builder changed meanwhile",
                )

    def _refuse_what_failed(self, images: Sequence[Image]) -> None:
        failed = [(image, image.scan) for image in images if image.scan is not None and image.scan.result == "fail"]
        for image, result in failed:
            if image.is_known:  # it is in the registry with an earlier scan, whose word is no longer the last one
                self._attach(image, Kind.SCAN, result.predicate(self.now()))
        self.refuse(images)

    def _publish(self, image: Image) -> None:
        name = image.service.name
        if image.archive is not None:
            pushed = ociarchive.push(self.registry, name, image.archive)
            if pushed != image.digest:
                raise SlipwayError(f"the archive of {name} holds {pushed} and not {image.digest}, as was built")
        if image.scan is not None:
            self._attach(image, Kind.SCAN, image.scan.predicate(self.now()))
        if not image.is_known:
            if image.parts is not None:
                self._attach(image, Kind.SBOM, dict(image.parts.spdx))
            said = provenance.of_image(self.source, image.service, self.builder.name, image.started, image.ended)
            self._attach(image, Kind.PROVENANCE, said)
            self.registry.copy_tag(name, image.digest, _content_tag(image.service))
        self.registry.copy_tag(name, image.digest, self.source.tag)

    def _publish_release(self, release: Release, started: datetime) -> bool:
        """The release and its proof without a tag, then the tag; whether the tag was not there before."""
        if self.registry.digest_of(REPOSITORY, self.source.tag) == release.digest:
            return False
        self.store.push(release, [])
        said = provenance.of_release(self.source, release.services, started, self.now())
        self.store.attach(REPOSITORY, release.digest, Kind.PROVENANCE, said, self.signer)
        self.store.push(release, [self.source.tag])
        return True

    def _attach(self, image: Image, kind: Kind, predicate: dict[str, Any]) -> None:
        self.store.attach(image.service.name, image.digest, kind, predicate, self.signer)


def _content_tag(service: SourceService) -> str:
    """Where an image of this content is looked for. Only a hint: provenance decides."""
    return f"content-{service.content[:_CONTENT_DIGITS]}"
