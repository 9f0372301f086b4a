"""The one cgroup all pods of a cluster are in, in each hierarchy the machine has (v1 and v2)."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from adapters.errors import MachineUnfit

_REMOVAL_S = 10.0
_V2_CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io", "hugetlb")
_NEEDED = {"cpu", "cpuset", "memory", "pids"}
"""What the kubelet does not start without, whichever hierarchy has it."""

_MOUNTS = Path("/proc/mounts")
_FIX = "Run it on the machine itself or in a privileged container. Or use a cluster of your own (see README.md)"


def check() -> None:
    """Raises `MachineUnfit` where pods could not be given what they ask for; changes nothing."""
    found: set[str] = set()
    for hierarchy, options in _mounted():
        if not os.access(hierarchy, os.W_OK):
            raise MachineUnfit("cgroups are mounted read-only, and pods need their own", where=str(hierarchy), fix=_FIX)
        found |= _controllers(hierarchy) or options
    if missing := _NEEDED - found:
        raise MachineUnfit(
            f"the kernel offers no cgroup controller {', '.join(sorted(missing))}",
            where=str(_MOUNTS),
            allowed=f"{', '.join(sorted(_NEEDED))}, by cgroup v1 or v2",
            fix=_FIX,
        )


def create(name: str) -> None:
    """Make the cgroup; the kubelet wants it there before it starts.

    Raises `MachineUnfit` where pods could not be bounded in it.
    """
    for hierarchy in _hierarchies():
        _delegate(hierarchy)
        (hierarchy / name).mkdir(exist_ok=True)
        _inherit_cpuset(hierarchy, hierarchy / name)
        # Of a hierarchy that is all this container's, the kernel hands nothing down while processes are at its top.
        if withheld := (_controllers(hierarchy) - _controllers(hierarchy / name)) & _NEEDED:
            remove(name)
            raise MachineUnfit(
                f"the cgroup controllers {', '.join(sorted(withheld))} cannot be handed down to pods: the kernel wants "
                "no process in the cgroup at the top",
                where=str(hierarchy),
                fix=_FIX,
            )


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
    yield from (where for where, _ in _mounted())


def _mounted() -> Iterator[tuple[Path, set[str]]]:
    """Where each hierarchy is, and its mount options, which in v1 name its controllers."""
    for line in _MOUNTS.read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind in {"cgroup", "cgroup2"}:
            yield Path(where), set(options.split(","))


def _controllers(cgroup: Path) -> set[str]:
    """The controllers that may be used in a cgroup of v2; none in v1."""
    available = cgroup / "cgroup.controllers"
    return set(available.read_text().split()) if available.exists() else set()


def _delegate(hierarchy: Path) -> None:
    """In v2 a controller works below a cgroup only once it is handed down; those in use elsewhere cannot be."""
    for controller in _controllers(hierarchy) & set(_V2_CONTROLLERS):
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
