"""A release: which image of each service belong together, and the commit they are made of, as an OCI artifact.

Its digest is its identity, so it holds nothing else, no time above all: equal content is the same release, whoever
pushes it. Source of the format: OCI image specification 1.1, "Guidelines for Artifact Usage".
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adapters.errors import BadInput
from adapters.registry import digest_of

REPOSITORY = "releases"
"""Where releases are, beside a repository for each service."""

MEDIA_TYPE = "application/vnd.slipway.release.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
EMPTY = b"{}"
"""The content of a configuration that says nothing; artifacts have it where images have theirs."""

_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_COMMIT = re.compile(r"(?:dirty-)?[0-9a-f]{40}|dev")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Release:
    """`commit` is 40 hex digits; `dirty-` before them, or `dev`, for what is in no commit and can go to test only.

    `services` maps each service to the digest of its image. Raises `BadInput` for anything else.
    """

    commit: str
    services: Mapping[str, str]

    def __post_init__(self) -> None:
        if not _COMMIT.fullmatch(self.commit):
            raise BadInput(
                f"{self.commit!r} is no commit", allowed="40 hex digits, `dirty-` and 40 hex digits, or `dev`"
            )
        if not self.services:
            raise BadInput("a release has at least one service")
        for service, digest in self.services.items():
            if not _SERVICE.fullmatch(service) or service == REPOSITORY:
                raise BadInput(
                    f"{service!r} can be no service of a release",
                    allowed=f"lower case letters, digits and `-`, and not `{REPOSITORY}`, which is where releases are",
                )
            if not _DIGEST.fullmatch(digest):
                raise BadInput(f"{digest!r} is no digest of an image of {service}", allowed="sha256:<64 hex digits>")

    def __hash__(self) -> int:
        return hash(self.content)

    @property
    def is_clean(self) -> bool:
        """Whether it was made of a commit and nothing else, so that it can be built again."""
        return re.fullmatch(r"[0-9a-f]{40}", self.commit) is not None

    @cached_property
    def content(self) -> bytes:
        """What the artifact holds, canonical: keys sorted, no white space."""
        return canonical({"commit": self.commit, "services": dict(self.services)})

    @cached_property
    def manifest(self) -> bytes:
        """The artifact's manifest; what it holds is also within it, so that one request reads a release."""
        return manifest([descriptor(MEDIA_TYPE, self.content, embed=True)])

    @property
    def digest(self) -> str:
        """The digest of its manifest, which is its identity: `sha256:<64 hex digits>`."""
        return digest_of(self.manifest)

    def images(self, tag: str) -> dict[str, str]:
        """How `slipway:images` calls its images: `{"hello": "hello:<tag>@sha256:…"}`."""
        return {service: f"{service}:{tag}@{digest}" for service, digest in self.services.items()}

    @classmethod
    def from_content(cls, content: bytes) -> Release:
        """Read what an artifact holds; raises `BadInput` for what `content` would not have written."""
        try:
            parsed = json.loads(content)
            release = cls(str(parsed["commit"]), {str(name): str(image) for name, image in parsed["services"].items()})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadInput("the artifact is no release: it names no commit and services") from None
        if release.content != content:
            raise BadInput("the artifact is no release: it holds more than a commit and services")
        return release


def canonical(value: Any) -> bytes:
    """JSON of which there is one form only: equal values, equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def manifest(
    layers: Sequence[Mapping[str, Any]],
    subject: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> bytes:
    """The manifest of an artifact of the type of its first layer; layers and `subject` are descriptors."""
    whole: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": layers[0]["mediaType"],
        "config": descriptor(_EMPTY_TYPE, EMPTY),
        "layers": [dict(layer) for layer in layers],
    }
    if subject:
        whole["subject"] = dict(subject)
    if annotations:
        whole["annotations"] = dict(annotations)
    return canonical(whole)


def descriptor(
    media_type: str, content: bytes, *, annotations: Mapping[str, str] | None = None, embed: bool = False
) -> dict[str, Any]:
    """How a manifest refers to bytes; with `embed` they are in it, too (`data` of OCI's content descriptors)."""
    described: dict[str, Any] = {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
    if annotations:
        described["annotations"] = dict(annotations)
    if embed:
        described["data"] = base64.b64encode(content).decode()
    return described


def first_layer(manifest: bytes, media_type: str) -> tuple[str, bytes | None] | None:
    """The digest of an artifact's first layer, and its bytes if they are embedded; None if it is of another type."""
    try:
        parsed = json.loads(manifest)
        layer = parsed["layers"][0]
        digest, data = str(layer["digest"]), layer.get("data")
        if not parsed["artifactType"] == layer["mediaType"] == media_type:
            return None
        content = base64.b64decode(data, validate=True) if isinstance(data, str) else None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None
    return digest, content if content is not None and digest_of(content) == digest else None
