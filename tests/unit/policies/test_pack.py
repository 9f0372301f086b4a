from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

import policies

FOLDER = Path(policies.__file__).parent


def pack() -> Any:
    spec = importlib.util.spec_from_file_location("slipway_pack", FOLDER / "__main__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reports(resource_type: str, props: dict[str, Any]) -> list[str]:
    found: list[str] = []
    pack().check(SimpleNamespace(resource_type=resource_type, props=props), lambda said, _: found.append(said))
    return found


def test_the_pack_reports_what_the_rules_say() -> None:
    props = {"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}
    assert reports("kubernetes:core/v1:ConfigMap", props) == [
        "the namespace default is not ours: name one that this platform declares"
    ]


def test_the_pack_has_nothing_to_say_of_components_and_other_providers() -> None:
    assert reports("slipway:index:Service", {"kind": "Pod"}) == []
    assert reports("kubernetes:provider", {}) == []


def test_the_pack_is_described_for_the_pulumi_cli() -> None:
    described = yaml.safe_load((FOLDER / "PulumiPolicy.yaml").read_text())
    assert described["runtime"]["name"] == "python"
    assert (FOLDER / described["runtime"]["options"]["virtualenv"] / ".." / "policies").resolve() == FOLDER
