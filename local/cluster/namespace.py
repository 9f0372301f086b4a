"""Makes the namespaces a supervisor was started in into a node: its directories and its network.

The node has /run, /tmp, /var/lib and /var/log to itself: its programs write where they always do, hostPath mounts of
log collectors work, and nothing of it appears on the host. Called once, by the supervisor, before anything else runs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from adapters.command import run
from adapters.paths import REPOSITORY, cache_dir
from local.cluster.spec import NODE_NETWORK, RUNTIME, SERVICE_NETWORK, Layout

_TUNABLES = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
"""What a kubelet sets for the whole kernel (source: its setupKernelTunables). It is shown these values instead."""


def become_node(layout: Layout) -> None:
    """Set up mounts and network."""
    _mount_own_directories(layout)
    _shield_kernel_settings()
    # Volumes that pods mount for each other travel along shared mounts; this is a tree of our own, not the host's.
    run(["mount", "--make-rshared", "/"])
    _set_up_network()


def _mount_own_directories(layout: Layout) -> None:
    kept = _kept_paths(layout)
    run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"])
    for target, mode in (("/tmp", 0o1777), ("/var/lib", 0o755), ("/var/log", 0o755)):  # noqa: S108 - mount points
        source = layout.node / target.strip("/").replace("/", "-")
        source.mkdir(mode=mode, parents=True, exist_ok=True)
        source.chmod(mode)
        _cover(Path(target), source, kept)
    RUNTIME.mkdir(mode=0o700)


def _cover(target: Path, source: Path, kept: list[Path]) -> None:
    """Bind `source` over `target`, but leave those of `kept` reachable that were below it."""
    aside = Path("/run/aside")
    aside.mkdir()
    run(["mount", "--rbind", str(target), str(aside)])
    run(["mount", "--bind", str(source), str(target)])
    for path in kept:
        if path.is_relative_to(target):
            path.mkdir(parents=True, exist_ok=True)
            run(["mount", "--rbind", str(aside / path.relative_to(target)), str(path)])
    run(["umount", "--recursive", str(aside)])
    aside.rmdir()


def _kept_paths(layout: Layout) -> list[Path]:
    """What the programs of the cluster need of the host's files, outermost first."""
    needed = {layout.directory, cache_dir(), REPOSITORY, Path(sys.prefix), Path(sys.base_prefix)}
    resolved = sorted({path.resolve() for path in needed if path.exists()} | needed)
    return [
        path for path in resolved if path.exists() and not any(path.is_relative_to(o) for o in resolved if o != path)
    ]


def _shield_kernel_settings() -> None:
    folder = RUNTIME / "sysctl"
    for setting, value in _TUNABLES.items():
        shown = folder / setting.replace("/", "-")
        shown.parent.mkdir(exist_ok=True)
        shown.write_text(f"{value}\n")
        run(["mount", "--bind", str(shown), f"/proc/sys/{setting}"])


def _set_up_network() -> None:
    """The node's address is on a bridge without ports, because not every kernel has dummy devices.

    There is no way out: what is not the cluster's is unreachable at once, instead of after a time-out.
    """
    commands = f"""link set lo up
link add node0 type bridge
address add {NODE_NETWORK} dev node0
link set node0 up
route add {SERVICE_NETWORK} dev node0
route add unreachable default
"""
    run(["ip", "-batch", "-"], stdin=commands)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
