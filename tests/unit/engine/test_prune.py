"""The order in which objects leave, and which of them may."""

from __future__ import annotations

import pytest

from local.engine.model import Identity, Resource
from local.engine.prune import delete_object, deletion_order


def obj(name, urn="", kind="ConfigMap", namespace="ns", **more):
    return Resource(
        urn=urn or name, type="t", identity=Identity("c", "", kind, namespace, name), api_version="v1", **more
    )


def names(order):
    return {identity.name: {other.name for other in before} for identity, before in order.items()}


def test_what_depends_on_an_object_leaves_before_it():
    a, b, c = obj("a"), obj("b", dependencies=("a",)), obj("c", deleted_with="b")
    assert names(deletion_order([a, b, c], [a, b, c])) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_dependencies_reach_through_components_but_not_through_objects_that_stay():
    component = Resource(urn="comp", type="t", dependencies=("a",))
    a, inner = obj("a"), obj("inner", parent="comp")
    assert names(deletion_order([a, inner], [component, a, inner])) == {"a": {"inner"}, "inner": set()}
    stays, b = obj("stays", dependencies=("a",)), obj("b", dependencies=("stays",))
    assert names(deletion_order([a, b], [stays, a, b])) == {"a": set(), "b": set()}


def test_a_namespace_leaves_after_what_lies_in_it():
    home = obj("ns", kind="Namespace", namespace="")
    assert names(deletion_order([home, obj("a")], [])) == {"ns": {"a"}, "a": set()}


def test_two_objects_of_one_urn_both_leave():
    one, two = obj("one", urn="same"), obj("two", urn="same")
    after = obj("after", dependencies=("same",))
    assert names(deletion_order([one, two, after], [])) == {"one": {"after"}, "two": {"after"}, "after": set()}


class FakeKubernetes:
    def __init__(self, live):
        self.live, self.deleted = live, []

    def get(self, *_):
        return self.live

    def delete(self, *_, uid, propagation):
        self.deleted.append((uid, propagation))
        self.live = None

    def watch(self, *_, **__):
        yield "PRESENT", {}


def alive(uid, *managers):
    fields = [{"manager": manager, "operation": "Apply"} for manager in managers]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": uid, "managedFields": fields}}


def test_an_object_is_deleted_by_its_uid():
    kube = FakeKubernetes(alive("u"))
    assert delete_object(kube, obj("a", uid="u"))
    assert kube.deleted == [("u", "Background")]


@pytest.mark.parametrize(
    ("live", "resource"),
    [
        (alive("another", "slipway"), obj("a", uid="u")),  # made anew by somebody else
        (alive("u", "kubectl"), obj("a")),  # only intended, and never applied by us
    ],
)
def test_another_object_by_that_name_is_left_alone(live, resource):
    kube = FakeKubernetes(live)
    assert not delete_object(kube, resource)
    assert kube.deleted == []


def test_what_was_intended_and_applied_before_the_update_died_is_deleted():
    kube = FakeKubernetes(alive("u", "slipway"))
    assert delete_object(kube, obj("a"))
    assert kube.deleted == [("u", "Background")]


def test_what_is_gone_already_is_gone():
    assert delete_object(FakeKubernetes(None), obj("a", uid="u"))
