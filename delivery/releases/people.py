"""Who acts, and the key by which they sign.

The local platform has a key for each role; a team's are named by SLIPWAY_SIGNING_KEY, where CI or a person keeps one.
Whose a key is, and what it counts for, is what the stack files say of its public half: asked before anything is done,
so that nobody works for proof that then does not count.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from adapters.errors import BadInput, Refused
from delivery.releases.signing import Signer, Trust, public_pem, read_private_key
from delivery.workspace import Workspace

IDENTITY = "SLIPWAY_IDENTITY"
KEY, PASSPHRASE_FILE = "SLIPWAY_SIGNING_KEY", "SLIPWAY_SIGNING_PASSPHRASE_FILE"


@dataclass(frozen=True)
class _Key:
    """A key that is at hand, whose it is, and what it counts for, by the stack files."""

    name: str
    roles: frozenset[str]
    path: Path
    private: ec.EllipticCurvePrivateKey = field(repr=False)

    def signer(self, role: str) -> Signer:
        if role not in self.roles:
            raise Refused(
                f"{self.name} does not count as {role}, so nothing was signed",
                where=str(self.path),
                allowed=f"for {self.name}: {', '.join(sorted(self.roles))}",
                fix="Let somebody sign who does (--as), or change `slipway:signers`",
            )
        return Signer(self.name, role, self.private)


def who(workspace: Workspace, name: str | None = None) -> str:
    """Who acts: as `--as` says, or SLIPWAY_IDENTITY, else the user of this machine. For records; it proves nothing."""
    return name or workspace.environ.get(IDENTITY) or getpass.getuser()


def signer_for(workspace: Workspace, role: str, name: str | None = None) -> Signer:
    """The key that signs as `role`: of `name`, else of SLIPWAY_IDENTITY, else the only one that is at hand.

    SLIPWAY_IDENTITY is who acts in everything, also in what is another role's: where that one's key does not count for
    the role, and another that is at hand does, the other one signs. Raises `BadInput` where no key is at hand, nobody
    knows it or it is not the named one's, `Refused` where it does not count for the role.
    """
    keys = _keys(workspace)
    if name is not None:
        return _named(keys, name).signer(role)
    entitled = [key for key in keys if role in key.roles] or keys
    identity = workspace.environ.get(IDENTITY)
    chosen = [key for key in entitled if key.name == identity] or entitled
    if len(chosen) > 1:
        names = ", ".join(sorted(key.name for key in chosen))
        raise BadInput(f"several keys could sign as {role}", allowed=names, fix="Say whose by --as")
    return chosen[0].signer(role)


def _named(keys: Sequence[_Key], name: str) -> _Key:
    for key in keys:
        if key.name == name:
            return key
    raise BadInput(
        f"no key of {name} is at hand",
        allowed=", ".join(sorted(key.name for key in keys)),
        fix=f"Name the file of {name}'s key in {KEY}",
    )


def _keys(workspace: Workspace) -> list[_Key]:
    """The key that was named, else those of the platform; raises `BadInput` if there is none."""
    trusts = [
        Trust(workspace.environment(name).signers)
        for name, stack in workspace.stacks.items()
        if stack.kind == "environment"
    ]
    if named := workspace.environ.get(KEY):
        path = Path(named).expanduser()
        return [_known(path, read_private_key(path, _passphrase(workspace.environ)), trusts)]
    keys = [_known(path, read_private_key(path), trusts) for path in workspace.platform.signers.values()]
    if not keys:
        raise BadInput(
            "there is no key to sign with",
            fix=f"Name the file of yours in {KEY}, and its passphrase's in {PASSPHRASE_FILE} if it is encrypted; its "
            "public half belongs into `slipway:signers`",
        )
    return keys


def _known(path: Path, private: ec.EllipticCurvePrivateKey, trusts: Sequence[Trust]) -> _Key:
    """Whose a key is; its roles are those that any environment gives it."""
    public = public_pem(private.public_key())
    found = [(name, trust.roles_of(name)) for trust in trusts if (name := trust.name_of(public)) is not None]
    names = sorted({name for name, _ in found})
    if len(names) != 1:
        raise BadInput(
            f"the key has several names in `slipway:signers`: {', '.join(names)}"
            if names
            else "no environment knows this key, so nothing that it signs would count",
            where=str(path),
            fix="Call it by one name in every stack file"
            if names
            else "Add its public half to `slipway:signers` of the stack files (`openssl pkey -in FILE -pubout` prints "
            "it; for the local platform `slipway up` does it)",
        )
    return _Key(names[0], frozenset(role for _, roles in found for role in roles), path, private)


def _passphrase(environ: Mapping[str, str]) -> bytes | None:
    named = environ.get(PASSPHRASE_FILE)
    if not named:
        return None
    try:
        return Path(named).expanduser().read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise BadInput(f"the passphrase cannot be read: {error.strerror}", where=f"{PASSPHRASE_FILE}={named}") from None
