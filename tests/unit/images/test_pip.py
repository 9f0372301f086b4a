"""pip's settings of this machine, handed to a build."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from local.images import pip


def _environment(tmp_path: Path, configuration: str = "", **variables: str) -> dict[str, str]:
    (tmp_path / "named.conf").write_text(configuration)
    return {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "named.conf"), **variables}


def test_variables_become_settings(tmp_path: Path) -> None:
    settings = pip.machine_settings(_environment(tmp_path, PIP_INDEX_URL="https://mirror.test/simple"))
    assert settings.get("global", "index-url") == "https://mirror.test/simple"


def test_a_variable_wins_over_every_section_of_a_file(tmp_path: Path) -> None:
    configuration = "[global]\nretries = 1\n[install]\nretries = 2\n"
    settings = pip.machine_settings(_environment(tmp_path, configuration, PIP_RETRIES="3"))
    assert settings.get("global", "retries") == "3"
    assert not settings.has_option("install", "retries")


def test_percent_signs_in_a_password_are_kept(tmp_path: Path) -> None:
    settings = pip.machine_settings(_environment(tmp_path, "[global]\nindex-url = https://u:p%40ss@mirror.test/\n"))
    assert settings.get("global", "index-url") == "https://u:p%40ss@mirror.test/"


def test_the_users_file_is_read_and_the_named_one_wins(tmp_path: Path) -> None:
    user = tmp_path / ".config" / "pip"
    user.mkdir(parents=True)
    (user / "pip.conf").write_text("[global]\ntimeout = 7\nretries = 7\n")
    settings = pip.machine_settings(_environment(tmp_path, "[global]\nretries = 9\n"))
    assert (settings.get("global", "timeout"), settings.get("global", "retries")) == ("7", "9")


def test_no_configuration_file_is_read_where_none_is_wanted(tmp_path: Path) -> None:
    user = tmp_path / ".config" / "pip"
    user.mkdir(parents=True)
    (user / "pip.conf").write_text("[global]\ntimeout = 7\n")
    settings = pip.machine_settings({"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"})
    assert settings.items("global") == []


def test_a_build_gets_a_private_secret_and_the_named_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.touch()
    monkeypatch.setenv("PIP_CERT", str(certificate))
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:hidden@mirror.test/simple")
    arguments = pip.settings_for_build(tmp_path)
    assert f"--secret=id=pip.conf,src={tmp_path / 'pip.conf'}" in arguments
    assert f"--volume={certificate}:{certificate}:ro" in arguments
    assert "hidden" not in "".join(arguments)
    assert "hidden" in (tmp_path / "pip.conf").read_text()
    assert stat.S_IMODE((tmp_path / "pip.conf").stat().st_mode) == 0o600


def test_a_certificate_that_is_not_there_is_not_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CERT", str(tmp_path / "gone.pem"))
    assert "gone.pem" not in "".join(pip.settings_for_build(tmp_path))
