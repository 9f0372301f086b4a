"""Proof: what was found out about a release or an image, each piece signed by somebody whose word counts for it.

A piece is judged when it is read, never when it is written: who pushes to the registry is not who is believed. One that
does not count is kept and says why, so that `slipway release show` can show it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from adapters.registry import digest_of
from delivery.releases import artifact
from delivery.releases.signing import BUNDLE_TYPE, STATEMENT_TYPE, Opened, Trust

MANUAL = "manual"
"""The suite of a verification by hand."""

_NEVER = datetime.min.replace(tzinfo=UTC)
_TAG = re.compile(r"sha256-([0-9a-f]{64})\.([a-z-]+)\.([0-9a-f]{16})")
_OWN_DIGITS = 16
_EMBEDDED_BYTES = 64 << 10
"""Up to this size a bundle is within the manifest as well, so that one request reads a piece; only SBOMs are larger."""
_TITLE = "org.opencontainers.image.title"
_KIND, _PREDICATE_TYPE = "dev.slipway.kind", "dev.sigstore.bundle.predicateType"


class Kind(StrEnum):
    """What a piece of proof is about; to an image belong the first three, to a release the others."""

    PROVENANCE = "provenance"
    SBOM = "sbom"
    SCAN = "scan"
    BOOTSTRAP = "bootstrap"
    VERIFICATION = "verification"
    SOAK = "soak"
    SIGN_OFF = "sign-off"
    DEPLOYMENT = "deployment"
    ROLLBACK = "rollback"
    REVOCATION = "revocation"


ROLE_OF: Mapping[Kind, str] = {
    Kind.PROVENANCE: "builder",
    Kind.SBOM: "builder",
    Kind.SCAN: "builder",
    Kind.BOOTSTRAP: "builder",
    Kind.VERIFICATION: "verifier",
    Kind.SOAK: "verifier",
    Kind.SIGN_OFF: "approver",
    Kind.DEPLOYMENT: "verifier",
    Kind.ROLLBACK: "verifier",
    Kind.REVOCATION: "verifier",
}
"""Whose word a kind of proof is. A verification by hand may be an approver's, too: see `roles_for`."""

PREDICATE_TYPE: Mapping[Kind, str] = {kind: f"https://slipway.dev/{kind}/v1" for kind in Kind} | {
    Kind.PROVENANCE: "https://slsa.dev/provenance/v1",
    Kind.SBOM: "https://spdx.dev/Document",
    Kind.SCAN: "https://in-toto.io/attestation/vulns/v0.2",
}
"""What public tools tell the kinds by."""


@dataclass(frozen=True)
class Piece:
    """One piece of proof of `subject`, a digest. `fault` says why it does not count; None if it does.

    `at` is when its signer says it was made, UTC. `digest` and `tag` are its own in the registry. `blobs` are what was
    attached with it, by name; the digests are signed where the predicate names them.
    """

    kind: Kind
    subject: str
    predicate: Mapping[str, Any]
    signed_by: str | None
    roles: tuple[str, ...]
    at: datetime
    digest: str
    tag: str
    fault: str | None
    blobs: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether it was signed by somebody whose word counts for this, about this subject."""
        return self.fault is None


@dataclass(frozen=True)
class Tag:
    """The tag of a piece: what it is a proof of, its kind, and the beginning of its own digest."""

    subject: str
    kind: Kind
    own: str

    def __str__(self) -> str:
        return f"{prefix_of(self.subject)}{self.kind}.{self.own}"

    @classmethod
    def of(cls, subject: str, kind: Kind, digest: str) -> Tag:
        """The tag of the piece whose manifest has this digest."""
        return cls(subject, kind, digest.removeprefix("sha256:")[:_OWN_DIGITS])

    @classmethod
    def parse(cls, text: str) -> Tag | None:
        """Read a tag; None for one that is not of a piece of proof."""
        found = _TAG.fullmatch(text)
        if found is None or found[2] not in list(Kind):
            return None
        return cls(f"sha256:{found[1]}", Kind(found[2]), found[3])


def prefix_of(subject: str) -> str:
    """What the tags of all proof of a subject begin with."""
    return f"{subject.replace(':', '-')}."


def roles_for(kind: Kind, predicate: Mapping[str, Any]) -> tuple[str, ...]:
    """The roles by one of which a piece has to be signed."""
    if kind is Kind.VERIFICATION and predicate.get("suite") == MANUAL:
        return ("verifier", "approver")
    return (ROLE_OF[kind],)


def statement(name: str, subject: str, kind: Kind, predicate: Mapping[str, Any]) -> dict[str, Any]:
    """The in-toto statement about a subject, which is called `name`."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": subject.removeprefix("sha256:")}}],
        "predicateType": PREDICATE_TYPE[kind],
        "predicate": dict(predicate),
    }


def manifest(kind: Kind, subject: Mapping[str, Any], bundle: bytes, blobs: Mapping[str, bytes]) -> bytes:
    """The manifest of a piece: the bundle first, then what is attached with it; `subject` is a descriptor."""
    attached = [
        artifact.descriptor("application/octet-stream", content, annotations={_TITLE: name})
        for name, content in sorted(blobs.items())
    ]
    layers = [artifact.descriptor(BUNDLE_TYPE, bundle, embed=len(bundle) <= _EMBEDDED_BYTES), *attached]
    return artifact.manifest(layers, subject, {_KIND: str(kind), _PREDICATE_TYPE: PREDICATE_TYPE[kind]})


def judge(subject: str, tag: str, manifest: bytes, bundle: bytes | None, trust: Trust) -> Piece:
    """Read a piece that was found as `tag` when looking for proof of `subject`; `bundle` is None if there is none."""
    named = Tag.parse(tag)
    if named is None:
        raise ValueError(tag)
    opened = Opened({}, None, (), "it is no bundle with a statement in it") if bundle is None else trust.open(bundle)
    given = opened.statement.get("predicate")
    predicate = given if isinstance(given, dict) else {}
    return Piece(
        kind=named.kind,
        subject=subject,
        predicate=predicate,
        signed_by=opened.signed_by,
        roles=opened.roles,
        at=time_of(predicate) or _NEVER,
        digest=digest_of(manifest),
        tag=tag,
        fault=opened.fault
        or _misplaced(subject, named, manifest, opened)
        or _unentitled(named.kind, predicate, opened),
        blobs=_attached(manifest),
    )


def time_of(predicate: Mapping[str, Any]) -> datetime | None:
    """When a predicate says it was made: by `at`, or where formats that are not ours say it."""
    details, metadata = predicate.get("runDetails"), predicate.get("metadata")
    created = predicate.get("creationInfo")
    places = (
        (predicate, "at"),
        (created, "created"),
        (metadata, "scanFinishedOn"),
        (details.get("metadata") if isinstance(details, dict) else None, "finishedOn"),
    )
    for place, key in places:
        if isinstance(place, dict) and isinstance(text := place.get(key), str):
            try:
                time = datetime.fromisoformat(text)
                return time.astimezone(UTC) if time.tzinfo else None
            except (ValueError, OverflowError):
                return None
    return None


def _misplaced(subject: str, named: Tag, manifest: bytes, opened: Opened) -> str | None:
    """Why a piece that is signed well is not proof of this: it was made as another one."""
    signed, kind = _signed_subjects(opened.statement), opened.statement.get("predicateType")
    predicate = opened.statement.get("predicate")
    faults = {
        f"it was signed as proof of another subject, {', '.join(signed) or 'none'}": subject not in signed,
        f"it was signed as another kind of proof, {kind}": kind != PREDICATE_TYPE[named.kind],
        "its tag is another piece's": Tag.of(subject, named.kind, digest_of(manifest)) != named,
        "its manifest links it to another subject": _linked(manifest) != subject,
        "it does not say when it was made": not isinstance(predicate, dict) or time_of(predicate) is None,
    }
    return next((fault for fault, found in faults.items() if found), None)


def _unentitled(kind: Kind, predicate: Mapping[str, Any], opened: Opened) -> str | None:
    wanted = roles_for(kind, predicate)
    if set(wanted) & set(opened.roles):
        return None
    roles, its = " and ".join(opened.roles), " or ".join(wanted)
    return f"{opened.signed_by} signed it, who counts as {roles}, and not as {its}"


def _signed_subjects(statement: Mapping[str, Any]) -> list[str]:
    try:
        return [f"sha256:{subject['digest']['sha256']}" for subject in statement["subject"]]
    except (KeyError, TypeError):
        return []


def _linked(manifest: bytes) -> str | None:
    try:
        return str(json.loads(manifest)["subject"]["digest"])
    except (ValueError, KeyError, TypeError):
        return None


def _attached(manifest: bytes) -> dict[str, str]:
    """The digests of what is attached, by name."""
    try:
        layers = json.loads(manifest)["layers"]
        titled = [(layer.get("annotations", {}).get(_TITLE), layer["digest"]) for layer in layers]
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {str(title): str(digest) for title, digest in titled if title}
