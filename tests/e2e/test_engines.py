"""The same assertions with either engine, each on an environment and a copied configuration directory of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.platform import Platform

ENGINES = [
    "local",
    pytest.param(
        "pulumi",
        marks=[
            pytest.mark.pulumi_cli,
            pytest.mark.skipif(shutil.which("pulumi") is None, reason="the Pulumi CLI is not installed"),
        ],
    ),
]


@pytest.fixture(params=ENGINES)
def team(request: pytest.FixtureRequest, platform: Platform, tmp_path: Path) -> Iterator[tuple[Platform, str]]:
    """A team's configuration directory, kept by one engine, and the name of its one environment."""
    stack = f"with-{request.param}"
    directory = tmp_path / "config"
    shutil.copytree(
        platform.config_dir, directory, ignore=shutil.ignore_patterns(".git", ".slipway", "Pulumi.[tp]*.yaml")
    )
    shutil.copy(platform.config_dir / "Pulumi.test.yaml", directory / f"Pulumi.{stack}.yaml")
    env = {"SLIPWAY_CONFIG_DIR": str(directory), "PULUMI_BACKEND_URL": f"file://{tmp_path}"}
    ours = replace(platform, config_dir=directory, env={**platform.env, **env}, engine=request.param)
    yield ours, stack
    ours.slipway("down", stack, "--engine", request.param, "--delete-data", "--yes")


def test_an_environment_comes_up_stays_is_compared_restored_and_goes(team: tuple[Platform, str]) -> None:
    platform, stack = team
    engine = ["--engine", platform.engine]

    up = platform.slipway("up", stack, *engine)
    assert up.code == 0, up.said
    deployment = platform.kube.get("apps/v1", "Deployment", "hello", stack)
    assert deployment is not None
    assert deployment["status"]["readyReplicas"] == deployment["spec"]["replicas"]

    again = platform.slipway("up", stack, *engine)
    assert "Nothing changed" in again.said, again.said

    edit = {"spec": {"revisionHistoryLimit": 7}}
    platform.kube.patch("apps/v1", "Deployment", "hello", edit, stack, manager="kubectl-edit")
    drift = platform.slipway("drift", stack, *engine)
    assert drift.code == 2, drift.said
    assert "revisionHistoryLimit" in drift.said
    assert platform.slipway("up", stack, *engine).code == 0

    down = platform.slipway("down", stack, *engine, "--delete-data", "--yes")
    assert down.code == 0, down.said
    assert platform.kube.get("v1", "Namespace", stack) is None
