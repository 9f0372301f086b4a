"""What the engine knows of a stack, kept in the stack's cluster as Helm keeps its releases.

A record is JSON, compressed, encrypted with the stack's key, and split over Secrets. Each `save` makes a new
generation: first the parts, under names nobody else uses, then one Secret that lists them, by being created, commits
the generation. So a half-written generation is never read, and of two writers who follow the same generation one is
refused. The last ten generations stay, and what was written since older ones were last pruned.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.errors import BadInput, Locked, SlipwayError
from adapters.kubernetes import JsonObject, Kubernetes, KubernetesError
from local.engine.system import NAMESPACE, STACK_LABEL, labels, stack_id

KEPT = 10
"""Generations that stay when older ones are pruned, the present one included."""

PART_BYTES = 700 * 1024
"""In one Secret: a Secret may hold 1 MiB, and this stays below it also in base64."""

_ROLE = "slipway.dev/record-role"
_GENERATION = "slipway.dev/record-generation"
_COMMIT, _PART = "commit", "part"
_FORMAT = 1
_NONCE_BYTES = 12


@dataclass(frozen=True)
class _Commit:
    """A generation that is complete: its parts in their order, and the digest of them together."""

    generation: int
    parts: tuple[str, ...]
    sha256: str


class RecordStore:
    """The record of one stack. `crypter_key` is the stack's 32-byte key. But for `prune`, not for several threads."""

    def __init__(self, kube: Kubernetes, project: str, stack: str, crypter_key: bytes) -> None:
        self._kube, self._project, self._stack = kube, project, stack
        self._cipher = AESGCM(crypter_key)
        self._generation: int | None = None

    def load(self) -> dict[str, Any] | None:
        """The newest record, None if there is none; raises `BadInput` if the passphrase is not the stack's."""
        commits = self._commits()
        self._generation = commits[-1].generation if commits else 0
        return self._open(commits[-1]) if commits else None

    def save(self, record: dict[str, Any]) -> None:
        """Write `record` as the generation after the one loaded or saved before (after the newest if neither was).

        Raises `Locked`, with nothing changed, if somebody else has written a record since.
        """
        generation = (self._newest() if self._generation is None else self._generation) + 1
        sealed = self._seal(record, generation)
        names = [self._write_part(part, generation) for part in _split(sealed)]
        self._commit(_Commit(generation, tuple(names), hashlib.sha256(sealed).hexdigest()))
        self._generation = generation

    def prune(self) -> None:
        """Remove old generations, and what writers left that died before their commit. Another thread may save."""
        commits = self._commits()
        for commit in commits[:-KEPT]:
            self._delete(self._name(commit.generation))
        kept = commits[-KEPT:]
        if not kept:
            return
        # The server leaves the kept ones out: their contents would be most of what it sends.
        others = f",{_GENERATION} notin ({','.join(str(commit.generation) for commit in kept)})"
        for secret in self._secrets(_PART, others):
            if int(secret["metadata"]["labels"][_GENERATION]) < kept[-1].generation:
                self._delete(secret["metadata"]["name"])

    def history(self) -> list[dict[str, Any]]:
        """What was done to the stack, the newest first: the list `updates` of the newest record, the only one read."""
        return list(reversed((self.load() or {}).get("updates", [])))

    def delete(self) -> None:
        """Remove every generation: the stack is no more."""
        for role in (_COMMIT, _PART):  # without its commit a part is never read
            for secret in self._secrets(role):
                self._delete(secret["metadata"]["name"])
        self._generation = None

    def _newest(self) -> int:
        return max((commit.generation for commit in self._commits()), default=0)

    def _commits(self) -> list[_Commit]:
        """In the order of their generations."""
        found = (_read_commit(secret) for secret in self._secrets(_COMMIT))
        return sorted(found, key=lambda commit: commit.generation)

    def _secrets(self, role: str, generations: str = "") -> list[JsonObject]:
        selector = f"{STACK_LABEL}={stack_id(self._project, self._stack)},{_ROLE}={role}{generations}"
        return self._kube.list("v1", "Secret", NAMESPACE, labels=selector)

    def _seal(self, record: dict[str, Any], generation: int) -> bytes:
        text = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, gzip.compress(text, mtime=0), self._context(generation))

    def _open(self, commit: _Commit) -> dict[str, Any]:
        sealed = b"".join(self._read_part(name) for name in commit.parts)
        if hashlib.sha256(sealed).hexdigest() != commit.sha256:
            raise self._damaged("its parts are not those that were written")
        try:
            text = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._context(commit.generation))
        except InvalidTag:
            raise BadInput(
                "wrong passphrase: it does not open the record of this stack in the cluster",
                where=f"stack {self._stack}",
                fix="Set PULUMI_CONFIG_PASSPHRASE, and take the stack file, that the stack was last updated with",
            ) from None
        record: dict[str, Any] = json.loads(gzip.decompress(text))
        return record

    def _context(self, generation: int) -> bytes:
        """Authenticated with the ciphertext, so that no record passes for another stack's or generation's."""
        return f"slipway record {_FORMAT} {self._project}/{self._stack} {generation}".encode()

    def _write_part(self, content: bytes, generation: int) -> str:
        # The name is never used again: what a dead writer left of the same generation stays apart.
        secret = self._secret(_PART, generation, suffix=f".{uuid.uuid4().hex[:12]}", data={"part": content})
        self._kube.create(secret)
        return str(secret["metadata"]["name"])

    def _read_part(self, name: str) -> bytes:
        secret = self._kube.get("v1", "Secret", name, NAMESPACE)
        if secret is None:
            raise self._damaged(f"the Secret {NAMESPACE}/{name} is missing")
        return base64.b64decode(secret["data"]["part"])

    def _commit(self, commit: _Commit) -> None:
        content = {"format": _FORMAT, "parts": commit.parts, "sha256": commit.sha256}
        secret = self._secret(_COMMIT, commit.generation, suffix="", data={"commit": json.dumps(content).encode()})
        try:
            self._kube.create(secret)
        except KubernetesError as error:
            if error.reason != "AlreadyExists":
                raise
            raise self._stale(commit) from None
        if self._newest() > commit.generation:  # so far behind that its own name was free again
            self._delete(secret["metadata"]["name"])
            raise self._stale(commit)

    def _secret(self, role: str, generation: int, *, suffix: str, data: dict[str, bytes]) -> JsonObject:
        own = {_ROLE: role, _GENERATION: str(generation)}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "slipway.dev/record",
            "immutable": True,
            "metadata": {
                "name": self._name(generation) + suffix,
                "namespace": NAMESPACE,
                "labels": labels(self._project, self._stack, "record") | own,
            },
            "data": {key: base64.b64encode(value).decode("ascii") for key, value in data.items()},
        }

    def _name(self, generation: int) -> str:
        return f"slipway.record.{stack_id(self._project, self._stack)}.{generation}"

    def _delete(self, name: str) -> None:
        self._kube.delete("v1", "Secret", name, NAMESPACE)

    def _stale(self, commit: _Commit) -> Locked:
        for name in commit.parts:
            self._delete(name)
        return Locked(
            "somebody else has written the record of this stack meanwhile, ours was not written",
            where=f"stack {self._stack}",
            fix="Run the command again: it begins with what is recorded now",
        )

    def _damaged(self, how: str) -> SlipwayError:
        return SlipwayError(
            f"the record of the stack is damaged: {how}",
            where=f"stack {self._stack}",
            fix=f"Restore the Secrets of {NAMESPACE} from a backup of the cluster, or go back to the record before: "
            f"delete the Secret of this stack with the label {_ROLE}={_COMMIT} and the highest generation",
        )


def _split(sealed: bytes) -> Iterator[bytes]:
    return (sealed[start : start + PART_BYTES] for start in range(0, len(sealed), PART_BYTES))


def _read_commit(secret: JsonObject) -> _Commit:
    content = json.loads(base64.b64decode(secret["data"]["commit"]))
    generation = int(secret["metadata"]["labels"][_GENERATION])
    return _Commit(generation, tuple(content["parts"]), content["sha256"])
