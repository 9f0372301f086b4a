"""Who acts, and the key or the identity by which they sign.

The local platform has a key for each role; a team's are named by SLIPWAY_SIGNING_KEY, where CI or a person keeps one,
or CI needs none, since it is known by its identity (`identity`). Whose they are, and what they count for, is what the
stack files say: asked before anything is done, so that nobody works for proof that then does not count.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from adapters.errors import BadInput, Refused
from delivery.releases.identity import TOKEN_FILE, IdentitySigner, Sigstore, find_token, person_of
from delivery.releases.signing import KeySigner, Signer, Trust, public_pem, read_private_key
from delivery.workspace import Workspace

IDENTITY = "SLIPWAY_IDENTITY"
KIND = "environment"
KEY, PASSPHRASE_FILE = "SLIPWAY_SIGNING_KEY", "SLIPWAY_SIGNING_PASSPHRASE_FILE"


@dataclass(frozen=True)
class _Hand:
    """A key or an identity by which one can sign here: whose it is, and what it counts for, by the stack files."""

    name: str
    roles: frozenset[str]
    where: str
    hold: Callable[[str, str], Signer] = field(repr=False)

    def signer(self, role: str) -> Signer:
        if role not in self.roles:
            raise Refused(
                f"{self.name} does not count as {role}, so nothing was signed",
                where=self.where,
                allowed=f"for {self.name}: {', '.join(sorted(self.roles))}",
                fix="Let somebody sign who does (--as), or change `slipway:signers`",
            )
        return self.hold(self.name, role)


def who(workspace: Workspace, name: str | None = None) -> str:
    """Who acts: as `--as` says, or SLIPWAY_IDENTITY, else the user of this machine. For records; it proves nothing."""
    return name or workspace.environ.get(IDENTITY) or getpass.getuser()


def signer_for(workspace: Workspace, role: str, name: str | None = None) -> Signer:
    """Who signs as `role`: `name`, else SLIPWAY_IDENTITY, else the only one whose key or identity is at hand.

    SLIPWAY_IDENTITY is who acts in everything, also in what is another role's: where that one's key does not count for
    the role, and another that is at hand does, the other one signs. Raises `BadInput` where no key is at hand, nobody
    knows it or it is not the named one's, `Refused` where it does not count for the role.
    """
    hands = _hands(workspace)
    if name is not None:
        return _named(hands, name).signer(role)
    entitled = [hand for hand in hands if role in hand.roles] or hands
    identity = workspace.environ.get(IDENTITY)
    chosen = [hand for hand in entitled if hand.name == identity] or entitled
    if len(chosen) > 1:
        names = ", ".join(sorted(hand.name for hand in chosen))
        raise BadInput(f"several keys could sign as {role}", allowed=names, fix="Say whose by --as")
    return chosen[0].signer(role)


def _named(hands: Sequence[_Hand], name: str) -> _Hand:
    for hand in hands:
        if hand.name == name:
            return hand
    raise BadInput(
        f"no key of {name} is at hand",
        allowed=", ".join(sorted(hand.name for hand in hands)),
        fix=f"Name the file of {name}'s key in {KEY}",
    )


def _hands(workspace: Workspace) -> list[_Hand]:
    """The key that was named, else the identity, else the platform's keys, else CI's identity; raises `BadInput`."""
    environments = [workspace.environment(name) for name, stack in workspace.stacks.items() if stack.kind == KIND]
    trusts = [Trust(environment.signers, environment.trust_config) for environment in environments]
    environ = workspace.environ
    if named := environ.get(KEY):
        path = Path(named).expanduser()
        return [_of_key(path, read_private_key(path, _passphrase(environ)), trusts)]
    keys = workspace.platform.signers.values()
    if keys and not environ.get(TOKEN_FILE):
        return [_of_key(path, read_private_key(path), trusts) for path in keys]
    sigstore = next((trust.sigstore for trust in trusts if trust.sigstore), None)
    if sigstore and (token := find_token(environ)):
        return [_of_identity(token, sigstore, trusts)]
    raise BadInput(
        "there is no key to sign with" if sigstore is None else "there is no key, and no identity, to sign with",
        fix=f"Name the file of yours in {KEY}, and its passphrase's in {PASSPHRASE_FILE} if it is encrypted; its "
        "public half belongs into `slipway:signers`",
    )


def _of_key(path: Path, private: ec.EllipticCurvePrivateKey, trusts: Sequence[Trust]) -> _Hand:
    public = public_pem(private.public_key())
    found = {trust: trust.name_of(public) for trust in trusts}
    fix = (
        "Add its public half to `slipway:signers` of the stack files (`openssl pkey -in FILE -pubout` prints it; for "
        "the local platform `slipway up` does it)"
    )
    return _known(found, "this key", str(path), fix, lambda name, role: KeySigner(name, role, private))


def _of_identity(token: Callable[[], str], sigstore: Sigstore, trusts: Sequence[Trust]) -> _Hand:
    person = person_of(token())
    found = {trust: trust.name_of(person) for trust in trusts}
    fix = "Add it to `slipway:signers` of the stack files: `identity: {issuer: …, subject: …}`"
    return _known(
        found, f"the identity {person}", "", fix, lambda name, role: IdentitySigner(name, role, person, token, sigstore)
    )


def _known(
    found: Mapping[Trust, str | None], what: str, where: str, fix: str, hold: Callable[[str, str], Signer]
) -> _Hand:
    """Whose it is; its roles are those that any environment gives it."""
    names = sorted({name for name in found.values() if name is not None})
    if len(names) != 1:
        raise BadInput(
            f"{what} has several names in `slipway:signers`: {', '.join(names)}"
            if names
            else f"no environment knows {what}, so nothing that it signs would count",
            where=where,
            fix="Call it by one name in every stack file" if names else fix,
        )
    roles = frozenset(role for trust, name in found.items() if name for role in trust.roles_of(name))
    return _Hand(names[0], roles, where or what, hold)


def _passphrase(environ: Mapping[str, str]) -> bytes | None:
    named = environ.get(PASSPHRASE_FILE)
    if not named:
        return None
    try:
        return Path(named).expanduser().read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise BadInput(f"the passphrase cannot be read: {error.strerror}", where=f"{PASSPHRASE_FILE}={named}") from None
