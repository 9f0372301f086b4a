"""up, preview, destroy against a real API server, as the Automation API's users see them."""

from __future__ import annotations

import pytest
from pulumi import automation as auto


def test_up_applies_what_is_declared_and_returns_its_outputs(project, config_map):
    result = project.up(
        """
        a = config_map("a", {"x": "1"})
        config_map("b", {"from": a.metadata.name})
        pulumi.export("name", a.metadata.name)
        """
    )
    assert config_map("a") == {"x": "1"}
    assert config_map("b") == {"from": "a"}
    assert result.outputs["name"].value == "a"
    assert result.summary.result == "succeeded"
    assert result.summary.resource_changes == {"create": 2}


def test_a_second_up_says_that_nothing_changed_and_writes_nothing(project, kube, namespace):
    program = 'config_map("a"); pulumi.export("x", 1)'
    project.up(program)
    before = kube.get("v1", "ConfigMap", "a", namespace)
    result = project.up(program, expect_no_changes=True)
    assert "Nothing changed, 1 as declared" in result.stdout
    assert result.summary.resource_changes == {"same": 1}
    assert kube.get("v1", "ConfigMap", "a", namespace) == before
    assert result.outputs["x"].value == 1


def test_preview_shows_each_field_that_would_change_and_changes_nothing(project, config_map):
    project.up('config_map("a", {"x": "1", "gone": "2"}); config_map("b")')
    project.program('config_map("a", {"x": "3", "new": "4"}); config_map("c")')
    result = project.stack().preview()
    assert result.change_summary == {"update": 1, "create": 1, "delete": 1}
    for line in ('~ data.x: "1" → "3"', '+ data.new: "4"', '- data.gone: "2"', "+ create", "- delete"):
        assert line in result.stdout
    assert config_map("a") == {"x": "1", "gone": "2"}
    assert config_map("b") is not None
    assert config_map("c") is None


def test_what_is_no_longer_declared_is_deleted(project, config_map):
    project.up('config_map("a"); config_map("b")')
    result = project.up('config_map("a")')
    assert result.summary.resource_changes == {"same": 1, "delete": 1}
    assert config_map("b") is None
    assert config_map("a") is not None


def test_destroy_deletes_everything_and_forgets_the_outputs(project, config_map):
    project.up('config_map("a"); pulumi.export("x", 1)')
    result = project.stack().destroy()
    assert result.summary.kind == "destroy"
    assert config_map("a") is None
    assert project.stack().outputs() == {}


def test_no_changes_expected_but_there_are_some(project, config_map):
    error = project.fails('config_map("a")', expect_no_changes=True)
    assert error.code == 4
    assert "ConfigMap" in error.stderr
    assert config_map("a") is None


def test_history_tells_what_was_done_the_latest_first(project):
    project.up('config_map("a")', message="the first")
    project.fails("raise ValueError('no')")
    project.stack().destroy(message="the end")
    kinds = [(entry.kind, entry.message, entry.result) for entry in project.stack().history()]
    assert kinds == [("destroy", "the end", "succeeded"), ("update", "the first", "succeeded")]  # nothing was begun


def test_every_event_log_ends_with_the_cancel_event_also_when_the_program_fails(project):
    events: list[auto.EngineEvent] = []
    project.program('config_map("a")')
    project.stack().up(on_event=events.append)
    assert events[-1].cancel_event is not None
    assert [e.summary_event.resource_changes for e in events if e.summary_event] == [{"create": 1}]
    events.clear()
    project.program("raise ValueError('no')")
    with pytest.raises(auto.CommandError):
        project.stack().up(on_event=events.append)
    assert events[-1].cancel_event is not None
