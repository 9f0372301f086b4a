"""The plan, against a Kubernetes client that answers from memory."""

from __future__ import annotations

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest

from adapters.errors import BadInput
from adapters.kubernetes import Cause, KubernetesError
from local.engine import plan as plans
from local.engine.model import Connection, Declared, Resource, identity_of
from local.engine.plan import Op, Planner, by_identity
from local.engine.values import UNKNOWN, has_unknown

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns", "uid": "n"}}


class FakeKubernetes:
    """Holds objects by kind and name; what is applied in earnest is an error: a plan changes nothing."""

    def __init__(self, *objects):
        self.objects = {(o["kind"], o["metadata"]["name"]): o for o in objects}
        self.refusal = None
        self.sent = []
        self.got = []

    def kind(self, _, kind):
        if kind == "Missing":
            raise BadInput("the cluster has no kind Missing")
        return SimpleNamespace(namespaced=kind not in ("Namespace", "CustomResourceDefinition"))

    def get(self, _, kind, name, *__):
        self.got.append(name)
        return copy.deepcopy(self.objects.get((kind, name)))

    def apply(self, obj, *, dry_run, **_):
        assert dry_run
        self.sent.append(obj)
        if self.refusal:
            raise self.refusal
        live = self.objects.get((obj["kind"], obj["metadata"]["name"]))
        merged = copy.deepcopy(obj)
        merged["metadata"] |= {"resourceVersion": "2", "uid": live["metadata"]["uid"]} if live else {}
        return merged


def live(name, data, kind="ConfigMap", **metadata):
    metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": "1", **metadata}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data}


def declared(
    name, data=None, *, kind="ConfigMap", api_version="v1", namespace="ns", urn=None, mutable=True, **resource
):
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
    manifest |= {} if data is None else {"data": data}
    return Declared(
        Resource(
            urn=urn or f"urn:{name}",
            type="t",
            identity=identity_of("c", manifest),
            connection=Connection(None, "c"),
            api_version=api_version,
            manifest=manifest,
            **resource,
        ),
        tree=manifest,
        mutable=mutable,
    )


def recorded(name, data=None, **more):
    resource = declared(name, data, **more).resource
    return replace(resource, uid=f"uid-{name}", ready=True)


@pytest.fixture(autouse=True)
def no_rules(monkeypatch):
    monkeypatch.setattr(plans, "violations", lambda _: [])


def planner(kube, *before):
    return Planner(by_identity(before), SimpleNamespace(of=lambda _: kube, opened=lambda _: kube))


def step_of(kube, wanted, *before):
    made = planner(kube, *before)
    made.register(wanted)
    assert made.failures == []
    return made.steps[0]


def test_what_is_not_there_is_created():
    assert step_of(FakeKubernetes(NAMESPACE), declared("a", {"x": "1"})).op is Op.CREATE


def test_what_is_as_declared_stays():
    kube = FakeKubernetes(NAMESPACE, live("a", {"x": "1"}))
    assert step_of(kube, declared("a", {"x": "1"}), recorded("a", {"x": "1"})).op is Op.SAME


def test_what_is_as_it_was_applied_and_nobody_wrote_since_is_not_sent():
    kube = FakeKubernetes(NAMESPACE, live("a", {"x": "1"}))
    step = step_of(kube, declared("a", {"x": "1"}), replace(recorded("a", {"x": "1"}), version="1"))
    assert step.op is Op.SAME
    assert step.live == step.result == live("a", {"x": "1"})
    assert kube.sent == []


@pytest.mark.parametrize(
    ("wanted", "before"),
    [
        ({"x": "1"}, {"version": "2"}),  # somebody wrote it
        ({"x": "1"}, {"version": ""}),  # recorded by what knew no versions
        ({"x": "1"}, {"version": "1", "uid": "another"}),
        ({"x": "1"}, {"version": "1", "ready": False}),
        ({"x": "2"}, {"version": "1"}),
        ({"x": "1"}, {"version": "1", "manifest": {}}),
    ],
)
def test_anything_else_is_compared_by_the_server(wanted, before):
    kube = FakeKubernetes(NAMESPACE, live("a", {"x": "1"}))
    step_of(kube, declared("a", wanted), replace(recorded("a", {"x": "1"}), **before))
    assert len(kube.sent) == 1


def test_what_its_server_gives_no_version_is_compared():
    kube = FakeKubernetes(NAMESPACE, live("a", {"x": "1"}, resourceVersion=""))
    step_of(kube, declared("a", {"x": "1"}), recorded("a", {"x": "1"}))
    assert len(kube.sent) == 1


def test_where_fields_are_left_to_others_the_server_compares():
    kube = FakeKubernetes(NAMESPACE, live("a", {"x": "1"}))
    left = ("data.x",)
    before = replace(recorded("a", {"x": "1"}), version="1")
    step_of(kube, declared("a", {"x": "1"}, ignore_changes=left), before)
    step_of(kube, declared("a", {"x": "1"}), replace(before, ignore_changes=left))  # no longer, but what was sent then?
    assert len(kube.sent) == 2


def test_what_is_recorded_is_asked_for_ahead_and_once():
    kube = FakeKubernetes(NAMESPACE, live("a", {"x": "1"}), live("gone", {}))
    made = planner(kube, recorded("a", {"x": "1"}), recorded("gone"), recorded("ns", kind="Namespace", namespace=""))
    with ThreadPoolExecutor(1) as executor:
        made.look_ahead(executor)
    made.register(declared("ns", kind="Namespace", namespace=""))
    made.register(declared("a", {"x": "1"}))
    assert sorted(kube.got) == ["a", "gone", "ns"]
    assert made.failures == []


def test_what_was_not_yet_asked_for_ahead_is_not_waited_for():
    kube = FakeKubernetes(NAMESPACE, live("a", {"x": "1"}))
    made = planner(kube, recorded("a", {"x": "1"}))
    made.look_ahead(SimpleNamespace(submit=lambda *_: Future()))
    made.register(declared("a", {"x": "1"}))
    assert kube.got.count("a") == 1


def test_a_cluster_that_nobody_reached_yet_is_not_asked_ahead():
    made = Planner(by_identity([recorded("a")]), SimpleNamespace(opened=lambda _: None))
    made.look_ahead(SimpleNamespace(submit=pytest.fail))


def test_what_differs_is_updated_field_by_field():
    kube = FakeKubernetes(NAMESPACE, live("a", {"x": "1"}))
    step = step_of(kube, declared("a", {"x": "2"}), recorded("a", {"x": "1"}))
    assert (step.op, [c.path for c in step.changes]) == (Op.UPDATE, ["data.x"])


def test_what_exists_but_is_not_recorded_is_taken_over_and_said_so():
    step = step_of(FakeKubernetes(NAMESPACE, live("a", {"x": "1"})), declared("a", {"x": "1"}))
    assert (step.op, step.note) == (Op.UPDATE, "exists already and is taken over")


def test_what_holds_unknowns_is_not_sent():
    kube = FakeKubernetes(NAMESPACE)
    assert step_of(kube, declared("a", {"x": UNKNOWN})).op is Op.CREATE
    assert kube.sent == []


def test_what_lies_in_a_namespace_not_yet_there_is_not_sent():
    kube = FakeKubernetes()
    made = planner(kube)
    made.register(declared("a", {"x": "1"}))
    assert kube.sent == []
    assert "there is no namespace ns, and none is declared" in str(made.finish() or made.failures[0].text)


def test_a_namespace_that_the_program_declares_may_come_later():
    made = planner(FakeKubernetes())
    made.register(declared("a", {"x": "1"}))
    made.register(declared("ns", kind="Namespace", namespace=""))
    assert made.finish() == []
    assert made.failures == []


def test_objects_of_a_kind_that_the_program_brings_are_planned_unseen():
    kube = FakeKubernetes(NAMESPACE)
    made = planner(kube)
    definition = declared("m", kind="CustomResourceDefinition", api_version="apiextensions.k8s.io/v1", namespace="")
    definition.resource.manifest["spec"] = {"group": "g.dev", "names": {"kind": "Missing"}}
    made.register(definition)
    made.register(declared("a", kind="Missing", api_version="g.dev/v1"))
    assert made.failures == []
    assert [step.op for step in made.steps] == [Op.CREATE, Op.CREATE]


def test_one_run_finds_every_error(monkeypatch):
    monkeypatch.setattr(plans, "violations", lambda manifest: [f"{manifest['metadata']['name']} breaks a rule"])
    made = planner(FakeKubernetes(NAMESPACE))
    made.register(declared("a", {}))
    made.register(declared("b", {}))
    made.register(declared("c", kind="Missing"))
    assert len(made.failures) == 4
    assert {failure.exit_code for failure in made.failures} == {3, 4}


def test_rules_see_unknown_values_as_text(monkeypatch):
    seen = []
    monkeypatch.setattr(plans, "violations", lambda manifest: seen.append(has_unknown(manifest)) or [])
    planner(FakeKubernetes(NAMESPACE)).register(declared("a", {"x": UNKNOWN}))
    assert seen == [False]


IMMUTABLE = KubernetesError(
    422, "Invalid", "x is invalid", (Cause("FieldValueInvalid", "Invalid value: field is immutable", "data"),)
)


@pytest.mark.parametrize("kind", ["Service", "Deployment", "StatefulSet", "PersistentVolumeClaim", "Ingress"])
def test_a_replacement_of_what_serves_traffic_is_shown_and_refused(kind):
    kube = FakeKubernetes(NAMESPACE, live("a", {"x": "1"}, kind=kind))
    kube.refusal = IMMUTABLE
    made = planner(kube, recorded("a", {"x": "1"}, kind=kind))
    made.register(declared("a", {"x": "2"}, kind=kind))
    assert made.steps[0].op is Op.REPLACE
    assert [c.path for c in made.steps[0].changes] == ["data.x"]
    assert "data cannot be changed in place" in made.failures[0].text


def test_a_config_map_may_be_replaced_if_it_is_ours_and_not_protected():
    kube = FakeKubernetes(NAMESPACE, live("a", {"x": "1"}))
    kube.refusal = IMMUTABLE
    assert step_of(kube, declared("a", {"x": "2"}), recorded("a", {"x": "1"})).op is Op.REPLACE
    for before in ([recorded("a", {"x": "1"}, protect=True)], []):
        made = planner(kube, *before)
        made.register(declared("a", {"x": "2"}))
        assert made.failures[0].exit_code == 4


def test_a_provider_without_mutable_config_maps_replaces_them():
    kube = FakeKubernetes(NAMESPACE, live("a", {"x": "1"}))
    step = step_of(kube, declared("a", {"x": "2"}, mutable=False), recorded("a", {"x": "1"}))
    assert step.op is Op.REPLACE


def test_other_refusals_are_failures():
    kube = FakeKubernetes(NAMESPACE)
    kube.refusal = KubernetesError(403, "Forbidden", "no")
    made = planner(kube)
    made.register(declared("a", {}))
    assert made.failures[0].text == "no."


def test_what_is_no_longer_declared_is_deleted_retained_or_goes_with_another():
    made = planner(
        FakeKubernetes(NAMESPACE),
        recorded("gone"),
        recorded("kept", retain_on_delete=True),
        recorded("with", deleted_with="urn:gone"),
        recorded("held", protect=True),
    )
    ops = {step.resource.identity.name: step.op for step in made.finish()}
    assert ops == {"gone": Op.DELETE, "kept": Op.DISCARD, "with": Op.DISCARD, "held": Op.DELETE}
    assert "protected from deletion" in made.failures[0].text


def test_an_object_by_another_python_name_is_the_same_object():
    kube = FakeKubernetes(NAMESPACE, live("a", {"x": "1"}))
    made = planner(kube, recorded("a", {"x": "1"}, urn="urn:old"))
    made.register(declared("a", {"x": "1"}, urn="urn:new"))
    assert made.finish() == []
    assert made.steps[0].op is Op.SAME


def test_a_namespace_is_not_deleted_from_under_what_is_declared():
    made = planner(FakeKubernetes(NAMESPACE), recorded("ns", kind="Namespace", namespace=""))
    made.register(declared("a", {}))
    made.finish()
    assert "would be deleted with it" in made.failures[0].text
