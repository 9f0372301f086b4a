"""What every container and pod here has in common: no privileges, nothing written into images, bounds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pulumi_kubernetes as k8s

UNPRIVILEGED_USER = 65532
"""The user that images of this platform are made for; named, since public ones may be made for root."""

RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "v1.36",
    "pod-security.kubernetes.io/audit": "restricted",
    "pod-security.kubernetes.io/audit-version": "v1.36",
    "pod-security.kubernetes.io/warn": "restricted",
    "pod-security.kubernetes.io/warn-version": "v1.36",
}
"""Labels of a namespace in which only restricted pods start. The version is pinned, so that a cluster's upgrade does
not change what is allowed; an older cluster takes its newest."""

PRIVILEGED = {"pod-security.kubernetes.io/enforce": "privileged"}
"""Labels of a namespace for what must see a node; what pods there may do is held by `policies` alone."""


def pod_security() -> k8s.core.v1.PodSecurityContextArgs:
    """For a pod: one user without rights, to whom its volumes belong."""
    return k8s.core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=UNPRIVILEGED_USER,
        run_as_group=UNPRIVILEGED_USER,
        fs_group=UNPRIVILEGED_USER,
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security() -> k8s.core.v1.SecurityContextArgs:
    """For a container: it can gain nothing, and write nothing but volumes."""
    return k8s.core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),
    )


def resources(*, cpu: str, memory: str, memory_limit: str) -> k8s.core.v1.ResourceRequirementsArgs:
    """Requests, and a limit for memory alone: one for CPU slows a pod down while the node is idle."""
    return k8s.core.v1.ResourceRequirementsArgs(
        requests={"cpu": cpu, "memory": memory}, limits={"memory": memory_limit}
    )


def http_probe(path: str, *, period: int, failures: int, port: str = "http") -> k8s.core.v1.ProbeArgs:
    """Asks a port of a container each `period` seconds, by TLS if it is called `https`."""
    scheme = "HTTPS" if port == "https" else "HTTP"
    return k8s.core.v1.ProbeArgs(
        http_get=k8s.core.v1.HTTPGetActionArgs(path=path, port=port, scheme=scheme),
        period_seconds=period,
        timeout_seconds=3,
        failure_threshold=failures,
    )


def variable_of_field(name: str, field: str) -> k8s.core.v1.EnvVarArgs:
    """An environment variable with what the API server knows of the pod, such as `status.podIP`."""
    source = k8s.core.v1.EnvVarSourceArgs(field_ref=k8s.core.v1.ObjectFieldSelectorArgs(field_path=field))
    return k8s.core.v1.EnvVarArgs(name=name, value_from=source)


def volume(name: str, *, claim: str | None = None, config_map: str | None = None) -> k8s.core.v1.VolumeArgs:
    """A volume from a claim or a ConfigMap."""
    return k8s.core.v1.VolumeArgs(
        name=name,
        persistent_volume_claim=k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim) if claim else None,
        config_map=k8s.core.v1.ConfigMapVolumeSourceArgs(name=config_map) if config_map else None,
    )


def volume_mount(
    name: str, path: str, *, read_only: bool = True, sub_path: str | None = None
) -> k8s.core.v1.VolumeMountArgs:
    """Where a container sees a volume, or the folder `sub_path` of it; not writable unless it has to be."""
    return k8s.core.v1.VolumeMountArgs(name=name, mount_path=path, sub_path=sub_path, read_only=read_only)


def hash_of(files: Mapping[str, str]) -> str:
    """Names what is mounted, in a pod template's annotation: pods start anew when it changes."""
    digest = hashlib.sha256()
    for name, text in sorted(files.items()):
        digest.update(f"{len(name)}:{name}{len(text)}:{text}".encode())
    return digest.hexdigest()[:16]


def hash_of_secret(text: str, *, salt: str) -> str:
    """Like `hash_of`, and slow: an annotation is read by more people than a Secret, and some secrets can be guessed."""
    return hashlib.scrypt(text.encode(), salt=salt.encode(), n=2**14, r=8, p=1, dklen=8).hex()
