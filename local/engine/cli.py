"""The command lines the engine understands: those the Automation API sends, and no others.

What is not in the table is refused by its name before anything else happens, since a flag that is silently ignored
(`--target`) would change more than was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapters.errors import BadInput
from adapters.paths import REPOSITORY

_ANYWHERE = {
    "--non-interactive": False,
    "--stack": True,
    "--color": True,
    "--yes": False,
    "--logflow": False,
    "--logtostderr": False,
    "--verbose": True,
    "--debug": False,
    "--suppress-outputs": False,
    "--suppress-progress": False,
}
_OPERATION = {
    "--exec-kind": True,
    "--event-log": True,
    "--message": True,
    "--parallel": True,
    "--diff": False,
    "--expect-no-changes": False,
    "--policy-pack": True,
}
_JSON, _SECRETS = {"--json": False}, {"--show-secrets": False}

COMMANDS: Mapping[tuple[str, ...], Mapping[str, bool]] = {
    ("up",): _OPERATION | {"--skip-preview": False, "--refresh": False},
    ("preview",): _OPERATION | {"--refresh": False},
    ("refresh",): _OPERATION | {"--skip-preview": False, "--preview-only": False},
    ("destroy",): _OPERATION
    | {"--skip-preview": False, "--preview-only": False, "--refresh": False, "--exclude-protected": False},
    ("render",): {"--out": True},
    ("cancel",): {},
    ("whoami",): _JSON,
    ("stack", "init"): {"--secrets-provider": True, "--no-select": False},
    ("stack", "select"): {},
    ("stack", "rm"): {"--force": False, "--preserve-config": False},
    ("stack", "ls"): _JSON | {"--all": False},
    ("stack", "output"): _JSON | _SECRETS,
    ("stack", "history"): _JSON | _SECRETS | {"--page-size": True, "--page": True},
    ("stack", "export"): _SECRETS,
    ("state", "unprotect"): {"--all": False},
    ("config",): _JSON | _SECRETS,
    ("config", "get"): _JSON | {"--path": False},
    ("config", "set"): {"--path": False, "--secret": False, "--plaintext": False},
    ("config", "rm"): {"--path": False},
}
"""Each command with its own flags; True for those that take a value. The last word of `stack …` may be a name."""

_MEANINGS = {"--client": "inline programs ({})", "--remote": "updates that run elsewhere ({})"}
"""What a flag stands for where a caller of the Automation API has never seen it."""

PROGRAM_COMMANDS = frozenset({"up", "preview", "refresh", "destroy", "render"})
"""Those that need a process of their own: they run the program, or take long and may be interrupted."""


@dataclass(frozen=True)
class CommandLine:
    """A command line that is understood."""

    command: tuple[str, ...]
    flags: Mapping[str, str] = field(repr=False)
    arguments: tuple[str, ...] = field(default=(), repr=False)

    def has(self, flag: str) -> bool:
        """Whether `flag` is given."""
        return flag in self.flags

    @property
    def stack(self) -> str:
        """The stack meant: given by `--stack` or as the argument; raises `BadInput` without."""
        takes_name = self.command in (("stack", "init"), ("stack", "select"), ("stack", "rm"), ("cancel",))
        name = self.flags.get("--stack") or (self.arguments[0] if takes_name and self.arguments else "")
        if not name:
            raise BadInput("no stack is named", where=" ".join(self.command), fix="Give --stack")
        return name

    @property
    def event_log(self) -> Path | None:
        """Where events are written to."""
        return Path(self.flags["--event-log"]) if "--event-log" in self.flags else None


def parse(args: Sequence[str]) -> CommandLine:
    """Raises `BadInput`, naming the command or flag that is not supported."""
    before, after = list(args), []
    if "--" in before:
        cut = before.index("--")
        before, after = before[:cut], before[cut + 1 :]
    words, flags = _split(before)
    command = next((words[:length] for length in (2, 1) if words[:length] in COMMANDS), None)
    if command is None or (command == ("config",) and len(words) > 1):
        allowed = ", ".join(" ".join(known) for known in COMMANDS)
        raise BadInput(f"the local engine has no command `{' '.join(words[:2])}`", allowed=allowed)
    known = {**_ANYWHERE, **COMMANDS[command]}
    for flag in flags:
        if flag not in known:
            raise BadInput(
                f"the local engine does not support {_MEANINGS.get(flag, '{}').format(flag)}",
                where=" ".join(command),
                allowed=", ".join(sorted(known)),
                fix="Leave it out, or take the Pulumi CLI for this stack",
            )
    _check_policy_pack(flags)
    return CommandLine(command, flags, (*words[len(command) :], *after))


def _split(args: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Words and flags; whether a flag takes a value is known by its name alone, over all commands."""
    valued = {flag for known in (_ANYWHERE, *COMMANDS.values()) for flag, takes in known.items() if takes}
    words: list[str] = []
    flags: dict[str, str] = {}
    rest = iter(args)
    for arg in rest:
        if not arg.startswith("-") or arg == "-":
            words.append(arg)
            continue
        flag, has_value, value = arg.partition("=")
        flags[flag] = value if has_value else next(rest, "") if flag in valued else ""
    return tuple(words), flags


def _check_policy_pack(flags: Mapping[str, str]) -> None:
    """The rules of this repository are checked anyway; others cannot be run here."""
    pack = flags.get("--policy-pack")
    if pack is not None and Path(pack).resolve() != REPOSITORY / "policies":
        raise BadInput("the local engine runs no other policy packs", where=f"--policy-pack {pack}", allowed="policies")
