"""The Kubernetes client against a real API server: every verb, what is refused and why, and who is let in."""

from __future__ import annotations

import base64
import copy
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from adapters.errors import BadInput, Unreachable
from adapters.kubernetes import PRESENT, Kubernetes, KubernetesError, describe
from local import cluster as clusters
from local.engine.readiness import wait_deleted
from local.images import platform_image_names

pytestmark = pytest.mark.timeout(300)  # the first one also starts the cluster

MANAGER = "adapters-test"
NEVER = 60.0
"""Seconds a watch goes on before it gives up; none of the tests needs them."""


def _config_map(namespace: str, name: str = "settings", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def _deployment(namespace: str, replicas: int | None = 0) -> dict[str, Any]:
    container = {"name": "main", "image": platform_image_names()["pause"]}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [container]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x", "namespace": namespace},
        "spec": spec,
    }


def _refused(reason: str, status: int, call: Callable[[], object]) -> KubernetesError:
    with pytest.raises(KubernetesError) as caught:
        call()
    assert (caught.value.reason, caught.value.status) == (reason, status)
    return caught.value


def test_the_server_says_its_version_and_where_it_is(kube: Kubernetes, cluster: clusters.Cluster) -> None:
    assert kube.version().startswith("v1.")
    assert kube.target.context == cluster.context
    assert kube.target.server.startswith("https://127.0.0.1:")


def test_what_is_applied_is_there_and_is_ours(kube: Kubernetes, namespace: str) -> None:
    applied = kube.apply(_config_map(namespace, a="1"), manager=MANAGER)
    found = kube.get("v1", "ConfigMap", "settings", namespace)
    assert found == applied
    assert found["data"] == {"a": "1"}
    assert [(entry["manager"], entry["operation"]) for entry in found["metadata"]["managedFields"]] == [
        (MANAGER, "Apply")
    ]


def test_what_is_left_out_is_taken_away_and_what_others_own_stays(kube: Kubernetes, namespace: str) -> None:
    kube.apply(_config_map(namespace, a="1", b="1"), manager=MANAGER)
    kube.patch("v1", "ConfigMap", "settings", {"data": {"theirs": "x"}}, namespace, manager="somebody")
    assert kube.apply(_config_map(namespace, a="2"), manager=MANAGER)["data"] == {"a": "2", "theirs": "x"}


def test_applying_the_same_again_changes_nothing(kube: Kubernetes, namespace: str) -> None:
    first = kube.apply(_config_map(namespace, a="1"), manager=MANAGER)
    again = kube.apply(_config_map(namespace, a="1"), manager=MANAGER)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_dry_run_shows_what_would_be_and_leaves_everything_as_it_is(kube: Kubernetes, namespace: str) -> None:
    would_be = kube.apply(_deployment(namespace, replicas=None), manager=MANAGER, dry_run=True)
    assert would_be["spec"]["replicas"] == 1
    assert kube.get("apps/v1", "Deployment", "x", namespace) is None
    kube.create(_config_map(namespace, a="1"), dry_run=True)
    assert kube.get("v1", "ConfigMap", "settings", namespace) is None
    kube.create(_config_map(namespace, a="1"))
    assert kube.patch("v1", "ConfigMap", "settings", {"data": {"a": "2"}}, namespace, dry_run=True)["data"]["a"] == "2"
    assert kube.replace(_config_map(namespace, a="3"), dry_run=True)["data"]["a"] == "3"
    found = kube.get("v1", "ConfigMap", "settings", namespace)
    assert found is not None
    assert found["data"] == {"a": "1"}


def test_a_field_of_another_manager_is_a_conflict_that_names_both(kube: Kubernetes, namespace: str) -> None:
    kube.apply(_config_map(namespace, a="1"), manager="somebody")
    error = _refused("Conflict", 409, lambda: kube.apply(_config_map(namespace, a="2"), manager=MANAGER, force=False))
    (cause,) = error.causes
    assert cause.reason == "FieldManagerConflict"
    assert "somebody" in cause.message
    assert cause.field == ".data.a"
    assert str(error).startswith(f"ConfigMap {namespace}/settings: ")
    assert kube.apply(_config_map(namespace, a="2"), manager=MANAGER)["data"] == {"a": "2"}


@pytest.mark.parametrize("verb", ["apply", "create", "replace"])
def test_a_misspelt_field_is_an_error_and_not_silence(kube: Kubernetes, namespace: str, verb: str) -> None:
    kube.apply(_deployment(namespace), manager=MANAGER)
    wrong = _deployment(namespace)
    wrong["spec"]["replica"] = 2
    calls = {
        "apply": lambda: kube.apply(wrong, manager=MANAGER, dry_run=True),
        "create": lambda: kube.create(wrong | {"metadata": {"name": "y", "namespace": namespace}}),
        "replace": lambda: kube.replace(wrong),
    }
    with pytest.raises(KubernetesError, match=r"replica") as caught:
        calls[verb]()
    assert caught.value.status in (400, 500)
    assert kube.get("apps/v1", "Deployment", "y", namespace) is None


def test_an_invalid_value_names_its_field(kube: Kubernetes, namespace: str) -> None:
    error = _refused("Invalid", 422, lambda: kube.apply(_deployment(namespace, replicas=-1), manager=MANAGER))
    assert [cause.field for cause in error.causes] == ["spec.replicas"]


def test_a_field_that_cannot_change_is_refused_in_a_dry_run_too(kube: Kubernetes, namespace: str) -> None:
    kube.apply(_deployment(namespace), manager=MANAGER)
    other = copy.deepcopy(_deployment(namespace))
    other["spec"]["selector"]["matchLabels"] = other["spec"]["template"]["metadata"]["labels"] = {"app": "y"}
    error = _refused("Invalid", 422, lambda: kube.apply(other, manager=MANAGER, dry_run=True))
    assert "spec.selector" in [cause.field for cause in error.causes]
    assert "immutable" in error.message


def test_a_namespace_that_is_not_there_is_not_found(kube: Kubernetes) -> None:
    error = _refused("NotFound", 404, lambda: kube.apply(_config_map("no-such", a="1"), manager=MANAGER))
    assert 'namespaces "no-such" not found' in error.message


def test_creating_twice_is_refused(kube: Kubernetes, namespace: str) -> None:
    created = kube.create(_config_map(namespace, a="1"))
    assert created["metadata"]["uid"]
    _refused("AlreadyExists", 409, lambda: kube.create(_config_map(namespace, a="2")))


def test_replacing_what_somebody_changed_is_a_conflict(kube: Kubernetes, namespace: str) -> None:
    read = kube.create(_config_map(namespace, a="1"))
    kube.patch("v1", "ConfigMap", "settings", {"data": {"a": "2"}}, namespace)
    stale = {key: value for key, value in read.items() if key != "data"} | {"data": {"a": "3"}}
    _refused("Conflict", 409, lambda: kube.replace(stale))
    assert kube.replace(_config_map(namespace, b="4"))["data"] == {"b": "4"}


def test_a_patch_sets_and_removes_single_fields(kube: Kubernetes, namespace: str) -> None:
    kube.create(_config_map(namespace, a="1", b="1"))
    patched = kube.patch("v1", "ConfigMap", "settings", {"data": {"a": None, "c": "ü"}}, namespace)
    assert patched["data"] == {"b": "1", "c": "ü"}
    _refused("NotFound", 404, lambda: kube.patch("v1", "ConfigMap", "nobody", {"data": {}}, namespace))


def test_deleting_goes_by_uid_where_one_is_given(kube: Kubernetes, namespace: str) -> None:
    first = kube.create(_config_map(namespace, a="1"))["metadata"]["uid"]
    assert kube.delete("v1", "ConfigMap", "settings", namespace, uid=first)
    assert kube.get("v1", "ConfigMap", "settings", namespace) is None
    second = kube.create(_config_map(namespace, a="2"))["metadata"]["uid"]
    _refused("Conflict", 409, lambda: kube.delete("v1", "ConfigMap", "settings", namespace, uid=first))
    found = kube.get("v1", "ConfigMap", "settings", namespace)
    assert found is not None
    assert found["metadata"]["uid"] == second


def test_what_is_held_by_a_finalizer_is_not_gone_yet(kube: Kubernetes, namespace: str) -> None:
    held = _config_map(namespace, a="1")
    held["metadata"]["finalizers"] = ["tests.slipway.dev/held"]
    kube.create(held)
    assert not kube.delete("v1", "ConfigMap", "settings", namespace)
    assert kube.get("v1", "ConfigMap", "settings", namespace) is not None
    kube.patch("v1", "ConfigMap", "settings", {"metadata": {"finalizers": None}}, namespace)
    assert kube.get("v1", "ConfigMap", "settings", namespace) is None


def test_deleting_what_is_not_there_is_no_matter(kube: Kubernetes, namespace: str) -> None:
    assert kube.delete("v1", "ConfigMap", "nobody", namespace)
    assert kube.delete("v1", "ConfigMap", "nobody", namespace, uid=str(uuid.uuid4()))
    assert kube.delete("v1", "ConfigMap", "nobody", "no-such-namespace")


@pytest.mark.parametrize("propagation", ["Background", "Orphan"])
def test_what_an_object_owns_goes_with_it_or_stays(kube: Kubernetes, namespace: str, propagation: Any) -> None:
    kube.apply(_deployment(namespace), manager=MANAGER)
    owned = _first_replica_set(kube, namespace, lambda kind, _: kind == "ADDED")
    kube.delete("apps/v1", "Deployment", "x", namespace, propagation=propagation)
    name = owned["metadata"]["name"]
    if propagation == "Background":
        wait_deleted(kube, owned, NEVER)
        assert kube.get("apps/v1", "ReplicaSet", name, namespace) is None
    else:
        _first_replica_set(kube, namespace, lambda _, obj: not obj["metadata"].get("ownerReferences"))
        assert kube.get("apps/v1", "ReplicaSet", name, namespace) is not None


def _first_replica_set(
    kube: Kubernetes, namespace: str, wanted: Callable[[str, dict[str, Any]], bool]
) -> dict[str, Any]:
    """The first ReplicaSet in an event that is `wanted`."""
    for event, obj in kube.watch("apps/v1", "ReplicaSet", namespace, timeout_s=NEVER):
        if wanted(event, obj):
            return obj
    raise AssertionError(f"no such ReplicaSet in {NEVER:g} s")


def test_a_list_longer_than_a_page_is_whole(kube: Kubernetes, namespace: str) -> None:
    names = {f"settings-{number:04}" for number in range(1100)}
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: kube.create(_config_map(namespace, name, a="1")), sorted(names)))
    found = [obj for obj in kube.list("v1", "ConfigMap", namespace) if obj["metadata"]["name"] in names]
    assert len(found) == len(names)
    assert {obj["metadata"]["name"] for obj in found} == names
    assert {(obj["apiVersion"], obj["kind"]) for obj in found} == {("v1", "ConfigMap")}


def test_lists_are_selected_by_labels_and_fields(kube: Kubernetes, namespace: str) -> None:
    for name, tier in (("a", "web"), ("b", "web"), ("c", "db")):
        obj = _config_map(namespace, name)
        obj["metadata"]["labels"] = {"tier": tier}
        kube.create(obj)

    def names(**selectors: str) -> list[str]:
        return [obj["metadata"]["name"] for obj in kube.list("v1", "ConfigMap", namespace, **selectors)]

    assert names(labels="tier=web") == ["a", "b"]
    assert names(labels="tier in (db, cache)") == ["c"]
    assert names(labels="tier=web", fields="metadata.name=b") == ["b"]
    assert names(labels="tier=none") == []
    everywhere = kube.list("v1", "ConfigMap", labels="tier=db", fields=f"metadata.namespace={namespace}")
    assert [describe(obj) for obj in everywhere] == [f"ConfigMap {namespace}/c"]
    assert kube.list("v1", "ConfigMap", "no-such-namespace") == []


def test_objects_outside_of_namespaces_need_none(kube: Kubernetes, namespace: str) -> None:
    found = kube.get("v1", "Namespace", namespace)
    assert found is not None
    assert kube.get("v1", "Namespace", namespace, "ignored") == found
    assert namespace in [obj["metadata"]["name"] for obj in kube.list("v1", "Namespace")]


def test_a_watch_tells_what_is_there_and_what_happens(kube: Kubernetes, namespace: str) -> None:
    kube.create(_config_map(namespace, "one", a="1"))
    events = kube.watch("v1", "ConfigMap", namespace, name="one", timeout_s=NEVER, present=True)
    assert (first := next(events))[0] == "ADDED"
    assert first[1]["kind"] == "ConfigMap"
    assert next(events) == (PRESENT, {})
    kube.create(_config_map(namespace, "other", a="1"))
    kube.patch("v1", "ConfigMap", "one", {"data": {"a": "2"}}, namespace)
    kube.delete("v1", "ConfigMap", "one", namespace)
    seen = [next(events) for _ in range(2)]
    events.close()  # type: ignore[attr-defined]
    assert [(kind, obj["metadata"]["name"], obj["data"]) for kind, obj in seen] == [
        ("MODIFIED", "one", {"a": "2"}),
        ("DELETED", "one", {"a": "2"}),
    ]


def test_a_watch_ends_at_its_deadline(kube: Kubernetes, namespace: str) -> None:
    kube.create(_config_map(namespace, "one"))
    events = list(kube.watch("v1", "ConfigMap", namespace, name="one", timeout_s=1.5))
    assert [kind for kind, _ in events] == ["ADDED"]


def test_many_threads_watch_and_write_with_one_client(kube: Kubernetes, namespace: str) -> None:
    started = threading.Barrier(17)

    def see(number: int) -> str:
        name = f"settings-{number}"
        for event, obj in kube.watch("v1", "ConfigMap", namespace, name=name, timeout_s=NEVER, present=True):
            if event == PRESENT:
                started.wait()
            else:
                return str(obj["data"]["number"])
        return "nothing"

    with ThreadPoolExecutor(16) as pool:
        seen = pool.map(see, range(16))
        started.wait()
        for number in range(16):
            kube.apply(_config_map(namespace, f"settings-{number}", number=str(number)), manager=MANAGER)
        assert list(seen) == [str(number) for number in range(16)]


@pytest.fixture
def pod(kube: Kubernetes, namespace: str) -> str:
    """A pod that has printed many lines and ended."""
    container = {"name": "main", "image": platform_image_names()["kubectl"], "args": ["options"]}
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace}, "spec": spec})
    for _, obj in kube.watch("v1", "Pod", namespace, name="p", timeout_s=NEVER):
        if obj["status"].get("phase") in ("Succeeded", "Failed"):
            return "p"
    raise AssertionError(f"the pod did not end: {kube.get('v1', 'Pod', 'p', namespace)}")


def test_logs_are_the_last_lines_of_a_container(kube: Kubernetes, namespace: str, pod: str) -> None:
    lines = kube.logs(namespace, pod, tail=1000).splitlines()
    assert any("--kubeconfig" in line for line in lines)
    assert kube.logs(namespace, pod, tail=3, container="main").splitlines() == lines[-3:]
    with pytest.raises(KubernetesError, match=f"Pod {namespace}/p: .*previous terminated container"):
        kube.logs(namespace, pod, previous=True)
    with pytest.raises(KubernetesError, match="container other is not valid"):
        kube.logs(namespace, pod, container="other")
    _refused("NotFound", 404, lambda: kube.logs(namespace, "nobody"))


@pytest.fixture
def server(kube: Kubernetes, namespace: str) -> str:
    """A pod that serves the files of its root directory below `/files/`, at port 8001."""
    args = ["proxy", "--server=http://127.0.0.1:1", "--address=0.0.0.0", "--accept-hosts=.*", "--www=/"]
    probe = {"httpGet": {"path": "/files/", "port": 8001}, "periodSeconds": 1}
    container = {
        "name": "main",
        "image": platform_image_names()["kubectl"],
        "args": [*args, "--www-prefix=/files/"],
        "readinessProbe": probe,
    }
    spec = {"automountServiceAccountToken": False, "containers": [container]}
    kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "s", "namespace": namespace}, "spec": spec})
    for _, obj in kube.watch("v1", "Pod", namespace, name="s", timeout_s=NEVER):
        if {"Ready": "True"}.items() <= {c["type"]: c["status"] for c in obj["status"].get("conditions", ())}.items():
            return "s"
    raise AssertionError(f"the pod is not ready: {kube.get('v1', 'Pod', 's', namespace)}")


def test_a_pod_is_asked_by_way_of_the_api_server(kube: Kubernetes, namespace: str, server: str) -> None:
    assert 'href="proc/"' in kube.ask_pod(namespace, server, 8001, "/files/")
    assert "Kubernetes-managed hosts file" in kube.ask_pod(namespace, server, 8001, "/files/etc/hosts")
    _refused("Not Found", 404, lambda: kube.ask_pod(namespace, server, 8001, "/files/nothing"))
    _refused("NotFound", 404, lambda: kube.ask_pod(namespace, "nobody", 8001, "/files/"))
    with pytest.raises(KubernetesError) as caught:
        kube.ask_pod(namespace, server, 8002, "/files/")
    assert caught.value.status in (502, 503)


@pytest.fixture
def widgets(kube: Kubernetes) -> Iterator[dict[str, Any]]:
    """The definition of a kind of its own group, not yet there; gone afterwards."""
    group = f"g{uuid.uuid4().hex[:8]}.example.com"
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}},
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": "Widget", "plural": "widgets"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
    yield definition
    kube.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"widgets.{group}")


def _established(definition: dict[str, Any]) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return {"Established": "True"}.items() <= {c["type"]: c["status"] for c in conditions}.items()


def test_a_kind_is_found_once_its_definition_is_there_and_lost_when_it_goes(
    kube: Kubernetes, namespace: str, widgets: dict[str, Any]
) -> None:
    group, name = widgets["spec"]["group"], widgets["metadata"]["name"]
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": namespace}}
    with pytest.raises(BadInput, match=rf"no kind Widget in {group}/v1\. Allowed: nothing, {group}/v1 is not served"):
        kube.apply(widget, manager=MANAGER)

    definition = kube.create(widgets)
    definitions = kube.watch("apiextensions.k8s.io/v1", "CustomResourceDefinition", name=name, timeout_s=NEVER)
    assert any(_established(seen) for _, seen in definitions)
    applied = _eventually_served(lambda: kube.apply(widget | {"spec": {"size": 2}}, manager=MANAGER))
    assert applied["spec"] == {"size": 2}
    assert kube.kind(f"{group}/v1", "Widget").plural == "widgets"
    _refused("Invalid", 422, lambda: kube.apply(widget | {"spec": {"size": 0}}, manager=MANAGER))
    with pytest.raises(KubernetesError, match="sise"):
        kube.apply(widget | {"spec": {"sise": 2}}, manager=MANAGER)
    with pytest.raises(BadInput, match=rf"no kind Gadget in {group}/v1\. Allowed: Widget\."):
        kube.get(f"{group}/v1", "Gadget", "x", namespace)

    kube.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)
    wait_deleted(kube, definition, NEVER)
    assert kube.get(f"{group}/v1", "Widget", "w", namespace) is None
    kube.delete(f"{group}/v1", "Widget", "w", namespace)


def _eventually_served(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """An established kind takes a moment to appear in discovery."""
    pause = threading.Event()
    for _ in range(100):
        try:
            return call()
        except BadInput:
            pause.wait(0.1)
    return call()


def test_a_known_group_lists_its_kinds(kube: Kubernetes) -> None:
    with pytest.raises(BadInput, match=r"no kind Deploymnt in apps/v1\. Allowed: ControllerRevision, DaemonSet, Deplo"):
        kube.kind("apps/v1", "Deploymnt")


def _kubeconfig(cluster: clusters.Cluster, user: dict[str, Any], **changes: Any) -> str:
    """The cluster's own kubeconfig with another user, and with changes of its cluster."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"].update(changes)
    for entry in config["users"]:
        entry["user"] = user
    return yaml.safe_dump(config)


@pytest.fixture
def token(kube: Kubernetes, namespace: str) -> str:
    """The token of a service account without rights."""
    identity = {"name": "nobody", "namespace": namespace}
    kube.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": identity})
    annotations = {"kubernetes.io/service-account.name": "nobody"}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token"}
    kube.create(secret | {"metadata": identity | {"annotations": annotations}})
    for _, obj in kube.watch("v1", "Secret", namespace, name="nobody", timeout_s=NEVER):
        if "token" in obj.get("data", {}):
            return base64.b64decode(obj["data"]["token"]).decode()
    raise AssertionError("no token was made")


def test_a_user_without_rights_is_let_in_and_refused_what_is_not_theirs(
    cluster: clusters.Cluster, kube: Kubernetes, namespace: str, token: str
) -> None:
    nobody = Kubernetes.connect(kubeconfig=_kubeconfig(cluster, {"token": token}), context=cluster.context)
    try:
        error = _refused("Forbidden", 403, lambda: nobody.get("v1", "ConfigMap", "x", namespace))
        assert f"system:serviceaccount:{namespace}:nobody" in error.message
        _refused("Forbidden", 403, lambda: nobody.list("v1", "Secret"))
        _refused("Forbidden", 403, lambda: nobody.apply(_config_map(namespace), manager=MANAGER))
        _refused("Forbidden", 403, lambda: nobody.delete("v1", "Namespace", namespace))
        _refused("Forbidden", 403, lambda: list(nobody.watch("v1", "Pod", namespace, timeout_s=NEVER)))
    finally:
        nobody.close()
    assert kube.get("v1", "Namespace", namespace) is not None


def test_a_user_nobody_knows_is_not_let_in(cluster: clusters.Cluster) -> None:
    text = _kubeconfig(cluster, {"token": "made-up"})
    with pytest.raises(Unreachable, match="does not accept our credentials") as caught:
        Kubernetes.connect(kubeconfig=text, context=None)
    assert "made-up" not in str(caught.value)


def test_a_server_that_is_not_there_is_unreachable(cluster: clusters.Cluster) -> None:
    text = _kubeconfig(cluster, {}, server="https://127.0.0.1:1")
    with pytest.raises(Unreachable, match=rf"context {cluster.context} \(https://127\.0\.0\.1:1\): .*refused"):
        Kubernetes.connect(kubeconfig=text, context=cluster.context)


def test_a_server_whose_authority_is_another_is_not_trusted(cluster: clusters.Cluster) -> None:
    config = yaml.safe_load(_kubeconfig(cluster, {}))
    for name in ("certificate-authority", "certificate-authority-data"):
        config["clusters"][0]["cluster"].pop(name, None)
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        Kubernetes.connect(kubeconfig=yaml.safe_dump(config), context=cluster.context)
