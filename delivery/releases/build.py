"""Makes a release of a repository: builds what changed, scans everything, and pushes it with its proof.

The order is what makes an interrupted build harmless: an image is pushed, then its proof, then the tag that says of
which commit it is; the release comes last of all. So nothing that carries a commit's name lacks its proof, and the
same command run again finishes what is missing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters import ociarchive
from adapters.errors import BadInput, MachineUnfit, Refused, SlipwayError
from adapters.progress import say, step
from adapters.registry import RegistryClient
from components.delivery_model import ScanRules
from delivery.releases import provenance, scan
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.builders import Builder
from delivery.releases.proof import Kind, Piece
from delivery.releases.scan import Scan
from delivery.releases.scanners import CouldNotLook, Parts, Scanners
from delivery.releases.signing import Signer
from delivery.releases.source import SERVICES, Source, SourceService, tag_of
from delivery.releases.store import ReleaseStore
from local.images import BuiltImage

_CONTENT_DIGITS = 24
_AT_ONCE = 4
_SHOWN = 8
_ROLE = "builder"
FIXED = ("sha-", "v")
"""What tags begin with that mean one image for ever."""

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class BuildOptions:
    """`rebuild` also builds what did not change, on today's base; `allow_unscanned` goes on where nobody can look."""

    rebuild: bool = False
    allow_unscanned: bool = False


@dataclass
class _Image:
    """The image of a service on its way: made here, or known from before with what it is made of."""

    service: SourceService
    digest: str
    archive: Path | None
    commit: str
    """The commit it was built of: an earlier one where its content did not change."""
    started: datetime
    ended: datetime
    parts: Parts | None = None
    scan: Scan | None = None
    proof: Sequence[Piece] = ()

    @property
    def is_known(self) -> bool:
        return self.archive is None


@dataclass(frozen=True)
class BuiltService:
    """What became of one service."""

    name: str
    digest: str
    built: bool
    commit: str
    scan: Scan

    @property
    def since(self) -> str:
        """The tag of the commit that it was built of."""
        return tag_of(self.commit)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        facts = {"digest": self.digest, "built": self.built, "commit": self.commit, "scan": self.scan.result}
        return facts | {"findings": [found.to_json() for found in self.scan.findings], "why": self.scan.why or None}


@dataclass(frozen=True)
class BuiltRelease:
    """A release that is in the registry with its proof; `is_new` unless it was there already."""

    release: Release
    tag: str
    services: Sequence[BuiltService]
    is_new: bool


@dataclass(frozen=True)
class ReleaseBuild:
    """Everything that a build works with."""

    source: Source
    store: ReleaseStore
    registry: RegistryClient
    signer: Signer
    builder: Builder
    scanners: Scanners
    rules: ScanRules
    options: BuildOptions = BuildOptions()
    now: Clock = field(default=lambda: datetime.now(UTC))

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
                self._list_parts(image)
                image.scan = self._scan(image)
            self._refuse_what_failed(images)
            with step(f"pushing {', '.join(image.service.name for image in images)}"):
                with ThreadPoolExecutor(_AT_ONCE) as executor:
                    list(executor.map(self._publish, images))
                is_new = self._publish_release(release, started)
        services = [
            BuiltService(image.service.name, image.digest, not image.is_known, image.commit, image.scan)
            for image in images
            if image.scan is not None
        ]
        return BuiltRelease(release, self.source.tag, services, is_new)

    def _require_trusted(self) -> None:
        """Nothing is built whose proof would not count in the end."""
        known = self.store.trust.name_of(self.signer.public_pem)
        if known is None or _ROLE not in self.store.trust.roles_of(known):
            what = "is unknown" if known is None else f"is {known}'s, who is no {_ROLE}"
            raise Refused(
                f"the key that {self.signer.name} signs with {what}, so no proof of this build would count",
                where="slipway:signers",
                fix=f"Name its public half there, with the role {_ROLE}",
            )

    def _make(self, service: SourceService, scratch: Path) -> _Image:
        known = None if self.options.rebuild else self._known(service)
        if known is not None:
            say(f"  {service.name} has not changed since {tag_of(known.commit)}: {known.digest[:19]}")
            return known
        started = self.now()
        try:
            built: BuiltImage = self.builder.build(service, scratch)
        except BadInput as error:  # it names a place that is gone by now, since the commit was checked out anew
            raise BadInput(error.what, where=f"{SERVICES}/{service.name}/Dockerfile", fix=error.fix) from error
        return _Image(service, built.digest, built.archive, self.source.commit, started, self.now())

    def _known(self, service: SourceService) -> _Image | None:
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
        return _Image(service, digest, None, commit, piece.at, piece.at, parts=parts, proof=proof)

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

    def _list_parts(self, image: _Image) -> None:
        if image.archive is None:
            return
        try:
            image.parts = self.scanners.parts(image.archive, image.service.name)
        except (CouldNotLook, MachineUnfit) as error:
            if not self.options.allow_unscanned:
                raise
            image.scan = scan.unscanned(error.what, self.rules)

    def _scan(self, image: _Image) -> Scan:
        if image.scan is not None or image.parts is None:
            return image.scan or scan.unscanned("syft has not listed what it is made of", self.rules)
        try:
            look = self.scanners.look(image.parts, image.service.name, image.service.requirements)
        except (CouldNotLook, MachineUnfit) as error:
            if not self.options.allow_unscanned:
                raise
            say(f"  {image.service.name} is not scanned: {error.what}")
            return scan.unscanned(error.what, self.rules)
        return scan.judge(look, self.rules, self.now().date())

    def _refuse_what_failed(self, images: Sequence[_Image]) -> None:
        failed = [(image, image.scan) for image in images if image.scan is not None and image.scan.result == "fail"]
        for image, result in failed:
            if image.is_known:  # it is in the registry with an earlier scan, whose word is no longer the last one
                self._attach(image, Kind.SCAN, result.predicate(self.now()))
        if failed:
            told = [f"{image.service.name}: {found}" for image, result in failed for found in result.failing]
            ended = [
                f"the exception for {rule.id} ended on {rule.until}" for _, result in failed for rule in result.expired
            ]
            more = f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
            raise Refused(
                f"the scan found what is not to be released: {'; '.join([*told[:_SHOWN], *ended])}{more}",
                allowed=f"nothing from {self.rules.fail_on} on (`slipway:scan.failOn`)",
                fix="Update the packages (--rebuild takes the base's of today), or accept one for a while in "
                "`slipway:scan.exceptions`, with a date and a reason",
            )

    def _publish(self, image: _Image) -> None:
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

    def _attach(self, image: _Image, kind: Kind, predicate: dict[str, Any]) -> None:
        self.store.attach(image.service.name, image.digest, kind, predicate, self.signer)


def _content_tag(service: SourceService) -> str:
    """Where an image of this content is looked for. Only a hint: provenance decides."""
    return f"content-{service.content[:_CONTENT_DIGITS]}"
