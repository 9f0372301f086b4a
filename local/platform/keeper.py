"""The process that keeps `slipway serve` running.

It makes the listening socket in the cluster's network and hands it to the receiver, which is a process of this machine
like any other command: it reaches registry, cluster and git as a person does. When the receiver ends it is started
again; callers meanwhile wait in the socket's queue. When the cluster ends, so does all of this.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

from local import locks
from local.cluster import Cluster
from local.platform.receiver import PORT, Receiver

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_SETTLED_S = 30.0
_ENDS_S = 10.0
_LOG_BYTES = 8 << 20


def keep(receiver: Receiver, cluster: Cluster) -> None:
    """Keep it running until the cluster ends, or SIGTERM comes."""
    locks.hold(receiver.lock, patiently=True)  # of the one before, which ends with its cluster
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ended = os.pidfd_open(cluster.supervisor)
    with cluster.listen(PORT) as listening:
        receiver.says_it_serves(cluster)
        pause = _FIRST_PAUSE_S
        while True:
            started = time.monotonic()
            if _run(receiver, listening.fileno(), ended):
                return
            pause = _FIRST_PAUSE_S if time.monotonic() - started > _SETTLED_S else min(pause * 2, _LONGEST_PAUSE_S)
            if select.select([ended], [], [], pause)[0]:
                return


def _run(receiver: Receiver, listening: int, ended: int) -> bool:
    """Run it until it ends, or the cluster has; says whether that was it."""
    if receiver.log.stat().st_size > _LOG_BYTES:
        os.truncate(receiver.log, 0)
    serve = [sys.executable, "-m", "delivery", "serve", f"--socket={listening}", f"--token-file={receiver.token_file}"]
    # However this process ends, what it started ends with it.
    child = subprocess.Popen(["setpriv", "--pdeathsig=TERM", *serve], stdin=subprocess.DEVNULL, pass_fds=(listening,))
    handle = os.pidfd_open(child.pid)
    try:
        return ended in select.select([ended, handle], [], [])[0]
    finally:
        os.close(handle)
        child.terminate()
        try:
            child.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


if __name__ == "__main__":
    keep(Receiver(), Cluster(sys.argv[1]))
