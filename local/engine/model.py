"""What the engine keeps of a resource: in memory while it runs, in the record afterwards."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from adapters.errors import BadInput
from adapters.kubernetes import JsonObject
from local.engine.types import Kind, group_of
from local.engine.values import Path, Tree, has_unknown

MANAGER = "slipway"
"""The field manager every object is applied as."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DEFAULT_TIMEOUT_S = 600.0  # as pulumi-kubernetes


class Identity(NamedTuple):
    """What makes an object the same object: `cluster` is an identifier, not an address; versions do not matter."""

    cluster: str
    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Connection:
    """How a provider reaches its cluster: a kubeconfig (path or text) and a context of it, None for the current."""

    kubeconfig: str | None
    context: str | None


@dataclass(frozen=True)
class Resource:
    """A resource as the record keeps it. What is no object of a cluster (components, providers) has no `identity`.

    `manifest` is what was last sent, `uid` the object's own. `uid` is None while an object is only intended: recorded
    before it is applied, so that an update that dies leaves nothing behind that nobody knows of. `ready` is False
    until the object has become ready once as it is declared now. `version` is the `resourceVersion` at which the object
    was known to be as `manifest` says, empty where none is. What lies at the paths of `hidden` is never shown.
    """

    urn: str
    type: str
    parent: str = ""
    dependencies: tuple[str, ...] = ()
    protect: bool = False
    retain_on_delete: bool = False
    deleted_with: str = ""
    identity: Identity | None = None
    connection: Connection | None = None
    api_version: str = ""
    manifest: JsonObject = field(default_factory=dict, repr=False)
    ignore_changes: tuple[str, ...] = ()
    hidden: tuple[Path, ...] = ()
    uid: str | None = None
    version: str = ""
    ready: bool = False
    delete_timeout_s: float = _DEFAULT_TIMEOUT_S

    def to_json(self) -> JsonObject:
        """As JSON, without what is as by default."""
        defaults = {f.name: f.default for f in fields(self)}
        return {name: value for name, value in asdict(self).items() if value not in (defaults[name], {})}

    @classmethod
    def from_json(cls, data: JsonObject) -> Resource:
        """The opposite of `to_json`; fields of a later version are ignored."""
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = {name: value for name, value in data.items() if name in known}
        for name in ("dependencies", "ignore_changes"):
            values[name] = tuple(values.get(name, ()))
        values["hidden"] = tuple(tuple(path) for path in values.get("hidden", ()))
        if values.get("identity"):
            values["identity"] = Identity(*values["identity"])
        if values.get("connection"):
            values["connection"] = Connection(**values["connection"])
        return cls(**values)

    @property
    def kind(self) -> Kind:
        """The kind of the object."""
        return Kind(self.api_version, self.identity.kind if self.identity else "")

    def stub(self) -> JsonObject:
        """As much of the object as names it."""
        if self.identity is None:
            raise AssertionError(f"{self.urn} is no object of a cluster")
        metadata = {"name": self.identity.name}
        if self.identity.namespace:
            metadata["namespace"] = self.identity.namespace
        return {"apiVersion": self.api_version, "kind": self.identity.kind, "metadata": metadata}


@dataclass(frozen=True)
class Declared:
    """An object as the program registers it: the resource, and what matters only until it is applied.

    `tree` is the manifest with secrets and unknowns marked; `resource.manifest` the same, revealed.
    """

    resource: Resource
    tree: Tree = field(repr=False)
    create_timeout_s: float = _DEFAULT_TIMEOUT_S
    update_timeout_s: float = _DEFAULT_TIMEOUT_S
    mutable: bool = True

    @property
    def identity(self) -> Identity:
        """Whose object this is."""
        if self.resource.identity is None:
            raise AssertionError(f"{self.resource.urn} is no object of a cluster")
        return self.resource.identity

    @property
    def connection(self) -> Connection:
        """How its cluster is reached."""
        if self.resource.connection is None:
            raise AssertionError(f"{self.resource.urn} is no object of a cluster")
        return self.resource.connection

    @property
    def is_known(self) -> bool:
        """Whether no value is left for the update to bring."""
        return not has_unknown(self.tree)


def identity_of(cluster: str, manifest: JsonObject) -> Identity:
    """The identity of an object in `cluster`."""
    metadata = manifest["metadata"]
    return Identity(
        cluster, group_of(manifest["apiVersion"]), manifest["kind"], metadata.get("namespace", ""), metadata["name"]
    )


def seconds(duration: str, where: str) -> float:
    """A custom timeout such as `5m` or `1h30m` in seconds; 10 minutes if there is none."""
    if not duration:
        return _DEFAULT_TIMEOUT_S
    parts = _DURATION.findall(duration)
    if "".join(number + unit for number, unit in parts) != duration:
        raise BadInput(f"{duration!r} is no duration", where=where, allowed="such as 90s, 5m, 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
