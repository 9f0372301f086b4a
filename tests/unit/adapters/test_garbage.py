"""How often a command looks for garbage."""

from __future__ import annotations

import subprocess
import sys

from adapters.paths import REPOSITORY

_LOADS = """
import gc, sys
from adapters.garbage import collect_rarely
before = [each["collections"] for each in gc.get_stats()]
collect_rarely()
import delivery.commands.promote, delivery.commands.rollback, local.engine.process, local.platform
sys.exit([each["collections"] for each in gc.get_stats()] != before)
"""


def test_what_a_command_and_its_engine_load_is_not_looked_through() -> None:
    assert subprocess.run([sys.executable, "-c", _LOADS], cwd=REPOSITORY, check=False).returncode == 0
