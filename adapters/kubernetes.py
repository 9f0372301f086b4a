"""A thin, thread-safe client of the Kubernetes API for objects of any kind, as plain dictionaries.

The typed clients know the kinds they were generated with; here every kind the server has works, custom ones too,
through discovery. Writing is server-side apply with strict field validation, so that a misspelt field is an error and
not silence. One client serves as many threads as there are; it keeps no state but the discovery cache.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from adapters.apiserver import APPLY_PATCH, MERGE_PATCH, ApiServer, Cause, JsonObject, KubernetesError
from adapters.errors import BadInput
from adapters.kubeconfig import IDLE_S, Place, Target, open_client, place_of
from adapters.watch import PRESENT, Event, Watch

__all__ = ["PRESENT", "Cause", "Event", "JsonObject", "Kubernetes", "KubernetesError", "ResourceKind", "describe"]

Propagation = Literal["Background", "Foreground", "Orphan"]

FIELD_MANAGER = "slipway"
"""Who `create`, `replace` and `patch` write as unless told otherwise."""

_Snapshot = tuple[list[JsonObject], str]  # objects, and the version of the collection they were read at

_PAGE = 500
_LOG_BYTES = 64 * 1024
_FORBIDDEN, _NOT_FOUND = 403, 404  # of which kinds that are not served lack the reason


@dataclass(frozen=True)
class ResourceKind:
    """What discovery says of a kind; `group` is empty for core kinds, `plural` names it in URLs."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def api_version(self) -> str:
        """As in manifests: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection(self, namespace: str | None) -> str:
        """The URL path of the objects in `namespace`, or of all there are."""
        within = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{_root(self.api_version)}{within}/{self.plural}"

    def path(self, name: str, namespace: str | None) -> str:
        """The URL path of one object."""
        return f"{self.collection(namespace or 'default')}/{name}"


class Kubernetes:
    """The API server of one context. A namespaced object that names no namespace lies in `default`.

    Methods raise `KubernetesError` when the server refuses, `Unreachable` when it does not answer or does not know us,
    and `BadInput` for kinds it does not have.
    """

    def __init__(self, server: ApiServer, place: Place | None = None) -> None:
        self._server, self._place = server, place
        self._kinds: dict[str, dict[str, ResourceKind]] = {}
        self._discovering = threading.Lock()

    @classmethod
    def connect(cls, *, kubeconfig: str | None, context: str | None) -> Kubernetes:
        """A client whose API server has answered once.

        `kubeconfig` is a path or the text of one; None means `KUBECONFIG` or `~/.kube/config`. `context` None means its
        current one. Raises `BadInput` for an unknown context, listing the valid ones, and `Unreachable`.
        """
        place = place_of(kubeconfig, context)
        if (kept := _KEPT.take(place)) is not None:
            return kept
        kube = cls(ApiServer(*open_client(kubeconfig, context)), place)
        try:
            kube.version()
        except KubernetesError as error:
            if error.status != _FORBIDDEN:  # the server knows us and only keeps this one path from us
                kube.disconnect()
                raise
        except BaseException:
            kube.disconnect()
            raise
        return kube

    @property
    def target(self) -> Target:
        """The context and the server's URL."""
        return self._server.target

    def close(self) -> None:
        """End the use of it; who connects to the same place within seconds takes the connections over."""
        _KEPT.give(self._place, self)

    def disconnect(self) -> None:
        """Close the connections; requests still under way in other threads fail."""
        self._server.close()

    def version(self) -> str:
        """The server's version, such as `v1.36.3`."""
        return str(self._server.json("GET", "/version")["gitVersion"])

    def kind(self, api_version: str, kind: str) -> ResourceKind:
        """What the server knows of `kind`: asked once a group and version, and again for a kind not seen before."""
        return self._kinds.get(api_version, {}).get(kind) or self._discover(api_version, kind)

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> JsonObject | None:
        """The object, or None if there is none."""
        path = self.kind(api_version, kind).path(name, namespace)
        try:
            return self._server.json("GET", path, where=_named(kind, name, namespace))
        except KubernetesError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def list(
        self, api_version: str, kind: str, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[JsonObject]:
        """The objects of a kind in `namespace`, or in all; selectors are written like `a=b,c in (d, e)`."""
        return self._snapshot(self.kind(api_version, kind), namespace, _selectors(labels, fields))[0]

    def apply(self, obj: JsonObject, *, manager: str, force: bool = True, dry_run: bool = False) -> JsonObject:
        """Server-side apply `obj` as `manager` and return what the server made of it.

        Without `force`, fields that another manager owns with other values are refused (reason `Conflict`).
        """
        params = _writing(manager, dry_run) | {"force": str(force).lower()}
        return self._write("PATCH", self._path_of(obj), params, obj, APPLY_PATCH)

    def create(self, obj: JsonObject, *, manager: str = FIELD_MANAGER, dry_run: bool = False) -> JsonObject:
        """Create `obj`; refused with reason `AlreadyExists` if it is there."""
        path = self.kind(obj["apiVersion"], obj["kind"]).collection(obj["metadata"].get("namespace") or "default")
        return self._write("POST", path, _writing(manager, dry_run), obj)

    def replace(self, obj: JsonObject, *, manager: str = FIELD_MANAGER, dry_run: bool = False) -> JsonObject:
        """Replace the object; with a `metadata.resourceVersion` only if unchanged since (reason `Conflict`)."""
        return self._write("PUT", self._path_of(obj), _writing(manager, dry_run), obj)

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        body: JsonObject,
        namespace: str | None = None,
        *,
        manager: str = FIELD_MANAGER,
        dry_run: bool = False,
    ) -> JsonObject:
        """Merge `body` into the object: None removes a field, a list is replaced whole (RFC 7386)."""
        path = self.kind(api_version, kind).path(name, namespace)
        params, where = _writing(manager, dry_run), _named(kind, name, namespace)
        return self._server.json("PATCH", path, params=params, body=body, content_type=MERGE_PATCH, where=where)

    def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        propagation: Propagation = "Background",
    ) -> bool:
        """Begin deleting the object; nothing happens if there is none. True if it is known to be gone by now.

        With `uid` only the object that has it: another one of the same name is refused with reason `Conflict`.
        """
        options: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            options["preconditions"] = {"uid": uid}
        path = self.kind(api_version, kind).path(name, namespace)
        try:
            answer = self._server.json("DELETE", path, body=options, where=_named(kind, name, namespace))
        except KubernetesError as error:
            if error.status != _NOT_FOUND:
                raise
            return True
        # What has yet to end, or is held by a finalizer, is answered with the object as it is then.
        return answer.get("kind") == "Status"

    def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        name: str | None = None,
        labels: str = "",
        timeout_s: float,
        present: bool = False,
    ) -> Iterator[Event]:
        """(`ADDED` | `MODIFIED` | `DELETED`, object) for `timeout_s` seconds, beginning with what is there.

        Goes on after the server drops the connection or has forgotten where we were; what was deleted meanwhile then
        comes as `DELETED` with its last known state. Ends at its deadline also while nothing happens. With `present`
        an event (`PRESENT`, {}) says that all there is now has been reported, also when that is nothing.
        """
        resource = self.kind(api_version, kind)
        selectors = _selectors(labels, f"metadata.name={name}" if name else "")
        events = Watch(
            self._server,
            resource.collection(namespace),
            selectors,
            lambda: self._snapshot(resource, namespace, selectors),
            time.monotonic() + timeout_s,
        ).events()
        return (event for event in events if present or event[0] != PRESENT)

    def logs(
        self, namespace: str, pod: str, *, container: str | None = None, tail: int = 20, previous: bool = False
    ) -> str:
        """The last `tail` lines of a container, 64 KiB at most; with `previous` of the one that ran before it."""
        params = {"tailLines": str(tail), "limitBytes": str(_LOG_BYTES), "previous": str(previous).lower()}
        if container:
            params["container"] = container
        path = self.kind("v1", "Pod").path(pod, namespace)
        return self._server.text(f"{path}/log", params=params, where=_named("Pod", pod, namespace))

    def ask_pod(
        self, namespace: str, pod: str, port: int, path: str, params: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """What a pod answers to `GET path` on one of its ports, by way of the API server, whoever can reach that."""
        asked = f"{self.kind('v1', 'Pod').path(f'{pod}:{port}', namespace)}/proxy{path}"
        return self._server.text(asked, params=params, where=_named("Pod", pod, namespace))

    def _discover(self, api_version: str, kind: str) -> ResourceKind:
        with self._discovering:
            known = self._kinds.get(api_version, {})
            if kind not in known:  # another thread may have asked while we waited
                known = self._kinds[api_version] = self._served(api_version)
        if kind not in known:
            raise BadInput(
                f"the cluster has no kind {kind} in {api_version}",
                where=f"context {self.target.context}",
                allowed=", ".join(sorted(known)) or f"nothing, {api_version} is not served",
                fix="Correct apiVersion and kind, or install the custom resource definition first",
            )
        return known[kind]

    def _served(self, api_version: str) -> dict[str, ResourceKind]:
        try:
            answer = self._server.json("GET", _root(api_version))
        except KubernetesError as error:
            if error.status == _NOT_FOUND:
                return {}
            raise
        group, _, version = api_version.rpartition("/")
        return {
            found["kind"]: ResourceKind(
                group, version, found["kind"], found["name"], found["namespaced"], frozenset(found["verbs"])
            )
            for found in answer["resources"]
            if "/" not in found["name"]  # a subresource, such as pods/log
        }

    def _snapshot(self, resource: ResourceKind, namespace: str | None, selectors: Mapping[str, str]) -> _Snapshot:
        while True:
            try:
                return self._pages(resource, resource.collection(namespace), dict(selectors))
            except KubernetesError as error:
                if error.reason != "Expired":  # turning the pages took longer than the server keeps a snapshot
                    raise

    def _pages(self, resource: ResourceKind, path: str, params: dict[str, str]) -> _Snapshot:
        objects = []
        params["limit"] = str(_PAGE)
        while True:
            page = self._server.json("GET", path, params=params, where=resource.plural)
            identity = {"apiVersion": resource.api_version, "kind": resource.kind}  # which lists leave out
            objects += [identity | item for item in page["items"] or []]
            if not (onward := page["metadata"].get("continue")):
                return objects, page["metadata"]["resourceVersion"]
            params["continue"] = onward

    def _write(
        self, method: str, path: str, params: dict[str, str], obj: JsonObject, content_type: str = "application/json"
    ) -> JsonObject:
        params = params | {"fieldValidation": "Strict"}
        where = describe(obj)
        return self._server.json(method, path, params=params, body=obj, content_type=content_type, where=where)

    def _path_of(self, obj: JsonObject) -> str:
        metadata = obj["metadata"]
        return self.kind(obj["apiVersion"], obj["kind"]).path(metadata["name"], metadata.get("namespace"))


class _Kept:
    """Clients that were given back, one a place, for a while: to connect takes as long as several requests do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[Place, tuple[Kubernetes, float]] = {}

    def take(self, place: Place | None) -> Kubernetes | None:
        """One that nobody else has, None if there is none."""
        with self._lock:
            kube, since = self._clients.pop(place or (), (None, 0.0))
        if kube is not None and time.monotonic() - since > IDLE_S:
            kube.disconnect()
            return None
        return kube

    def give(self, place: Place | None, kube: Kubernetes) -> None:
        """Keep it for the next, in place of one that was given before."""
        if place is None:
            kube.disconnect()
            return
        with self._lock:
            before, _ = self._clients.get(place, (None, 0.0))
            self._clients[place] = kube, time.monotonic()
        if before not in (None, kube):
            before.disconnect()


_KEPT = _Kept()


def describe(obj: Mapping[str, Any]) -> str:
    """An object for people: `Deployment test/hello`."""
    metadata = obj.get("metadata", {})
    return _named(obj.get("kind", "object"), metadata.get("name", ""), metadata.get("namespace"))


def _named(kind: str, name: str, namespace: str | None) -> str:
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _selectors(labels: str, fields: str) -> dict[str, str]:
    given = {"labelSelector": labels, "fieldSelector": fields}
    return {key: value for key, value in given.items() if value}


def _writing(manager: str, dry_run: bool) -> dict[str, str]:
    return {"fieldManager": manager} | ({"dryRun": "All"} if dry_run else {})
