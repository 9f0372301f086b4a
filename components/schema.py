"""The JSON schema of stack files, for editors: `python -m components.schema` writes schemas/stack.schema.json.

It is made from the classes that read the configuration, so that an editor says what a command would. A test compares
the committed file with these classes.
"""

from __future__ import annotations

import json
from typing import Any

from adapters.paths import REPOSITORY
from adapters.stackfile import PROJECT
from components.settings import KINDS

PATH = REPOSITORY / "schemas" / "stack.schema.json"


def stack_schema() -> dict[str, Any]:
    """A stack file's schema: its configuration is that of one of the kinds."""
    definitions: dict[str, Any] = {}
    kinds = []
    for model in KINDS.values():
        schema = model.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= schema.pop("$defs")
        kinds.append(_with_prefix(schema))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A stack of Slipway",
        "type": "object",
        "properties": {
            "config": {"description": "The stack's configuration.", "oneOf": kinds},
            "encryptionsalt": {"type": "string", "description": "Opens the secrets, together with the passphrase."},
            "secretsprovider": {"type": "string", "description": "Who encrypts the secrets, where no passphrase does."},
            "encryptedkey": {"type": "string", "description": "The stack's key, encrypted by that provider."},
        },
        "required": ["config"],
        "additionalProperties": False,
        "$defs": dict(sorted(definitions.items())),
    }


def text() -> str:
    """The schema as it is committed."""
    return json.dumps(stack_schema(), indent=2, ensure_ascii=False) + "\n"


def _with_prefix(schema: dict[str, Any]) -> dict[str, Any]:
    properties = {f"{PROJECT}:{key}": value for key, value in schema["properties"].items()}
    required = [f"{PROJECT}:{key}" for key in schema["required"]]
    # Settings of Pulumi itself may stand beside ours.
    return schema | {"properties": properties, "required": required, "patternProperties": {"^pulumi:": {}}}


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
