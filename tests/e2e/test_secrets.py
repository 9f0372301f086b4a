"""No secret shows anywhere but in the Secrets that are meant to hold it."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.platform import Platform


@pytest.fixture
def secrets(platform: Platform) -> list[str]:
    """Every secret of the platform: passphrase, passwords, the registry's key (a line of it)."""
    crypter = platform.crypter()
    shared = platform.stack("shared")
    found = [Path(platform.env["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text(encoding="utf-8")]
    for role in ("push", "pull"):
        found.append(crypter.decrypt(shared.get(["registryCredentials", role, "password", "secure"])))
    key = crypter.decrypt(shared.get(["registry", "inCluster", "key", "secure"]))
    found.append(key.splitlines()[1])
    return [text for secret in found for text in (secret, base64.b64encode(secret.encode()).decode())]


def _assert_none(text: str, secrets: list[str]) -> None:
    assert not [secret for secret in secrets if secret in text]


@pytest.mark.parametrize(
    "command",
    [["up", "--yes"], ["preview"], ["drift"], ["status"], ["status", "--json"], ["history", "shared", "--json"]],
    ids=" ".join,
)
def test_no_command_prints_a_secret(platform: Platform, secrets: list[str], command: list[str]) -> None:
    done = platform.slipway(*command)
    assert done.code == 0, done.said
    _assert_none(done.said, secrets)


def test_changing_every_secret_shows_none_in_the_preview(platform: Platform, secrets: list[str]) -> None:
    other = {"secure": platform.crypter().encrypt("an-entirely-new-password")}
    with platform.edited("shared", registryCredentials__pull__password=other):
        done = platform.slipway("preview", "shared")
    assert done.code == 0, done.said
    assert "Secret slipway-registry/" in done.said, "the change itself is shown"
    _assert_none(done.said, [*secrets, "an-entirely-new-password"])


def test_rendered_manifests_hold_a_marker_where_a_secret_is(
    platform: Platform, secrets: list[str], tmp_path: Path
) -> None:
    for stack in ("shared", "prod"):
        done = platform.slipway("render", stack, "--out", str(tmp_path / stack))
        assert done.code == 0, done.said
    written = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.yaml")]
    assert any("kind: Secret" in text for text in written)
    _assert_none("".join(written), secrets)


def test_the_record_in_the_cluster_holds_no_secret_in_the_clear(platform: Platform, secrets: list[str]) -> None:
    for secret in platform.kube.list("v1", "Secret", "slipway-system"):
        for value in secret["data"].values():
            _assert_none(value, secrets)
            assert not [s for s in secrets if s.encode() in base64.b64decode(value)]


def test_the_configuration_directory_and_its_history_hold_no_secret(platform: Platform, secrets: list[str]) -> None:
    history = subprocess.run(
        ["git", "-C", platform.config_dir, "log", "--patch", "--all"], capture_output=True, text=True, check=True
    )
    _assert_none(history.stdout, secrets)
    for path in platform.config_dir.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            _assert_none(path.read_text(encoding="utf-8"), secrets)


def test_config_maps_and_environment_variables_hold_no_secret(platform: Platform, secrets: list[str]) -> None:
    for api, kind in (("v1", "ConfigMap"), ("apps/v1", "Deployment"), ("v1", "Pod"), ("v1", "Event")):
        _assert_none(json.dumps(platform.kube.list(api, kind)), secrets)


def test_the_process_list_shows_no_secret_during_an_update(platform: Platform, secrets: list[str]) -> None:
    seen: set[str] = set()
    with platform.start("up", "--yes") as process:
        while process.poll() is None:
            seen.update(_command_lines())
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
        process.communicate()
    assert any("local.engine" in line for line in seen), "the engine's own processes were among them"
    _assert_none("".join(seen), secrets)


def _command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            yield path.read_bytes().decode(errors="replace").replace("\0", " ")
