"""Where `slipway` starts: whatever a command in a hurry waits for begins before the command itself is loaded.

So this module imports nothing that takes time.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

IN_A_HURRY = frozenset(("promote", "rollback"))
"""Commands whose engine loads while they do themselves."""


def run() -> NoReturn:
    """The command as a program of its own."""
    if sys.argv[1:2] and sys.argv[1] in IN_A_HURRY and "SLIPWAY_CONFIG_DIR" not in os.environ:
        from local.engine.spare import SPARE  # noqa: PLC0415 - other commands, and a team's, may have no need of it

        SPARE.prepare()
    from delivery.cli import run as run_command  # noqa: PLC0415 - see above

    run_command()
