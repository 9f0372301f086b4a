"""Applying objects, against a Kubernetes client that answers from memory."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from adapters.errors import Locked
from adapters.kubernetes import KubernetesError
from local.engine import apply as module
from local.engine.apply import Applier, carry_out
from local.engine.model import Connection, Declared, Resource, identity_of
from local.engine.plan import Op, Plan, Step

CONFLICT = KubernetesError(409, "Conflict", "the object has been modified")


class FakeKubernetes:
    """Refuses with each of `refusals` first; `replicas` is what the live object has, one more at each look."""

    def __init__(self, *refusals, replicas=None):
        self.refusals, self.replicas, self.sent = list(refusals), replicas, []

    def get(self, *_):
        if self.replicas is None:
            return None
        self.replicas += 1
        metadata = {"name": "a", "namespace": "ns", "uid": "u", "resourceVersion": str(self.replicas)}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "spec": {"replicas": self.replicas}}

    def apply(self, obj, **_):
        self.sent.append(obj)
        if self.refusals:
            raise self.refusals.pop(0)
        return obj | {"metadata": obj["metadata"] | {"uid": "u", "resourceVersion": "7"}}


class FakeJournal:
    def __init__(self):
        self.kept = []

    def objects(self):
        return []

    def knows(self, _):
        return False

    def intend(self, resources):
        self.kept += [("intended", resource.uid) for resource in resources]

    def applied(self, resource):
        self.kept.append(("ready" if resource.ready else "applied", resource.uid))
        self.version = resource.version


@pytest.fixture(autouse=True)
def no_rules_and_no_pause(monkeypatch):
    monkeypatch.setattr(module, "violations", lambda _: [])
    monkeypatch.setattr(module, "_PAUSE_S", 0)


NOTHING = Plan((), (), {}, {})


def applier(kube, journal, check=lambda: None, plan=NOTHING):
    quiet = SimpleNamespace(
        begun=lambda *_: None, done=lambda *_: None, failed=lambda *_: None, progress=lambda *_: None
    )
    return Applier(plan, journal, SimpleNamespace(of=lambda _: kube), check, quiet)


def declared(name="a", **more):
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "ns"}}
    manifest |= {"spec": {"replicas": 2}}
    resource = Resource(
        urn=f"urn:{name}",
        type="t",
        identity=identity_of("c", manifest),
        connection=Connection(None, "c"),
        api_version="v1",
        manifest=manifest,
        **more,
    )
    return Declared(resource, tree=manifest)


def test_an_object_is_recorded_as_intended_applied_and_ready():
    journal = FakeJournal()
    applier(FakeKubernetes(), journal).register(declared())
    assert journal.kept == [("intended", None), ("applied", "u"), ("ready", "u")]
    assert journal.version == "7"


def test_nothing_is_written_without_the_lock():
    def lost():
        raise Locked("this update has lost its lock")

    kube = FakeKubernetes()
    with pytest.raises(Locked):
        applier(kube, FakeJournal(), lost).register(declared())
    assert kube.sent == []


def test_what_others_write_meanwhile_is_looked_at_anew_and_never_written_over():
    kube = FakeKubernetes(CONFLICT, CONFLICT, replicas=4)
    applier(kube, FakeJournal()).register(declared(ignore_changes=("spec.replicas",)))
    versions = [int(sent["metadata"]["resourceVersion"]) for sent in kube.sent]
    assert [sent["spec"]["replicas"] for sent in kube.sent] == versions
    assert len(set(versions)) == 3


def test_an_object_that_never_settles_is_an_error_and_not_a_blind_write():
    kube = FakeKubernetes(*[CONFLICT] * 100, replicas=4)
    with pytest.raises(KubernetesError):
        applier(kube, FakeJournal()).register(declared(ignore_changes=("spec.replicas",)))
    assert all("resourceVersion" in sent["metadata"] for sent in kube.sent)


def test_what_a_new_namespace_refuses_for_a_moment_is_sent_again():
    unknown = KubernetesError(403, "Forbidden", "status unknown for quota: q, resources: pods")
    kube = FakeKubernetes(unknown, unknown)
    applier(kube, FakeJournal()).register(declared())
    assert len(kube.sent) == 3
    with pytest.raises(KubernetesError, match="exceeded quota"):
        applier(FakeKubernetes(KubernetesError(403, "Forbidden", "exceeded quota")), FakeJournal()).register(declared())


def plan_of(*every):
    steps = tuple(Step(Op.CREATE, each.resource) for each in every)
    return Plan(steps, (), {each.resource.urn: each.resource for each in every}, {}, every)


def carried_out(plan, kube, stop=None):
    """The errors, and the names of what was sent."""
    errors = carry_out(plan, applier(kube, FakeJournal(), plan=plan), stop or threading.Event())
    return [str(error) for error in errors], [sent["metadata"]["name"] for sent in kube.sent]


def test_a_plan_is_carried_out_in_the_order_of_its_dependencies():
    plan = plan_of(declared("c", dependencies=("urn:b",)), declared("b", dependencies=("urn:a",)), declared("a"))
    assert carried_out(plan, FakeKubernetes()) == ([], ["a", "b", "c"])


def test_after_the_first_error_nothing_of_a_plan_is_begun():
    plan = plan_of(declared("a"), declared("b", dependencies=("urn:a",)), declared("c", dependencies=("urn:b",)))
    kube = FakeKubernetes(KubernetesError(403, "Forbidden", "exceeded quota"))
    (error,), sent = carried_out(plan, kube)
    assert "exceeded quota" in error
    assert sent == ["a"]


def test_nothing_of_a_plan_is_begun_once_it_is_told_to_stop():
    stop = threading.Event()
    stop.set()
    assert carried_out(plan_of(declared("a")), FakeKubernetes(), stop) == ([], [])
