"""Commands that need no program: stacks, configuration, outputs, history, and breaking a lock."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapters.errors import BadInput, Refused
from adapters.passphrase import Passphrase, find_passphrase
from adapters.stackfile import StackFile
from local.engine.backend import Backend
from local.engine.cli import CommandLine
from local.engine.journal import Journal
from local.engine.manifest import parse_path
from local.engine.output import Display
from local.engine.project import Project, Stack, as_text
from local.engine.values import HIDDEN, Secret, reveal


class Query:
    """One command line in a configuration directory. What is answered goes to `display`."""

    def __init__(self, line: CommandLine, directory: Path, environ: Mapping[str, str], display: Display) -> None:
        self._line, self._environ, self._display = line, environ, display
        self._project = Project.load(directory)

    def whoami(self) -> None:
        """The user of this machine: the engine knows no accounts."""
        self._answer({"user": getpass.getuser(), "url": str(self._project.directory), "organizations": []})

    def stack_init(self) -> None:
        """A stack file with a salt; one that is there without is completed."""
        path = self._project.stack_path(self._line.stack)
        if self._line.flags.get("--secrets-provider", "passphrase") not in ("", "default", "passphrase"):
            raise BadInput("the local engine knows only passphrase secrets", where="--secrets-provider")
        _, salt = Passphrase.create(find_passphrase(self._environ))
        path.touch()
        file = StackFile.load(path)
        if file.encryption_salt:
            raise Refused(f"stack '{self._line.stack}' already exists", where=str(path))
        file.encryption_salt = salt
        file.save()

    def stack_select(self) -> None:
        """Only checks that the stack is there: which one is meant is said with each command."""
        self._stack()

    def stack_rm(self) -> None:
        """Forget an empty stack."""
        stack = self._stack()
        stack.check_engine(changes=True)
        with self._backend(stack) as backend, backend.lock():
            if Journal(backend.store).objects() and not self._line.has("--force"):
                raise Refused(
                    f"stack {stack.name} still has resources", fix="Destroy it first, or give --force to leave them"
                )
            backend.store.delete()
        if not self._line.has("--preserve-config"):
            stack.file.path.unlink()

    def stack_ls(self) -> None:
        """The stacks of this directory."""
        self._answer([{"name": name, "current": False} for name in self._project.stacks()])

    def stack_output(self) -> None:
        """What the program exported at the end of the last update."""
        show = self._line.has("--show-secrets")
        outputs = self._journal().outputs
        self._answer({k: HIDDEN if isinstance(v, Secret) and not show else reveal(v) for k, v in outputs.items()})

    def stack_history(self) -> None:
        """What was done when, the latest first. The values of secrets are never kept."""
        updates = self._journal().updates[::-1]
        size = int(self._line.flags.get("--page-size") or len(updates) or 1)
        start = (int(self._line.flags.get("--page") or 1) - 1) * size
        self._answer(updates[start : start + size])

    def stack_export(self) -> None:
        """Enough of a deployment to see what the stack has; manifests are left out, they may hold secrets."""
        resources = [
            {
                "urn": resource.urn,
                "type": resource.type,
                "custom": resource.identity is not None,
                "id": resource.uid or "",
                "parent": resource.parent,
                "protect": resource.protect,
                "dependencies": list(resource.dependencies),
            }
            for resource in self._journal().resources()
        ]
        self._answer({"version": 3, "deployment": {"manifest": {"version": "slipway"}, "resources": resources}})

    def state_unprotect(self) -> None:
        """Let everything be deleted that the stack has; only all of it at once."""
        if not self._line.has("--all"):
            raise BadInput("the local engine unprotects no single resource", where="state unprotect", allowed="--all")
        stack = self._stack()
        stack.check_engine(changes=True)
        backend = self._backend(stack)
        with backend.lock() as lock:
            journal = Journal(backend.store, lock.check)
            journal.unprotect()
            journal.save()

    def cancel(self) -> None:
        """Break the lock of an update that died elsewhere."""
        stack = self._stack()
        stack.check_engine(changes=True)
        with self._backend(stack) as backend:
            holder = backend.break_lock()
        self._display.say(
            f"stack {stack.name} is no longer locked by {holder}" if holder else f"stack {stack.name} was not locked"
        )

    def config(self) -> None:
        """All of the configuration."""
        stack = self._stack()
        values = stack.config(stack.crypter(self._environ) if self._line.has("--show-secrets") else None)
        entries: dict[str, dict[str, Any]] = {}
        for key, value in values.values.items():
            secret = key in values.secret_keys
            shown = value if not secret or self._line.has("--show-secrets") else HIDDEN
            entries[key] = {"value": shown, "secret": secret}
        self._answer(entries)

    def config_get(self) -> None:
        """One value, decrypted."""
        stack, path = self._stack(), self._key_path()
        values = stack.config(stack.crypter(self._environ))
        whole = values.values.get(str(path[0]))
        value = _descend(whole, path[1:]) if whole is not None else None
        if value is None:
            raise BadInput(
                f"configuration key '{self._line.arguments[0]}' not found for stack '{stack.name}'",
                where=str(stack.file.path),
                allowed=", ".join(sorted(values.values)),
            )
        entry = {"value": as_text(value), "secret": path[0] in values.secret_keys}
        if self._line.has("--json"):
            self._answer(entry)
        else:
            self._display.say(as_text(value))

    def config_set(self) -> None:
        """Set one value, encrypted if it is a secret; with `--path`, texts that look like numbers are numbers."""
        stack, path = self._stack(), self._key_path()
        text = self._line.arguments[1]
        if self._line.has("--secret"):
            stack.file.set(path, {"secure": stack.crypter(self._environ).encrypt(text)})
        else:
            stack.file.set(path, _typed(text) if self._line.has("--path") else text)
        stack.file.save()

    def config_rm(self) -> None:
        """Remove one value."""
        stack = self._stack()
        stack.file.delete(self._key_path())
        stack.file.save()

    def _stack(self) -> Stack:
        return self._project.stack(self._line.stack)

    def _backend(self, stack: Stack) -> Backend:
        return Backend.open(stack, stack.crypter(self._environ))

    def _journal(self) -> Journal:
        with self._backend(self._stack()) as backend:
            return Journal(backend.store)

    def _key_path(self) -> tuple[str | int, ...]:
        key = self._line.arguments[0]
        name, colon, rest = key.partition(":")
        namespace, rest = (name, rest) if colon else (self._project.name, key)
        first, *steps = parse_path(rest) if self._line.has("--path") else (rest,)
        return (f"{namespace}:{first}", *steps)

    def _answer(self, answer: object) -> None:
        self._display.say(json.dumps(answer, ensure_ascii=False))


_HANDLERS: Mapping[tuple[str, ...], Callable[[Query], None]] = {
    ("whoami",): Query.whoami,
    ("stack", "init"): Query.stack_init,
    ("stack", "select"): Query.stack_select,
    ("stack", "rm"): Query.stack_rm,
    ("stack", "ls"): Query.stack_ls,
    ("stack", "output"): Query.stack_output,
    ("stack", "history"): Query.stack_history,
    ("stack", "export"): Query.stack_export,
    ("state", "unprotect"): Query.state_unprotect,
    ("cancel",): Query.cancel,
    ("config",): Query.config,
    ("config", "get"): Query.config_get,
    ("config", "set"): Query.config_set,
    ("config", "rm"): Query.config_rm,
}


def answer(line: CommandLine, directory: Path, environ: Mapping[str, str], display: Display) -> None:
    """Answer one command line."""
    _HANDLERS[line.command](Query(line, directory, environ, display))


def _descend(text: str, path: tuple[str | int, ...]) -> object:
    value: Any = json.loads(text) if path else text
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _typed(text: str) -> object:
    """As `pulumi config set --path`: true, false and integers are what they look like."""
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.lstrip("-").isdigit() else text
