"""The generated configuration directory: from the committed files, with secrets of its own, whole or not at all."""

from __future__ import annotations

import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.command import run
from adapters.errors import BadInput
from adapters.passphrase import Passphrase, find_passphrase
from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile
from components.reading import read_file
from local.platform import configuration as module
from local.platform.configuration import Configuration, Here
from local.platform.receiver import ADDRESS, URL, Receiver

CLUSTER = {"kubeconfig": "/somewhere/kubeconfig", "context": "slipway-x", "identifier": "slipway-x"}
IMAGES = {
    "shared": {"registry": "slipway.local/registry:1", "kubectl": "slipway.local/kubectl:1"},
    "monitoring": {"prometheus": "slipway.local/prometheus:1", "loader": "slipway.local/loader:1"},
}
NAMES = ["127.0.0.1", "registry.example"]
HERE = Here(cluster=CLUSTER, push="127.0.0.1:1234", registry_names=NAMES, images=IMAGES)
SIGNERS = {"ci": ("builder",), "verifier": ("verifier",), "approver": ("approver",)}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIPWAY_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def _generated() -> Configuration:
    configuration = Configuration()
    configuration.generate(HERE)
    return configuration


@pytest.fixture(scope="module")
def generated_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with a generated configuration."""
    state = tmp_path_factory.mktemp("once") / "state"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIPWAY_STATE_DIR", str(state))
        _generated()
    return state


@pytest.fixture
def configuration(state: Path, generated_once: Path) -> Configuration:
    """A copy of that, modes and all: for what is tested after generating."""
    shutil.copytree(generated_once, state)
    return Configuration()


def test_every_committed_stack_becomes_one_of_the_local_cluster_with_the_rest_as_it_was(
    configuration: Configuration,
) -> None:
    for committed in REPOSITORY.glob("Pulumi.*.yaml"):
        name = committed.name[len("Pulumi.") : -len(".yaml")]
        here = configuration.stack(name)
        if here.get(["kind"]) in ("shared", "environment", "monitoring"):
            assert here.get(["cluster"]) == CLUSTER
            assert here.get(["registry", "push"]) == "127.0.0.1:1234"
        assert here.get(["services"]) == StackFile.load(committed).get(["services"])
        read_file(here, complete=False)
        assert here.get(["platformImages"]) == IMAGES.get(here.get(["kind"]))


def test_the_committed_files_stay_as_they_are() -> None:
    before = {path: path.read_bytes() for path in REPOSITORY.glob("Pulumi*.yaml")}
    _generated()
    assert {path: path.read_bytes() for path in REPOSITORY.glob("Pulumi*.yaml")} == before


def test_secrets_open_with_the_passphrase_and_with_no_other(configuration: Configuration) -> None:
    file = configuration.stack("prod")
    sealed = file.get(["registryCredentials", "pull", "password", "secure"])
    passphrase = find_passphrase(configuration.env)
    assert len(Passphrase.open(passphrase, file.encryption_salt or "").decrypt(sealed)) >= 32
    with pytest.raises(BadInput):
        Passphrase.open("another", file.encryption_salt or "")


@pytest.mark.usefixtures("configuration")
def test_what_is_secret_is_readable_by_its_owner_alone(state: Path) -> None:
    for path in (state / "passphrase", state / "authority" / "registry-ca.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "authority").stat().st_mode) == 0o700


def test_the_directory_is_a_clean_git_repository_that_runs_the_program_of_this_checkout(
    configuration: Configuration,
) -> None:
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


def test_a_refresh_changes_nothing_while_the_certificate_is_good(configuration: Configuration) -> None:
    before = {path: path.read_bytes() for path in configuration.directory.glob("Pulumi*")}
    configuration.refresh(HERE)
    assert {path: path.read_bytes() for path in configuration.directory.glob("Pulumi*")} == before


def _forget(configuration: Configuration, stack: str) -> bytes:
    """Make the directory one that never had a stack; gives what its file was."""
    path = configuration.directory / f"Pulumi.{stack}.yaml"
    content = path.read_bytes()
    path.unlink()
    shutil.rmtree(configuration.directory / ".git")
    run(["git", "-C", str(configuration.directory), "init", "--quiet", "--initial-branch=main"])
    configuration.commit("Begin")
    return content


@pytest.mark.parametrize("stack", ["monitoring", "stage"])
def test_an_older_directory_gets_a_stack_that_is_new_in_the_checkout_as_a_fresh_one_would(
    configuration: Configuration, stack: str
) -> None:
    wanted = _forget(configuration, stack)
    configuration.refresh(HERE)
    present = (configuration.directory / f"Pulumi.{stack}.yaml").read_bytes()
    assert _without_token(present) == _without_token(wanted)
    assert run(["git", "-C", str(configuration.directory), "status", "--porcelain"]) == ""


def _without_token(content: bytes) -> bytes:
    """A file without the secrets that Alertmanager calls the receiver by, which are made anew with it."""
    return re.sub(rb"(url|token):\n +secure: .*", rb"\1", content)


def _rollback(configuration: Configuration) -> dict[str, Any]:
    """What Alertmanager calls for a rollback, as the file says it, opened."""
    named = configuration.stack("monitoring").get(["alertmanager", "rollback"])
    crypter = configuration.crypter()
    return {key: crypter.decrypt(value["secure"]) if key != "metrics" else value for key, value in named.items()}


def test_alerts_go_to_the_receiver_beside_the_platform_with_its_token(configuration: Configuration) -> None:
    token_file = Receiver().token_file
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert _rollback(configuration) == {"url": URL, "metrics": ADDRESS, "token": token_file.read_text()}
    assert token_file.read_text() not in "".join(file.read_text() for file in configuration.directory.glob("*.yaml"))


def test_a_token_that_was_lost_is_made_anew(configuration: Configuration) -> None:
    Receiver().token_file.unlink()
    configuration.refresh(HERE)
    assert _rollback(configuration)["token"] == Receiver().token_file.read_text()


def test_an_older_directory_gets_the_receiver_and_keeps_one_that_somebody_named(configuration: Configuration) -> None:
    file = configuration.stack("monitoring")
    file.delete(["alertmanager", "rollback"])
    file.save()
    configuration.refresh(HERE)
    assert _rollback(configuration)["url"] == URL

    own = {"url": {"secure": configuration.crypter().encrypt("https://deploy.example.com/alerts")}}
    file = configuration.stack("monitoring")
    file.set(["alertmanager", "rollback"], own)
    file.save()
    configuration.refresh(HERE)
    assert configuration.stack("monitoring").get(["alertmanager", "rollback"]) == own


def test_a_stack_that_somebody_took_away_does_not_come_back(configuration: Configuration) -> None:
    (configuration.directory / "Pulumi.monitoring.yaml").unlink()
    configuration.commit("No monitoring here")
    configuration.refresh(HERE)
    assert "monitoring" not in configuration.stacks()


def test_an_older_directory_gets_the_images_and_the_monitorings_keys_of_the_checkout(
    configuration: Configuration,
) -> None:
    shared, monitoring, prod = (configuration.stack(name) for name in ("shared", "monitoring", "prod"))
    shared.set(["platformImages", "kubectl"], "registry.example/kubectl:1.36")
    shared.save()
    monitoring.delete(["alertmanager"])
    monitoring.set(["prometheus", "scrapeSeconds"], 7)
    monitoring.save()
    prod.delete(["gates"])
    prod.save()
    newer = {"registry": "slipway.local/registry:2", "kubectl": "slipway.local/kubectl:2"}
    configuration.refresh(replace(HERE, images=IMAGES | {"shared": newer}))
    chosen = {"registry": "slipway.local/registry:2", "kubectl": "registry.example/kubectl:1.36"}
    assert configuration.stack("shared").get(["platformImages"]) == chosen
    assert configuration.stack("monitoring").get(["alertmanager", "replicas"]) == 1
    assert configuration.stack("monitoring").get(["prometheus", "scrapeSeconds"]) == 7
    assert configuration.stack("prod").get(["gates"]) is None


def test_a_refresh_for_a_cluster_made_anew_begins_anew(configuration: Configuration) -> None:
    digest = "sha256:" + "1" * 64
    hold = {"digest": digest, "reason": "loses orders", "author": "maria"}
    file = configuration.stack("prod")
    file.set(["images", "hello"], f"hello:sha-1@{digest}")
    file.set(["holds"], [hold])
    file.save()
    configuration.refresh(HERE)
    assert configuration.stack("prod").get(["images", "hello"]) == f"hello:sha-1@{digest}"

    configuration.refresh(replace(HERE, push="127.0.0.1:4321"))
    assert {configuration.stack(name).get(["registry", "push"]) for name in ("shared", "prod")} == {"127.0.0.1:4321"}
    assert configuration.stack("prod").get(["images"]) is None
    assert configuration.stack("prod").get(["holds"]) == [hold]
    assert run(["git", "-C", str(configuration.directory), "status", "--porcelain"]) == ""


def test_what_was_edited_by_hand_is_committed_as_that_and_not_as_what_a_refresh_did(
    configuration: Configuration,
) -> None:
    prod = configuration.stack("prod")
    prod.set(["services", "hello", "replicas"], 4)
    prod.save()
    configuration.refresh(HERE)
    log = run(["git", "-C", str(configuration.directory), "log", "--format=%s", "--", "Pulumi.prod.yaml"])
    assert log.splitlines()[0] == "Keep what was edited by hand"
    assert configuration.stack("prod").get(["services", "hello", "replicas"]) == 4


def test_a_refresh_leaves_a_registry_elsewhere_alone(configuration: Configuration) -> None:
    file = configuration.stack("prod")
    file.set(["registry", "push"], "registry.example.com")
    file.save()
    configuration.refresh(replace(HERE, push="127.0.0.1:4321"))
    assert configuration.stack("prod").get(["registry", "push"]) == "registry.example.com"


def test_a_refresh_renews_a_certificate_that_is_not_of_the_authority(state: Path, configuration: Configuration) -> None:
    before = configuration.stack("shared").get(["registry", "inCluster", "certificate"])
    for file in ("registry-ca.key", "registry-ca.crt"):
        (state / "authority" / file).unlink()
    configuration.refresh(HERE)
    after = configuration.stack("shared").get(["registry", "inCluster", "certificate"])
    assert after != before
    assert configuration.authority().vouches_for(after)
    assert (configuration.directory / module.REGISTRY_CA).read_text(encoding="ascii") == configuration.authority().pem
    assert run(["git", "-C", str(configuration.directory), "status", "--porcelain"]) == ""


def test_removing_it_leaves_nothing(state: Path, configuration: Configuration) -> None:
    configuration.remove()
    assert [path for path in state.rglob("*") if path.is_file()] == []


def test_the_port_of_the_committed_file_is_the_one_nodes_are_told() -> None:
    from local import platform

    committed = StackFile.load(REPOSITORY / "Pulumi.shared.yaml")
    assert committed.get(["registry", "inCluster", "nodePort"]) == platform._READ_PORT
    assert committed.get(["registry", "pull"]) == platform._REGISTRY_HOST


def test_it_knows_no_stack_that_is_not_committed(configuration: Configuration) -> None:
    names = {path.name[len("Pulumi.") : -len(".yaml")] for path in REPOSITORY.glob("Pulumi.*.yaml")}
    assert set(configuration.stacks()) == names
    assert module.REGISTRY_CA in {path.name for path in Configuration().directory.iterdir()}


def test_every_environment_trusts_the_signers_of_this_machine_and_nothing_else_does(
    state: Path, configuration: Configuration
) -> None:
    for stack in configuration.stacks():
        settings = read_file(configuration.stack(stack), complete=False)
        roles = {name: signer.roles for name, signer in getattr(settings, "signers", {}).items()}
        assert roles == (SIGNERS if settings.kind == "environment" else {})
    for name, path in configuration.signers.files.items():
        assert path == state / "signers" / f"{name}.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text() not in "".join(file.read_text() for file in configuration.directory.glob("*.yaml"))
    assert stat.S_IMODE((state / "signers").stat().st_mode) == 0o700


def test_an_older_directory_gets_signers_once_and_keeps_what_it_says_of_them(configuration: Configuration) -> None:
    configuration.signers.remove()
    file = configuration.stack("prod")
    file.set(["signers"], {"alice": {"roles": ["approver"], "key": configuration.signers.entries()["approver"]["key"]}})
    file.save()
    test = configuration.stack("test")
    test.delete(["signers"])
    test.save()
    configuration.refresh(HERE)
    assert set(configuration.stack("test").get(["signers"])) == set(SIGNERS)
    assert set(configuration.stack("prod").get(["signers"])) == {"alice", "ci", "verifier"}
    read_file(configuration.stack("prod"), complete=False)
    commits = run(["git", "-C", str(configuration.directory), "rev-list", "--count", "HEAD"])
    configuration.refresh(HERE)
    assert run(["git", "-C", str(configuration.directory), "rev-list", "--count", "HEAD"]) == commits


def test_no_key_is_left_when_it_is_removed(state: Path, configuration: Configuration) -> None:
    configuration.remove()
    assert not configuration.signers.files
    assert not (state / "signers").exists()


def test_rules_that_a_stack_names_beside_itself_come_along(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for path in REPOSITORY.glob("Pulumi*.yaml"):
        shutil.copy(path, checkout)
    (checkout / "alerts").mkdir()
    (checkout / "alerts" / "hello.yaml").write_text("groups: []\n")
    prod = StackFile.load(checkout / "Pulumi.prod.yaml")
    prod.set(["services", "hello", "rules"], ["alerts/hello.yaml"])
    prod.save()
    monkeypatch.setattr(module, "REPOSITORY", checkout)
    _generated()
    assert (state / "config" / "alerts" / "hello.yaml").read_text() == "groups: []\n"
