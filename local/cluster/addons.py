"""The objects every cluster has from the start: the DNS Service, the StorageClass, and rights of two components."""

from __future__ import annotations

from adapters.kubernetes import JsonObject
from local.cluster.spec import DNS_ADDRESS, NODE_ADDRESS

_RBAC = "rbac.authorization.k8s.io"


def addons() -> list[JsonObject]:
    """In the order they are applied."""
    return [*_dns(), _storage_class(), *_dns_rights(), _kubelet_rights()]


def _dns() -> list[JsonObject]:
    """A Service without selector, since its one endpoint is a program of the node."""
    labels = {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
        {"name": "metrics", "port": 9153, "protocol": "TCP"},
    ]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
        "spec": {"clusterIP": DNS_ADDRESS, "ports": [port | {"targetPort": port["port"]} for port in ports]},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns-node",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns", "endpointslice.kubernetes.io/managed-by": "slipway"},
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
    }
    return [service, endpoints]


def _storage_class() -> JsonObject:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "host-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/host-path",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    }


def _dns_rights() -> list[JsonObject]:
    watched = {"": ["endpoints", "services", "pods", "namespaces"], "discovery.k8s.io": ["endpointslices"]}
    rules = [
        {"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]}
        for group, resources in watched.items()
    ]
    role = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:coredns"},
        "rules": rules,
    }
    return [role, _binding("system:coredns", "system:coredns", "system:coredns")]


def _kubelet_rights() -> JsonObject:
    """Logs and exec: the API server is a client of the kubelet, which asks the API server whether it may."""
    return _binding("slipway:apiserver-kubelet", "system:kubelet-api-admin", "kube-apiserver")


def _binding(name: str, role: str, user: str) -> JsonObject:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": user}],
    }
