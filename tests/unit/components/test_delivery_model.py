"""What a stack file says of releases: signers, gates, freezes, scans, what a service runs before it is updated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from adapters.errors import BadInput, Refused
from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile
from components.model import Service
from components.reading import read_file
from components.settings import EnvironmentSettings

from .conftest import Declare, environment
from .test_settings import read


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    public = key.public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.PEM, spki).decode()


WORKFLOW = {"issuer": "https://token.example.com", "subject": "https://example.com/ci.yml@refs/heads/main"}
KEY, OTHER_KEY = (pem(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
FREEZE = {"until": "2026-12-24T00:00:00Z", "reason": "holidays", "author": "ann"}


def prod(**values: Any) -> EnvironmentSettings:
    settings = read(environment() | values)
    assert isinstance(settings, EnvironmentSettings)
    return settings


def committed(stack: str) -> EnvironmentSettings:
    settings = read_file(StackFile.load(REPOSITORY / f"Pulumi.{stack}.yaml"), complete=False)
    assert isinstance(settings, EnvironmentSettings)
    return settings


def test_the_committed_gates_are_those_the_design_names() -> None:
    assert [str(gate) for gate in committed("test").gates] == ["built"]
    stage = ["built", "scanned", "verified (regression in test)"]
    assert [str(gate) for gate in committed("stage").gates] == stage
    assert [str(gate) for gate in committed("prod").gates] == [
        *stage,
        "verified (smoke in stage)",
        "soaked (10 min in stage)",
        "signedOff",
        "close to stage",
    ]


def test_only_test_takes_what_is_in_no_commit() -> None:
    accepts = {stack: [g.built.accept_dirty for g in committed(stack).gates if g.built] for stack in ("test", "prod")}
    assert accepts == {"test": [True], "prod": [False]}


@pytest.mark.parametrize("entry", ["built", {"built": {}}, {"built": None}])
def test_a_gate_that_needs_nothing_more_is_its_name(entry: Any) -> None:
    (gate,) = prod(gates=[entry]).gates
    assert gate.name == "built"
    assert gate.built is not None
    assert gate.needs is None


@pytest.mark.parametrize(
    ("values", "where", "said"),
    [
        ({"gates": ["bult"]}, "slipway:gates[0].bult", "there is no gate 'bult' (did you mean 'built'?)"),
        ({"gates": ["x"]}, "gates[0].x", "Allowed: built, close, scanned, signedOff, soaked, verified"),
        ({"gates": ["built", {"veryfied": {}}]}, "slipway:gates[1].veryfied", "did you mean 'verified'"),
        ({"gates": [{"verified": {"stack": "test"}}]}, "slipway:gates[0].verified.suite", "the key is missing"),
        ({"gates": ["verified"]}, "slipway:gates[0].verified.", "the key is missing"),
        ({"gates": [{"verified": {"stak": "test"}}]}, "gates[0].verified.stak", "Allowed: stack, suite"),
        ({"gates": [{"built": {}, "scanned": {}}]}, "slipway:gates[0]", "an entry is one gate: built or scanned or"),
        ({"gates": [{}]}, "slipway:gates[0]", "an entry is one gate"),
        ({"gates": [3]}, "slipway:gates[0]", "3"),
        ({"gates": [{"soaked": {"stack": "a", "minutes": 0}}]}, "soaked.minutes", "greater than or equal to 1"),
        ({"gates": "built"}, "slipway:gates", "'built' is not a list"),
        ({"signers": {"ci": {"roles": ["boss"], "key": KEY}}}, "slipway:signers.ci.roles[0]", "'approver'"),
        ({"signers": {"ci": {"roles": [], "key": KEY}}}, "slipway:signers.ci.roles", "at least 1"),
        ({"signers": {"ci": {"roles": ["builder"]}}}, "slipway:signers.ci", "known by `key` or by `identity`"),
        (
            {"signers": {"ci": {"roles": ["builder"], "key": KEY, "identity": WORKFLOW}}},
            "slipway:signers.ci",
            "known by `key` or by `identity`",
        ),
        (
            {"signers": {"ci": {"roles": ["builder"], "identity": {"issuer": "github", "subject": "me"}}}},
            "slipway:signers.ci.identity.issuer",
            "'github' does not have the form",
        ),
        (
            {"signers": {"ci": {"roles": ["builder"], "identity": {"issuer": "https://example.com"}}}},
            "slipway:signers.ci.identity.subject",
            "the key is missing",
        ),
        (
            {
                "signers": {
                    "ci": {"roles": ["builder"], "identity": WORKFLOW},
                    "ann": {"roles": ["approver"], "identity": WORKFLOW},
                }
            },
            "slipway:signers",
            "ci and ann have the same identity",
        ),
        ({"signers": {"c i": {"roles": ["builder"], "key": KEY}}}, "slipway:signers.c i", "form"),
        ({"signers": {"ci": {"roles": ["builder"], "key": "x"}}}, "signers.ci.key", "no public key in PEM form"),
        (
            {"signers": {"ci": {"roles": ["builder"], "key": pem(ed25519.Ed25519PrivateKey.generate())}}},
            "signers.ci.key",
            "ECDSA, P-256",
        ),
        (
            {"signers": {"ci": {"roles": ["builder"], "key": pem(ec.generate_private_key(ec.SECP384R1()))}}},
            "signers.ci.key",
            "ECDSA, P-256",
        ),
        (
            {
                "signers": {
                    "ci": {"roles": ["builder"], "key": KEY},
                    "ann": {"roles": ["approver"], "key": f"{KEY}\n"},
                }
            },
            "slipway:signers",
            "ci and ann have the same key",
        ),
        ({"freeze": FREEZE | {"until": "2026-12-24"}}, "slipway:freeze.until", "is not a time with its zone"),
        ({"freeze": FREEZE | {"until": "soon"}}, "slipway:freeze.until", "'soon' is not a time with its zone"),
        ({"freeze": {"until": FREEZE["until"]}}, "slipway:freeze.reason", "the key is missing"),
        ({"scan": {"failOn": "medum"}}, "slipway:scan.failOn", "'medium'"),
        (
            {"scan": {"exceptions": [{"id": "CVE-1", "until": "June", "reason": "r", "author": "a"}]}},
            "slipway:scan.exceptions[0].until",
            "'June' is not a date",
        ),
        ({"mayDiffer": ["replcias"]}, "slipway:mayDiffer[0]", "instead of 'replcias' there may be autoscaling, "),
        ({"mayDiffer": ["ingress.hots"]}, "slipway:mayDiffer[0]", "annotations, className, host, path"),
        ({"mayDiffer": ["replicas.x"]}, "slipway:mayDiffer[0]", "there may be nothing"),
        ({"mayDiffer": ["environment.quotas"]}, "slipway:mayDiffer[0]", "limits, mayNameTags, protect, quota"),
    ],
)  # fmt: skip
def test_bad_input_names_the_key_and_what_there_may_be(values: dict[str, Any], where: str, said: str) -> None:
    with pytest.raises(BadInput) as raised:
        prod(**values)
    text = str(raised.value)
    assert where in text
    assert said in text
    assert "\n" not in text


def test_any_variable_and_any_file_may_differ() -> None:
    paths = ["env.LOG_LEVEL", "config.settings", "probes.startup", "environment.quota.cpu"]
    assert prod(mayDiffer=paths).may_differ == tuple(paths)


def write_stacks(directory: Path, **gates: list[Any]) -> None:
    for stack, entries in gates.items():
        text = (REPOSITORY / f"Pulumi.{stack}.yaml").read_text()
        file = StackFile(directory / f"Pulumi.{stack}.yaml", text.encode())
        file.path.write_text(text)
        file.set(["gates"], entries)
        file.save()


def test_a_gate_that_asks_about_a_stack_that_is_not_there_is_refused_with_file_and_line(tmp_path: Path) -> None:
    write_stacks(tmp_path, test=[], prod=["built", {"verified": {"stack": "stage", "suite": "smoke"}}])
    file = StackFile.load(tmp_path / "Pulumi.prod.yaml")
    line = file.line_of(["gates", 1, "verified"])
    with pytest.raises(
        BadInput, match=rf"^Pulumi\.prod\.yaml, line {line}, slipway:gates\[1\]\.verified: .*'stage'.*Allowed: test\."
    ):
        read_file(file, complete=False)
    write_stacks(tmp_path, stage=[])
    read_file(file, complete=False)


@pytest.mark.parametrize(
    "gate",
    [
        {"close": {"to": "prod"}},
        {"verified": {"stack": "prod", "suite": "smoke"}},
        {"soaked": {"stack": "prod", "minutes": 1}},
    ],
)
def test_a_gate_that_asks_about_its_own_stack_is_refused(tmp_path: Path, gate: dict[str, Any]) -> None:
    write_stacks(tmp_path, test=[], prod=[gate])
    with pytest.raises(BadInput, match="this very stack"):
        read_file(StackFile.load(tmp_path / "Pulumi.prod.yaml"), complete=False)


def test_a_signer_has_roles_and_a_key() -> None:
    signers = prod(
        signers={
            "ci": {"roles": ["builder", "verifier"], "key": KEY},
            "alice@example.com": {"roles": ["approver"], "key": OTHER_KEY},
        }
    ).signers
    assert {name: signer.roles for name, signer in signers.items()} == {
        "ci": ("builder", "verifier"),
        "alice@example.com": ("approver",),
    }


def test_a_freeze_ends_by_itself_and_names_reason_author_and_what_works_all_the_same() -> None:
    settings = prod(freeze=FREEZE)
    end = datetime(2026, 12, 24, tzinfo=UTC)
    with pytest.raises(Refused, match=r"prod is frozen until 2026-12-24 00:00 UTC: holidays \(ann\).*slipway rollback"):
        settings.check_freeze(end - timedelta(seconds=1))
    settings.check_freeze(end)
    prod().check_freeze(end)


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    freeze = prod(freeze=FREEZE | {"until": "2026-12-24T01:00:00+01:00"}).freeze
    assert freeze is not None
    assert freeze.until == datetime(2026, 12, 24, tzinfo=UTC)


def test_a_release_that_needs_a_migration_says_what_runs_and_whether_it_can_be_taken_back() -> None:
    shape = Service.model_validate({"preDeploy": {"command": ["migrate", "--all"], "reversible": False}})
    assert shape.pre_deploy is not None
    assert (shape.pre_deploy.command, shape.pre_deploy.deadline_seconds) == (("migrate", "--all"), 300)
    assert not shape.pre_deploy.reversible


@pytest.mark.parametrize("pre_deploy", [{"command": []}, {}, {"command": ["x"], "env": {"PORT": "1"}}])
def test_a_migration_without_a_command_or_with_the_platforms_variables_is_refused(pre_deploy: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"slipway:services\.hello"):
        read(environment(preDeploy=pre_deploy))


def test_the_program_declares_the_same_whatever_the_gates_and_freezes(declare: Declare) -> None:
    without = {key: value for key, value in environment().items() if key not in ("gates", "signers", "scan")}
    rules = {"signers": {"ci": {"roles": ["builder"], "key": KEY}}, "gates": ["built"], "freeze": FREEZE}
    plain, ruled = declare(without), declare(without | rules)
    assert [r.tree for r in ruled.objects] == [r.tree for r in plain.objects]
