"""The images a node has before it has a registry."""

from __future__ import annotations

import re

from adapters.paths import REPOSITORY
from local.images import monitoring_image_names, platform_image_names

MODULES = REPOSITORY / "local" / "images" / "modules"


def test_names_carry_the_versions_pinned_in_the_modules() -> None:
    names = platform_image_names()
    assert set(names) == {"pause", "registry", "kubectl"}
    assert names["pause"] == "slipway.local/pause:3.10"
    for short in ("registry", "kubectl"):
        name, version = names[short].rsplit(":", 1)
        assert name == f"slipway.local/{short}"
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert f" v{version}" in (MODULES / short / "go.mod").read_text()


def test_every_program_of_the_monitoring_has_an_image_that_can_be_named() -> None:
    for name in monitoring_image_names().values():
        assert re.fullmatch(r"slipway\.local/[a-z-]+:\d+\.\d+\.\d+", name)


def test_prometheus_is_named_by_its_release_which_its_module_writes_otherwise() -> None:
    names = monitoring_image_names()
    assert not set(names) & set(platform_image_names()), "the node's images do not wait for those of the monitoring"
    major, minor, patch = names["prometheus"].removeprefix("slipway.local/prometheus:").split(".")
    pinned = f" v0.{major}{int(minor):02}.{patch}"
    assert f"github.com/prometheus/prometheus{pinned}" in (MODULES / "prometheus" / "go.mod").read_text()
