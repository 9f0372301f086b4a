"""Secrets and unknowns on their way through property values, and the small words of the protocol."""

from __future__ import annotations

import json

import pytest

from adapters.errors import BadInput
from local.engine.model import Connection, Identity, Resource, identity_of, seconds
from local.engine.types import Kind, kind_of
from local.engine.urn import Urn
from local.engine.values import (
    UNKNOWN,
    Secret,
    decode,
    encode,
    has_secret,
    has_unknown,
    replace_marked,
    reveal,
    secret_paths,
    secret_strings,
)

TREE = {"a": [1, 2.5, True, None, "text"], "s": Secret({"inner": "hidden", "n": [UNKNOWN]}), "u": UNKNOWN}


def test_values_survive_the_protocol_with_their_marks():
    assert decode(encode(TREE)) == TREE


def test_whole_numbers_are_integers_as_kubernetes_wants_them():
    assert json.dumps(decode(encode({"replicas": 3}))) == '{"replicas": 3}'


def test_a_secret_or_unknown_cannot_be_printed_or_sent_by_accident():
    assert "hidden" not in repr(TREE)
    for marked in (Secret("x"), UNKNOWN):
        with pytest.raises(TypeError):
            json.dumps({"x": marked})


def test_marks_are_found_wherever_they_lie():
    assert has_secret(TREE)
    assert has_unknown(TREE)
    assert has_unknown({"s": Secret([UNKNOWN])})
    assert not has_unknown({"s": Secret("x")})
    assert secret_paths({"l": [{"p": Secret("x")}, 1], "q": Secret("y")}) == {("l", 0, "p"), ("q",)}
    assert set(secret_strings({"a": Secret({"k": "one", "l": ["two", 3]}), "b": "seen"})) == {"one", "two"}


def test_revealing_takes_off_marks_and_empty_fields():
    assert reveal({"a": Secret({"b": "x"}), "n": None}) == {"a": {"b": "x"}}
    assert replace_marked({"a": Secret("x"), "u": [UNKNOWN]}, secret=lambda _: "S", unknown="U") == {
        "a": "S",
        "u": ["U"],
    }


def test_urns_name_types_from_the_outermost_parent_and_may_hold_colons():
    stack = Urn.make("dev", "p", "", "pulumi:pulumi:Stack", "p-dev")
    component = Urn.make("dev", "p", str(stack), "my:index:Part", "part")
    inner = Urn.make("dev", "p", str(component), "kubernetes:core/v1:Secret", "a::b")
    assert str(inner) == "urn:pulumi:dev::p::my:index:Part$kubernetes:core/v1:Secret::a::b"
    assert Urn.parse(str(inner)) == inner
    with pytest.raises(ValueError, match="not a URN"):
        Urn.parse("a::b::c::d")


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("kubernetes:core/v1:Secret", Kind("v1", "Secret")),
        ("kubernetes:apps/v1:Deployment", Kind("apps/v1", "Deployment")),
        ("kubernetes:networking.k8s.io/v1:Ingress", Kind("networking.k8s.io/v1", "Ingress")),
        ("kubernetes:example.dev/v1alpha1:Thing", Kind("example.dev/v1alpha1", "Thing")),
    ],
)
def test_a_type_stands_for_a_kind(token, kind):
    assert kind_of(token) == kind


@pytest.mark.parametrize(
    "token",
    ["aws:s3:Bucket", "kubernetes:helm.sh/v3:Chart", "kubernetes:yaml:ConfigFile", "kubernetes:kustomize:Directory"],
)
def test_types_of_the_pulumi_cli_alone_are_refused_by_name(token):
    with pytest.raises(BadInput, match=token.split(":")[0]) as caught:
        kind_of(token)
    assert caught.value.fix


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("1h30m", 5400), ("1.5s", 1.5), ("200ms", 0.2), ("", 600)])
def test_durations_are_read_as_go_writes_them(text, expected):
    assert seconds(text, "x") == pytest.approx(expected)


@pytest.mark.parametrize("text", ["5", "m5", "5 m", "-5m"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(BadInput, match="no duration"):
        seconds(text, "x")


def test_a_resource_comes_back_from_the_record_as_it_was():
    resource = Resource(
        urn="urn",
        type="t",
        dependencies=("a", "b"),
        protect=True,
        identity=Identity("c", "apps", "Deployment", "ns", "d"),
        connection=Connection("file", None),
        api_version="apps/v1",
        manifest={"a": [1]},
        ignore_changes=("spec.replicas",),
        hidden=(("data", "x"), ("l", 0)),
        uid="u",
        ready=True,
        delete_timeout_s=5,
    )
    written = json.loads(json.dumps(resource.to_json() | {"of_a_later_version": 1}))
    assert Resource.from_json(written) == resource
    assert Resource(urn="u", type="t").to_json() == {"urn": "u", "type": "t"}


def test_versions_of_a_kind_are_one_object():
    metadata = {"name": "x", "namespace": "n"}
    old = identity_of("c", {"apiVersion": "autoscaling/v1", "kind": "K", "metadata": metadata})
    new = identity_of("c", {"apiVersion": "autoscaling/v2", "kind": "K", "metadata": metadata})
    assert old == new
    assert old != identity_of("other", {"apiVersion": "autoscaling/v2", "kind": "K", "metadata": metadata})
