"""Makes the images of a repository's services and has them scanned: what a release and a trial have in common."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.errors import BadInput, MachineUnfit, Refused
from adapters.progress import say
from components.delivery_model import ScanRules
from delivery.releases import scan
from delivery.releases.builders import Builder
from delivery.releases.proof import Piece
from delivery.releases.scan import Scan
from delivery.releases.scanners import CouldNotLook, Parts, Scanners
from delivery.releases.source import SERVICES, Source, SourceService, tag_of
from local.images import BuiltImage

_SHOWN = 8

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class BuildOptions:
    """`rebuild` also builds what did not change, on today's base; `allow_unscanned` goes on where nobody can look."""

    rebuild: bool = False
    allow_unscanned: bool = False


@dataclass
class Image:
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
        """Whether it was not made here."""
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


@dataclass(frozen=True, kw_only=True)
class Making:
    """What makes and scans images, and asks no registry anything."""

    source: Source
    builder: Builder
    scanners: Scanners
    rules: ScanRules
    options: BuildOptions = BuildOptions()
    now: Clock = field(default=lambda: datetime.now(UTC))

    def try_out(self) -> Sequence[BuiltService]:
        """Build and scan every service, and leave nothing behind; raises what a release would of this."""
        with tempfile.TemporaryDirectory(prefix="slipway-build-") as scratch:
            images = [self.build(service, Path(scratch)) for service in self.source.services]
            for image in images:
                self.examine(image)
        self.refuse(images)
        return built(images)

    def build(self, service: SourceService, scratch: Path) -> Image:
        """Build the image of a service; raises `BadInput` where its Dockerfile does not build."""
        started = self.now()
        try:
            made: BuiltImage = self.builder.build(service, scratch)
        except BadInput as error:  # it names a place that is gone by now, since the commit was checked out anew
            raise BadInput(error.what, where=f"{SERVICES}/{service.name}/Dockerfile", fix=error.fix) from error
        return Image(service, made.digest, made.archive, self.source.commit, started, self.now())

    def examine(self, image: Image) -> None:
        """List what an image is made of, and scan that."""
        self._list_parts(image)
        image.scan = self._scan(image)

    def refuse(self, images: Sequence[Image]) -> None:
        """Raise `Refused` if a scan found too much."""
        failed = [(image, image.scan) for image in images if image.scan is not None and image.scan.result == "fail"]
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

    def _list_parts(self, image: Image) -> None:
        if image.archive is None:
            return
        try:
            image.parts = self.scanners.parts(image.archive, image.service.name)
        except (CouldNotLook, MachineUnfit) as error:
            if not self.options.allow_unscanned:
                raise
            image.scan = scan.unscanned(error.what, self.rules)

    def _scan(self, image: Image) -> Scan:
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


def built(images: Sequence[Image]) -> list[BuiltService]:
    """What became of services whose images were examined."""
    return [
        BuiltService(image.service.name, image.digest, not image.is_known, image.commit, image.scan)
        for image in images
        if image.scan is not None
    ]
