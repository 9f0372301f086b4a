"""Watching over everything that ends a watch: drops, forgotten versions, failures, the deadline."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapters.apiserver import ApiServer, KubernetesError
from adapters.errors import BadInput
from adapters.kubeconfig import open_client
from adapters.kubernetes import PRESENT, Kubernetes

pytestmark = pytest.mark.timeout(30)


def _object(name: str, version: int, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "test", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _event(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": obj}


GONE = _event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"})
Script = Callable[[Any], None]


class FakeApi:
    """Lists what it has, and answers each watch by the next script; the last ones do nothing until the test ends."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 10
        self.scripts: list[Script] = []
        self.asked: list[str] = []  # `list`, or the version a watch began at
        self.ended = threading.Event()

    def put(self, name: str, **data: str) -> dict[str, Any]:
        self.version += 1
        self.objects[name] = _object(name, self.version, **data)
        return self.objects[name]

    def __call__(self, exchange: Any) -> None:
        if exchange.route == "/api/v1":
            kind = {"name": "configmaps", "kind": "ConfigMap", "namespaced": True, "verbs": ["list", "watch"]}
            exchange.reply(200, {"resources": [kind, {**kind, "name": "configmaps/status", "kind": "Other"}]})
        elif exchange.params.get("watch") == "true":
            assert exchange.params["allowWatchBookmarks"] == "true"
            self.asked.append(exchange.params["resourceVersion"])
            (self.scripts.pop(0) if self.scripts else self.idle)(exchange)
        else:
            self.asked.append("list")
            metadata = {"resourceVersion": str(self.version)}
            exchange.reply(200, {"metadata": metadata, "items": list(self.objects.values())})

    def idle(self, exchange: Any) -> None:
        exchange.begin()
        self.ended.wait()

    def says(self, *events: dict[str, Any], end: str = "drop") -> None:
        def script(exchange: Any) -> None:
            exchange.begin()
            for event in events:
                exchange.chunk(json.dumps(event).encode() + b"\n")
            getattr(exchange, end)()

        self.scripts.append(script)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    api = FakeApi()
    yield api
    api.ended.set()


@pytest.fixture
def kube(api: FakeApi, serve: Any, kubeconfig_of: Any) -> Iterator[Kubernetes]:
    kube = Kubernetes(ApiServer(*open_client(kubeconfig_of(serve(api).url), None)))
    yield kube
    kube.close()


def _watch(kube: Kubernetes, count: int, timeout_s: float = 20) -> list[tuple[str, str]]:
    """The first `count` events as (type, name)."""
    events = kube.watch("v1", "ConfigMap", "test", timeout_s=timeout_s, present=True)
    seen = [next(events) for _ in range(count)]
    events.close()  # type: ignore[attr-defined]
    return [(kind, obj["metadata"]["name"] if obj else "") for kind, obj in seen]


def test_a_watch_begins_with_what_is_there_and_says_that_this_is_all(api: FakeApi, kube: Kubernetes) -> None:
    api.put("a")
    api.put("b")
    api.says(_event("MODIFIED", _object("a", 13)), _event("DELETED", _object("b", 14)), end="end")
    assert _watch(kube, 5) == [("ADDED", "a"), ("ADDED", "b"), (PRESENT, ""), ("MODIFIED", "a"), ("DELETED", "b")]
    assert api.asked[:2] == ["list", "12"]


@pytest.mark.parametrize("end", ["drop", "end"])
def test_a_watch_goes_on_after_a_drop_where_it_was(api: FakeApi, kube: Kubernetes, end: str) -> None:
    api.says(_event("ADDED", _object("a", 11)), end=end)
    api.says(_event("MODIFIED", _object("a", 12)), _event("BOOKMARK", {"metadata": {"resourceVersion": "17"}}), end=end)
    api.says(_event("DELETED", _object("a", 18)), end=end)
    assert _watch(kube, 4) == [(PRESENT, ""), ("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert api.asked[:4] == ["list", "10", "11", "17"]


def test_a_forgotten_version_is_listed_again_and_what_went_meanwhile_is_deleted(api: FakeApi, kube: Kubernetes) -> None:
    api.put("stays")
    api.put("goes", last="state")
    del (objects := api.objects)["goes"]
    api.says(_event("ADDED", _object("goes", 12, last="state")), GONE)

    events = kube.watch("v1", "ConfigMap", "test", timeout_s=20, present=True)
    seen = [next(events) for _ in range(3)]
    objects["comes"] = _object("comes", 20)
    api.version = 20
    seen += [next(events) for _ in range(4)]
    events.close()  # type: ignore[attr-defined]
    assert [(kind, obj and obj["metadata"]["name"]) for kind, obj in seen] == [
        ("ADDED", "stays"),
        (PRESENT, {}),
        ("ADDED", "goes"),
        ("DELETED", "goes"),
        ("ADDED", "stays"),
        ("ADDED", "comes"),
        (PRESENT, {}),
    ]
    assert seen[3][1]["data"] == {"last": "state"}


def test_an_object_that_was_replaced_in_the_gap_is_deleted_and_added(api: FakeApi, kube: Kubernetes) -> None:
    api.put("a")
    api.says(GONE)
    events = kube.watch("v1", "ConfigMap", "test", timeout_s=20)
    assert next(events)[1]["metadata"]["uid"] == "uid-a"
    api.put("a")["metadata"]["uid"] = "another"
    seen = [(kind, obj["metadata"]["uid"]) for kind, obj in (next(events), next(events))]
    events.close()  # type: ignore[attr-defined]
    assert seen == [("DELETED", "uid-a"), ("ADDED", "another")]


def test_what_was_reported_as_deleted_is_not_deleted_again(api: FakeApi, kube: Kubernetes) -> None:
    api.put("a")
    api.says(_event("DELETED", _object("a", 12)), GONE)
    events = kube.watch("v1", "ConfigMap", "test", timeout_s=20, present=True)
    seen = [next(events)[0], next(events)[0], next(events)[0]]
    api.objects.clear()
    seen.append(next(events)[0])
    events.close()  # type: ignore[attr-defined]
    assert seen == ["ADDED", PRESENT, "DELETED", PRESENT]


def test_a_version_refused_from_the_start_is_listed_again(api: FakeApi, kube: Kubernetes) -> None:
    api.scripts.append(lambda exchange: exchange.reply(410, GONE["object"]))
    assert _watch(kube, 2) == [(PRESENT, ""), (PRESENT, "")]
    assert api.asked[:3] == ["list", "10", "list"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_waited_for(
    api: FakeApi, kube: Kubernetes, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    api.scripts += [lambda exchange: exchange.reply(status)] * 3
    api.scripts.append(lambda exchange: exchange.drop())
    api.says(_event("ADDED", _object("a", 11)))
    assert _watch(kube, 2) == [(PRESENT, ""), ("ADDED", "a")]
    assert api.asked[:6] == ["list", "10", "10", "10", "10", "10"]
    assert sorted(pauses) == pauses
    assert len(pauses) == 4


def test_a_refusal_is_raised(api: FakeApi, kube: Kubernetes) -> None:
    api.scripts.append(lambda exchange: exchange.reply(403, {"reason": "Forbidden", "message": "not you"}))
    with pytest.raises(KubernetesError, match="not you"):
        _watch(kube, 2)


def test_a_watch_ends_at_its_deadline_while_nothing_happens(api: FakeApi, kube: Kubernetes) -> None:
    api.put("a")
    events = list(kube.watch("v1", "ConfigMap", "test", timeout_s=0.5))
    assert [(kind, obj["metadata"]["name"]) for kind, obj in events] == [("ADDED", "a")]


def test_a_watch_ends_at_its_deadline_while_the_server_is_in_trouble(api: FakeApi, kube: Kubernetes) -> None:
    api.scripts += [lambda exchange: exchange.reply(503)] * 99
    assert list(kube.watch("v1", "ConfigMap", "test", timeout_s=0.5)) == []


def test_a_kind_that_is_not_served_is_refused_before_anything_is_watched(api: FakeApi, kube: Kubernetes) -> None:
    with pytest.raises(BadInput, match=r"no kind Other in v1\. Allowed: ConfigMap"):
        kube.watch("v1", "Other", timeout_s=20)
    assert api.asked == []
