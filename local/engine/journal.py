"""A stack's record while an operation changes it: what it owns, its outputs, what was done when.

The record is written before anything is applied (with what is intended), and after. Whatever dies in between, the
record knows at least of everything that is there.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from adapters.kubernetes import JsonObject
from local.engine.model import Identity, Resource
from local.engine.record import RecordStore
from local.engine.values import UNKNOWN, Secret, Tree, has_secret, has_unknown, reveal

_FORMAT = 1
_UPDATES_KEPT = 50


class Journal:
    """The record of a stack; safe from any thread. `check` is called before each write: the lock must be ours."""

    def __init__(self, store: RecordStore, check: Callable[[], None] = lambda: None) -> None:
        self._store, self._check = store, check
        self._lock = threading.Lock()
        record = store.load() or {}
        resources = [Resource.from_json(data) for data in record.get("resources", [])]
        self._objects = {r.identity: r for r in resources if r.identity is not None}
        self._logical = [r for r in resources if r.identity is None]
        self._outputs: JsonObject = record.get("outputs", {})
        self.updates: list[JsonObject] = record.get("updates", [])

    def objects(self) -> list[Resource]:
        """All objects the stack has, or may have."""
        with self._lock:
            return list(self._objects.values())

    def resources(self) -> list[Resource]:
        """Objects, and what is none: components and providers."""
        return [*self._logical, *self.objects()]

    @property
    def outputs(self) -> dict[str, Tree]:
        """The stack's outputs, with secrets marked."""
        return {
            name: Secret(entry["value"]) if entry["secret"] else entry["value"] for name, entry in self._outputs.items()
        }

    def begin(self, kind: str, message: str, config: Mapping[str, Any]) -> None:
        """Note that an operation begins; one that was never ended before has failed."""
        for update in self.updates:
            if update["result"] == "in-progress":
                update["result"] = "failed"
        version = max((update["version"] for update in self.updates), default=0) + 1
        self.updates.append(
            {
                "kind": kind,
                "startTime": _now(),
                "message": message,
                "environment": {"exec.kind": "auto.local", "engine": "local"},
                "config": config,
                "result": "in-progress",
                "version": version,
            }
        )
        del self.updates[:-_UPDATES_KEPT]

    def intend(self, resources: Iterable[Resource]) -> None:
        """Write down what will be there, before it is; what was recorded before stays until it is forgotten."""
        with self._lock:
            for resource in resources:
                if resource.identity is not None:
                    before = self._objects.get(resource.identity)
                    manifest = _without_unknown(resource.manifest)
                    self._objects[resource.identity] = replace(
                        resource, manifest=manifest, uid=before.uid if before else None
                    )
        self.save()

    def knows(self, identity: Identity) -> bool:
        """Whether the record has the object."""
        with self._lock:
            return identity in self._objects

    def applied(self, resource: Resource) -> None:
        """Keep, for the next time the record is written, that an object is there."""
        if resource.identity is None:
            raise AssertionError(f"{resource.urn} is no object of a cluster")
        with self._lock:
            self._objects[resource.identity] = resource

    def unprotect(self) -> None:
        """Keep that nothing of the stack is protected any more."""
        with self._lock:
            self._objects = {identity: replace(r, protect=False) for identity, r in self._objects.items()}

    def forget(self, resource: Resource) -> None:
        """Keep that the stack no longer has an object."""
        with self._lock:
            self._objects.pop(resource.identity, None)  # type: ignore[arg-type]

    def declare(self, resources: Iterable[Resource], outputs: Mapping[str, Tree]) -> None:
        """Take over components, providers and outputs of a program that has run to its end."""
        self._logical = [resource for resource in resources if resource.identity is None]
        known = {name: value for name, value in outputs.items() if not has_unknown(value)}
        self._outputs = {name: {"value": reveal(value), "secret": has_secret(value)} for name, value in known.items()}

    def end(self, *, succeeded: bool, changes: Mapping[str, int]) -> None:
        """Note how the operation ended, and write the record."""
        self.updates[-1] |= {
            "result": "succeeded" if succeeded else "failed",
            "endTime": _now(),
            "resourceChanges": dict(changes),
        }
        self.save()

    def clear(self) -> None:
        """Forget all outputs, components and providers: the stack has been destroyed."""
        self._logical, self._outputs = [], {}

    def save(self) -> None:
        """Write the record; raises `Locked` if the lock is no longer ours."""
        self._check()
        self._store.save(
            {
                "format": _FORMAT,
                "resources": [resource.to_json() for resource in self.resources()],
                "outputs": self._outputs,
                "updates": self.updates,
            }
        )


def _without_unknown(tree: Any) -> Any:
    """What of a manifest is known before the update."""
    if isinstance(tree, dict):
        return {name: _without_unknown(value) for name, value in tree.items() if value is not UNKNOWN}
    return [_without_unknown(value) for value in tree if value is not UNKNOWN] if isinstance(tree, list) else tree


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
