"""Loads the SDK of Kubernetes with its annotations left as texts, which is what Python does by itself from 3.14 on.

Its modules annotate every field of every kind, in expressions that Python otherwise evaluates while it loads them,
which takes most of that time. Compiled as if each began with `from __future__ import annotations` (PEP 563), they are
evaluated when the Pulumi SDK asks for them, which it does for the classes that a program uses.
"""

from __future__ import annotations
import __future__

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

_PACKAGE = "pulumi_kubernetes"
_FLAG = __future__.annotations.compiler_flag
_LAZY_ITSELF = (3, 14)  # PEP 649


def leave_unevaluated() -> None:
    """Let modules of the SDK that are loaded from now on keep their annotations as texts."""
    if sys.version_info < _LAZY_ITSELF:
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the package's modules where Python does."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != _PACKAGE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and spec.origin and type(spec.loader) is SourceFileLoader and _keeps_bytecode(spec):
            spec.loader = _Loader(fullname, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    """Compiles with the flag, and keeps the bytecode beside that of Python, which is another."""

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        code: CodeType = compile(data, path, "exec", _FLAG, dont_inherit=True, optimize=_optimize)
        return code

    def get_data(self, path: str) -> bytes:
        return super().get_data(_own(path))

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        super().set_data(_own(path), data, _mode=_mode)


def _keeps_bytecode(spec: ModuleSpec) -> bool:
    """Where it cannot be kept, each process would compile the modules, which takes longer than it saves."""
    if spec.cached is None:
        return False
    kept = Path(_own(spec.cached))
    return kept.exists() or (not sys.dont_write_bytecode and os.access(kept.parent, os.W_OK))


def _own(path: str) -> str:
    """Python's own bytecode of a module is another than ours."""
    return f"{path.removesuffix('.pyc')}.texts.pyc" if path.endswith(".pyc") else path
