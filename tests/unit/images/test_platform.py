"""The images a node has before it has a registry."""

from __future__ import annotations

import re

from adapters.paths import REPOSITORY
from local.images import platform_image_names

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
