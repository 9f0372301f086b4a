"""The plan pass: every resource is collected, checked and compared with the cluster; nothing is changed.

Comparing is the server's: a dry run of the same server-side apply that the update will send, so that defaults,
admission and the fields of other managers count as they will. What contains unknowns, or lies in a namespace that is
not there yet, cannot be sent; it is planned as new or changed. What is declared as it was applied, and which nobody has
written since, need not be sent (docs/adr/0015).
"""

from __future__ import annotations

import enum
import re
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

from adapters.errors import BadInput, Refused, SlipwayError
from adapters.kubernetes import JsonObject, Kubernetes, KubernetesError
from local.engine.diff import Change, changes
from local.engine.failures import Failure
from local.engine.manifest import is_ours, owned_differs, parse_path, to_send
from local.engine.model import MANAGER, Connection, Declared, Identity, Resource
from local.engine.providers import Clients
from local.engine.types import REPLACEABLE
from local.engine.values import Path, Tree, has_unknown, replace_marked
from policies.rules import violations

_IMMUTABLE = re.compile(
    r"immutable|updates to .+ (?:for fields other than|are forbidden)|may not change once set|cannot change|"
    r"may not be changed|can ?not be (?:changed|updated)"
)
"""How the server's validation says that a field cannot change (k8s.io/kubernetes, pkg/apis/*/validation)."""


class Op(enum.StrEnum):
    """What happens to an object, in Pulumi's words."""

    SAME = "same"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    DISCARD = "discard"

    @property
    def touches(self) -> bool:
        """Whether the object is applied."""
        return self in (Op.CREATE, Op.UPDATE, Op.REPLACE)


@dataclass(frozen=True)
class Step:
    """What is planned for one object. `live` is as the cluster has it, `result` as it will be, where that is known."""

    op: Op
    resource: Resource
    changes: tuple[Change, ...] = ()
    note: str = ""
    live: JsonObject | None = field(default=None, repr=False)
    result: JsonObject | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Plan:
    """The whole of what an update would do; `failures` are the reasons why it must not."""

    steps: tuple[Step, ...]
    deletions: tuple[Step, ...]
    resources: Mapping[str, Resource] = field(repr=False)
    outputs: Mapping[str, Tree] = field(repr=False)
    declared: tuple[Declared, ...] = field(default=(), repr=False)
    failures: tuple[Failure, ...] = ()
    printed: tuple[str, ...] = ()
    """What the program printed."""

    @property
    def applies(self) -> bool:
        """Whether anything is to be applied, or an output is only known once it is."""
        return any(step.op.touches for step in self.steps) or has_unknown(dict(self.outputs))

    @property
    def is_whole(self) -> bool:
        """Whether it leaves no value open that only the update would bring."""
        return all(declared.is_known for declared in self.declared) and not has_unknown(dict(self.outputs))

    @property
    def changes_anything(self) -> bool:
        """Whether the cluster would be another."""
        return any(step.op is not Op.SAME for step in (*self.steps, *self.deletions))


def by_identity(resources: Iterable[Resource]) -> dict[Identity, Resource]:
    """Those that are objects of a cluster."""
    return {resource.identity: resource for resource in resources if resource.identity is not None}


class Planner:
    """Plans one object after the other, from many threads; `recorded` is what the last update left."""

    def __init__(self, recorded: Mapping[Identity, Resource], clients: Clients) -> None:
        self._recorded, self._clients = recorded, clients
        self._lock = threading.Lock()
        self._ahead: dict[tuple[Connection, str, Identity], Future[JsonObject | None]] = {}
        self._namespaces: dict[tuple[str, str], bool] = {}
        self._declared: dict[Identity, str] = {}
        self._homeless: list[Resource] = []
        self._custom_kinds: set[tuple[str, str]] = set()
        self.declared: list[Declared] = []
        self.steps: list[Step] = []
        self.failures: list[Failure] = []

    def look_ahead(self, executor: Executor) -> None:
        """Ask for all that is recorded, most of which will be declared again, while the program only begins."""
        for identity, resource in self._recorded.items():
            connection, api_version = resource.connection, resource.api_version
            if connection and (kube := self._clients.opened(connection)):
                self._ahead[connection, api_version, identity] = executor.submit(_get, kube, api_version, identity)

    def register(self, declared: Declared) -> Mapping[str, Tree]:
        """Plan for an object. Errors are kept, and the program goes on, so that one run finds them all."""
        try:
            self._take(declared)
            step = self._examine(declared)
        except SlipwayError as error:
            self._fail(error, declared.resource.urn)
            return dict(declared.tree)
        with self._lock:
            self.declared.append(declared)
            self.steps.append(step)
        return self._outputs(declared, step)

    def finish(self) -> list[Step]:
        """What is recorded and no longer declared; also checks what only the whole program can tell."""
        gone = [r for identity, r in self._recorded.items() if identity not in self._declared]
        deleted = {r.urn for r in gone if not r.retain_on_delete}
        for resource in gone:
            if resource.protect:
                self._fail(protected(resource), resource.urn)
        self._check_namespaces([r for r in gone if r.urn in deleted])
        return [deletion(resource, deleted) for resource in gone]

    def _take(self, declared: Declared) -> None:
        """Check what needs no server."""
        manifest, identity = declared.resource.manifest, declared.identity
        with self._lock:
            other = self._declared.setdefault(identity, declared.resource.urn)
            if manifest["kind"] == "CustomResourceDefinition":
                spec = manifest.get("spec", {})
                self._custom_kinds.add((spec.get("group"), spec.get("names", {}).get("kind")))
        if other != declared.resource.urn:
            raise BadInput(f"{identity} is declared twice", where=f"{declared.resource.urn} and {other}")
        sendable = replace_marked(manifest, secret=lambda value: value, unknown="unknown")
        for violation in violations(sendable):
            self._fail(Refused(violation, where=str(identity)), declared.resource.urn)

    def _examine(self, declared: Declared) -> Step:
        resource, identity = declared.resource, declared.identity
        kube = self._clients.of(declared.connection)
        if not self._is_served(kube, resource):
            return Step(Op.CREATE, resource)
        if not self._has_namespace(kube, declared):
            with self._lock:
                self._homeless.append(resource)
            return Step(Op.CREATE, resource)
        if has_unknown(resource.manifest):
            live = self._live(kube, declared.connection, resource.api_version, identity)
            note = "holds values that only the update will bring"
            return Step(Op.UPDATE if live else Op.CREATE, resource, note=note, live=live)
        return self._compare(kube, declared)

    def _compare(self, kube: Kubernetes, declared: Declared) -> Step:
        resource, identity = declared.resource, declared.identity
        previous = self._recorded.get(identity)
        live = None
        if previous or resource.ignore_changes:  # else it mostly is not there now, which the one request tells as well
            live = self._live(kube, declared.connection, resource.api_version, identity)
        if live and previous and _is_untouched(previous, resource, live):
            return Step(Op.SAME, resource, live=live, result=live)
        try:
            sent = to_send(resource.manifest, resource.ignore_changes, live)
            result = kube.apply(sent, manager=MANAGER, dry_run=True)
        except KubernetesError as error:
            live = live or _get(kube, resource.api_version, identity)
            if live is None or not is_immutable(error):
                raise
            return self._replacement(declared, live, error)
        if not result["metadata"].get("resourceVersion"):  # only what is stored has a version
            return Step(Op.CREATE, resource)
        live = live or _get(kube, resource.api_version, identity)
        if live is None or live["metadata"].get("deletionTimestamp"):
            return Step(Op.CREATE, resource, note="the old one is being deleted", live=live)
        return self._difference(declared, live, result)

    def _difference(self, declared: Declared, live: JsonObject, result: JsonObject) -> Step:
        resource, previous = declared.resource, self._recorded.get(declared.identity)
        found = tuple(changes(live, result, resource.hidden))
        if not declared.mutable and any(c.path.split(".")[0].split("[")[0] in _CONTENT for c in found):
            return self._checked(Step(Op.REPLACE, resource, found, "its provider takes it as immutable", live))
        note = ""
        if previous is None:
            note = "exists already and is taken over"
        elif not previous.ready:
            note = "its last update did not finish"
        elif not found and owned_differs(live, result):
            note = "fields of another manager are taken over"
        same = not (found or note)
        return Step(Op.SAME if same else Op.UPDATE, resource, found, note, live, result)

    def _replacement(self, declared: Declared, live: JsonObject, error: KubernetesError) -> Step:
        found = tuple(
            change
            for cause in error.causes
            for change in _field_change(cause.field, live, declared.resource.manifest, declared.resource.hidden)
        )
        fields = ", ".join(dict.fromkeys(cause.field for cause in error.causes)) or "a field"
        return self._checked(Step(Op.REPLACE, declared.resource, found, f"{fields} cannot be changed in place", live))

    def _checked(self, step: Step) -> Step:
        """A replacement stays in the plan, so that a preview shows it, also where an update must refuse it."""
        previous = self._recorded.get(step.resource.identity) if step.resource.identity else None
        if refusal := replacement_refused(step.resource, previous, step.live, step.note):
            self._fail(refusal, step.resource.urn)
        return step

    def _outputs(self, declared: Declared, step: Step) -> Mapping[str, Tree]:
        """What is only known after the update is left out; the SDK takes that as unknown."""
        if step.result is None:
            return dict(declared.tree)
        kept = {name: value for name, value in step.result.items() if step.op is Op.SAME or name != "status"}
        return kept | {"metadata": without_managers(step.result["metadata"])}

    def _is_served(self, kube: Kubernetes, resource: Resource) -> bool:
        """Whether the cluster knows the kind; False if this program brings it. Raises `BadInput` otherwise."""
        try:
            kind = kube.kind(resource.api_version, resource.kind.kind)
        except BadInput:
            if (resource.kind.group, resource.kind.kind) in self._custom_kinds:
                return False
            raise
        if kind.namespaced and not (resource.identity and resource.identity.namespace):
            raise BadInput("the object names no namespace", where=f"{resource.urn}, metadata.namespace")
        return True

    def _live(
        self, kube: Kubernetes, connection: Connection, api_version: str, identity: Identity
    ) -> JsonObject | None:
        asked = self._ahead.get((connection, api_version, identity))
        # What was not yet begun is asked for here and now.
        return _get(kube, api_version, identity) if asked is None or asked.cancel() else asked.result()

    def _has_namespace(self, kube: Kubernetes, declared: Declared) -> bool:
        identity = declared.identity
        key = (identity.cluster, identity.namespace)
        with self._lock:
            if identity.namespace and key not in self._namespaces:
                live = self._live(kube, declared.connection, "v1", _namespace_of(identity))
                self._namespaces[key] = bool(live and not live["metadata"].get("deletionTimestamp"))
            return not identity.namespace or self._namespaces[key]

    def _check_namespaces(self, deleted: Iterable[Resource]) -> None:
        """Objects need their namespace: it must be there or be declared, and must not be deleted from under them."""
        for resource in self._homeless:
            identity = resource.identity
            if identity and _namespace_of(identity) not in self._declared:
                missing = BadInput(
                    f"there is no namespace {identity.namespace}, and none is declared", where=str(identity)
                )
                self._fail(missing, resource.urn)
        leaving = {r.identity for r in deleted}
        for identity, urn in self._declared.items():
            if identity.namespace and _namespace_of(identity) in leaving:
                reason = f"its namespace {identity.namespace} is no longer declared and would be deleted with it"
                self._fail(Refused(reason, where=str(identity), fix="Declare the Namespace, or retain it"), urn)

    def _fail(self, error: SlipwayError, urn: str) -> None:
        with self._lock:
            self.failures.append(Failure.of(error, urn))


_CONTENT = ("data", "binaryData", "immutable")


def is_immutable(error: KubernetesError) -> bool:
    """Whether the server refused a change because the field can never change."""
    texts = [cause.message for cause in error.causes] or [error.message]
    return error.reason == "Invalid" and all(_IMMUTABLE.search(text) for text in texts)


def replacement_refused(
    resource: Resource, previous: Resource | None, live: JsonObject | None, why: str
) -> Refused | None:
    """Why an object must not be deleted and made anew, None if it may be."""
    identity = str(resource.identity)
    if (resource.kind.group, resource.kind.kind) not in REPLACEABLE:
        return Refused(
            f"{why}, and a {resource.kind.kind} is not deleted and made anew: what relies on it would break",
            where=identity,
            fix="Keep the field, or declare a new object by another name; the old one goes after the new one is ready",
        )
    if previous and previous.protect:
        return protected(resource)
    if previous is None and not (live and is_ours(live)):
        return Refused(
            f"{why}, and it is not ours to delete: it exists already",
            where=identity,
            fix="Delete it, or give the declared one another name",
        )
    return None


def deletion(resource: Resource, deleted: set[str]) -> Step:
    """The step for an object that goes; `deleted` are the URNs of all that do."""
    if resource.retain_on_delete:
        return Step(Op.DISCARD, resource, note="stays in the cluster (retain_on_delete)")
    if resource.deleted_with in deleted:
        return Step(Op.DISCARD, resource, note="goes with what it is deleted with")
    return Step(Op.DELETE, resource)


def without_managers(metadata: JsonObject) -> JsonObject:
    """Metadata as the program sees it: who owns which field is no business of its."""
    return {name: value for name, value in metadata.items() if name != "managedFields"}


def with_result(step: Step, live: JsonObject) -> Resource:
    """The resource of an object that is as declared."""
    metadata = live["metadata"]
    return replace(step.resource, uid=metadata["uid"], version=metadata["resourceVersion"], ready=True)


def protected(resource: Resource) -> Refused:
    """What is said of an object that must not be deleted."""
    return Refused(
        "the object is protected from deletion",
        where=f"{resource.identity} ({resource.urn})",
        fix="Run an update with protect=False first, then remove it",
    )


def _is_untouched(previous: Resource, resource: Resource, live: JsonObject) -> bool:
    """Whether it is declared as it was applied, and nobody has written it since: then it is as declared."""
    known = (previous.uid, previous.version)
    return (
        previous.ready
        and bool(previous.version)
        and known == (live["metadata"]["uid"], live["metadata"].get("resourceVersion"))
        and previous.manifest == resource.manifest
        and not (previous.ignore_changes or resource.ignore_changes)  # then something else than the manifest was sent
    )


def _field_change(path: str, live: JsonObject, manifest: JsonObject, hidden: Iterable[Path]) -> list[Change]:
    try:
        steps = parse_path(path)
    except BadInput:
        return []
    kind = {"kind": live.get("kind", "")}
    return changes(kind | _only(live, steps), kind | _only(manifest, steps), hidden)


def _only(value: JsonObject, steps: Path) -> JsonObject:
    """The object with nothing but what lies at `steps`, and empty if that is in a list."""
    if not steps or not isinstance(value, dict):
        return value
    return {str(steps[0]): _only(value[steps[0]], steps[1:])} if steps[0] in value else {}


def _namespace_of(identity: Identity) -> Identity:
    return Identity(identity.cluster, "", "Namespace", "", identity.namespace)


def _get(kube: Kubernetes, api_version: str, identity: Identity) -> JsonObject | None:
    return kube.get(api_version, identity.kind, identity.name, identity.namespace or None)
