"""A process of the engine that is forked off its command, and so has what that has loaded (docs/adr/0014)."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from adapters.paths import REPOSITORY
from local.engine.start import live


class ForkedProcess:
    """As much of a `subprocess.Popen` as whoever gives a process of the engine its command line has a use for.

    Fork before there is any other thread, and before anything is connected. `returncode` is None until it was waited
    for.
    """

    def __init__(self, args: Sequence[str]) -> None:
        """One that runs this command line of `python -m local.engine`."""
        pipes = [os.pipe() for _ in range(3)]
        sys.stdout.flush()
        sys.stderr.flush()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _become_engine(pipes, args)
        (theirs_in, ours_in), (ours_out, theirs_out), (ours_err, theirs_err) = pipes
        for theirs in (theirs_in, theirs_out, theirs_err):
            os.close(theirs)
        self.stdin = os.fdopen(ours_in, "w", encoding="utf-8")
        self.stdout = os.fdopen(ours_out, encoding="utf-8", errors="replace")
        self.stderr = os.fdopen(ours_err, encoding="utf-8", errors="replace")

    def __enter__(self) -> ForkedProcess:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for stream in (self.stdout, self.stderr, self.stdin):
                stream.close()
        finally:
            self.wait()

    def wait(self) -> int:
        """Its exit code, once it has ended; minus the number of the signal that killed it."""
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def kill(self) -> None:
        """End it; nothing happens if it was waited for."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


def _become_engine(pipes: Sequence[tuple[int, int]], args: Sequence[str]) -> NoReturn:
    """The life of the new process: it never returns to the code that forked it."""
    try:
        (theirs_in, _), (_, theirs_out), (_, theirs_err) = pipes
        for number, theirs in enumerate((theirs_in, theirs_out, theirs_err)):
            os.dup2(theirs, number)
        for end in itertools.chain.from_iterable(pipes):
            os.close(end)  # with a copy of what is written to, we would never see the end of what we read
        sys.path.insert(0, str(REPOSITORY))
        live(args)
    except BaseException:  # whatever it is, nobody above us may go on with it
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)
