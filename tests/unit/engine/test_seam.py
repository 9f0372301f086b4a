"""A contract with the pinned SDK: what it sends to a monitor object, and what it makes of the answers."""

from __future__ import annotations

from local.engine.values import UNKNOWN, Secret


def test_objects_come_with_their_manifest_and_their_options(run):
    recording = run(
        """
        a = config_map("a", {"x": "1"}, protect=True, retain_on_delete=True)
        config_map("b", {"y": "2"}, depends_on=[a], deleted_with=a, ignore_changes=["data.y"],
            custom_timeouts=pulumi.CustomTimeouts(create="1m", update="90s", delete="1h30m"))
        """
    )
    assert recording.errors == []
    a, b = recording["a"].resource, recording["b"]
    assert a.manifest == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "ns"},
        "data": {"x": "1"},
    }
    assert (a.protect, a.retain_on_delete) == (True, True)
    assert a.urn == "urn:pulumi:one::unit::kubernetes:core/v1:ConfigMap::a"
    assert a.urn in b.resource.dependencies
    assert b.resource.deleted_with == a.urn
    assert b.resource.ignore_changes == ("data.y",)
    assert (b.create_timeout_s, b.update_timeout_s, b.resource.delete_timeout_s) == (60, 90, 5400)
    assert b.identity == ("c", "", "ConfigMap", "ns", "b")


def test_secrets_stay_marked_from_the_program_to_its_exports(run):
    recording = run(
        """
        s = pulumi.Output.secret("hidden value")
        m = config_map("m", {"x": s, "y": "seen"})
        pulumi.export("x", m.data["x"])
        pulumi.export("name", m.metadata.name)
        pulumi.export("own", s)
        """
    )
    assert recording["m"].tree["data"] == Secret({"x": "hidden value", "y": "seen"}) or recording["m"].tree["data"] == {
        "x": Secret("hidden value"),
        "y": "seen",
    }
    assert recording.outputs["x"] == Secret("hidden value")
    assert recording.outputs["own"] == Secret("hidden value")
    assert recording.outputs["name"] == "m"
    assert "hidden value" not in repr(recording["m"].tree)


def test_what_a_dry_run_does_not_answer_is_unknown_where_it_is_used(run):
    recording = run(
        """
        first = config_map("unknown", {"x": "1"})
        config_map("second", {"copied": first.data["x"], "known": "2"})
        pulumi.export("out", first.data["x"])
        """,
        dry_run=True,
    )
    assert recording.errors == []
    assert recording["second"].tree["data"] == {"copied": UNKNOWN, "known": "2"}
    assert recording.outputs["out"] is UNKNOWN


def test_sixty_four_objects_register_at_once(run):
    recording = run("for i in range(64): config_map(f'one-of-64-{i}')")
    assert recording.errors == []
    assert recording.at_once == 64


def test_what_waits_does_not_keep_what_it_waits_for_from_being_registered(run):
    recording = run("for i in range(60): config_map(f'one-of-61-{i}')\nconfig_map('needed')")
    assert recording.errors == []
    assert len(recording.declared) == 61


def test_after_the_first_error_nothing_new_begins_and_what_runs_is_finished(run):
    recording = run(
        """
        slow = config_map("slow")
        bad = config_map("bad")
        config_map("after", depends_on=[slow])
        """
    )
    assert {d.identity.name for d in recording.declared} == {"slow", "bad"}
    assert recording.errors == [("bad is bad.", 3)]


def test_two_errors_are_both_kept(run):
    recording = run("for i in range(2): config_map(f'bad{i}')\n")
    assert {text for text, _ in recording.errors} <= {"bad0 is bad.", "bad1 is bad."}
    assert len(recording.errors) == len(recording.declared)


def test_dependencies_hold_their_order_also_through_outputs(run):
    recording = run(
        """
        a = config_map("slow-a")
        b = config_map("b", {"x": a.metadata.name})
        config_map("c", depends_on=[b])
        """
    )
    assert [d.identity.name for d in recording.declared] == ["slow-a", "b", "c"]
    assert recording["b"].resource.manifest["data"] == {"x": "slow-a"}


def test_components_are_parents_and_hand_their_provider_on(run):
    recording = run(
        """
        class Pair(pulumi.ComponentResource):
            def __init__(self, name, opts=None):
                super().__init__("unit:index:Pair", name, None, opts)
                k8s.core.v1.ConfigMap("inner", metadata={"name": "inner", "namespace": "ns"},
                    opts=Opts(parent=self))
                self.register_outputs({})
        Pair("pair", Opts(providers=[provider]))
        """
    )
    assert recording.errors == []
    resource = recording["inner"].resource
    assert resource.urn == "urn:pulumi:one::unit::unit:index:Pair$kubernetes:core/v1:ConfigMap::inner"
    assert resource.parent == "urn:pulumi:one::unit::unit:index:Pair::pair"


def test_a_stack_reference_gives_outputs_and_which_of_them_are_secret(run):
    recording = run(
        """
        other = pulumi.StackReference("o/unit/two")
        pulumi.export("plain", other.require_output("plain"))
        pulumi.export("token", other.require_output("token"))
        """,
        references={"plain": "seen", "token": Secret("t0ken value")},
    )
    assert recording.errors == []
    assert recording.outputs == {"plain": "seen", "token": Secret("t0ken value")}


def test_what_the_program_logs_and_prints_is_shown(run):
    recording = run("print('printed')\npulumi.info('told')\npulumi.warn('warned')")
    assert "printed\n" in recording.printed
    assert "told\n" in recording.printed
    assert "warning: warned\n" in recording.printed


def test_an_async_program_is_awaited(run):
    recording = run(
        """
        async def main():
            await asyncio.sleep(0)
            config_map("a")
            return {"out": 1}
        pulumi.run(main)
        """
    )
    assert recording.errors == []
    assert [d.identity.name for d in recording.declared] == ["a"]
    assert recording.outputs == {"out": 1}


def test_an_error_of_the_program_is_one_paragraph_with_its_line(run):
    recording = run("def broken():\n    return {}['missing']\nbroken()")
    ((text, code),) = recording.errors
    assert code == 3
    assert "KeyError: 'missing'" in text
    assert "__main__.py, line" in text
    assert "\n" not in text


def test_a_syntax_error_and_an_exit_of_the_program_are_told(run):
    ((text, code),) = run("this is no python").errors
    assert (code, "SyntaxError" in text) == (3, True)
    ((text, code),) = run("raise SystemExit(3)").errors
    assert (code, "ended itself with exit code 3" in text) == (3, True)
