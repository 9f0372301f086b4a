"""The generated configuration directory: from the committed files, with secrets of its own, whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from adapters.command import run
from adapters.errors import BadInput
from adapters.passphrase import Passphrase, find_passphrase
from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile
from components.settings import Settings
from local.platform import configuration as module
from local.platform.configuration import Configuration

CLUSTER = {"kubeconfig": "/somewhere/kubeconfig", "context": "slipway-x", "identifier": "slipway-x"}
IMAGES = {
    "shared": {"registry": "slipway.local/registry:1", "kubectl": "slipway.local/kubectl:1"},
    "monitoring": {"prometheus": "slipway.local/prometheus:1", "loader": "slipway.local/loader:1"},
}
NAMES = ["127.0.0.1", "registry.example"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def _generated() -> Configuration:
    configuration = Configuration()
    configuration.generate(cluster=CLUSTER, push="127.0.0.1:1234", registry_names=NAMES, images=IMAGES)
    return configuration


def test_every_committed_stack_becomes_one_of_the_local_cluster_with_the_rest_as_it_was() -> None:
    configuration = _generated()
    for committed in REPOSITORY.glob("Pulumi.*.yaml"):
        name = committed.name[len("Pulumi.") : -len(".yaml")]
        here = configuration.stack(name)
        assert here.get(["cluster"]) == CLUSTER
        assert here.get(["registry", "push"]) == "127.0.0.1:1234"
        assert here.get(["services"]) == StackFile.load(committed).get(["services"])
        Settings.from_file(here, complete=False)
        assert here.get(["platformImages"]) == IMAGES.get(here.get(["kind"]))


def test_the_committed_files_stay_as_they_are() -> None:
    before = {path: path.read_bytes() for path in REPOSITORY.glob("Pulumi*.yaml")}
    _generated()
    assert {path: path.read_bytes() for path in REPOSITORY.glob("Pulumi*.yaml")} == before


def test_secrets_open_with_the_passphrase_and_with_no_other() -> None:
    configuration = _generated()
    file = configuration.stack("prod")
    sealed = file.get(["registryCredentials", "pull", "password", "secure"])
    passphrase = find_passphrase(configuration.env)
    assert len(Passphrase.open(passphrase, file.encryption_salt or "").decrypt(sealed)) >= 32
    with pytest.raises(BadInput):
        Passphrase.open("another", file.encryption_salt or "")


def test_what_is_secret_is_readable_by_its_owner_alone(state: Path) -> None:
    _generated()
    for path in (state / "passphrase", state / "authority" / "registry-ca.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "authority").stat().st_mode) == 0o700


def test_the_directory_is_a_clean_git_repository_that_runs_the_program_of_this_checkout() -> None:
    configuration = _generated()
    assert run(["git", "-C", str(configuration.directory), "status", "--porcelain"]) == ""
    assert f"main: {REPOSITORY}" in (configuration.directory / "Pulumi.yaml").read_text(encoding="utf-8")


def test_an_interrupted_generation_leaves_no_directory_and_the_next_one_succeeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Configuration, "commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _generated()
    assert not Configuration().exists
    assert _generated().exists


def test_a_refresh_changes_nothing_while_the_certificate_is_good() -> None:
    configuration = _generated()
    before = {path: path.read_bytes() for path in configuration.directory.glob("Pulumi*")}
    configuration.refresh(registry_names=NAMES)
    assert {path: path.read_bytes() for path in configuration.directory.glob("Pulumi*")} == before


def test_a_refresh_renews_a_certificate_that_is_not_of_the_authority(state: Path) -> None:
    configuration = _generated()
    before = configuration.stack("shared").get(["registry", "inCluster", "certificate"])
    for file in ("registry-ca.key", "registry-ca.crt"):
        (state / "authority" / file).unlink()
    configuration.refresh(registry_names=NAMES)
    after = configuration.stack("shared").get(["registry", "inCluster", "certificate"])
    assert after != before
    assert configuration.authority().vouches_for(after)
    assert (configuration.directory / module.REGISTRY_CA).read_text(encoding="ascii") == configuration.authority().pem
    assert run(["git", "-C", str(configuration.directory), "status", "--porcelain"]) == ""


def test_removing_it_leaves_nothing(state: Path) -> None:
    _generated().remove()
    assert [path for path in state.rglob("*") if path.is_file()] == []


def test_the_port_of_the_committed_file_is_the_one_nodes_are_told() -> None:
    from local import platform

    committed = StackFile.load(REPOSITORY / "Pulumi.shared.yaml")
    assert committed.get(["registry", "inCluster", "nodePort"]) == platform._READ_PORT
    assert committed.get(["registry", "pull"]) == platform._REGISTRY_HOST


def test_it_knows_no_stack_that_is_not_committed() -> None:
    names = {path.name[len("Pulumi.") : -len(".yaml")] for path in REPOSITORY.glob("Pulumi.*.yaml")}
    assert set(_generated().stacks()) == names
    assert module.REGISTRY_CA in {path.name for path in Configuration().directory.iterdir()}
