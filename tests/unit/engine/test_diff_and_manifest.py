"""What differs, field by field; and whose field is whose."""

from __future__ import annotations

import pytest

from adapters.errors import BadInput
from local.engine.diff import changes
from local.engine.manifest import owned_by_another, owned_differs, parse_path, to_send, without_string_data


def shown(live, planned, hide=()):
    return [str(change) for change in changes(live, planned, hide)]


def test_each_changed_field_is_named_with_both_values():
    live = {"kind": "X", "spec": {"a": 1, "gone": "g", "deep": {"x": "y"}}}
    planned = {"kind": "X", "spec": {"a": 2, "new": [1], "deep": {"x": "z"}}}
    assert shown(live, planned) == [
        "~ spec.a: 1 → 2",
        '~ spec.deep.x: "y" → "z"',
        '- spec.gone: "g"',
        "+ spec.new: [1]",
    ]


def test_what_servers_and_controllers_write_is_no_difference():
    def obj(n):
        return {"metadata": {"uid": n, "resourceVersion": n, "generation": n, "managedFields": [n]}, "status": {"n": n}}

    assert shown(obj(1), obj(2)) == []


def test_elements_with_names_are_compared_by_name():
    live = {"c": [{"name": "a", "i": 1}, {"name": "b", "i": 2}]}
    planned = {"c": [{"name": "b", "i": 3}, {"name": "a", "i": 1}]}
    assert shown(live, planned) == ["~ c[b].i: 2 → 3"]
    assert shown({"l": [1, 2]}, {"l": [1, 3, 4]}) == ["~ l[1]: 2 → 3", "+ l[2]: 4"]


def test_keys_with_dots_are_written_so_that_they_can_be_read():
    assert shown({"metadata": {"annotations": {}}}, {"metadata": {"annotations": {"a.b/c": "x"}}}) == [
        '+ metadata.annotations["a.b/c"]: "x"'
    ]


def test_secrets_are_hidden_wherever_they_are_compared():
    secret = shown({"kind": "Secret", "data": {"a": "b2xk"}}, {"kind": "Secret", "data": {"a": "bmV3", "b": "eA=="}})
    assert secret == ["~ data.a: [secret] → [secret]", "+ data.b: [secret]"]
    hidden = [("spec", "env", 0, "value")]
    live = {"spec": {"env": [{"name": "A", "value": "old"}]}}
    planned = {"spec": {"env": [{"name": "B", "value": "new"}]}}
    text = " ".join(shown(live, planned, hidden))
    assert "old" not in text
    assert "new" not in text
    assert "secret" in " ".join(shown({"spec": {}}, {"spec": {"env": [{"value": "x"}]}}, hidden))


def test_long_values_are_cut():
    assert len(shown({"a": "x"}, {"a": "y" * 1000})[0]) < 150


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("spec.replicas", ("spec", "replicas")),
        ('metadata.annotations["a.b/c"]', ("metadata", "annotations", "a.b/c")),
        ("spec.ports[0].port", ("spec", "ports", 0, "port")),
        ("spec.ports[*].nodePort", ("spec", "ports", "*", "nodePort")),
        ("data.*", ("data", "*")),
    ],
)
def test_property_paths_are_read_as_pulumi_writes_them(text, path):
    assert parse_path(text) == path


def test_what_is_no_property_path_is_refused():
    with pytest.raises(BadInput, match="no property path"):
        parse_path('a["b')


def managed(manager, fields, operation="Apply", **more):
    return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}


def live(replicas, *managers):
    return {"metadata": {"managedFields": list(managers)}, "spec": {"replicas": replicas}}


OURS = managed("slipway", {"f:spec": {"f:replicas": {}}})


def test_an_ignored_field_is_sent_with_its_live_value_while_it_is_ours():
    sent = to_send({"spec": {"replicas": 2, "x": 1}}, ["spec.replicas"], live(5, OURS))
    assert sent == {"spec": {"replicas": 5, "x": 1}}


def test_an_ignored_field_that_is_no_longer_declared_is_still_sent_while_it_is_ours():
    """Left out it would fall back to its default, 1, before an autoscaler has taken it."""
    assert to_send({"spec": {"x": 1}}, ["spec.replicas"], live(5, OURS)) == {"spec": {"x": 1, "replicas": 5}}


def test_an_ignored_field_is_left_out_once_another_manager_has_it():
    other = managed("autoscaler", {"f:spec": {"f:replicas": {}}}, "Update", subresource="scale")
    assert to_send({"spec": {"replicas": 2, "x": 1}}, ["spec.replicas"], live(5, OURS, other)) == {"spec": {"x": 1}}


def test_an_ignored_field_of_a_new_object_is_sent_as_declared():
    assert to_send({"spec": {"replicas": 2}}, ["spec.replicas"], None) == {"spec": {"replicas": 2}}


def test_stars_stand_for_every_key_and_element():
    obj = {"metadata": {"managedFields": []}, "data": {"a": "live", "b": "live"}, "l": [{"p": 1}, {"p": 2}]}
    sent = to_send({"data": {"a": "x", "c": "x"}, "l": [{"p": 7}, {"p": 8}]}, ["data.*", "l[*].p"], obj)
    assert sent == {"data": {"a": "live", "b": "live"}, "l": [{"p": 1}, {"p": 2}]}


def test_ownership_is_found_in_keyed_lists_and_in_wholes():
    obj = {"metadata": {}, "spec": {"ports": [{"port": 80, "nodePort": 1}, {"port": 81}], "map": {"a": 1}}}
    keyed = managed("them", {"f:spec": {"f:ports": {'k:{"port":80}': {"f:nodePort": {}}}, "f:map": {}}}, "Update")
    obj["metadata"]["managedFields"] = [keyed]
    assert owned_by_another(obj, ("spec", "ports", 0, "nodePort"))
    assert not owned_by_another(obj, ("spec", "ports", 1, "nodePort"))
    assert owned_by_another(obj, ("spec", "map", "a"))  # the map is theirs as one piece


def test_taking_over_fields_is_a_change_though_their_values_stay():
    assert owned_differs(live(1), live(1, OURS))
    assert not owned_differs(live(1, OURS), live(1, OURS))


def test_string_data_is_sent_as_data_so_that_a_key_left_out_goes():
    secret = {"kind": "Secret", "stringData": {"a": "text"}, "data": {"b": "Yg=="}}
    assert without_string_data(secret) == {"kind": "Secret", "data": {"a": "dGV4dA==", "b": "Yg=="}}
    assert without_string_data({"kind": "ConfigMap", "stringData": {}}) == {"kind": "ConfigMap", "stringData": {}}
