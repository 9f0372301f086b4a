"""The first process of a cluster: makes its namespaces into a node, starts the components, restarts those that end.

It is process 1 of its PID namespace, so the kernel ends everything else in the cluster with it, however it ends. It
holds a lock as long as it lives; who cannot get that lock knows that the cluster runs, and from the kernel, by which
process. No file with a process id can go stale.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from local import locks
from local.cluster import volumes
from local.cluster.components import Component, components
from local.cluster.forwarder import HOST_NETWORK_FD
from local.cluster.namespace import become_node
from local.cluster.spec import Layout

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
_SETTLED_S = 30.0
"""A component that ran this long starts again without a pause."""

_BUSY_TICK_S, _IDLE_TICK_S = 0.05, 2.0
_PROBE_S = 0.5
_LOG_BYTES = 8 << 20
_STOP_S = 8.0


@dataclass
class _Running:
    """A component and what became of it."""

    component: Component
    log: Path
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    restarts: int = -1
    started: float = 0.0
    not_before: float = 0.0
    pause: float = _FIRST_PAUSE_S

    def start(self, host_network: int) -> None:
        """Start it, its output appended to its log."""
        self.restarts += 1
        self.started = time.monotonic()
        shared = (host_network,) if self.component.needs_host_network else ()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.component.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=shared, cwd="/"
            )

    def ended(self, code: int) -> None:
        """Note that it has ended, and how long to wait before it is started again."""
        now = time.monotonic()
        settled = now - self.started > _SETTLED_S
        self.pause = _FIRST_PAUSE_S if settled else min(self.pause * 2, _LONGEST_PAUSE_S)
        self.not_before = now + (0 if settled else self.pause)
        self.process, self.ready = None, False
        print(f"{self.component.name} ended with {code}", flush=True)


@dataclass
class Supervisor:
    """Keeps `parts` running until it is told to stop."""

    layout: Layout
    parts: dict[str, _Running]
    host_network: int
    stopping: bool = False
    _said: str = field(default="", repr=False)

    def run(self) -> None:
        """Start, watch and restart; returns once told to stop and everything has ended."""
        wake, tell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopping", True))
        while not self.stopping:
            self._reap()
            self._start_what_can()
            self._probe()
            self._report()
            self._bound_logs()
            select.select([wake], [], [], self._tick())
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 1024)
        self._stop()

    def _tick(self) -> float:
        """Look often only while something is to become ready."""
        return _IDLE_TICK_S if all(part.ready for part in self.parts.values()) else _BUSY_TICK_S

    def _reap(self) -> None:
        """Collect every child that ended: ours, and the orphans that come to process 1."""
        by_pid = {part.process.pid: part for part in self.parts.values() if part.process}
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if part := by_pid.get(pid):
                    code = os.waitstatus_to_exitcode(status)
                    assert part.process  # noqa: S101 - it was found by its process
                    part.process.returncode = (
                        code  # else Popen would wait for a process id that may be another's by now
                    )
                    part.ended(code)

    def _start_what_can(self) -> None:
        for part in self.parts.values():
            waiting = part.process is None and time.monotonic() >= part.not_before
            if waiting and all(self._is_met(condition) for condition in part.component.after):
                part.start(self.host_network)

    def _is_met(self, condition: str) -> bool:
        return Path(condition).exists() if "/" in condition else self.parts[condition].ready

    def _probe(self) -> None:
        for part in self.parts.values():
            if part.process and not part.ready and answers(part.component.probe, self.layout.pki):
                part.ready = True
                print(f"{part.component.name} is ready after {time.monotonic() - part.started:.2f} s", flush=True)

    def _report(self) -> None:
        state = {
            name: {
                "pid": part.process.pid if part.process else None,
                "ready": part.ready,
                "restarts": max(part.restarts, 0),
            }
            for name, part in self.parts.items()
        }
        text = json.dumps(state)
        if text != self._said:
            scratch = self.layout.status.with_suffix(".new")
            scratch.write_text(text)
            scratch.replace(self.layout.status)
            self._said = text

    def _bound_logs(self) -> None:
        """Keep one earlier piece of each log. Writers append, so a log can be cut while it is written."""
        for log in self.layout.logs.glob("*.log"):
            if log.stat().st_size > _LOG_BYTES:
                log.with_suffix(".log.1").write_bytes(log.read_bytes())
                os.truncate(log, 0)

    def _stop(self) -> None:
        """Ask the components to end, clients before servers; the kernel ends the rest with us."""
        deadline = time.monotonic() + _STOP_S
        for part in reversed(self.parts.values()):
            if part.process:
                part.process.terminate()
        while any(part.process for part in self.parts.values()) and time.monotonic() < deadline:
            self._reap()
            time.sleep(_BUSY_TICK_S)


def answers(probe: str, pki: Path) -> bool:
    """Whether what `probe` names is there; see `Component.probe`."""
    try:
        if probe.startswith("http"):
            return _url_answers(probe, pki)
        if probe.startswith("unix:"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(probe.removeprefix("unix:"))
            return True
        host, _, port = probe.removeprefix("tcp:").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=_PROBE_S):
            return True
    except (OSError, http.client.HTTPException):
        return False


def _url_answers(url: str, pki: Path) -> bool:
    """Nobody is anonymous to the API server, so we come with a certificate that may do nothing else."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_PROBE_S)
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=pki / "ca.crt")
        context.load_cert_chain(pki / "monitor.crt", pki / "monitor.key")
        connection = http.client.HTTPSConnection(parts.netloc, timeout=_PROBE_S, context=context)
    with contextlib.closing(connection):
        connection.request("GET", parts.path)
        return connection.getresponse().status == http.client.OK


def _parts(found: Iterable[Component], logs: Path) -> dict[str, _Running]:
    return {component.name: _Running(component, logs / f"{component.name}.log") for component in found}


def main(name: str) -> NoReturn:
    """Be the supervisor of cluster `name`, whose directory has been prepared."""
    layout = Layout(name)
    lock = locks.hold(layout.supervisor_lock)
    become_node(layout)
    watched = volumes.watch()
    binaries = {key: Path(path) for key, path in json.loads(layout.plan.read_text())["binaries"].items()}
    found = components(layout, binaries, (sys.executable, "-m"))
    Supervisor(layout, _parts(found, layout.logs), int(os.environ[HOST_NETWORK_FD])).run()
    os.close(watched)
    os.close(lock)
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
