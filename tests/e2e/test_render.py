"""What `render` writes is valid: the API server takes each manifest as it is, with strict validation of every field."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.e2e.platform import Platform


@pytest.mark.parametrize("stack", ["shared", "monitoring", "test", "stage", "prod"])
def test_rendered_manifests_pass_the_api_servers_validation(platform: Platform, tmp_path: Path, stack: str) -> None:
    done = platform.slipway("render", stack, "--out", str(tmp_path / "out"))
    assert done.code == 0, done.said

    manifests = [
        yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((tmp_path / "out").rglob("*.yaml"))
    ]
    assert len(manifests) >= 9
    for manifest in manifests:
        answer = platform.kube.apply(manifest, manager="render-test", dry_run=True)
        assert answer["kind"] == manifest["kind"]
