"""Which objects come before which, and that work on them keeps to it."""

from __future__ import annotations

import threading

from adapters.errors import BadInput
from local.engine.model import Identity, Resource
from local.engine.order import creation_order, deletion_order, work_through


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


def test_what_an_object_depends_on_is_created_before_it():
    a, b, c = obj("a"), obj("b", dependencies=("a",)), obj("c", parent="b", deleted_with="a")
    assert names(creation_order([a, b, c], [a, b, c])) == {"a": set(), "b": {"a"}, "c": {"a", "b"}}


def test_what_is_part_of_a_component_is_created_after_what_that_depends_on():
    outer = Resource(urn="outer", type="t", dependencies=("a",))
    component = Resource(urn="comp", type="t", parent="outer")
    a, inner = obj("a"), obj("inner", parent="comp")
    assert names(creation_order([a, inner], [outer, component])) == {"a": set(), "inner": {"a"}}


def test_a_namespace_is_created_before_what_lies_in_it():
    home = obj("ns", kind="Namespace", namespace="")
    assert names(creation_order([obj("a"), home], [])) == {"ns": set(), "a": {"ns"}}


def identities(*names):
    return [Identity("c", "", "ConfigMap", "ns", name) for name in names]


def test_work_keeps_to_the_order():
    a, b, c = identities("a", "b", "c")
    done = []
    assert work_through({c: {b}, b: {a}, a: set()}, done.append) == {}
    assert done == [a, b, c]


def test_what_waits_does_not_keep_others_from_their_turn():
    """As many as a program may register at once: they end only once all are under way."""
    together = threading.Barrier(64)
    order = {identity: set() for identity in identities(*map(str, range(64)))}
    assert work_through(order, lambda _: together.wait(timeout=60)) == {}


def test_what_comes_after_a_failure_is_not_attempted_and_everything_else_is():
    a, b, c, d = identities("a", "b", "c", "d")
    done = []

    def work(identity):
        if identity == a:
            raise BadInput("no")
        done.append(identity)

    failed = work_through({a: set(), b: {a}, c: set(), d: {c}}, work)
    assert {identity: str(error) for identity, error in failed.items()} == {a: "no."}
    assert sorted(done) == [c, d]
