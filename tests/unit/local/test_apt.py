"""Debian packages: nothing is installed that is there, nobody but root installs.."""

from pathlib import Path

import pytest

from adapters.errors import MachineUnfit
from local import apt


@pytest.fixture
def installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with only the package `here`; gives the log of what apt-get was asked."""
    log = tmp_path / "asked"
    log.touch()
    scripts = {
        "dpkg-query": 'for last; do :; done\n[ "$last" = here ] && printf installed || exit 1',
        "apt-get": f'echo "$RUNLEVEL $@" >> {log}',
    }
    for name, body in scripts.items():
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return log


def test_a_package_that_is_there_is_not_installed(installs: Path) -> None:
    apt.ensure("here")
    assert not installs.read_text()


def test_only_the_missing_package_is_installed_and_said_first(
    installs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apt.ensure("here", "elsewhere")
    (asked,) = installs.read_text().splitlines()
    assert asked.endswith("elsewhere")
    assert " here" not in asked
    assert "elsewhere" in capsys.readouterr().err


def test_no_service_of_a_package_is_started(installs: Path) -> None:
    apt.ensure("elsewhere")
    assert installs.read_text().startswith("1 ")  # the single-user run level


def test_without_root_nothing_is_tried(installs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MachineUnfit, match=r"only root.*cluster of your own"):
        apt.ensure("elsewhere")
    assert not installs.read_text()
