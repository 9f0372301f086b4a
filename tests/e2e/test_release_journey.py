"""The whole way of releases, with real images: one reaches prod, one stops at test, one is taken back from prod.

Every step is a command that a person would give; nothing lasts longer than the soak of a minute.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from local import scan
from tests.done import Done
from tests.e2e.platform import Platform
from tests.e2e.source import Source
from tests.integration.releases.vulnerabilities import Vulnerability, environment, make_database, osv_service

_SOAK = {"soaked": {"stack": "stage", "minutes": 1, "requests": 1000}}
_HARMLESS = Vulnerability("CVE-0000-0001", "starlette", severity="low")
_GREETING = 'f"Hello from {self._settings.environment}"'
_VERSION = 'Route("/version", self._version)'


@pytest.fixture(scope="module")
def scanning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """What the scanners need in order to look: databases of the tests' own making."""
    cache = make_database(tmp_path_factory.mktemp("vulnerabilities") / "grype", scan.grype(), [_HARMLESS])
    with osv_service({}) as asked:
        yield {**environment(cache), **asked}


@pytest.mark.timeout(1200)
def test_one_release_reaches_prod_one_stops_at_test_and_one_is_taken_back(
    platform: Platform, tmp_path: Path, scanning: Mapping[str, str]
) -> None:
    soak_a_minute(platform)
    source = Source(tmp_path / "shop")

    good = build(platform, source, scanning)
    source.change(_VERSION, _VERSION[:-1] + ', methods=["GET", "POST"])')
    failing_regression = build(platform, source, scanning)
    source.change(', methods=["GET", "POST"])', ")")
    source.change('"Hello again from', "\"{'Hello' if self._settings.environment != 'prod' else 'Bye'} from")
    bad_in_prod = build(platform, source, scanning)

    with platform.load("prod", "hello", requests=10_000, clients=2, longest_s=900) as load:
        assert refused(platform, "promote", good, "prod").said.count("CLOSED") == 4, "open are built, scanned and close"
        reach_stage(platform, good)
        assert "CLOSED  signed" in refused(platform, "promote", "stage", "prod").said
        done(platform, "sign-off", "prod", "--note", "tried by hand", "--as", "approver")
        done(platform, "promote", "stage", "prod")
        assert running(platform, "prod") == release_of(platform, good)

        done(platform, "promote", failing_regression, "test")
        assert platform.slipway("verify", "test", "regression").code == 1
        assert "regression" in refused(platform, "promote", "test", "stage").said

        reach_stage(platform, bad_in_prod)
        done(platform, "sign-off", "prod", "--note", "looks good", "--as", "approver")
        taken_back = platform.slipway("promote", "stage", "prod", "--yes")

    assert taken_back.code == 1, taken_back.said
    assert "smoke" in taken_back.err
    assert running(platform, "prod") == release_of(platform, good), "prod is back by itself"
    assert load.counts["failures"] == 0, load.counts
    assert load.counts["sent"] >= 10_000
    digits = {release_of(platform, tag)["hello"].removeprefix("sha256:")[:12] for tag in (good, bad_in_prod)}
    assert digits <= set(load.counts["releases"]), "both releases answered meanwhile"

    history = json.loads(done(platform, "history", "prod", "--json").out)["releases"]
    assert [(entry["name"], entry["result"]) for entry in history[:2]] == [
        (bad_in_prod, "restored"),
        (good, "succeeded"),
    ]
    proof = done(platform, "release", "show", bad_in_prod).out
    assert "restored" in proof
    assert "sign-off" in proof
    assert not platform.slipway("drift", "prod").code, "the cluster is as the file says"
    done(platform, "settle", "prod", "--now", "--yes")  # others look at prod as it is without a control


def reach_stage(platform: Platform, tag: str) -> None:
    """From a build to the end of its soak in stage."""
    done(platform, "promote", tag, "test")
    done(platform, "verify", "test", "regression")
    done(platform, "promote", "test", "stage")
    with platform.load("stage", "hello", requests=1000, clients=1):
        pass
    done(platform, "verify", "stage", "soak", "--wait")


def build(platform: Platform, source: Source, scanning: Mapping[str, str]) -> str:
    """The tag of the release that a commit becomes."""
    built = platform.slipway("release", "build", "--source", str(source.directory), "--json", env=scanning)
    assert built.code == 0, built.said
    return str(json.loads(built.out)["tag"])


def done(platform: Platform, *args: str) -> Done:
    """A command that has to succeed."""
    agreed = ("--yes",) if args[0] == "promote" else ()
    ended = platform.slipway(*args, *agreed)
    assert ended.code == 0, ended.said
    return ended


def refused(platform: Platform, *args: str) -> Done:
    """A promotion that gates have to stop."""
    ended = platform.slipway(*args, "--yes")
    assert ended.code == 4, ended.said
    return ended


def running(platform: Platform, stack: str) -> dict[str, str]:
    """The digests that the pods of an environment were made with."""
    template = platform.kube.get("apps/v1", "Deployment", "hello", stack)["spec"]["template"]
    return {"hello": template["spec"]["containers"][0]["image"].partition("@")[2]}


def release_of(platform: Platform, tag: str) -> dict[str, Any]:
    """The digests of a release's services."""
    shown = json.loads(done(platform, "release", "show", tag, "--json").out)
    return dict(shown["services"])


def soak_a_minute(platform: Platform) -> None:
    """Make prod's gates ask for a soak of a minute, as a person would: by a commit. And nothing goes back by itself:

    this load is more than the machine can answer, and which pod suffers most is chance.
    """
    gates = [_SOAK if "soaked" in gate else gate for gate in platform.stack("prod").get(["gates"])]
    platform.edit("prod", gates=gates, automation="off")
    git = ["git", "-C", str(platform.config_dir), "-c", "user.name=dev", "-c", "user.email=dev@example.com"]
    subprocess.run([*git, "commit", "--quiet", "--all", "-m", "A soak of a minute"], check=True)
