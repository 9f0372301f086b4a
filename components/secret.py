"""Text that is never shown: how configuration that must be encrypted is read.

In a stack file a secret is `{secure: v1:…}`; plain text in its place is refused. Inside the program Pulumi has opened
it, and it goes on as an Output that is marked secret, so that no engine prints or records it in clear.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

SEALED = "sealed"
"""In the context of a validation: true where values come from a stack file, not yet decrypted."""


class Secret:
    """A secret of the configuration; sealed where it was read from a stack file, which is not opened."""

    __slots__ = ("_text",)

    def __init__(self, text: str | None) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "[secret]"

    @property
    def is_sealed(self) -> bool:
        """Whether only its place is known and not its text."""
        return self._text is None

    def output(self) -> pulumi.Output[str]:
        """The text, marked secret. Only inside the program: a sealed secret has none."""
        if self._text is None:
            raise RuntimeError("a secret that was read from a stack file is sealed")
        return pulumi.Output.secret(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(cls._read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "type": "object",
            "properties": {"secure": {"type": "string"}},
            "required": ["secure"],
            "additionalProperties": False,
        }

    @classmethod
    def _read(cls, value: object, info: ValidationInfo) -> Secret:
        if isinstance(value, Secret):
            return value
        if (info.context or {}).get(SEALED):
            if isinstance(value, dict) and set(value) == {"secure"} and isinstance(value["secure"], str):
                return cls(None)
            raise PydanticCustomError("plain_secret", "the value is a secret and stands here in plain text")
        if not isinstance(value, str) or not value:
            raise PydanticCustomError("no_secret", "the value must be text that is not empty")
        return cls(value)
