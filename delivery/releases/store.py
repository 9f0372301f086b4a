"""Releases and their proof in a registry.

Proof is found by listing tags: a piece has a tag of its own, so that no writer can lose another's, and registries
without a referrers API serve as well. Its `subject` is for those that have one.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from adapters.errors import BadInput, Refused
from adapters.registry import RegistryClient, digest_of, media_type_of, parse_reference
from delivery.releases import artifact, proof
from delivery.releases.artifact import EMPTY, MANIFEST_TYPE, REPOSITORY, Release
from delivery.releases.kept import Kept
from delivery.releases.proof import Kind, Piece, Tag
from delivery.releases.signing import BUNDLE_TYPE, Signer, Trust

_AT_ONCE = 8
_FEWEST_DIGITS = 12
_FIXED_TAG = re.compile(r"sha-.*|v\d.*")
"""Tags that mean one release for ever."""
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST_PART = re.compile(r"(?:sha256:)?([0-9a-f]{12,64})")
_COMMIT_PART = re.compile(r"(?:sha|dirty)-[0-9a-f]{7,40}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHOWN = 10

Subject = tuple[str, str]
"""What proof is about: a repository, and a digest in it."""
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class ReleaseStore:
    """The releases of a registry, their proof judged by `trust`. Any number of threads may use it.

    With `kept`, what was read on this machine before is not read again.
    Every method raises `Unreachable` if the registry does not answer, and `BadInput` if it refuses the credentials.
    """

    def __init__(self, registry: RegistryClient, trust: Trust, kept: Kept | None = None) -> None:
        self._registry, self.trust, self._kept = registry, trust, kept
        self._releases: dict[str, Release] = {}
        self._fixed: dict[str, str] = {}  # tags that were seen here, which mean one release for ever, and its digest
        self._pieces: dict[tuple[str, Tag], Piece] = {}  # by repository and tag: neither changes once judged

    def push(self, release: Release, tags: Iterable[str]) -> None:
        """Store a release under tags; the same again changes nothing.

        Raises `Refused` if a `sha-` or `v` tag names another release already, before anything is written.
        """
        wanted = list(tags)
        there = dict(self._each(lambda tag: self._registry.digest_of(REPOSITORY, tag), wanted))
        for tag, digest in there.items():
            if digest not in (None, release.digest) and _FIXED_TAG.fullmatch(tag):
                raise Refused(
                    f"{tag} is a release already, {digest}, and not {release.digest}",
                    where=f"{REPOSITORY}:{tag}",
                    fix="Such a tag never comes to mean another release: choose another version, or commit",
                )
        self._registry.put_blob(REPOSITORY, EMPTY)
        self._registry.put_blob(REPOSITORY, release.content)
        for reference in wanted or [release.digest]:
            if there.get(reference) != release.digest:
                self._registry.put_manifest(REPOSITORY, reference, release.manifest, MANIFEST_TYPE)

    def get(self, digest: str) -> Release | None:
        """The release of a digest; None if there is none, or something that is no release."""
        if digest not in self._releases and (manifest := self._manifest(REPOSITORY, digest)):
            self._keep(manifest)
        return self._releases.get(digest)

    def find(self, name: str) -> tuple[Release, str]:
        """The release of a tag (`sha-…`, `v1.2.3`), a digest or 12 and more digits of one, and the tag to call it by.

        Raises `BadInput` with those there are.
        """
        if _TAG.fullmatch(name) and (digest := self.digest_of(name)):
            found = self.get(digest)
            if found is not None:
                return found, name
        tags = self.tags()
        digest = self._digest_of_part(name, tags)
        release = self.get(digest) if digest else None
        if release is None:
            raise BadInput(f"there is no release {name!r}", allowed=_listed(tags), fix="See `slipway release list`")
        return release, self.tag_of(release, tags)

    def tag_of(self, release: Release, tags: Mapping[str, str] | None = None) -> str:
        """What a release is best called: by its version, its commit, another tag; its own digits where it has none."""
        tags = self.tags() if tags is None else tags
        names = sorted((tag for tag, digest in tags.items() if digest == release.digest), key=_rank)
        return names[0] if names else release.digest.removeprefix("sha256:")[:_FEWEST_DIGITS]

    def digest_of(self, tag: str) -> str | None:
        """The digest of the release that a tag means; None if there is no such tag."""
        if tag in self._fixed:
            return self._fixed[tag]
        manifest = self._registry.manifest(REPOSITORY, tag)
        if manifest is None:
            return None
        digest = self._keep(manifest)
        if _FIXED_TAG.fullmatch(tag):
            self._fixed[tag] = digest
        return digest

    def tags(self) -> Mapping[str, str]:
        """The releases' tags, each with the digest of the release; tags of what belongs to one are not among them."""
        names = [tag for tag in self._registry.tags(REPOSITORY) if not tag.startswith("sha256-")]
        return {tag: digest for tag, digest in sorted(self._each(self.digest_of, names)) if digest is not None}

    def of_images(self, images: Mapping[str, str]) -> Release | None:
        """The release that consists of exactly these images: `{service: digest or reference with a digest}`.

        Several commits may give the same images. Then it is the one that the references' tag names, else the one with
        a version, else with a commit.
        """
        services = {service: _digest_in(image) for service, image in images.items()}
        for tag in sorted({_tag_in(image) for image in images.values()} - {""}):
            digest = self.digest_of(tag)
            release = self.get(digest) if digest else None
            if release and release.services == services:
                return release
        named = sorted(self.tags().items(), key=lambda item: _rank(item[0]))
        digests = list(dict.fromkeys(digest for _, digest in named))
        releases = dict(self._each(self.get, digests))
        return next((found for digest in digests if (found := releases[digest]) and found.services == services), None)

    def attach(  # noqa: PLR0917 - where to, what, and by whom: the order in which one says it
        self,
        subject_repository: str,
        subject_digest: str,
        kind: Kind,
        predicate: Mapping[str, Any],
        signer: Signer,
        blobs: Mapping[str, bytes] | None = None,
    ) -> Piece:
        """Sign a predicate about an image or a release, and store it with `blobs`, whose digests the predicate names.

        A predicate without a time gets `at`, now. The piece is judged like any other: it may not count.
        Raises `BadInput` if the subject is not in the registry.
        """
        subject = self._subject(subject_repository, subject_digest)
        predicate = dict(predicate)
        if proof.time_of(predicate) is None:
            predicate["at"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        unsigned = {name: digest_of(content) for name, content in (blobs or {}).items()}
        if any(digest not in predicate.values() for digest in unsigned.values()):
            predicate["attached"] = unsigned
        bundle = signer.sign(proof.statement(subject_repository, subject_digest, kind, predicate))
        manifest = proof.manifest(kind, subject, bundle, blobs or {})

        def put(content: bytes) -> str:
            return self._registry.put_blob(subject_repository, content, is_new=content is not EMPTY)

        self._each(put, [EMPTY, bundle, *(blobs or {}).values()])
        tag = str(Tag.of(subject_digest, kind, digest_of(manifest)))
        self._registry.put_manifest(subject_repository, tag, manifest, MANIFEST_TYPE)
        return proof.judge(subject_digest, tag, manifest, bundle, self.trust)

    def proof(self, subject_repository: str, subject_digest: str) -> list[Piece]:
        """All proof of a subject, the newest last, also what does not count; each piece was judged."""
        return self.proofs([(subject_repository, subject_digest)])[subject_repository, subject_digest]

    def proof_of(self, release: Release) -> list[Piece]:
        """All proof of a release and of each of its images, the newest last."""
        found = self.proofs([(REPOSITORY, release.digest), *release.services.items()])
        return _ordered(piece for pieces in found.values() for piece in pieces)

    def proofs(self, subjects: Iterable[Subject]) -> dict[Subject, list[Piece]]:
        """The proof of each subject, as `proof` gives it; the tags of each repository are listed once."""
        found: dict[Subject, list[Piece]] = {subject: [] for subject in subjects}
        listed = self._each(self._registry.tags, sorted({repository for repository, _ in found}))
        named = [(repository, tag) for repository, tags in listed for tag in map(Tag.parse, tags) if tag]
        wanted = [(repository, tag) for repository, tag in named if (repository, tag.subject) in found]
        for (repository, tag), piece in self._each(lambda each: self._piece(*each), wanted):
            if piece is not None:
                found[repository, tag.subject].append(piece)
        return {subject: _ordered(pieces) for subject, pieces in found.items()}

    def blob(self, subject_repository: str, piece: Piece, name: str) -> bytes:
        """What was attached with a piece under a name, and signed with it; raises `BadInput` for anything else."""
        attached = piece.predicate.get("attached")
        signed = [*piece.predicate.values(), *(attached.values() if isinstance(attached, dict) else [])]
        if piece.blobs.get(name) not in signed:
            raise BadInput(f"nothing called {name!r} was signed with this", where=piece.tag)
        return self._registry.blob(subject_repository, piece.blobs[name])

    @staticmethod
    def _release_in(manifest: bytes) -> Release | None:
        """The release whose manifest this is; None if it is none's, or not as releases are written here."""
        layer = artifact.first_layer(manifest, artifact.MEDIA_TYPE)
        if layer is None or layer[1] is None:
            return None
        try:
            release = Release.from_content(layer[1])
        except BadInput:
            return None
        return release if release.manifest == manifest else None

    def _keep(self, manifest: bytes) -> str:
        """Remember the release of a manifest, if it is one's; gives the manifest's digest."""
        digest = digest_of(manifest)
        if digest not in self._releases and (release := self._release_in(manifest)):
            self._releases[digest] = release
        return digest

    def _subject(self, repository: str, digest: str) -> dict[str, Any]:
        """The descriptor of what a piece is about."""
        content = self._registry.manifest(repository, digest)
        if content is None:
            raise BadInput(f"there is no {repository}@{digest} to attach proof to", fix="Push it first")
        return artifact.descriptor(media_type_of(content), content)

    def _piece(self, repository: str, tag: Tag) -> Piece | None:
        """A piece, judged; None if it was removed since its tag was listed."""
        if (known := self._pieces.get((repository, tag))) is not None:
            return known
        manifest = self._manifest(repository, str(tag))
        if manifest is None:
            return None
        digest, bundle = artifact.first_layer(manifest, BUNDLE_TYPE) or (None, None)
        if digest is not None and bundle is None:
            with contextlib.suppress(BadInput):  # no such blob: then nothing is signed, which is a verdict and no error
                bundle = self._read(digest, lambda: self._registry.blob(repository, digest))
        piece = proof.judge(tag.subject, str(tag), manifest, bundle, self.trust)
        self._pieces[repository, tag] = piece
        return piece

    def _manifest(self, repository: str, reference: str) -> bytes | None:
        """The manifest of a digest or of a piece's tag."""
        return self._read(reference, lambda: self._registry.manifest(repository, reference))

    def _read(self, reference: str, read: Callable[[], bytes | None]) -> bytes | None:
        return self._kept.through(reference, read) if self._kept else read()

    def _digest_of_part(self, name: str, tags: Mapping[str, str]) -> str | None:
        """The digest that digits begin, or that a part of a commit's tag means; None if there is none."""
        if _DIGEST.fullmatch(name):
            return self._registry.digest_of(REPOSITORY, name)
        if found := _DIGEST_PART.fullmatch(name):
            matching = {digest for digest in tags.values() if digest.startswith(f"sha256:{found[1]}")}
        elif _COMMIT_PART.fullmatch(name):
            matching = {digest for tag, digest in tags.items() if tag.startswith(name) or _is_commit(name, tag)}
        else:
            return None
        if len(matching) > 1:
            raise BadInput(f"{name!r} may mean several releases", allowed=", ".join(sorted(matching)))
        return next(iter(matching), None)

    @staticmethod
    def _each(ask: Callable[[Asked], Answer], things: Sequence[Asked]) -> list[tuple[Asked, Answer]]:
        """Each thing with the answer, several asked at once."""
        if len(things) <= 1:
            return [(thing, ask(thing)) for thing in things]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="releases") as executor:
            return list(zip(things, executor.map(ask, things), strict=True))


def _ordered(pieces: Iterable[Piece]) -> list[Piece]:
    """The newest last; of what is there twice, wrapped anew perhaps, only one counts."""
    counted: dict[tuple[str, Kind, str | None, datetime], list[Mapping[str, Any]]] = {}
    ordered = []
    for piece in sorted(pieces, key=lambda piece: (piece.at, piece.tag)):
        same = counted.setdefault((piece.subject, piece.kind, piece.signed_by, piece.at), [])
        if piece.counts and piece.predicate in same:
            ordered.append(replace(piece, fault="it is a copy of a piece that is there"))
            continue
        if piece.counts:
            same.append(piece.predicate)
        ordered.append(piece)
    return ordered


def _is_commit(name: str, tag: str) -> bool:
    """Whether a name with all digits of a commit means the tag, which has twelve of them."""
    return tag.startswith("sha-") and name.startswith(tag)


def _digest_in(image: str) -> str:
    """The digest of a reference or of a digest alone; empty for a bare tag."""
    return str(image).rpartition("@")[2] if "@" in str(image) or _DIGEST.fullmatch(str(image)) else ""


def _tag_in(image: str) -> str:
    return "" if _DIGEST.fullmatch(str(image)) else parse_reference(str(image)).tag or ""


def _rank(tag: str) -> tuple[int, list[int], str]:
    """The order in which tags name a release best: the highest version first, then commits, `latest` at the end."""
    if re.fullmatch(r"v\d.*", tag):
        return 0, [-int(number) for number in re.findall(r"\d+", tag)], tag
    return 1 if tag.startswith("sha-") else 3 if tag == "latest" else 2, [], tag


def _listed(tags: Mapping[str, str]) -> str:
    names = sorted(tags, key=_rank)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}" if names else "none, since nothing was released yet"
