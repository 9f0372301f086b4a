"""A cluster of its own, started, broken and removed; the tests stand in the order of its life."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.command import run
from adapters.kubernetes import Kubernetes
from local import cluster as clusters
from local.cluster import cgroups, process
from local.cluster.spec import Layout
from tests.integration.cluster.conftest import TOOLS
from tests.integration.cluster.pods import await_phase, output_of, pod

_HOST_FILES = (
    "/var/lib/kubelet",
    "/var/lib/etcd",
    "/var/log/pods",
    "/run/netns",
    "/run/containerd",
    "/tmp/hostpath_pv",  # noqa: S108 - it must not be there
)
_SETTINGS = ("net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")


@dataclass(frozen=True)
class Host:
    """What a cluster must not change."""

    links: str
    addresses: str
    routes: str
    rules: str
    mounts: str
    settings: tuple[str, ...]
    files: tuple[bool, ...]
    open_ports: frozenset[str]
    """Listening sockets that other machines could reach."""


def host() -> Host:
    listening = {line.split()[4] for line in run(["ss", "-Htuln"]).splitlines()}
    return Host(
        links=run(["ip", "-oneline", "link"]),
        addresses=run(["ip", "-oneline", "address"]),
        routes=run(["ip", "route", "show", "table", "all"]),
        rules=run(["nft", "list", "ruleset"]),
        mounts=Path("/proc/self/mountinfo").read_text(),
        settings=tuple(Path("/proc/sys", setting).read_text() for setting in _SETTINGS),
        files=tuple(Path(file).exists() for file in _HOST_FILES),
        open_ports=frozenset(address for address in listening if not address.startswith(("127.", "[::1]"))),
    )


@pytest.fixture(scope="module")
def host_before(cluster: clusters.Cluster) -> Host:
    return host()


@dataclass(frozen=True)
class Own:
    """The cluster of this module."""

    spec: clusters.ClusterSpec
    cluster: clusters.Cluster
    layout: Layout
    kube: Kubernetes


@pytest.fixture(scope="module")
def own(host_before: Host, tools_spec: clusters.ClusterSpec) -> Iterator[Own]:
    spec = dataclasses.replace(tools_spec, name=f"own-{os.getpid()}")
    try:
        cluster = clusters.up(spec)
        kube = Kubernetes.connect(kubeconfig=str(cluster.kubeconfig), context=cluster.context)
        yield Own(spec, cluster, Layout(spec.name), kube)
        kube.close()
    finally:
        clusters.down(spec.name)


def config_map(text: str) -> dict[str, Any]:
    metadata = {"name": "kept", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": text}}


def test_the_host_is_the_same_while_two_clusters_run(host_before: Host, own: Own) -> None:
    assert host() == host_before


def test_two_clusters_do_not_see_each_other(cluster: clusters.Cluster, kube: Kubernetes, own: Own) -> None:
    own.kube.create(config_map("of the second"))
    assert kube.get("v1", "ConfigMap", "kept", "default") is None
    names = [[node["metadata"]["name"] for node in client.list("v1", "Node")] for client in (kube, own.kube)]
    assert names == [[cluster.context], [own.cluster.context]]


def test_up_again_changes_nothing(own: Own) -> None:
    before = clusters.status(own.spec.name)
    assert before.running
    assert before.node_ready
    clusters.up(own.spec)
    assert clusters.status(own.spec.name) == before


def test_every_component_that_is_killed_is_started_again(own: Own) -> None:
    own.kube.create(pod("server", "default", TOOLS, "serve", "8080", "x", restartPolicy="Always"))
    await_phase(own.kube, "server", "default", "Running")
    before = clusters.status(own.spec.name).components
    for component in before.values():
        assert component.pid
        os.kill(component.pid, signal.SIGKILL)
    clusters.up(own.spec)
    after = clusters.status(own.spec.name).components
    assert {name for name, component in after.items() if component.restarts > before[name].restarts} == set(before)
    assert all(component.ready for component in after.values())


def test_a_cluster_whose_root_was_killed_comes_back_with_its_data(own: Own) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    own.kube.create(claim)
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    output_of(own.kube, pod("writer", "default", TOOLS, "write", "/data/file", "kept", volumes=volumes))
    ports = own.cluster.publish({"kept": (clusters.NODE_ADDRESS, 9)})
    pid = process.supervisor_pid(own.layout)
    assert pid
    process.end(own.layout, pid, gently=False)
    assert clusters.find(own.spec.name) is None

    with ThreadPoolExecutor() as pool:  # two at once: one starts it, the other finds it running
        list(pool.map(clusters.up, [own.spec, own.spec]))

    assert own.kube.get("v1", "ConfigMap", "kept", "default")
    await_phase(own.kube, "server", "default", "Running")
    reader = pod("reader", "default", TOOLS, "read", "/data/file", volumes=volumes)
    assert output_of(own.kube, reader) == "kept"
    assert own.cluster.publish({"kept": (clusters.NODE_ADDRESS, 9)}) == ports


def test_down_leaves_nothing_also_of_a_cluster_whose_root_was_killed(host_before: Host, own: Own) -> None:
    await_phase(own.kube, "server", "default", "Running")
    supervisor = process.supervisor_pid(own.layout)
    assert supervisor
    inside = {pid for pid in every_process() if is_below(pid, supervisor)}
    networks = {network_of(pid) for pid in inside}
    assert len(networks) == 2, "the node's and its pod's"
    assert cgroups.leftovers(own.layout.cgroup)

    os.kill(supervisor, signal.SIGKILL)
    assert clusters.down(own.spec.name)

    assert not inside & set(every_process())
    assert not networks & {network_of(pid) for pid in every_process()}
    assert not cgroups.leftovers(own.layout.cgroup)
    assert not own.layout.directory.exists()
    assert not own.layout.guard.exists()
    assert host() == host_before
    assert clusters.down(own.spec.name) is False
    assert clusters.status(own.spec.name).exists is False


def every_process() -> list[int]:
    """All that run; what has ended and was not yet reaped, by this machine's first process, does not."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and not has_ended(entry)]


def has_ended(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def is_below(pid: int, ancestor: int) -> bool:
    """Whether `pid` is `ancestor` or descends from it."""
    while pid > 1 and pid != ancestor:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            return False
    return pid == ancestor


def network_of(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:  # it has ended
        return ""
