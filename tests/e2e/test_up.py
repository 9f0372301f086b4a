"""The main job: from nothing to test, stage and prod serving hello."""

from __future__ import annotations

import json

import httpx2
import pytest

from adapters.command import run
from adapters.paths import REPOSITORY
from tests.e2e.platform import Platform

ENVIRONMENTS = ("test", "stage", "prod")


@pytest.fixture
def status(platform: Platform) -> dict:
    done = platform.slipway("status", "--json")
    assert done.code == 0, done.said
    return json.loads(done.out)


def test_every_environment_serves_hello_at_its_link(platform: Platform, status: dict) -> None:
    links = {link["name"]: link["url"] for link in status["links"]}
    for environment in ENVIRONMENTS:
        url = links[f"{environment}/hello"]
        assert url.startswith("http://127.0.0.1:")
        answer = httpx2.get(f"{url}/version", trust_env=False).json()
        image = platform.stack(environment).get(["images", "hello"])
        assert answer["environment"] == environment
        assert answer["release"] == image.rpartition("@sha256:")[2][:12], "what runs is what the stack file says"


def test_the_pods_run_the_digest_from_the_platforms_own_registry(platform: Platform) -> None:
    for environment in ENVIRONMENTS:
        digest = platform.stack(environment).get(["images", "hello"]).rpartition("@")[2]
        pods = platform.kube.list(
            "v1", "Pod", environment, labels="app.kubernetes.io/name=hello,app.kubernetes.io/component=service"
        )
        assert pods
        for pod in pods:
            assert pod["spec"]["containers"][0]["image"] == f"registry.slipway.local/hello@{digest}"


def test_a_second_up_says_that_nothing_changed(platform: Platform) -> None:
    done = platform.slipway("up", "--yes")
    assert done.code == 0, done.said
    assert "Nothing changed" in done.said


def test_the_checkout_stays_clean_and_the_configuration_is_a_clean_repository_of_its_own(platform: Platform) -> None:
    assert run(["git", "-C", str(platform.config_dir), "status", "--porcelain"]) == ""
    assert not list(REPOSITORY.glob(".slipway"))
    changed = run(["git", "-C", str(REPOSITORY), "status", "--porcelain", "--", "Pulumi*.yaml"])
    assert changed == "", "the committed stack files are as they were"
