"""When an object counts as ready, waiting or failed."""

from __future__ import annotations

import pytest

from local.engine import states
from local.engine.states import Failed, Ready, Waiting, judge_of


def workload(spec, status, generation=1):
    return {"metadata": {"generation": generation}, "spec": spec, "status": {"observedGeneration": 1, **status}}


EXCEEDED = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "m"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"updatedReplicas": 1}, Waiting("1 of 2 pods are new")),
        ({"updatedReplicas": 2, "replicas": 3}, Waiting("1 old pods are about to end")),
        ({"updatedReplicas": 2, "replicas": 2, "availableReplicas": 1}, Waiting("1 of 2 new pods are available")),
        ({"updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}, Ready()),
        ({"observedGeneration": 0}, Waiting("the rollout has not begun")),
        ({"conditions": [EXCEEDED]}, Failed("the rollout exceeded its progress deadline: m")),
    ],
)
def test_a_deployment_is_ready_when_all_its_pods_are_new_and_available(status, expected):
    assert states.deployment(workload({}, {}))(workload({"replicas": 2}, status)) == expected


def test_a_deployment_does_not_fail_for_the_rollout_before():
    applied = workload({"replicas": 1}, {"conditions": [EXCEEDED]}, generation=2)
    judge = states.deployment(applied)
    assert isinstance(judge(workload({"replicas": 1}, {"conditions": [EXCEEDED]})), Waiting)
    again = EXCEEDED | {"message": "anew"}
    assert isinstance(judge(workload({"replicas": 1}, {"conditions": [again]})), Failed)


def test_a_paused_deployment_is_as_declared():
    assert states.deployment(workload({}, {}))(workload({"paused": True}, {"observedGeneration": 0})) == Ready()


@pytest.mark.parametrize(
    ("spec", "status", "ready"),
    [
        ({"replicas": 2}, {"readyReplicas": 1}, False),
        ({"replicas": 2}, {"readyReplicas": 2, "updatedReplicas": 1}, False),
        ({"replicas": 2}, {"readyReplicas": 2, "updatedReplicas": 2}, True),
        ({"replicas": 2, "updateStrategy": {"type": "OnDelete"}}, {"readyReplicas": 2}, True),
        (
            {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}},
            {"readyReplicas": 2, "updatedReplicas": 1},
            True,
        ),
    ],
)
def test_a_stateful_set_is_ready_as_far_as_its_strategy_goes(spec, status, ready):
    assert isinstance(states.stateful_set(workload(spec, status)), Ready) == ready


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({"desiredNumberScheduled": 2, "updatedNumberScheduled": 1, "numberAvailable": 2}, False),
        ({"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}, False),
        ({"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}, True),
        ({"desiredNumberScheduled": 0}, True),
    ],
)
def test_a_daemon_set_is_ready_on_every_node_it_should_run_on(status, ready):
    assert isinstance(states.daemon_set(workload({}, status)), Ready) == ready


def test_a_job_is_ready_when_it_has_succeeded():
    assert isinstance(states.job(workload({}, {})), Waiting)
    assert states.job(workload({}, {"conditions": [{"type": "Complete", "status": "True"}]})) == Ready()
    assert states.job(workload({"suspend": True}, {})) == Ready()
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "x"}
    assert states.job(workload({}, {"conditions": [failed]})) == Failed("the job failed: BackoffLimitExceeded x")


def test_a_pod_is_ready_when_it_serves_or_has_ended_well():
    ready = {"type": "Ready", "status": "True"}
    assert states.pod({"status": {"phase": "Running", "conditions": [ready]}}) == Ready()
    assert states.pod({"status": {"phase": "Succeeded"}}) == Ready()
    assert states.pod({"status": {"phase": "Running"}}) == Waiting("the pod is running")
    assert states.pod({"status": {"phase": "Failed"}}) == Failed("the pod has failed")


class Classes:
    def __init__(self, mode):
        self.mode = mode

    def get(self, *_):
        return {"volumeBindingMode": self.mode}


def test_a_claim_is_ready_when_bound_or_when_its_class_waits_for_a_pod():
    claim = {"spec": {"storageClassName": "c"}, "status": {"phase": "Pending"}}
    assert states.volume_claim(Classes("WaitForFirstConsumer"))(claim) == Ready()
    assert isinstance(states.volume_claim(Classes("Immediate"))(claim), Waiting)
    assert states.volume_claim(Classes("Immediate"))(claim | {"status": {"phase": "Bound"}}) == Ready()
    assert isinstance(states.volume_claim(Classes(""))(claim | {"status": {"phase": "Lost"}}), Failed)


def test_a_namespace_that_is_being_deleted_takes_nothing_new():
    assert isinstance(states.namespace({"status": {"phase": "Terminating"}}), Failed)
    assert states.namespace({"status": {"phase": "Active"}}) == Ready()


def test_a_service_is_ready_with_its_workload_but_for_a_load_balancer():
    assert judge_of(None, {"apiVersion": "v1", "kind": "Service", "spec": {"type": "ClusterIP"}}) is None
    judge = judge_of(None, {"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer"}})
    assert isinstance(judge({"status": {}}), Waiting)
    assert judge({"status": {"loadBalancer": {"ingress": [{"ip": "1"}]}}}) == Ready()


def test_a_custom_kind_is_ready_when_the_server_serves_it():
    assert isinstance(states.custom_resource_definition({}), Waiting)
    established = {"conditions": [{"type": "Established", "status": "True"}]}
    assert states.custom_resource_definition({"status": established}) == Ready()
    refused = {"conditions": [{"type": "NamesAccepted", "status": "False", "message": "taken"}]}
    assert states.custom_resource_definition({"status": refused}) == Failed("its names are not accepted: taken")


def test_other_kinds_are_ready_as_soon_as_they_are_there():
    assert judge_of(None, {"apiVersion": "v1", "kind": "ConfigMap"}) is None
