"""A process of the engine that loads beforehand, while whoever will need it loads as well.

There is one at most; it is told on its standard input first which program it will run, then the command line. It is
forked off the command where that can be (docs/adr/0014), else started.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

from adapters.paths import REPOSITORY
from local.engine.forked import ForkedProcess

FLAG = "--spare"
"""In place of a command line: load, then take one from standard input."""

Process = subprocess.Popen[str] | ForkedProcess
"""One of the engine's."""


class Spare:
    """The process that loads, or none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: Process | None = None

    def fork(self) -> None:
        """Let one load that has what was loaded here; only where no other thread was begun yet, see `forked`."""
        with self._lock:
            if self._process is None:
                self._process = ForkedProcess([FLAG])

    def prepare(self) -> None:
        """Let one load, unless there is one; `dismiss` ends it where no command came."""
        with self._lock:
            if self._process is None:
                self._process = start([FLAG], str(REPOSITORY), environment({}))

    def expect(self, directory: str) -> None:
        """Tell it the configuration directory of the command that will come."""
        with self._lock:
            if self._process is not None:
                _tell(self._process, {"directory": directory})

    def hand_over(
        self, args: Sequence[str], cwd: str, environ: Mapping[str, str], keys: Mapping[str, str]
    ) -> Process | None:
        """The process, which now runs this command line; None if there is none, or if it is gone.

        `keys` are those of secrets that were derived here already.
        """
        process = self._take()
        if process is None:
            return None
        if _tell(process, {"args": list(args), "cwd": cwd, "environ": dict(environ), "keys": dict(keys)}):
            return process
        _end(process)
        return None

    def dismiss(self) -> None:
        """End one that nobody had a use for; nothing happens if there is none."""
        if (process := self._take()) is not None:
            _end(process)

    def _take(self) -> Process | None:
        with self._lock:
            process, self._process = self._process, None
        return process


SPARE = Spare()
"""That of this process."""


def environment(additional: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of a process of the engine."""
    import_path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **additional, "PULUMI_AUTOMATION_API": "true", "PYTHONPATH": import_path}


def start(args: Sequence[str], cwd: str, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """A process of the engine. It ends with us: it sees the end of its standard input when we die."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "local.engine", *args],
        cwd=cwd,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def _tell(process: Process, what: Mapping[str, object]) -> bool:
    """Whether it could be told; not if it is gone."""
    if process.stdin is None:
        return False
    try:
        process.stdin.write(json.dumps(what) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return False
    return True


def _end(process: Process) -> None:
    """End one that has not begun anything."""
    process.kill()
    with contextlib.suppress(BrokenPipeError), process:
        process.wait()
