"""Resource options, each by what it does to the cluster."""

from __future__ import annotations

import pytest
from pulumi import automation as auto

from adapters.kubernetes import PRESENT


def test_a_protected_object_is_deleted_neither_by_an_update_nor_by_destroy(project, config_map):
    project.up('config_map("a", protect=True); config_map("b")')
    error = project.fails('config_map("b", {"x": "2"})')
    assert error.code == 4
    assert f"ConfigMap {project.namespace}/a" in error.stderr
    assert "protected from deletion" in error.stderr
    assert config_map("b") == {"key": "b"}  # nothing was changed
    with pytest.raises(auto.CommandError) as caught:
        project.stack().destroy()
    assert caught.value.code == 4
    assert config_map("b") is not None
    project.stack().destroy(exclude_protected=True)
    assert config_map("b") is None
    assert config_map("a") is not None
    project.up('config_map("a")')  # unprotects
    project.up("")
    assert config_map("a") is None


def test_what_is_retained_stays_in_the_cluster_and_is_forgotten(project, config_map):
    project.up('config_map("a", retain_on_delete=True)')
    result = project.up("")
    assert "stays in the cluster" in result.stdout
    assert config_map("a") is not None
    assert "Nothing changed" in project.up("").stdout


def test_what_is_deleted_with_another_is_not_deleted_by_itself(project, config_map):
    project.up('a = config_map("a"); config_map("b", deleted_with=a)')
    project.up("")
    assert config_map("a") is None
    assert config_map("b") is not None  # pulumi would have left it to the deletion of a, too


def test_an_object_is_applied_after_and_deleted_before_what_it_depends_on(project, namespace):
    result = project.up('a = config_map("a"); b = config_map("b", depends_on=[a]); config_map("c", depends_on=[b])')
    created = [line.split()[3] for line in result.stdout.splitlines() if line.startswith("+ created")]
    assert created == [f"{namespace}/{name}" for name in "abc"]
    result = project.stack().destroy()
    deleted = [line.split()[3] for line in result.stdout.splitlines() if line.startswith("- deleted")]
    assert deleted == [f"{namespace}/{name}" for name in "cba"]


def test_what_depends_on_nothing_is_applied_at_the_same_time(project):
    events = []
    project.program('for i in range(12): config_map(f"m{i}")')
    project.stack().up(on_event=events.append)
    kinds = ["begin" if e.resource_pre_event else "end" for e in events if e.resource_pre_event or e.res_outputs_event]
    assert kinds[:2] == ["begin", "begin"]


def test_a_renamed_python_resource_deletes_and_changes_nothing(project, kube, namespace):
    project.up('config_map("a", urn="old")')
    before = kube.get("v1", "ConfigMap", "a", namespace)
    result = project.up('config_map("a", urn="new")')
    assert "delete" not in result.summary.resource_changes
    assert kube.get("v1", "ConfigMap", "a", namespace) == before
    project.up('config_map("a", urn="newest", aliases=[pulumi.Alias(name="new")])')
    assert kube.get("v1", "ConfigMap", "a", namespace) == before


def test_a_renamed_object_is_made_before_the_old_one_goes(project, config_map):
    project.up('config_map("a", urn="same")')
    project.up('config_map("b", urn="same")')
    assert config_map("a") is None
    assert config_map("b") is not None


def test_an_ignored_field_keeps_its_live_value(project, kube, namespace, config_map):
    project.up('config_map("a", {"x": "1", "y": "1"}, ignore_changes=["data.x"])')
    kube.patch("v1", "ConfigMap", "a", {"data": {"x": "by hand"}}, namespace, manager="someone")
    project.up('config_map("a", {"x": "2", "y": "2"}, ignore_changes=["data.x"])')
    assert config_map("a") == {"x": "by hand", "y": "2"}
    project.up('config_map("a", {"x": "2", "y": "2"})')  # as before, but for whose the field is
    assert config_map("a") == {"x": "2", "y": "2"}


def test_handing_replicas_to_an_autoscaler_never_passes_through_one(project, kube, namespace):
    program = """
    from pulumi_kubernetes import apps
    apps.v1.Deployment("d", metadata=metadata("d", annotations={{"pulumi.com/skipAwait": "true"}}), opts=Opts(
        provider=provider, {options}), spec={{"replicas": {replicas}, "minReadySeconds": {replicas},
        "selector": {{"matchLabels": {{"app": "d"}}}}, "template": template("d", "none.local/none:1.0")}})
    """

    project.up(program.format(options="", replicas=4))
    events = kube.watch("apps/v1", "Deployment", namespace, name="d", timeout_s=60, present=True)
    assert PRESENT in (event for event, _ in events)  # it goes on from here, whatever happens before it is asked
    project.up(program.format(options='ignore_changes=["spec.replicas"]', replicas=2))
    last = {"metadata": {"annotations": {"tests.slipway.dev/seen": "all"}}}
    kube.patch("apps/v1", "Deployment", "d", last, namespace)
    seen = []
    for _, deployment in events:
        seen.append(deployment["spec"]["replicas"])
        if last["metadata"]["annotations"].items() <= deployment["metadata"]["annotations"].items():
            break
    assert len(seen) > 1, "the update wrote it"
    assert set(seen) == {4}
    # The autoscaler takes the field over by its own subresource…
    kube.patch("apps/v1", "Deployment", "d", {"spec": {"replicas": 7}}, namespace, manager="autoscaler")
    project.up(program.format(options='ignore_changes=["spec.replicas"]', replicas=2))
    # …and from then on the field is left out, so that it is owned by nobody else.
    live = kube.get("apps/v1", "Deployment", "d", namespace)
    assert live["spec"]["replicas"] == 7
    ours = [m for m in live["metadata"]["managedFields"] if m["manager"] == "slipway" and m["operation"] == "Apply"]
    assert "f:replicas" not in ours[0]["fieldsV1"]["f:spec"]


def test_custom_timeouts_bound_how_long_is_waited(project):
    error = project.fails(
        """
        k8s.apps.v1.Deployment("d", metadata=metadata("d"), spec={"selector": {"matchLabels": {"app": "d"}},
            "template": template("d", "none.local/none:1.0")},
            opts=Opts(provider=provider, custom_timeouts=pulumi.CustomTimeouts(create="2s")))
        """
    )
    assert error.code == 1
    assert "not ready after 2 s" in error.stderr


def test_the_update_goes_on_where_a_namespace_is_not_yet_there(project, kube):
    name = f"{project.namespace}-new"
    program = f"""
    ns = k8s.core.v1.Namespace("ns", metadata={{"name": "{name}"}}, opts=Opts(provider=provider))
    k8s.core.v1.ConfigMap("a", metadata={{"name": "a", "namespace": ns.metadata.name}}, data={{"x": "1"}},
        opts=Opts(provider=provider))
    """
    project.program(program)
    assert project.stack().preview().change_summary == {"create": 2}
    project.stack().up()
    assert kube.get("v1", "ConfigMap", "a", name)["data"] == {"x": "1"}
    error = project.fails(
        f"""
        k8s.core.v1.ConfigMap("a", metadata={{"name": "a", "namespace": "{name}"}}, data={{"x": "1"}},
            opts=Opts(provider=provider))
        """
    )
    assert "would be deleted with it" in error.stderr
    project.stack().destroy()
    assert kube.get("v1", "Namespace", name) is None  # its deletion was waited for


def test_unknown_values_are_not_sent_in_the_plan_but_are_in_the_update(project, config_map):
    project.program(
        """
        space = k8s.core.v1.Namespace("space", metadata={"name": f"{NS}-b"}, opts=Opts(provider=provider))
        config_map("b", {"phase": space.status.phase})
        """
    )
    result = project.stack().preview()
    assert result.change_summary == {"create": 2}
    assert config_map("b") is None
    project.stack().up()
    assert config_map("b") == {"phase": "Active"}
    assert "Nothing changed" in project.stack().up().stdout
    project.stack().destroy()
