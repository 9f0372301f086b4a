"""One update of a stack at a time: a Lease in the stack's cluster, held while the update runs.

The Lease is taken and renewed by compare-and-swap on its resource version, so that of two takers one wins. A holder
that died on this machine is noticed by its process being gone and replaced at once; of any other holder nothing is
known, and its Lease has to expire. Whoever loses the lock learns it at the next `check`, which comes before each write.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

from adapters.errors import Locked, SlipwayError
from adapters.kubernetes import JsonObject, Kubernetes, KubernetesError
from local.engine.system import NAMESPACE, ensure_namespace, labels, stack_id

_API, _KIND = "coordination.k8s.io/v1", "Lease"
_TOKEN = "slipway.dev/lock-token"  # noqa: S105 - tells two holds of the lock apart, no secret
_PROCESS = {  # annotation → what of a process it holds; together they name one process on one machine for ever
    "boot": "slipway.dev/boot-id",
    "namespace": "slipway.dev/pid-namespace",
    "pid": "slipway.dev/pid",
    "started": "slipway.dev/pid-started",
}

DURATION_S = 30
"""How long a Lease holds without being renewed, seconds."""

_RENEWALS = 6  # in one duration


class StackLock:
    """The lock of a stack, as a context manager; `with` raises `Locked` at once if another holds it."""

    def __init__(self, kube: Kubernetes, project: str, stack: str, *, duration_s: float = DURATION_S) -> None:
        self._kube, self._project, self._stack = kube, project, stack
        self._duration_s = duration_s
        self._token = str(uuid.uuid4())
        self._lease: JsonObject = {}
        self._renewed_at = 0.0
        self._lost: str | None = None
        self._released = threading.Event()
        self._renewer = threading.Thread(target=self._keep, name=f"lock of {stack}", daemon=True)

    def __enter__(self) -> StackLock:
        self._take()
        self._renewer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._renewer.join()
        if self._lost is None:
            # If this fails the Lease is left to expire, or to the next command here, which sees that we are gone.
            with contextlib.suppress(SlipwayError):
                self._write(holder="")

    def check(self) -> None:
        """Raise `Locked` if the lock is not ours any more, or may not be since it could not be renewed in time."""
        if self._lost is None and _now_s() - self._renewed_at > self._duration_s:
            self._lost = "it could not be renewed in time, since the cluster did not answer"
        if self._lost is not None:
            raise Locked(
                f"this update has lost its lock: {self._lost}",
                where=f"stack {self._stack}",
                fix="See that no other update of the stack runs, then run the command again: it goes on from here",
            )

    def _take(self) -> None:
        while True:
            try:
                return self._try_to_take()
            except KubernetesError as error:
                if error.reason not in ("AlreadyExists", "Conflict", "NotFound"):  # somebody was faster: look again
                    raise

    def _try_to_take(self) -> None:
        existing = self._kube.get(_API, _KIND, _name(self._project, self._stack), NAMESPACE)
        if existing is None:
            ensure_namespace(self._kube)
            self._lease = self._new_lease()
            self._write(holder=_identity())
            return
        if not _is_free(existing):
            raise _locked(existing, self._stack)
        self._lease = self._new_lease()
        self._lease["metadata"]["resourceVersion"] = existing["metadata"]["resourceVersion"]
        self._lease["spec"]["leaseTransitions"] = existing["spec"].get("leaseTransitions", 0) + 1
        self._write(holder=_identity())

    def _new_lease(self) -> JsonObject:
        return {
            "apiVersion": _API,
            "kind": _KIND,
            "metadata": {
                "name": _name(self._project, self._stack),
                "namespace": NAMESPACE,
                "labels": labels(self._project, self._stack, "lock"),
                "annotations": _this_process() | {_TOKEN: self._token},
            },
            "spec": {"leaseDurationSeconds": max(1, round(self._duration_s)), "acquireTime": _timestamp()},
        }

    def _write(self, *, holder: str) -> None:
        """Create or compare-and-swap the Lease; how long it holds counts from before the request."""
        asked_at = _now_s()
        self._lease["spec"] |= {"holderIdentity": holder, "renewTime": _timestamp()}
        known = "resourceVersion" in self._lease["metadata"]
        self._lease = self._kube.replace(self._lease) if known else self._kube.create(self._lease)
        self._renewed_at = asked_at

    def _keep(self) -> None:
        """Renew until released or lost; a cluster that does not answer is asked again until the Lease has expired."""
        while self._lost is None and not self._released.wait(self._duration_s / _RENEWALS):
            with contextlib.suppress(SlipwayError):
                self._renew()

    def _renew(self) -> None:
        try:
            self._write(holder=_identity())
        except KubernetesError as error:
            if error.reason not in ("Conflict", "NotFound"):
                raise
            current = self._kube.get(_API, _KIND, _name(self._project, self._stack), NAMESPACE)
            if current is None:
                self._lost = "it was cancelled"
            elif current["metadata"].get("annotations", {}).get(_TOKEN) != self._token:
                self._lost = f"{current['spec'].get('holderIdentity') or 'somebody'} took it over"
            else:
                self._lease = current  # our own write whose answer was lost, or somebody's new label


def break_lock(kube: Kubernetes, project: str, stack: str) -> str | None:
    """Free the lock whoever holds it, and return who that was; its holder stops at its next write."""
    name = _name(project, stack)
    lease = kube.get(_API, _KIND, name, NAMESPACE)
    if lease is None:
        return None
    kube.delete(_API, _KIND, name, NAMESPACE, uid=lease["metadata"]["uid"])
    return lease["spec"].get("holderIdentity") or None


def _name(project: str, stack: str) -> str:
    return f"slipway.lock.{stack_id(project, stack)}"


def _locked(lease: JsonObject, stack: str) -> Locked:
    spec = lease["spec"]
    return Locked(
        # The Automation API knows a concurrent update by these words.
        f"the stack is currently locked by {spec['holderIdentity']} since {spec.get('acquireTime', 'an unknown time')}",
        where=f"stack {stack}",
        fix="Wait until that update has ended. If it is known to be dead, wait until its lock expires "
        f"({spec.get('leaseDurationSeconds', DURATION_S)} s), or free it with `pulumi cancel` (with the Automation "
        f"API: `stack.cancel()`)",
    )


def _is_free(lease: JsonObject) -> bool:
    spec = lease["spec"]
    return not spec.get("holderIdentity") or _is_expired(spec) or _has_died(lease["metadata"].get("annotations") or {})


def _is_expired(spec: JsonObject) -> bool:
    if not (renewed := spec.get("renewTime")):
        return True
    lasts = timedelta(seconds=spec.get("leaseDurationSeconds", DURATION_S))
    return datetime.fromisoformat(renewed) + lasts < datetime.now(UTC)


def _has_died(holder: Mapping[str, str]) -> bool:
    """Whether the holder was a process of this machine, seen from the same PID namespace, and is gone."""
    ours = _this_process()
    if any(holder.get(_PROCESS[key]) != ours[_PROCESS[key]] for key in ("boot", "namespace")):
        return False
    pid = holder.get(_PROCESS["pid"], "")
    return not pid.isdecimal() or _started(int(pid)) != holder.get(_PROCESS["started"])


def _this_process() -> dict[str, str]:
    return {
        _PROCESS["boot"]: Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        _PROCESS["namespace"]: str(Path("/proc/self/ns/pid").readlink()),
        _PROCESS["pid"]: str(os.getpid()),
        _PROCESS["started"]: _started(os.getpid()) or "",
    }


def _started(pid: int) -> str | None:
    """When a process began, in clock ticks since boot (field 22 of proc_pid_stat(5)); None if it is gone or a zombie.

    Process ids are used again; together with this they are not.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    after_name = stat.rpartition(")")[2].split()  # the name may hold spaces and parentheses
    return None if after_name[0] in "ZX" else after_name[19]


def _identity() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in many containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} pid {os.getpid()}"


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _now_s() -> float:
    """Seconds that go on while the machine sleeps, as the Lease does."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
