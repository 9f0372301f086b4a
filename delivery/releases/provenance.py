"""Build provenance: SLSA version 1 predicates (https://slsa.dev/spec/v1.0/provenance) of images and of releases.

Commit, source and time are said here and not in the image's configuration, so that equal content has an equal digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from delivery.releases.proof import Piece

if TYPE_CHECKING:
    from delivery.releases.source import Source, SourceService

BUILD_TYPE = "https://slipway.dev/build/v1"


def of_image(
    source: Source, service: SourceService, builder: str, started: datetime, ended: datetime
) -> dict[str, Any]:
    """How the image of a service was built."""
    path = service.directory.relative_to(source.directory).as_posix()
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"service": service.name, "path": path, "commit": source.commit},
            "internalParameters": {"content": service.content},
            "resolvedDependencies": [source.dependency],
        },
        "runDetails": _details(builder, started, ended),
    }


def of_release(source: Source, images: Mapping[str, str], started: datetime, ended: datetime) -> dict[str, Any]:
    """How a release was put together; its images each have provenance of their own, maybe of an earlier commit."""
    parts = [
        {"name": service, "digest": {"sha256": digest.removeprefix("sha256:")}} for service, digest in images.items()
    ]
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"commit": source.commit},
            "resolvedDependencies": [source.dependency, *parts],
        },
        "runDetails": _details("release", started, ended),
    }


def content_of(piece: Piece) -> str | None:
    """The hash of the content that an image was built of, as its provenance says; None if it does not."""
    found = _at(piece.predicate, "buildDefinition", "internalParameters", "content")
    return found if isinstance(found, str) else None


def commit_of(piece: Piece) -> str | None:
    """The commit that was built, as its provenance says; None if it does not."""
    found = _at(piece.predicate, "buildDefinition", "externalParameters", "commit")
    return found if isinstance(found, str) else None


def begun_at(piece: Piece) -> datetime | None:
    """When the build began, as its provenance says, UTC; None if it does not."""
    found = _at(piece.predicate, "runDetails", "metadata", "startedOn")
    try:
        return datetime.fromisoformat(found).astimezone(UTC) if isinstance(found, str) else None
    except ValueError:
        return None


def _details(builder: str, started: datetime, ended: datetime) -> dict[str, Any]:
    return {
        "builder": {"id": f"https://slipway.dev/builders/{builder}"},
        "metadata": {
            "startedOn": started.isoformat(timespec="milliseconds"),
            "finishedOn": ended.isoformat(timespec="milliseconds"),
        },
    }


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
