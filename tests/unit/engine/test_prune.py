"""Which objects may be deleted, and which are left alone."""

from __future__ import annotations

import pytest

from local.engine.model import Identity, Resource
from local.engine.prune import delete_object


def obj(name, urn="", kind="ConfigMap", namespace="ns", **more):
    return Resource(
        urn=urn or name, type="t", identity=Identity("c", "", kind, namespace, name), api_version="v1", **more
    )


class FakeKubernetes:
    """`lingers`: what is deleted is not gone at once."""

    def __init__(self, live, *, lingers=False):
        self.live, self.deleted, self.watched, self.lingers = live, [], 0, lingers

    def get(self, *_):
        return self.live

    def delete(self, *_, uid, propagation):
        self.deleted.append((uid, propagation))
        self.live = None
        return not self.lingers

    def watch(self, *_, **__):
        self.watched += 1
        yield "PRESENT", {}


def alive(uid, *managers):
    fields = [{"manager": manager, "operation": "Apply"} for manager in managers]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": uid, "managedFields": fields}}


def test_an_object_is_deleted_by_its_uid():
    kube = FakeKubernetes(alive("u"))
    assert delete_object(kube, obj("a", uid="u"))
    assert kube.deleted == [("u", "Background")]


def test_what_is_gone_at_once_is_not_waited_for():
    for lingers in (False, True):
        kube = FakeKubernetes(alive("u"), lingers=lingers)
        assert delete_object(kube, obj("a", uid="u"))
        assert kube.watched == lingers


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
