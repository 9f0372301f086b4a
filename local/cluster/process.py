"""Finds, starts and ends a cluster's supervisor from outside, and enters its namespaces."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.errors import SlipwayError
from adapters.paths import REPOSITORY, cache_dir, state_dir
from local import locks
from local.cluster.components import forwarder_socket
from local.cluster.forwarder import HOST_NETWORK_FD
from local.cluster.spec import Layout

_END_S = 20.0
_ORDER_S = 10.0
_TICK_S = 0.02
_TAIL_LINES = 8


def supervisor_pid(layout: Layout) -> int | None:
    """The supervisor's process id as we see it, None if there is none."""
    return locks.holder(layout.supervisor_lock)


def launch(layout: Layout) -> int:
    """Start the supervisor in namespaces of its own, as a daemon; returns its process id."""
    environment = {
        # Nothing else of ours: a passphrase in our environment is none of the cluster's business.
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SLIPWAY_STATE_DIR": str(state_dir()),
        "SLIPWAY_CACHE_DIR": str(cache_dir()),
    }
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    host_network = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        with (layout.logs / "supervisor.log").open("ab") as log:
            subprocess.run(
                ["setsid", "--fork", *unshare, sys.executable, "-m", "local.cluster.supervisor", layout.name],
                check=True,
                cwd="/",
                env=environment | {HOST_NETWORK_FD: str(host_network)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(host_network,),
            )
    finally:
        os.close(host_network)
    return _await_lock(layout)


def _await_lock(layout: Layout) -> int:
    deadline = time.monotonic() + _END_S
    while time.monotonic() < deadline:
        if pid := supervisor_pid(layout):
            return pid
        time.sleep(_TICK_S)
    raise component_failed(layout, "supervisor", "it did not start")


def end(layout: Layout, pid: int, *, gently: bool) -> None:
    """End the supervisor and with it everything in its namespaces; returns once all of it is gone."""
    # unshare itself lives in the same network and mount namespaces, and ends when its child has.
    waiting = [pid, _parent(pid)]
    handles = []
    for process in waiting:
        with contextlib.suppress(ProcessLookupError):
            handles.append(os.pidfd_open(process))
    try:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM if gently else signal.SIGKILL)
        deadline = time.monotonic() + _END_S
        for handle in handles:
            if not select.select([handle], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise SlipwayError("the cluster's supervisor does not end", where=f"process {pid}, {layout.directory}")
    finally:
        for handle in handles:
            os.close(handle)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return pid


def inner_path(pid: int, path: Path) -> Path:
    """`path` of the cluster's mount namespace, for a process outside of it."""
    return Path(f"/proc/{pid}/root") / path.relative_to("/")


def order_forwards(pid: int, targets: Mapping[str, tuple[str, int]]) -> dict[str, int]:
    """Have the forwarder listen for `targets`; returns the ports."""
    line = json.dumps({name: list(target) for name, target in targets.items()}).encode() + b"\n"
    deadline = time.monotonic() + _ORDER_S
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_ORDER_S)
                connection.connect(str(inner_path(pid, forwarder_socket())))
                connection.sendall(line)
                reply = connection.makefile("rb").readline()
                if reply:
                    break
        except OSError as error:  # it is starting, or being restarted
            if time.monotonic() > deadline:
                raise SlipwayError(f"the cluster's forwarder does not answer: {error}") from None
        if time.monotonic() > deadline:
            raise SlipwayError("the cluster's forwarder does not answer")
        time.sleep(_TICK_S)
    answer: dict[str, Any] = json.loads(reply)
    if "error" in answer:
        raise SlipwayError(f"no port on 127.0.0.1 can be had: {answer['error']}")
    return {name: int(port) for name, port in answer["ports"].items()}


def component_states(layout: Layout) -> dict[str, dict[str, Any]]:
    """What the supervisor said last; process ids are those inside the cluster."""
    try:
        states: dict[str, dict[str, Any]] = json.loads(layout.status.read_text())
    except FileNotFoundError:
        return {}
    return states


def host_pids(supervisor: int) -> dict[int, int]:
    """Process ids inside the cluster, of the supervisor's children, mapped to those we see."""
    found = {}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for line in Path(f"/proc/{child}/status").read_text().splitlines():
                    if line.startswith("NSpid:"):
                        found[int(line.split()[-1])] = int(child)
    return found


def component_failed(layout: Layout, name: str, what: str) -> SlipwayError:
    """The error for a component, with the last lines of its log."""
    log = layout.logs / f"{name}.log"
    lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:] if log.exists() else []
    said = "\n".join(lines) or "it wrote nothing"
    # A cluster watches some twenty files, and the kernel's limit for all programs of a user is 128 by default.
    crowded = "too many open files" in said
    return SlipwayError(
        f"{name} of cluster {layout.name!r} failed: {what}. It said last:\n{said}\n",
        where=str(log),
        fix="Remove other local clusters, or raise the kernel's fs.inotify.max_user_instances" if crowded else "",
    )
