"""The one cgroup all pods of a cluster are in, in each hierarchy the machine has (v1 and v2)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

_REMOVAL_S = 10.0
_V2_CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io", "hugetlb")


def create(name: str) -> None:
    """Make the cgroup; the kubelet wants it there before it starts."""
    for hierarchy in _hierarchies():
        _delegate(hierarchy)
        (hierarchy / name).mkdir(exist_ok=True)
        _inherit_cpuset(hierarchy, hierarchy / name)


def remove(name: str) -> None:
    """Remove the cgroup and all below it; its processes have ended, or are about to."""
    deadline = time.monotonic() + _REMOVAL_S
    for hierarchy in _hierarchies():
        while (hierarchy / name).is_dir():
            _remove_tree(hierarchy / name)
            if time.monotonic() > deadline:
                return
            if (hierarchy / name).is_dir():
                time.sleep(0.05)


def leftovers(name: str) -> list[Path]:
    """Where the cgroup still is."""
    return [hierarchy / name for hierarchy in _hierarchies() if (hierarchy / name).is_dir()]


def _hierarchies() -> Iterator[Path]:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind in {"cgroup", "cgroup2"}:
            yield Path(where)


def _delegate(hierarchy: Path) -> None:
    """In v2 a controller works below a cgroup only once it is handed down; those in use elsewhere cannot be."""
    available = hierarchy / "cgroup.controllers"
    if not available.exists():
        return
    for controller in set(available.read_text().split()) & set(_V2_CONTROLLERS):
        with contextlib.suppress(OSError):
            (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")


def _inherit_cpuset(parent: Path, child: Path) -> None:
    """In v1 a new cpuset is empty, and nothing can run in it."""
    for setting in ("cpuset.cpus", "cpuset.mems"):
        if (parent / "cgroup.clone_children").exists() and (child / setting).exists():
            (child / setting).write_text((parent / setting).read_text())


def _remove_tree(top: Path) -> None:
    """Deepest first; only directories can be removed, and what is busy stays for the next try."""
    for directory in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            directory.rmdir()
    with contextlib.suppress(OSError):
        top.rmdir()
