"""Updates that fail: nothing is lost, every error is told, the next update heals."""

from __future__ import annotations

FIFTY = """
for i in range(50):
    config_map(f"m{i}")
"""
BROKEN = """
for i in range(50):
    config_map(f"m{i}", {"x": "y"} if i != 25 else {"bad key!": "y"})
"""


def test_a_plan_with_an_invalid_object_is_refused_before_anything_is_changed(project, config_map):
    project.up('config_map("a"); config_map("old")')
    error = project.fails(
        'config_map("a", {"x": "2"}); config_map("b", {"bad key!": "x"}); config_map("c", {"no/": ""})'
    )
    assert f"ConfigMap {project.namespace}/b" in error.stderr
    assert f"ConfigMap {project.namespace}/c" in error.stderr  # both errors, in one run
    assert config_map("a") == {"key": "a"}
    assert config_map("old") is not None


def test_one_of_fifty_fails_in_the_update_and_the_next_one_heals(project, config_map, kube, namespace):
    """The plan cannot see it coming: the keys are valid until the update itself."""
    project.up('config_map("old")')
    error = project.fails(
        """
        bad_key = "fine" if pulumi.runtime.is_dry_run() else "bad key"
        first = config_map("first")
        for i in range(50):
            config_map(f"m{i}")
        bad = [config_map(f"bad{i}", {bad_key: "x"}, depends_on=[first]) for i in range(2)]
        last = config_map("last", depends_on=bad)
        """
    )
    assert error.code == 1
    assert "nothing was deleted" in error.stderr
    lists = {line.split(": ")[0].strip(): line for line in error.stderr.splitlines()}
    assert f"{namespace}/first" in lists["applied"] or "more" in lists["applied"]
    assert f"{namespace}/bad" in lists["failed"]
    for name in ("bad0", "bad1"):  # told with its error, or not begun since the other one had failed
        assert f"{namespace}/{name}: ConfigMap" in error.stderr or f"{namespace}/{name}" in lists["not attempted"]
    assert f"{namespace}/last" in lists["not attempted"]
    assert config_map("old") is not None  # nothing was pruned
    assert config_map("last") is None
    project.up(FIFTY)
    assert all(config_map(f"m{i}") for i in range(50))
    left = {obj["metadata"]["name"] for obj in kube.list("v1", "ConfigMap", namespace)} - {"kube-root-ca.crt"}
    assert left == {f"m{i}" for i in range(50)}


def test_two_errors_of_the_update_are_both_kept(project, namespace):
    """Both are under way at once: each waits for a Pod that no node will ever take."""
    error = project.fails(
        """
        for name in ("one", "two"):
            spec = pod_spec("none.invalid/none:1.0") | {"nodeName": "", "schedulerName": "nobody"}
            k8s.core.v1.Pod(name, metadata=metadata(name), spec=spec, opts=Opts(
                provider=provider, custom_timeouts=pulumi.CustomTimeouts(create="3s")))
        """
    )
    assert "failed with 2 errors" in error.stderr
    for name in ("one", "two"):
        assert f"Pod {namespace}/{name}: not ready after 3 s" in error.stderr


def test_a_program_that_raises_changes_nothing_and_is_told_by_its_line(project, config_map):
    error = project.fails("config_map('a')\nraise ValueError('no such service')")
    assert error.code == 3
    assert "ValueError: no such service" in error.stderr
    assert "__main__.py, line 4" in error.stderr
    assert "Traceback" not in error.stderr
    assert config_map("a") is None


def test_an_object_declared_twice_is_refused(project, config_map):
    error = project.fails('config_map("a", urn="one"); config_map("a", urn="two")')
    assert error.code == 3
    assert "declared twice" in error.stderr
    assert config_map("a") is None


def test_an_object_that_somebody_else_made_anew_is_not_deleted(project, kube, namespace):
    project.up('config_map("a"); config_map("b")')
    kube.delete("v1", "ConfigMap", "a", namespace)
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": namespace}})
    result = project.up('config_map("b")')
    assert "left alone" in result.stdout
    assert kube.get("v1", "ConfigMap", "a", namespace) is not None


def test_a_field_that_cannot_change_is_a_replacement_and_refused_for_what_serves_traffic(project, kube, namespace):
    service = """
    k8s.core.v1.Service("s", metadata=metadata("s"), spec={{"selector": {{"app": "x"}}, "ports": [{{"port": 80}}],
        "clusterIP": {ip}}}, opts=Opts(provider=provider))
    """
    project.up(service.format(ip="None"))
    uid = kube.get("v1", "Service", "s", namespace)["metadata"]["uid"]
    error = project.fails(service.format(ip='"None"'))
    assert error.code == 4
    assert "not deleted and made anew" in error.stderr
    assert kube.get("v1", "Service", "s", namespace)["metadata"]["uid"] == uid


def test_an_immutable_config_map_is_replaced(project, kube, namespace, config_map):
    program = """
    k8s.core.v1.ConfigMap("a", metadata=metadata("a"), data={{"x": "{}"}}, immutable=True, opts=Opts(provider=provider))
    """
    project.up(program.format(1))
    uid = kube.get("v1", "ConfigMap", "a", namespace)["metadata"]["uid"]
    project.program(program.format(2))
    preview = project.stack().preview()
    assert preview.change_summary == {"replace": 1}
    assert "cannot be changed in place" in preview.stdout
    project.stack().up()
    assert config_map("a") == {"x": "2"}
    assert kube.get("v1", "ConfigMap", "a", namespace)["metadata"]["uid"] != uid
