"""Where a process of the engine begins, whether it was started or forked.

So this module imports nothing that takes time.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from local.engine.annotations import leave_unevaluated

_GARBAGE = 50_000  # new objects before the garbage is looked for: a short life, in which nearly all of them stay


def live(args: Sequence[str]) -> NoReturn:
    """Run one command line, see `process`, and end the process with its exit code."""
    gc.set_threshold(_GARBAGE)  # before anything else is loaded, of which nothing is garbage
    leave_unevaluated()
    from local.engine.process import run  # noqa: PLC0415 - see above

    gc.freeze()
    code = run(args)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # to take apart all that was loaded, object by object, takes a tenth of a second
