"""Drift: what differs from what was last applied, and what is other controllers' business."""

from __future__ import annotations


def test_drift_names_the_edited_field_and_up_restores_it(project, kube, namespace, config_map):
    program = 'config_map("a", {"x": "1"}); config_map("b")'
    project.up(program)
    assert project.stack().preview_refresh().change_summary == {"same": 2}
    kube.patch("v1", "ConfigMap", "a", {"data": {"x": "edited"}}, namespace, manager="kubectl-edit")
    kube.delete("v1", "ConfigMap", "b", namespace)
    result = project.stack().preview_refresh()
    assert result.change_summary == {"update": 1, "delete": 1}
    assert '~ data.x: "1" → "edited"' in result.stdout
    assert "no longer in the cluster" in result.stdout
    assert config_map("a") == {"x": "edited"}  # only looked
    project.stack().up()
    assert config_map("a") == {"x": "1"}
    assert config_map("b") is not None


def test_fields_of_other_controllers_are_no_drift_and_are_left_alone(project, kube, namespace):
    program = 'config_map("a", {"x": "1"})'
    project.up(program)
    theirs = {"metadata": {"annotations": {"other.dev/checked": "yes"}}, "data": {"theirs": "2"}}
    kube.patch("v1", "ConfigMap", "a", theirs, namespace, manager="controller")
    assert project.stack().preview_refresh().change_summary == {"same": 1}
    assert "Nothing changed" in project.stack().up().stdout
    live = kube.get("v1", "ConfigMap", "a", namespace)
    assert live["data"] == {"x": "1", "theirs": "2"}
    assert live["metadata"]["annotations"] == {"other.dev/checked": "yes"}


def test_a_refresh_forgets_what_is_no_longer_there(project, kube, namespace):
    project.up('config_map("a")')
    kube.delete("v1", "ConfigMap", "a", namespace)
    project.stack().refresh()
    assert project.stack().preview_refresh().change_summary == {}
