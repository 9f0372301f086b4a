"""Where `slipway` starts: whatever a command in a hurry waits for begins before the command itself is loaded.

So this module imports nothing that takes time.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from adapters.garbage import collect_rarely

IN_A_HURRY = frozenset(("promote", "rollback"))
"""Commands whose engine loads while they do themselves."""

_LONG_LIVED = frozenset(("serve",))


def run() -> NoReturn:
    """The command as a program of its own."""
    command = next(iter(sys.argv[1:]), "")
    if command not in _LONG_LIVED:
        collect_rarely()
    if command in IN_A_HURRY and "SLIPWAY_CONFIG_DIR" not in os.environ:
        _fork_engine()
    from delivery.cli import run as run_command  # noqa: PLC0415 - see above

    run_command()


def _fork_engine() -> None:
    """Load what the command and its engine both need, then let the engine go its own way."""
    # ruff: disable[PLC0415, F401] - other commands, and a team's, may have no need of it
    import httpcore2
    import pulumi.automation

    import adapters.kubernetes
    from components.settings import EnvironmentSettings
    from local.engine.spare import SPARE

    # ruff: enable[PLC0415, F401]
    EnvironmentSettings.model_rebuild()  # or each would when it reads the stack's file
    SPARE.fork()
