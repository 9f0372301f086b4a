"""A cluster as its users meet it: who it lets in, how pods find each other, what it leaves on the host."""

from __future__ import annotations

from adapters.kubernetes import Kubernetes


def test_a_namespace_gets_its_default_service_account(kube: Kubernetes, namespace: str) -> None:
    events = kube.watch("v1", "ServiceAccount", namespace, timeout_s=30)
    assert any(account["metadata"]["name"] == "default" for _, account in events)
