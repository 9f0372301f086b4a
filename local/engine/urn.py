"""Pulumi's resource names: `urn:pulumi:STACK::PROJECT::PARENT_TYPE$TYPE::NAME`."""

from __future__ import annotations

from dataclasses import dataclass

STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Urn:
    """The parts of a URN; `types` is the chain of types from the outermost parent to the resource itself."""

    stack: str
    project: str
    types: tuple[str, ...]
    name: str

    def __str__(self) -> str:
        return f"urn:pulumi:{self.stack}::{self.project}::{'$'.join(self.types)}::{self.name}"

    @classmethod
    def parse(cls, urn: str) -> Urn:
        """The parts of `urn`; raises `ValueError` for anything else."""
        head, project, types, name = urn.split("::", 3)  # a name may hold colons itself
        if not head.startswith("urn:pulumi:"):
            raise ValueError(f"not a URN: {urn}")
        return cls(head.removeprefix("urn:pulumi:"), project, tuple(types.split("$")), name)

    @classmethod
    def make(cls, stack: str, project: str, parent: str, type_: str, name: str) -> Urn:
        """The URN of a resource below `parent` (its URN, or ''); the stack itself leaves no trace in the types."""
        above = cls.parse(parent).types if parent else ()
        return cls(stack, project, (*(t for t in above if t != STACK_TYPE), type_), name)
