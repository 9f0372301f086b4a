"""Brings clusters up and down, and says how they are.

Everything that must happen to a cluster happens under its guard, a lock beside its directory: a second `up` waits, and
then finds the work done.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2

from adapters.command import run
from adapters.errors import BadInput, MachineUnfit, SlipwayError
from adapters.kubeconfig import open_client
from adapters.kubernetes import Kubernetes
from adapters.progress import step
from local import apt, disk
from local.cluster import binaries, cgroups, configs, process, sockets
from local.cluster.addons import addons
from local.cluster.preload import contents, preload
from local.cluster.spec import API_PORT, NODE_ADDRESS, ClusterSpec, Layout, Mirror

PACKAGES = ("containerd", "runc", "containernetworking-plugins", "nftables", "iproute2", "mount", "util-linux")
"""Debian packages a node needs."""

_READY_S = 90.0
_TICK_S = 0.05
_HOPELESS_RESTARTS = 4
_DISK_NEEDED = 1 << 30
_API = "kubernetes-api"


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    name: str

    @property
    def kubeconfig(self) -> Path:
        """The file with an administrator's credentials."""
        return Layout(self.name).kubeconfig

    @property
    def context(self) -> str:
        """Its context in that file, the name of its node, and its identifier."""
        return Layout(self.name).context

    @property
    def node_address(self) -> str:
        """The node's address inside the cluster's network namespace."""
        return NODE_ADDRESS

    def publish(self, targets: Mapping[str, tuple[str, int]]) -> dict[str, int]:
        """Make addresses and ports inside the cluster reachable on 127.0.0.1; returns the port for each name.

        A name keeps its port over calls and restarts. It listens when this returns.
        """
        return process.order_forwards(self.supervisor, targets)

    def published(self) -> dict[str, int]:
        """The ports on 127.0.0.1 given out so far, by name."""
        layout = Layout(self.name)
        forwards = json.loads(layout.forwards.read_text()) if layout.forwards.exists() else {}
        return {name: forward["listen"] for name, forward in forwards.items()}

    def load(self, archives: Sequence[Path]) -> None:
        """Import images into the node, those of the OCI archives `archives` that it lacks."""
        preload(self.supervisor, archives)

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv`, a program of this machine, in the cluster's network."""
        return ["nsenter", f"--net=/proc/{self.supervisor}/ns/net", "--", *argv]

    def run_inside(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        timeout_s: float | None = None,
    ) -> str:
        """Run a program of this machine in the cluster's network to its end, like `adapters.command.run`."""
        return run(self.inside(argv), env=env, stdin=stdin, timeout_s=timeout_s)

    def listen(self, port: int) -> socket.socket:
        """A socket of this process that listens at the node's address, for what runs in the cluster."""
        return sockets.listen(self.supervisor, NODE_ADDRESS, port)

    @property
    def supervisor(self) -> int:
        """The process whose end is the cluster's; raises `SlipwayError` where there is none."""
        pid = process.supervisor_pid(Layout(self.name))
        if pid is None:
            raise SlipwayError(f"cluster {self.name!r} does not run", fix=_START)
        return pid


@dataclass(frozen=True)
class ComponentStatus:
    """One program of a cluster; `pid` is None while it waits to be started again."""

    pid: int | None
    ready: bool
    restarts: int


@dataclass(frozen=True)
class Status:
    """How a cluster is; `exists` without `running` is one whose machine or supervisor ended, data kept."""

    name: str
    exists: bool
    running: bool
    version: str | None
    node_ready: bool
    components: dict[str, ComponentStatus]


_START = "Start it with `slipway cluster up`"


def up(spec: ClusterSpec) -> Cluster:
    """Bring the cluster up as `spec` says, building what is missing; at once if it is.

    Images and mirrors of a running cluster are changed without restarting it; another sandbox image or other versions
    of its programs restart it, with its data kept.
    """
    layout = Layout(spec.name)
    check_machine()
    with _guard(layout):
        plan = _plan(spec)
        pid = process.supervisor_pid(layout)
        if pid is not None and not _same_programs(layout, plan):
            with step(f"stopping cluster {spec.name!r}, which runs other versions"):
                process.end(layout, pid, gently=True)
            pid = None
        if pid is None:
            _prepare(layout, spec, plan)
            pid = process.launch(layout)
        if _read_plan(layout) != plan:
            _settle(layout, spec, pid)
        _await_ready(layout)
        _save_plan(layout, plan)
    return Cluster(spec.name)


def check_machine() -> None:
    """Raises `MachineUnfit` where no cluster can be brought up; builds, installs and writes nothing."""
    _require_root()
    cgroups.check()
    apt.check(*PACKAGES)
    binaries.check()


def find(name: str = "local") -> Cluster | None:
    """The cluster, if it runs."""
    layout = Layout(name)
    running = process.supervisor_pid(layout) is not None and layout.kubeconfig.exists()
    return Cluster(name) if running else None


def down(name: str = "local") -> bool:
    """End the cluster and remove its data; False if there was none."""
    layout = Layout(name)
    if not layout.directory.exists():
        return False
    _require_root()
    with _guard(layout):
        if not layout.directory.exists():
            return False
        with step(f"removing cluster {name!r}"):
            if pid := process.supervisor_pid(layout):
                process.end(layout, pid, gently=False)
            cgroups.remove(layout.cgroup)
            shutil.rmtree(layout.directory)
        layout.guard.unlink()
    return True


def status(name: str = "local") -> Status:
    """How the cluster is, asking it; never raises because it is down."""
    layout = Layout(name)
    pid = process.supervisor_pid(layout)
    if pid is None:
        return Status(name, layout.directory.exists(), False, None, False, {})
    pids = process.host_pids(pid)
    components = {
        key: ComponentStatus(pids.get(state["pid"]), state["ready"], state["restarts"])
        for key, state in process.component_states(layout).items()
    }
    version, ready = None, False
    with contextlib.suppress(SlipwayError), _connected(layout) as kube:
        version, ready = kube.version(), _node_ready(kube, layout.context)
    return Status(name, True, True, version, ready, components)


def _require_root() -> None:
    if os.geteuid() != 0:
        raise MachineUnfit(
            "a local cluster makes namespaces, mounts and containers, which only root may",
            fix="Run as root. Or use a cluster of your own: name its context in the stack files (see README.md)",
        )


def _plan(spec: ClusterSpec) -> dict[str, object]:
    """What decides whether a running cluster is the one that is wanted, once everything is there to run it."""
    apt.ensure(*PACKAGES)
    return {
        "pause": spec.pause,
        "images": sorted(list(image) for archive in spec.images for image in contents(archive)),
        "mirrors": sorted([mirror.host, mirror.endpoint, _authority(mirror)] for mirror in spec.registry_mirrors),
        "binaries": {name: str(path) for name, path in binaries.build().items()},
    }


def _authority(mirror: Mirror) -> str:
    try:
        return mirror.ca.read_text()
    except OSError as error:
        raise BadInput(
            f"the certificate authority of {mirror.host} cannot be read: {error.strerror}", where=str(mirror.ca)
        ) from None


def _same_programs(layout: Layout, plan: Mapping[str, object]) -> bool:
    running = _read_plan(layout)
    return all(running.get(key) == plan[key] for key in ("pause", "binaries"))


def _read_plan(layout: Layout) -> dict[str, object]:
    try:
        plan: dict[str, object] = json.loads(layout.plan.read_text())
    except FileNotFoundError:
        return {}
    return plan


def _save_plan(layout: Layout, plan: Mapping[str, object]) -> None:
    scratch = layout.plan.with_suffix(".new")
    scratch.write_text(json.dumps(plan))
    scratch.replace(layout.plan)


def _prepare(layout: Layout, spec: ClusterSpec, plan: Mapping[str, object]) -> None:
    from local.cluster import pki  # noqa: PLC0415 - takes time to load, which only this has a use for

    _require_disk(layout)
    cgroups.remove(layout.cgroup)  # of a run that was killed
    cgroups.create(layout.cgroup)
    for folder in (layout.directory, layout.config, layout.node, layout.logs):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for stale in (layout.status, layout.images_ready):
        stale.unlink(missing_ok=True)
    pki.write(layout.pki, layout.context)
    configs.write(layout, spec.pause)
    # The plan is fulfilled only once all of it is there: a run that is interrupted before leaves this one.
    _save_plan(layout, {**plan, "images": None})


def _settle(layout: Layout, spec: ClusterSpec, pid: int) -> None:
    """Give a cluster that has been launched what `spec` says; its API is reachable on return."""
    configs.write_mirrors(layout, spec.registry_mirrors)
    with ThreadPoolExecutor() as pool:
        imported = pool.submit(_import_images, layout, spec, pid)
        with step("reaching the API server"):
            port = process.order_forwards(pid, {_API: (NODE_ADDRESS, API_PORT)})[_API]
            _write_kubeconfig(layout, port)
            _await_api(layout)
            _apply_addons(layout)
        imported.result()


def _import_images(layout: Layout, spec: ClusterSpec, pid: int) -> None:
    with step("importing the node's images"):
        _await(layout, lambda: bool(process.component_states(layout).get("containerd", {}).get("ready")))
        preload(pid, spec.images)
        layout.images_ready.touch()


def _require_disk(layout: Layout) -> None:
    fix = "Free some, or name another place by SLIPWAY_STATE_DIR"
    disk.require(layout.directory, _DISK_NEEDED, "for a cluster", fix=fix)


def _write_kubeconfig(layout: Layout, port: int) -> None:
    server = f"https://127.0.0.1:{port}"
    text = configs.kubeconfig(layout.pki, "admin", server=server, context=layout.context, embedded=True)
    scratch = layout.kubeconfig.with_suffix(".new")
    scratch.touch(mode=0o600)
    scratch.write_text(text)
    scratch.replace(layout.kubeconfig)


def _await_api(layout: Layout) -> None:
    client, _ = open_client(str(layout.kubeconfig), layout.context)
    with client:

        def answers() -> bool:
            with contextlib.suppress(httpx2.HTTPError):
                return client.get("/readyz").is_success
            return False

        _await(layout, answers)


def _apply_addons(layout: Layout) -> None:
    with _connected(layout) as kube:
        for addon in addons():
            kube.apply(addon, manager="slipway-cluster")


def _await_ready(layout: Layout) -> None:
    """Until the node takes pods, which need a service account, and every component is ready."""
    if _is_ready(layout):
        return
    with step("waiting for the node"):
        _await(layout, lambda: _is_ready(layout))


def _is_ready(layout: Layout) -> bool:
    states = process.component_states(layout)
    if not states or not all(state["ready"] for state in states.values()):
        return False
    with contextlib.suppress(SlipwayError), _connected(layout) as kube:
        return _node_ready(kube, layout.context) and kube.get("v1", "ServiceAccount", "default") is not None
    return False


def _node_ready(kube: Kubernetes, name: str) -> bool:
    node = kube.get("v1", "Node", name)
    if node is None or node["spec"].get("taints"):
        return False
    conditions = node["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


@contextlib.contextmanager
def _connected(layout: Layout) -> Iterator[Kubernetes]:
    kube = Kubernetes.connect(kubeconfig=str(layout.kubeconfig), context=layout.context)
    try:
        yield kube
    finally:
        kube.close()


def _await(layout: Layout, condition: Callable[[], bool]) -> None:
    """Until `condition` holds; raises as soon as that has become hopeless."""
    deadline = time.monotonic() + _READY_S
    before = _restarts(layout)
    while not condition():
        if process.supervisor_pid(layout) is None:
            raise process.component_failed(layout, "supervisor", "it has ended")
        states = process.component_states(layout)
        for name, state in states.items():
            ended = state["restarts"] - before.get(name, 0)
            if ended >= _HOPELESS_RESTARTS and not state["ready"]:
                raise process.component_failed(layout, name, f"it ended {ended} times")
        if time.monotonic() > deadline:
            waiting = [name for name, state in states.items() if not state["ready"]] or ["kubelet"]
            raise process.component_failed(layout, waiting[0], f"not ready after {_READY_S:.0f} s")
        time.sleep(_TICK_S)


def _restarts(layout: Layout) -> dict[str, int]:
    return {name: int(state["restarts"]) for name, state in process.component_states(layout).items()}


@contextlib.contextmanager
def _guard(layout: Layout) -> Iterator[None]:
    """Hold the cluster's lock. Who ends a cluster removes the file, so what we locked may be one that is gone."""
    layout.guard.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        handle = os.open(layout.guard, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), layout.guard.stat()):
                    yield
                    return
        finally:
            os.close(handle)
