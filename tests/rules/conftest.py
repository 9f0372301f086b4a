"""Prometheus' own tool, from the same pinned module and the same build as Prometheus."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from local.images import platform_binary


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The path of promtool, built where the cache lacks it (minutes)."""
    if shutil.which("go") is None:
        pytest.skip("promtool is built with Go, which is not installed")
    return platform_binary("prometheus", program="promtool")
