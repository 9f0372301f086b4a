"""Where the scanners come from, without building any."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.errors import MachineUnfit
from adapters.paths import REPOSITORY
from local import scan

SCAN = REPOSITORY / "local" / "scan"


@pytest.mark.parametrize("name", ["syft", "grype", "pip-audit"])
def test_a_scanner_on_path_is_taken(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SLIPWAY_CACHE_DIR", str(tmp_path / "cache"))
    assert getattr(scan, name.replace("-", "_"))() == program
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", ["syft", "grype"])
def test_a_machine_without_it_and_without_go_is_told_both(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineUnfit, match=f"{name} is not on PATH, nor is Go"):
        getattr(scan, name)()


def test_everything_that_is_made_here_is_pinned() -> None:
    module = (SCAN / "modules" / "scanners" / "go.mod").read_text()
    for name in ("syft", "grype"):
        assert re.search(rf"github\.com/anchore/{name} v\d+\.\d+\.\d+\b", module)
    requirements = (SCAN / "pip_audit" / "requirements.txt").read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==\S+(?: ;[^\\]*)? \\\n    --hash=sha256:", requirements, re.MULTILINE)
    assert "pip-audit" in pinned
    assert len(pinned) == len(re.findall(r"^[a-z]", requirements, re.MULTILINE))
