"""Whose key signs: the platform's for each role, or the one that was named, never one whose word does not count."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pulumi.automation import PulumiCommand

from adapters.errors import BadInput, Refused
from components.delivery_model import Identity
from delivery.platform import TeamPlatform
from delivery.releases.people import signer_for, who
from delivery.releases.signing import public_pem
from delivery.workspace import Workspace
from tests.tools.sigstore import GITHUB, WORKFLOW, token

LOCAL = {"ci": ["builder"], "verifier": ["verifier"], "approver": ["approver"]}
PASSPHRASE = b"correct horse"


class Team:
    """A configuration directory whose environments trust some keys, and the files of those keys."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "Pulumi.yaml").write_text("name: slipway\nruntime: python\n")
        self.keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in (*LOCAL, "alice", "stranger")}
        self.trusts("test", LOCAL)
        self.trusts("prod", LOCAL)

    def trusts(self, stack: str, signers: Mapping[str, list[str]], keys: Mapping[str, str] | None = None) -> None:
        entries = {
            name: {"roles": roles, "key": public_pem(self.keys[(keys or {}).get(name, name)].public_key())}
            for name, roles in signers.items()
        }
        config: dict[str, Any] = {
            "slipway:kind": "environment",
            "slipway:cluster": {"context": "ours", "identifier": "ours"},
            "slipway:registry": {"push": "127.0.0.1:1", "pull": "registry.example.com"},
            "slipway:signers": entries,
        }
        shared = {key: config[key] for key in ("slipway:cluster", "slipway:registry")} | {"slipway:kind": "shared"}
        for name, values in {stack: config, "shared": shared}.items():
            (self._folder / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump({"config": values}))

    def file(self, name: str, passphrase: bytes | None = None) -> Path:
        encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        path = self._folder / f"{name}.key"
        path.write_bytes(
            self.keys[name].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        return path

    def workspace(self, environ: Mapping[str, str] | None = None, *, local: bool = False) -> Workspace:
        signers = {name: self.file(name) for name in LOCAL} if local else {}
        return Workspace(TeamPlatform(self._folder, signers=signers), _no_engine, environ or {})


def _no_engine(name: str) -> PulumiCommand:
    raise AssertionError(name)


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.mark.parametrize("name", LOCAL)
def test_the_local_platform_has_a_key_for_each_role(team: Team, name: str) -> None:
    (role,) = LOCAL[name]
    signer = signer_for(team.workspace(local=True), role)
    assert (signer.name, signer.role) == (name, role)
    assert signer.known_by == public_pem(team.keys[name].public_key())
    assert signer_for(team.workspace(local=True), role, name).name == name


def test_a_key_counts_by_the_name_and_for_the_roles_that_stack_files_give_it(team: Team) -> None:
    for stack in ("test", "prod"):
        team.trusts(stack, {"alice": ["approver", "verifier"]}, {"alice": "approver"})
    environ = {"SLIPWAY_SIGNING_KEY": str(team.file("approver"))}
    assert signer_for(team.workspace(environ), "verifier").name == "alice"
    with pytest.raises(BadInput, match=r"no key of approver is at hand\. Allowed: alice"):
        signer_for(team.workspace(environ), "approver", "approver")


def test_roles_of_all_environments_count_together(team: Team) -> None:
    team.trusts("test", {"ci": ["builder"]})
    team.trusts("prod", {"ci": ["verifier"]})
    workspace = team.workspace({"SLIPWAY_SIGNING_KEY": str(team.file("ci"))})
    assert [signer_for(workspace, role).role for role in ("builder", "verifier")] == ["builder", "verifier"]


def test_nobody_signs_as_what_they_are_not(team: Team) -> None:
    with pytest.raises(Refused, match=r"ci does not count as approver, so nothing was signed.*for ci: builder"):
        signer_for(team.workspace(local=True), "approver", "ci")
    named = team.workspace({"SLIPWAY_SIGNING_KEY": str(team.file("ci"))}, local=True)
    with pytest.raises(Refused, match="ci does not count as approver"):
        signer_for(named, "approver")


def test_who_acts_signs_where_their_key_counts_and_the_platforms_does_where_not(team: Team) -> None:
    team.trusts("prod", {**LOCAL, "ci": ["builder", "approver"]})
    workspace = team.workspace({"SLIPWAY_IDENTITY": "ci"}, local=True)
    assert signer_for(workspace, "approver").name == "ci"
    assert signer_for(workspace, "verifier").name == "verifier"
    with pytest.raises(BadInput, match=r"several keys could sign as approver\. Allowed: approver, ci.*--as"):
        signer_for(team.workspace(local=True), "approver")


def test_without_a_key_it_says_how_to_name_one(team: Team) -> None:
    with pytest.raises(BadInput, match=r"no key to sign with.*SLIPWAY_SIGNING_KEY.*SLIPWAY_SIGNING_PASSPHRASE_FILE"):
        signer_for(team.workspace(), "builder")


def test_a_key_that_nobody_knows_signs_nothing(team: Team) -> None:
    path = team.file("stranger")
    with pytest.raises(BadInput, match=rf"{path}: no environment knows this key.*slipway:signers"):
        signer_for(team.workspace({"SLIPWAY_SIGNING_KEY": str(path)}), "builder")


def test_a_key_with_two_names_signs_nothing(team: Team) -> None:
    team.trusts("prod", {"robot": ["builder"]}, {"robot": "ci"})
    with pytest.raises(BadInput, match="several names in `slipway:signers`: ci, robot"):
        signer_for(team.workspace({"SLIPWAY_SIGNING_KEY": str(team.file("ci"))}), "builder")


def test_a_passphrase_is_read_from_its_file(team: Team, tmp_path: Path) -> None:
    environ = {"SLIPWAY_SIGNING_KEY": str(team.file("ci", PASSPHRASE))}
    with pytest.raises(BadInput, match="is encrypted"):
        signer_for(team.workspace(environ), "builder")
    environ["SLIPWAY_SIGNING_PASSPHRASE_FILE"] = str(tmp_path / "passphrase")
    with pytest.raises(BadInput, match="the passphrase cannot be read"):
        signer_for(team.workspace(environ), "builder")
    (tmp_path / "passphrase").write_bytes(PASSPHRASE + b"\n")
    assert signer_for(team.workspace(environ), "builder").name == "ci"


def test_who_acts_is_who_says_so_or_the_user_of_the_machine(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "carol")
    assert who(team.workspace()) == "carol"
    assert who(team.workspace({"SLIPWAY_IDENTITY": "alice"})) == "alice"
    assert who(team.workspace({"SLIPWAY_IDENTITY": "alice"}), "bob") == "bob"


@pytest.fixture
def certified(tmp_path: Path) -> Team:
    """Where CI has no key, the stack files say whom its identity token is of."""
    team = Team(tmp_path)
    for stack in ("test", "prod"):
        path = tmp_path / f"Pulumi.{stack}.yaml"
        content = yaml.safe_load(path.read_text())
        identity = {"issuer": GITHUB, "subject": WORKFLOW}
        content["config"]["slipway:signers"] = {"ci": {"roles": ["builder"], "identity": identity}}
        path.write_text(yaml.safe_dump(content))
    return team


def _with_token(certified: Team, tmp_path: Path, given: str, **more: str) -> Workspace:
    (tmp_path / "token").write_text(given)
    return certified.workspace({"SLIPWAY_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), **more})


def test_the_token_says_who_signs(certified: Team, tmp_path: Path) -> None:
    workspace = _with_token(certified, tmp_path, token())
    signer = signer_for(workspace, "builder")
    assert (signer.name, signer.role, signer.known_by) == ("ci", "builder", Identity(issuer=GITHUB, subject=WORKFLOW))
    with pytest.raises(Refused, match="ci does not count as approver"):
        signer_for(workspace, "approver")


def test_a_stranger_is_told_what_to_write_into_the_stack_files(certified: Team, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as told:
        signer_for(_with_token(certified, tmp_path, token("dev@example.com", "https://example.com")), "builder")
    assert "'dev@example.com', issuer 'https://example.com'" in str(told.value)
    assert "slipway:signers" in str(told.value)


@pytest.mark.parametrize("given", ["", "a.b.c", "nothing at all", token()[:40]])
def test_what_is_no_token_is_not_shown(certified: Team, tmp_path: Path, given: str) -> None:
    with pytest.raises(BadInput, match="the identity token is none that names somebody") as told:
        signer_for(_with_token(certified, tmp_path, given), "builder")
    assert not given or given not in str(told.value)


def test_a_key_that_is_named_goes_first(certified: Team, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no environment knows this key"):
        signer_for(
            _with_token(certified, tmp_path, token(), SLIPWAY_SIGNING_KEY=str(certified.file("alice"))), "builder"
        )


def test_a_file_that_is_not_there_is_named(certified: Team, tmp_path: Path) -> None:
    workspace = certified.workspace({"SLIPWAY_IDENTITY_TOKEN_FILE": str(tmp_path / "none")})
    with pytest.raises(BadInput, match=r"SLIPWAY_IDENTITY_TOKEN_FILE=.*none: the identity token cannot be read"):
        signer_for(workspace, "builder")


def test_with_neither_both_ways_are_told(certified: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "BUILDKITE", "GITLAB_CI", "CIRCLECI"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadInput, match="no key to sign with, nor an identity"):
        signer_for(certified.workspace({}), "builder")
