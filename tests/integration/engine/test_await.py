"""What counts as ready, on a real node; and what is told when it does not come."""

from __future__ import annotations

import pytest

from local.images import platform_image_names

IMAGES = platform_image_names()
PAUSE, KUBECTL = IMAGES["pause"], IMAGES["kubectl"]

WORKLOAD = """
def workload(kind, name, spec, **opts):
    module = k8s.batch.v1 if kind == "Job" else k8s.apps.v1
    return getattr(module, kind)(name, metadata=metadata(name), spec=spec, opts=Opts(provider=provider, **opts))


def selected(name, image, **more):
    return {"selector": {"matchLabels": {"app": name}}, "template": template(name, image, **more)}


def job(name, command, **more):
    pod = template(name, KUBECTL, command=command)
    pod["spec"]["restartPolicy"] = "Never"
    return {"template": pod, **more}


"""


@pytest.fixture
def workloads(project):
    """Makes programs of workloads: names of images and the helpers above are there."""
    path = project.directory / "prelude.py"
    constants = f"PAUSE, KUBECTL = {PAUSE!r}, {KUBECTL!r}\n"
    path.write_text(path.read_text(encoding="utf-8") + constants + WORKLOAD, encoding="utf-8")
    return project


def test_a_deployment_is_waited_for_until_its_pods_serve(workloads, kube, namespace):
    workloads.up('workload("Deployment", "d", {"replicas": 2, **selected("d", PAUSE)})')
    status = kube.get("apps/v1", "Deployment", "d", namespace)["status"]
    assert status["availableReplicas"] == status["updatedReplicas"] == 2
    result = workloads.stack().destroy()
    assert "deleted" in result.stdout
    assert kube.list("v1", "Pod", namespace) == []  # its pods were waited for, too


def test_stateful_sets_daemon_sets_and_pods_are_waited_for(workloads, kube, namespace):
    workloads.up(
        """
        workload("StatefulSet", "s", {"replicas": 2, "serviceName": "s", **selected("s", PAUSE)})
        workload("DaemonSet", "ds", selected("ds", PAUSE))
        k8s.core.v1.Pod("p", metadata=metadata("p"), spec=pod_spec(PAUSE), opts=Opts(provider=provider))
        """
    )
    assert kube.get("apps/v1", "StatefulSet", "s", namespace)["status"]["readyReplicas"] == 2
    assert kube.get("apps/v1", "DaemonSet", "ds", namespace)["status"]["numberAvailable"] == 1
    conditions = kube.get("v1", "Pod", "p", namespace)["status"]["conditions"]
    assert {c["type"]: c["status"] for c in conditions}["Ready"] == "True"


def test_a_job_is_waited_for_until_it_has_succeeded_and_its_failure_shows_its_log(workloads, kube, namespace):
    workloads.up('workload("Job", "good", job("good", ["kubectl", "version", "--client"]))')
    assert kube.get("batch/v1", "Job", "good", namespace)["status"]["succeeded"] == 1
    error = workloads.fails('workload("Job", "bad", job("bad", ["kubectl", "no-such-command"], backoffLimit=0))')
    assert error.code == 1
    assert "the job failed" in error.stderr
    assert "exit code 1" in error.stderr
    assert 'unknown command "no-such-command"' in error.stderr


def test_a_claim_is_bound_or_waits_for_its_first_pod(workloads, kube, namespace):
    workloads.up(
        """
        k8s.core.v1.PersistentVolumeClaim("c", metadata=metadata("c"), spec={"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}}}, opts=Opts(provider=provider))
        """
    )
    assert kube.get("v1", "PersistentVolumeClaim", "c", namespace)["status"]["phase"] in ("Bound", "Pending")


def test_a_deployment_that_never_gets_ready_fails_at_its_deadline_with_events_and_logs(workloads, kube, namespace):
    good = 'workload("Deployment", "d", {"replicas": 1, "progressDeadlineSeconds": 5, **selected("d", PAUSE)})'
    workloads.up(good)
    error = workloads.fails(
        """
        spec = {"replicas": 1, "progressDeadlineSeconds": 5, "strategy": {"rollingUpdate": {"maxUnavailable": 0}}}
        broken = {"command": ["kubectl", "no-such-command"]}
        probe = {"readinessProbe": {"exec": {"command": ["kubectl", "version"]}, "initialDelaySeconds": 1}}
        workload("Deployment", "d", {**spec, **selected("d", KUBECTL, **broken, **probe)})
        """
    )
    assert error.code == 1
    assert "exceeded its progress deadline" in error.stderr
    assert "ended with exit code 1" in error.stderr or "CrashLoopBackOff" in error.stderr
    assert 'unknown command "no-such-command"' in error.stderr
    assert "event BackOff" in error.stderr
    assert len(error.stderr) < 8000
    status = kube.get("apps/v1", "Deployment", "d", namespace)["status"]
    assert status["availableReplicas"] == 1  # the old pod goes on serving
    workloads.up(good)
    assert kube.get("apps/v1", "Deployment", "d", namespace)["status"]["updatedReplicas"] == 1


def test_an_image_that_cannot_be_pulled_is_named(workloads):
    error = workloads.fails(
        """
        workload("Deployment", "d", {"progressDeadlineSeconds": 3, **selected("d", "none.invalid/none:1.0")})
        """
    )
    assert "none.invalid/none:1.0" in error.stderr
    assert "ErrImagePull" in error.stderr or "ImagePullBackOff" in error.stderr


def test_pods_that_a_quota_forbids_are_explained(workloads):
    error = workloads.fails(
        """
        quota = k8s.core.v1.ResourceQuota("q", metadata=metadata("q"), spec={"hard": {"pods": "0"}},
            opts=Opts(provider=provider))
        workload("Deployment", "d", {"progressDeadlineSeconds": 3, **selected("d", PAUSE)}, depends_on=[quota])
        """
    )
    assert "exceeded quota" in error.stderr


def test_deployments_that_wait_do_not_block_what_they_mount(workloads, kube, namespace):
    workloads.up(
        """
        for i in range(10):
            spec = selected(f"d{i}", PAUSE)
            spec["template"]["spec"]["volumes"] = [{"name": "v", "configMap": {"name": "late"}}]
            spec["template"]["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
            workload("Deployment", f"d{i}", {"replicas": 0 if i else 1, **spec})
        config_map("late")
        """
    )
    assert kube.get("apps/v1", "Deployment", "d0", namespace)["status"]["availableReplicas"] == 1
