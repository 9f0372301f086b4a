"""Workflows that sign by who they are: the library signs with a Sigstore on loopback, and judges what came of it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import BadInput, Refused, Unreachable
from adapters.registry import RegistryClient
from components.delivery_model import Identity, SignerSettings
from components.reading import read_mapping
from components.settings import EnvironmentSettings
from delivery.releases import identity
from delivery.releases.artifact import REPOSITORY, Release
from delivery.releases.gates import judge
from delivery.releases.identity import IdentitySigner
from delivery.releases.proof import PREDICATE_TYPE, Kind, statement
from delivery.releases.signing import Opened, Trust
from delivery.releases.store import ReleaseStore
from tests.integration.releases.building import Bench, Sources
from tests.tools.sigstore import GITHUB, WORKFLOW, Sigstore, serving, token

SUBJECT = "sha256:" + "0" * 64
STATEMENT = statement("hello", SUBJECT, Kind.SCAN, {"at": "2026-11-25T12:00:00Z"})
ANOTHER = "https://github.com/example/other/.github/workflows/ci.yml@refs/heads/main"


@pytest.fixture(scope="module")
def sigstore() -> Iterator[Sigstore]:
    with serving() as ours:
        yield ours


@pytest.fixture(scope="module")
def trust_config(sigstore: Sigstore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sigstore.write(tmp_path_factory.mktemp("sigstore") / "trust.json")


@pytest.fixture
def trust(trust_config: Path) -> Trust:
    """The workflow is a builder, and a person with an e-mail address approves."""
    return Trust(
        {
            "ci": SignerSettings(roles=("builder",), identity=Identity(issuer=GITHUB, subject=WORKFLOW)),
            "alice": SignerSettings(
                roles=("approver",), identity=Identity(issuer="https://example.com", subject="alice@example.com")
            ),
        },
        trust_config,
    )


def signer(trust: Trust, subject: str = WORKFLOW, issuer: str = GITHUB, role: str = "builder") -> IdentitySigner:
    known_by = Identity(issuer=issuer, subject=subject)
    return IdentitySigner("ci", role, known_by, lambda: token(subject, issuer), trust.sigstore)


def test_a_workflow_signs_and_counts(trust: Trust) -> None:
    opened = trust.open(signer(trust).sign(STATEMENT))
    assert opened == Opened(STATEMENT, "ci", ("builder",), None)


def test_a_person_signs_and_counts(trust: Trust) -> None:
    opened = trust.open(signer(trust, "alice@example.com", "https://example.com").sign(STATEMENT))
    assert (opened.signed_by, opened.roles, opened.fault) == ("alice", ("approver",), None)


def test_several_pieces_are_signed_by_one_certificate(trust: Trust) -> None:
    builder = signer(trust)
    certificates = {_material(builder.sign(STATEMENT))["certificate"]["rawBytes"] for _ in range(3)}
    assert len(certificates) == 1


def test_a_certificate_that_has_run_out_is_replaced(sigstore: Sigstore, trust: Trust) -> None:
    sigstore.run_out = 1
    assert trust.open(signer(trust).sign(STATEMENT)).fault is None


@pytest.mark.parametrize(
    ("subject", "issuer"),
    [(ANOTHER, GITHUB), ("ci@example.com", "https://example.com"), ("alice@example.com", "https://e.org")],
)
def test_who_is_unknown_is_named_and_does_not_count(trust: Trust, subject: str, issuer: str) -> None:
    opened = trust.open(signer(trust, subject, issuer).sign(STATEMENT))
    assert opened.signed_by is None
    assert opened.fault == f"it is signed by an identity that is unknown here: {subject!r}, issuer {issuer!r}"


def test_where_only_keys_are_trusted_no_identity_counts(trust: Trust) -> None:
    assert Trust({}).open(signer(trust).sign(STATEMENT)).fault == "it is signed by an identity, and none is known here"


def test_another_sigstores_certificate_does_not_count(trust: Trust, tmp_path: Path) -> None:
    with serving() as theirs:
        them = Trust({"ci": _CI}, theirs.write(tmp_path / "theirs.json"))
        forged = signer(them).sign(STATEMENT)
    assert them.open(forged).fault is None
    assert "certificate chain" in str(trust.open(forged).fault)


def _swap_payload(bundle: dict[str, Any], _: dict[str, Any]) -> None:
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"hello", b"other")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()


def _strip_signature(bundle: dict[str, Any], _: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["signatures"] = []


def _sign_twice(bundle: dict[str, Any], other: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["signatures"] += other["dsseEnvelope"]["signatures"]


def _leave_the_log(bundle: dict[str, Any], _: dict[str, Any]) -> None:
    bundle["verificationMaterial"]["tlogEntries"] = []


def _take_anothers_entry(bundle: dict[str, Any], other: dict[str, Any]) -> None:
    bundle["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]


def _take_anothers_envelope(bundle: dict[str, Any], other: dict[str, Any]) -> None:
    bundle["dsseEnvelope"] = other["dsseEnvelope"]


def _date_it_back(bundle: dict[str, Any], _: dict[str, Any]) -> None:
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    entry["integratedTime"] = str(int(entry["integratedTime"]) - 1)


def _break_the_proof(bundle: dict[str, Any], _: dict[str, Any]) -> None:
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    entry["inclusionProof"]["rootHash"] = base64.b64encode(bytes(32)).decode()


def _spoil_the_certificate(bundle: dict[str, Any], _: dict[str, Any]) -> None:
    bundle["verificationMaterial"]["certificate"]["rawBytes"] = "AAAA"


def _send_nonsense(bundle: dict[str, Any], _: dict[str, Any]) -> None:
    bundle["verificationMaterial"]["tlogEntries"] = "nonsense"


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (_swap_payload, "invalid signature"),
        (_strip_signature, "not signed"),
        (_sign_twice, "exactly one signature"),
        (_leave_the_log, "exactly one log entry"),
        (_take_anothers_entry, "do not match|does not match"),
        (_take_anothers_envelope, "do not match|does not match"),
        (_date_it_back, "inclusion promise"),
        (_break_the_proof, "inclusion proof"),
        (_spoil_the_certificate, "names nobody"),
        (_send_nonsense, "failed to load bundle"),
    ],
)
def test_what_was_tampered_with_does_not_count(
    trust: Trust, forge: Callable[[dict[str, Any], dict[str, Any]], None], said: str
) -> None:
    builder = signer(trust)
    bundle = json.loads(builder.sign(STATEMENT))
    other = json.loads(builder.sign(statement("other", SUBJECT, Kind.SCAN, {"at": "2026-11-25T12:00:00Z"})))
    forge(bundle, other)
    opened = trust.open(json.dumps(bundle).encode())
    assert opened.signed_by is None
    assert any(part in str(opened.fault) for part in said.split("|")), opened.fault


def test_what_was_logged_after_its_certificate_had_run_out_does_not_count(sigstore: Sigstore, trust: Trust) -> None:
    sigstore.late_s = 3600
    try:
        late = signer(trust).sign(STATEMENT)
    finally:
        sigstore.late_s = 0
    assert trust.open(late).fault is not None
    assert trust.open(signer(trust).sign(STATEMENT)).fault is None


def test_a_role_that_the_identity_does_not_have_does_not_count(
    registry: RegistryClient, release: Release, trust: Trust
) -> None:
    store = ReleaseStore(registry, trust)
    by_ci = store.attach(REPOSITORY, release.digest, Kind.SIGN_OFF, {"stack": "prod"}, signer(trust))
    assert by_ci.fault == "ci signed it, who counts as builder, and not as approver"
    assert store.attach(REPOSITORY, release.digest, Kind.BOOTSTRAP, {}, signer(trust)).counts


@pytest.mark.parametrize(("workflow", "is_open"), [(WORKFLOW, True), (ANOTHER, False)])
def test_a_build_by_a_workflow_enters_where_that_workflow_is_a_builder(
    registry: RegistryClient, trust: Trust, trust_config: Path, tmp_path: Path, workflow: str, *, is_open: bool
) -> None:
    theirs = Trust(
        {"ci": SignerSettings(roles=("builder",), identity=Identity(issuer=GITHUB, subject=workflow))}, trust_config
    )
    bench = Bench(Sources(tmp_path / "shop", "api"), ReleaseStore(registry, theirs), registry, signer(theirs, workflow))
    release = bench.build().release
    config = {
        "kind": "environment",
        "cluster": {"context": "ours", "identifier": "ours"},
        "registry": {"push": "127.0.0.1:1", "pull": "registry.example.com"},
        "gates": ["built", "scanned"],
    }
    settings = read_mapping(config, stack="test", complete=False)
    assert isinstance(settings, EnvironmentSettings)
    proof = ReleaseStore(registry, trust).proof_of(release)
    verdicts = judge(settings, release, proof, lambda _: "", lambda _: [], datetime.now(UTC))
    assert [verdict.open for verdict in verdicts] == [is_open, is_open], verdicts


def test_nothing_is_built_for_a_workflow_that_is_no_builder(
    registry: RegistryClient, trust: Trust, tmp_path: Path
) -> None:
    sources = Sources(tmp_path / "shop", "api")
    with pytest.raises(Refused, match="the identity that ci signs with is unknown, so no proof"):
        Bench(sources, ReleaseStore(registry, trust), registry, signer(trust, ANOTHER)).build()


def test_cosign_believes_it_without_asking_anybody(  # noqa: PLR0917 - fixtures, by name
    cosign: Path,
    sigstore: Sigstore,
    registry: RegistryClient,
    release: Release,
    trust: Trust,
    tmp_path: Path,
) -> None:
    piece = ReleaseStore(registry, trust).attach(REPOSITORY, release.digest, Kind.BOOTSTRAP, {}, signer(trust))
    manifest = json.loads(registry.manifest(REPOSITORY, piece.tag) or b"")
    (tmp_path / "manifest.json").write_bytes(registry.manifest(REPOSITORY, release.digest) or b"")
    (tmp_path / "bundle.json").write_bytes(registry.blob(REPOSITORY, manifest["layers"][0]["digest"]))
    (tmp_path / "root.json").write_text(json.dumps(sigstore.trust_config()["trustedRoot"]))

    def verify(workflow: str) -> subprocess.CompletedProcess[str]:
        argv = [cosign, "verify-blob-attestation", "--bundle=bundle.json", "--trusted-root=root.json"]
        argv += [f"--certificate-identity={workflow}", f"--certificate-oidc-issuer={GITHUB}"]
        argv += [f"--type={PREDICATE_TYPE[Kind.BOOTSTRAP]}", "manifest.json"]
        env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "HTTPS_PROXY": "http://127.0.0.1:1"}
        return subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    done = verify(WORKFLOW)
    assert done.returncode == 0, done.stderr
    assert verify(ANOTHER).returncode != 0


def test_a_sigstore_that_is_away_or_refuses_is_told_of(sigstore: Sigstore, trust: Trust, tmp_path: Path) -> None:
    sigstore.answers = False
    try:
        with pytest.raises(Refused, match=r"503.*closed for today"):
            signer(trust).sign(STATEMENT)
    finally:
        sigstore.answers = True
    with serving() as gone:
        away = Trust({"ci": _CI}, gone.write(tmp_path / "gone.json"))
    with pytest.raises(Unreachable, match="Sigstore cannot be reached"):
        signer(away).sign(STATEMENT)


@pytest.mark.parametrize("given", [token(lives_s=-60), "no token", ""])
def test_a_token_that_is_none_or_has_run_out_is_told_of_and_not_shown(trust: Trust, given: str) -> None:
    broken = IdentitySigner("ci", "builder", Identity(issuer=GITHUB, subject=WORKFLOW), lambda: given, trust.sigstore)
    with pytest.raises(Refused, match=r"ci could not sign with Sigstore: .*oken") as told:
        broken.sign(STATEMENT)
    assert not given or given not in str(told.value)


@pytest.mark.parametrize("content", [None, "no JSON", "{}"])
def test_a_trust_config_that_is_none_is_told_of(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "trust.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadInput, match=r"slipway:sigstore.trustConfig, .*trust.json: the Sigstore that"):
        identity.Sigstore(path).config()


def _material(bundle: bytes) -> Any:
    return json.loads(bundle)["verificationMaterial"]


_CI = SignerSettings(roles=("builder",), identity=Identity(issuer=GITHUB, subject=WORKFLOW))
