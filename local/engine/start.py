"""Where a process of the engine begins, whether it was started or forked.

So this module imports nothing that takes time.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from adapters.garbage import collect_rarely
from local.engine.annotations import leave_unevaluated


def live(args: Sequence[str]) -> NoReturn:
    """Run one command line, see `process`, and end the process with its exit code."""
    collect_rarely()
    leave_unevaluated()
    from local.engine.process import run  # noqa: PLC0415 - see above

    gc.freeze()
    code = run(args)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # to take apart all that was loaded, object by object, takes a tenth of a second
