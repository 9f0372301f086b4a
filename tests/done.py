"""How a command of `slipway` ended, for tests of every kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def explains(self, code: int, *words: str) -> None:
        """One paragraph on standard error, with these words, and this exit code."""
        assert self.code == code, self.said
        assert "Traceback" not in self.said
        assert self.err.startswith("slipway: ")
        assert len(self.err.strip().splitlines()) == 1, self.err
        for word in words:
            assert word in self.err, self.err
