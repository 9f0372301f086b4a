"""`slipway release` as a person runs it, with the real builder, scanners and registry.

What the scanners know of vulnerabilities is made up by these tests: see vulnerabilities.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.registry import RegistryClient
from components.delivery_model import SignerSettings
from delivery.cli import main
from delivery.factory import Seams
from delivery.releases.artifact import Release
from delivery.releases.build import BuiltRelease
from delivery.releases.proof import Kind
from delivery.releases.records import write_record
from delivery.releases.signing import KeySigner, Trust
from delivery.releases.store import ReleaseStore
from local import scan
from tests.done import Done
from tests.integration.releases.building import Bench, Sources
from tests.integration.releases.vulnerabilities import Vulnerability, environment, make_database, osv_service

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="images are built as root"),
    pytest.mark.skipif(shutil.which("go") is None, reason="the scanners are built with Go"),
    pytest.mark.timeout(900),  # the first time the scanners are built
]

ROLES = {"ci": "builder", "verifier": "verifier", "alice": "approver"}
HARMLESS = Vulnerability("CVE-2099-0001", "zlib", "low", ecosystem="deb")
BAD = Vulnerability("CVE-2099-0002", "zlib", "critical", "9:9", ecosystem="deb")


@dataclass
class Shop:
    """A team's repository and configuration directory."""

    sources: Sources
    config: Path
    environ: dict[str, str]
    capture: pytest.CaptureFixture[str]
    registry: RegistryClient
    store: ReleaseStore
    signers: dict[str, KeySigner]

    def run(self, *args: str) -> Done:
        self.capture.readouterr()
        code = main(["release", *args], Seams(environ=self.environ))
        out, err = self.capture.readouterr()
        assert "Traceback" not in out + err
        return Done(code, out, err)

    def build(self, *args: str) -> Done:
        return self.run("build", "--source", str(self.sources.directory), "--with", "buildah", *args)

    def quick(self) -> BuiltRelease:
        """A release like those of `build`, by a builder and scanners that take no time."""
        return Bench(self.sources, self.store, self.registry, self.signers["ci"]).build()

    def edit(self, stack: str, **values: Any) -> None:
        path = self.config / f"Pulumi.{stack}.yaml"
        document = yaml.safe_load(path.read_text())
        document["config"].update({f"slipway:{key}": value for key, value in values.items()})
        path.write_text(yaml.safe_dump(document))


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("databases")
    known: dict[str, Sequence[Vulnerability]] = {"harmless": [HARMLESS], "bad": [HARMLESS, BAD]}
    made = {name: make_database(folder / name, scan.grype(), found) for name, found in known.items()}
    return made | {"none": folder / "none"}


@pytest.fixture
def osv(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[str]]]:
    """What the service knows that pip-audit asks; nothing at first."""
    known: dict[str, list[str]] = {}
    with osv_service(known) as asked:
        for name, value in asked.items():
            monkeypatch.setenv(name, value)
        yield known


@pytest.fixture
def shop(  # noqa: PLR0917 - fixtures
    tmp_path: Path,
    project: str,
    registry: RegistryClient,
    databases: dict[str, Path],
    osv: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shop:
    look_into(monkeypatch, databases["harmless"])
    sources = Sources(tmp_path / "shop", "api")
    (sources.directory / "services" / "api" / "requirements.txt").write_text("h11==0.16.0\n")
    sources.commit()
    signers = {name: make_key(tmp_path / name, name) for name in ROLES}
    trusted = {name: {"roles": [role], "key": signers[name].known_by} for name, role in ROLES.items()}
    config = tmp_path / "config"
    config.mkdir()
    (config / "Pulumi.yaml").write_text("name: slipway\nruntime: python\n")
    common = {
        "slipway:cluster": {"context": "ours", "identifier": "ours"},
        "slipway:registry": {"push": project, "pull": "registry.example.com"},
    }
    settings = common | {"slipway:kind": "environment", "slipway:signers": trusted, "slipway:services": {"api": {}}}
    for stack, values in {"shared": common | {"slipway:kind": "shared"}, "test": settings, "prod": settings}.items():
        (config / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": values}))
    environ = {"SLIPWAY_CONFIG_DIR": str(config), "SLIPWAY_SIGNING_KEY": str(tmp_path / "ci")}
    trust = Trust({name: SignerSettings(roles=(role,), key=signers[name].known_by) for name, role in ROLES.items()})
    return Shop(sources, config, environ, capsys, registry, ReleaseStore(registry, trust), signers)


def test_build_version_list_show_and_pull(shop: Shop, registry: RegistryClient, tmp_path: Path) -> None:
    done = shop.build("--json")
    assert done.code == 0, done.err
    tag, digest = done.json["tag"], done.json["services"]["api"]["digest"]
    assert tag == f"sha-{shop.sources.head[:12]}"
    assert done.json["services"]["api"]["findings"][0]["id"] == "CVE-2099-0001"

    pieces = {piece.kind: piece for piece in shop.store.proof("api", digest)}
    packages = {package["name"] for package in pieces[Kind.SBOM].predicate["packages"]}
    assert {"zlib1g", "python3-minimal"} <= packages
    assert pieces[Kind.SCAN].predicate["scanner"].keys() == {"syft", "grype", "pip-audit"}
    assert pieces[Kind.SCAN].predicate["database"]["sources"] == ["slipway-tests"]

    done = shop.run("tag", "v1.0.0", tag)
    assert (done.code, "v1.0.0 is sha256:" in done.out) == (0, True), done.err
    assert {registry.digest_of("api", name) for name in (tag, "v1.0.0", "latest")} == {digest}

    (listed,) = shop.run("list", "--json").json["releases"]
    assert (listed["tags"], listed["proof"]) == (["v1.0.0", tag, "latest"], ["built", "scanned"])
    assert "built, scanned" in shop.run("list").out

    shown = shop.run("show", "v1.0.0")
    assert shown.code == 0
    for words in (f"└─ api  {digest}", "✓ provenance", "✓ sbom", "ci  pass at high: 1 known, 0 accepted"):
        assert words in shown.out, shown.out

    done = shop.run("pull", "v1.0.0", "--out", str(tmp_path / "pulled"), "--json")
    (image,) = done.json["images"]
    with tarfile.open(image["archive"]) as tar:
        index = tar.extractfile("index.json")
        assert index is not None
        (described,) = json.loads(index.read())["manifests"]
    assert (described["digest"], image["name"]) == (digest, "api:v1.0.0")
    assert shop.build("--json").json["new"] is False


def test_show_says_what_does_not_count_and_why(shop: Shop) -> None:
    digest = shop.quick().release.digest
    passed = {"stack": "test", "suite": "regression", "result": "pass", "configuration": "0" * 12, "by": "verifier"}
    shop.store.attach("releases", digest, Kind.VERIFICATION, passed, shop.signers["verifier"])
    shop.store.attach("releases", digest, Kind.SIGN_OFF, {"stack": "prod", "by": "ci"}, shop.signers["ci"])
    assert "✓ verification" in shop.run("show", digest[:19]).out
    failed = passed | {"result": "fail", "note": "orders are lost"}
    shop.store.attach("releases", digest, Kind.VERIFICATION, failed, shop.signers["verifier"])
    shown = shop.run("show", digest[:19]).out
    assert "taken back by a later run" in shown
    assert re.search("✗ verification .* fail, .* orders are lost", shown)
    assert "✗ sign-off      does not count: ci " in shown
    told = {entry["kind"]: entry for entry in shop.run("show", digest, "--json").json["proof"]}
    assert not told["sign-off"]["counts"]
    assert "verified test regression ✗" in shop.run("list").out


def test_a_bad_package_of_the_base_fails_the_build_until_it_is_accepted(
    shop: Shop, databases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_into(monkeypatch, databases["bad"])
    done = shop.build()
    assert done.code == 4
    assert "CVE-2099-0002 (critical) in zlib1g" in done.err
    assert shop.run("list", "--json").json == {"releases": []}
    today = datetime.now(UTC).date().isoformat()
    accepted = {"id": "CVE-2099-0002", "until": today, "reason": "we unpack nothing", "author": "alice"}
    shop.edit("prod", scan={"failOn": "high", "exceptions": [accepted]})
    done = shop.build()
    assert done.code == 0, done.err
    assert f"accepted until {today}, we unpack nothing" in done.out


def test_a_bad_package_that_a_service_requires_fails_the_build(shop: Shop, osv: dict[str, list[str]]) -> None:
    osv["h11"] = ["PYSEC-2099-1"]
    done = shop.build()
    assert done.code == 4
    assert "PYSEC-2099-1 (unknown) in h11 0.16.0" in done.err


def test_a_dockerfile_that_does_not_build_is_named_as_the_repository_has_it(shop: Shop) -> None:
    (shop.sources.directory / "services" / "api" / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY none /none\n")
    shop.sources.commit()
    done = shop.build()
    assert done.code == 3
    assert "services/api/Dockerfile: the image of api does not build" in done.err
    assert "slipway-source" not in done.err.partition("does not build")[0]


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ("grype", "grype could not look for vulnerabilities: failed to load vulnerability db: database does not exist"),
        ("pip-audit", "pip-audit could not look for vulnerabilities"),
    ],
)
def test_without_data_the_build_fails_closed_or_says_so_in_the_proof(
    shop: Shop, databases: dict[str, Path], monkeypatch: pytest.MonkeyPatch, lacking: str, words: str
) -> None:
    if lacking == "grype":
        look_into(monkeypatch, databases["none"])
    else:
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", "http://127.0.0.1:9/")
    done = shop.build()
    assert done.code == 5
    assert words in done.err
    assert shop.run("list", "--json").json == {"releases": []}
    done = shop.build("--allow-unscanned", "--json")
    assert (done.code, done.json["services"]["api"]["scan"]) == (0, "unscanned"), done.err
    assert "unscanned: " in shop.run("show", done.json["tag"]).out


def test_prune_keeps_the_newest_and_what_an_environment_runs_or_may_go_back_to(
    shop: Shop, registry: RegistryClient
) -> None:
    releases: list[BuiltRelease] = []
    for number in range(6):
        shop.sources.write("api", f"content {number}")
        shop.sources.commit()
        releases.append(shop.quick())
    # prod runs the fourth and ran the second and the first before; the second is on hold
    deployed(shop, releases[0], None)
    deployed(shop, releases[1], releases[0])
    deployed(shop, releases[3], releases[1])
    held = {"digest": releases[1].release.services["api"], "reason": "lost orders", "author": "alice"}
    shop.edit("prod", holds=[held], images=releases[3].release.images(releases[3].tag))
    shop.edit("test", images=releases[5].release.images(releases[5].tag))

    told = shop.run("prune", "--keep", "1", "--dry-run")
    assert told.code == 0, told.err
    assert f"would go  {releases[2].tag}" in told.out
    assert len(shop.run("list", "--json").json["releases"]) == 6
    assert shop.run("prune", "--keep", "1").code == 4, "nobody said yes"

    done = shop.run("prune", "--keep", "1", "--yes", "--json")
    assert done.code == 0, done.err
    kept = {entry["digest"]: entry["why"] for entry in done.json["kept"]}
    assert kept == {
        releases[5].release.digest: ["test runs it", "the newest"],
        releases[3].release.digest: ["prod runs it"],
        releases[0].release.digest: ["prod may be rolled back to it"],
    }
    left = shop.run("list", "--json").json["releases"]
    assert [entry["digest"] for entry in left] == [releases[n].release.digest for n in (5, 3, 0)]
    for number, release in enumerate(releases):
        digest = release.release.services["api"]
        there = number in (0, 3, 5)
        assert (registry.digest_of("api", digest) is not None) == there
        pieces = ReleaseStore(registry, shop.store.trust).proof("api", digest)
        assert {piece.kind for piece in pieces} == ({Kind.PROVENANCE, Kind.SBOM, Kind.SCAN} if there else set())
    assert "Nothing is to be removed." in shop.run("prune", "--keep", "1", "--yes").out


def test_prune_keeps_what_a_platform_began_with_as_long_as_it_runs(shop: Shop) -> None:
    built = shop.quick()
    began = Release("dev", built.release.services)
    shop.store.push(began, ["bootstrap-1"])
    shop.store.attach("releases", began.digest, Kind.BOOTSTRAP, {"stacks": ["test"]}, shop.signers["ci"])
    for number in range(2):
        shop.sources.write("api", f"content {number}")
        shop.sources.commit()
        newest = shop.quick()
    shop.edit("test", images=built.release.images(built.tag))
    shop.edit("prod", images=newest.release.images(newest.tag))
    done = shop.run("prune", "--keep", "1", "--yes", "--json")
    kept = {tuple(entry["tags"]): entry["why"] for entry in done.json["kept"]}
    assert kept == {
        (newest.tag,): ["prod runs it", "the newest"],
        (built.tag,): ["test runs it"],
        ("bootstrap-1",): ["test runs what a platform began with"],
    }


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("show", "v9"), 3, "there is no release 'v9'"),
        (("tag", "1.0", "v9"), 3, "there is no release 'v9'"),
        (("build", "--source", "/nowhere"), 3, "no folder `services`"),
        (("list", "--stack", "nope"), 3, "there is no stack 'nope'"),
        (("list", "--stack", "shared"), 3, "is no environment"),
        (("prune", "--keep", "0"), 3, "0 is not in the range"),
        (("prune",), 3, "Missing option '--keep'"),
    ],
)
def test_bad_input_is_explained(shop: Shop, args: tuple[str, ...], code: int, words: str) -> None:
    done = shop.run(*args)
    assert done.code == code
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1


def look_into(monkeypatch: pytest.MonkeyPatch, database: Path) -> None:
    for name, value in environment(database).items():
        monkeypatch.setenv(name, value)


def make_key(path: Path, name: str) -> KeySigner:
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return KeySigner.from_file(path, name=name, role=ROLES[name])


def deployed(shop: Shop, built: BuiltRelease, before: BuiltRelease | None) -> None:
    write_record(
        shop.store,
        shop.signers["verifier"],
        kind=Kind.DEPLOYMENT,
        stack="prod",
        release=built.release.digest,
        origin=before.release.digest if before else None,
        name=built.tag,
        result="succeeded",
        by="alice",
        reason="",
        started=datetime.now(UTC),
        configuration="0" * 12,
    )
