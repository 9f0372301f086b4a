from __future__ import annotations

from typing import Any

import pytest
import yaml

from adapters.paths import REPOSITORY
from components import schema
from components.settings import KINDS

STACKS = ("shared", "monitoring", "github", "test", "stage", "prod")


def test_the_committed_schema_is_the_one_that_the_settings_make() -> None:
    assert schema.PATH.read_text() == schema.text(), "run `python -m components.schema`"


def test_every_key_is_described() -> None:
    found = schema.stack_schema()
    places = [*found["$defs"].values(), *found["properties"]["config"]["oneOf"]]
    bare = [key for place in places for key, value in place["properties"].items() if not value.get("description")]
    assert bare == []


@pytest.mark.parametrize("stack", STACKS)
def test_stack_files_name_the_schema_in_their_first_line(stack: str) -> None:
    first = (REPOSITORY / f"Pulumi.{stack}.yaml").read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={schema.PATH.relative_to(REPOSITORY)}"


def test_an_unknown_key_is_wrong_by_the_schema_too() -> None:
    found = schema.stack_schema()
    places = [*found["$defs"].values(), *found["properties"]["config"]["oneOf"]]
    assert {place["additionalProperties"] for place in places} == {False}


def project() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())
    return document


def test_the_project_file_describes_every_key_there_is() -> None:
    keys = {field.alias for model in KINDS.values() for field in model.model_fields.values()}
    assert set(project()["config"]) == keys
    assert all(entry["description"] for entry in project()["config"].values())
    # Pulumi checks stacks against these types, and has none for a list of names and mappings.
    assert {key for key, entry in project()["config"].items() if "type" not in entry} == {"gates"}


def test_pulumi_asks_no_stack_for_keys_of_another_kind() -> None:
    without_default = {key for key, entry in project()["config"].items() if "default" not in entry}
    needed = [{f.alias for f in model.model_fields.values() if f.is_required()} for model in KINDS.values()]
    assert without_default == set.intersection(*needed)
    assert all(not entry.get("default") for entry in project()["config"].values())
