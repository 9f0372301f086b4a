"""What somebody changed in the cluster is named and restored; what other controllers own is left alone."""

from __future__ import annotations

from tests.e2e.platform import Platform

_SERVICE = ("apps/v1", "Deployment", "hello")


def test_a_field_edited_by_hand_is_named_and_restored(platform: Platform) -> None:
    assert platform.slipway("drift", "stage").code == 0
    edit = {"spec": {"progressDeadlineSeconds": 599}}
    platform.kube.patch(*_SERVICE, edit, "stage", manager="kubectl-edit")

    drift = platform.slipway("drift", "stage")
    assert drift.code == 2, drift.said
    assert "Deployment stage/hello" in drift.said
    assert "spec.progressDeadlineSeconds" in drift.said
    assert "599" in drift.said

    assert platform.slipway("up", "stage").code == 0
    assert platform.slipway("drift", "stage").code == 0
    restored = platform.kube.get(*_SERVICE, "stage")
    assert restored is not None
    assert restored["spec"]["progressDeadlineSeconds"] != 599


def test_what_another_manager_adds_is_no_drift_and_stays(platform: Platform) -> None:
    added = {"metadata": {"annotations": {"example.com/note": "kept"}}}
    platform.kube.patch(*_SERVICE, added, "stage", manager="somebody")

    assert platform.slipway("drift", "stage").code == 0
    assert platform.slipway("up", "stage").code == 0
    live = platform.kube.get(*_SERVICE, "stage")
    assert live is not None
    assert live["metadata"]["annotations"]["example.com/note"] == "kept"


def test_an_object_deleted_by_hand_is_named_and_made_again(platform: Platform) -> None:
    platform.kube.delete("policy/v1", "PodDisruptionBudget", "hello", "stage")

    drift = platform.slipway("drift", "stage")
    assert drift.code == 2, drift.said
    assert "PodDisruptionBudget stage/hello" in drift.said
    assert platform.slipway("up", "stage").code == 0
    assert platform.kube.get("policy/v1", "PodDisruptionBudget", "hello", "stage") is not None
