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
from components.delivery_model import Identity
from delivery.releases.identity import TOKEN_FILE, IdentitySigner, find_token, identity_of
from delivery.releases.signing import KeySigner, Signer, Trust, public_pem, read_private_key
from delivery.workspace import Workspace

IDENTITY = "SLIPWAY_IDENTITY"
KEY, PASSPHRASE_FILE = "SLIPWAY_SIGNING_KEY", "SLIPWAY_SIGNING_PASSPHRASE_FILE"


@dataclass(frozen=True)
class _Credential:
    """A key or an identity by which one can sign here: whose it is, and what it counts for, by the stack files."""

    name: str
    roles: frozenset[str]
    where: str
    make_signer: Callable[[str, str], Signer] = field(repr=False)

    def signer(self, role: str) -> Signer:
        if role not in self.roles:
            raise Refused(
                f"{self.name} does not count as {role}, so nothing was signed",
                where=self.where,
                allowed=f"for {self.name}: {', '.join(sorted(self.roles))}",
                fix="Let somebody sign who does (--as), or change `slipway:signers`",
            )
        return self.make_signer(self.name, role)


def who(workspace: Workspace, name: str | None = None) -> str:
    """Who acts: as `--as` says, or SLIPWAY_IDENTITY, else the user of this machine. For records; it proves nothing."""
    return name or workspace.environ.get(IDENTITY) or getpass.getuser()


def signer_for(workspace: Workspace, role: str, name: str | None = None) -> Signer:
    """Who signs as `role`: `name`, else SLIPWAY_IDENTITY, else the only one whose key or identity is at credential.

    SLIPWAY_IDENTITY is who acts in everything, also in what is another role's: where that one's key does not count for
    the role, and another that is at hand does, the other one signs. Raises `BadInput` where no key is at hand, nobody
    knows it or it is not the named one's, `Refused` where it does not count for the role.
    """
    credentials = _credentials(workspace)
    if name is not None:
        return _named(credentials, name).signer(role)
    entitled = [credential for credential in credentials if role in credential.roles] or credentials
    identity = workspace.environ.get(IDENTITY)
    chosen = [credential for credential in entitled if credential.name == identity] or entitled
    if len(chosen) > 1:
        names = ", ".join(sorted(credential.name for credential in chosen))
        raise BadInput(f"several keys could sign as {role}", allowed=names, fix="Say whose by --as")
    return chosen[0].signer(role)


def _named(credentials: Sequence[_Credential], name: str) -> _Credential:
    for credential in credentials:
        if credential.name == name:
            return credential
    raise BadInput(
        f"no key of {name} is at hand",
        allowed=", ".join(sorted(credential.name for credential in credentials)),
        fix=f"Name the file of {name}'s key in {KEY}",
    )


def _credentials(workspace: Workspace) -> list[_Credential]:
    """The key that was named, else the identity, else the platform's keys, else CI's identity; raises `BadInput`."""
    names = [name for name, stack in workspace.stacks.items() if stack.kind == "environment"]
    trusts = [Trust(found.signers, found.trust_config) for found in map(workspace.environment, names)]
    environ = workspace.environ
    if named := environ.get(KEY):
        path = Path(named).expanduser()
        return [_of_key(path, read_private_key(path, _passphrase(environ)), trusts)]
    keys = workspace.platform.signers.values()
    if keys and not environ.get(TOKEN_FILE):
        return [_of_key(path, read_private_key(path), trusts) for path in keys]
    if (first := find_token(environ)) is not None:
        return [_of_identity(identity_of(first), lambda: find_token(environ), trusts)]
    raise BadInput(
        "there is no key to sign with, nor an identity",
        fix=f"Name the file of your key in {KEY}, and its passphrase's in {PASSPHRASE_FILE} if it is encrypted; its "
        "public half belongs into `slipway:signers`",
    )


def _of_key(path: Path, private: ec.EllipticCurvePrivateKey, trusts: Sequence[Trust]) -> _Credential:
    public = public_pem(private.public_key())
    found = {trust: trust.name_of(public) for trust in trusts}
    fix = (
        "Add its public half to `slipway:signers` of the stack files (`openssl pkey -in FILE -pubout` prints it; for "
        "the local platform `slipway up` does it)"
    )
    return _known(found, "this key", str(path), fix, lambda name, role: KeySigner(name, role, private))


def _of_identity(identity: Identity, token: Callable[[], str | None], trusts: Sequence[Trust]) -> _Credential:
    found = {trust: trust.name_of(identity) for trust in trusts}
    fix = "Add it to `slipway:signers` of the stack files: `identity: {issuer: …, subject: …}`"

    def make_signer(name: str, role: str) -> Signer:
        sigstore = next(trust.sigstore for trust, known in found.items() if known)
        return IdentitySigner(name, role, identity, token, sigstore)

    return _known(found, f"the identity {identity}", "", fix, make_signer)


def _known(
    found: Mapping[Trust, str | None], what: str, where: str, fix: str, make_signer: Callable[[str, str], Signer]
) -> _Credential:
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
    return _Credential(names[0], roles, where or what, make_signer)


def _passphrase(environ: Mapping[str, str]) -> bytes | None:
    named = environ.get(PASSPHRASE_FILE)
    if not named:
        return None
    try:
        return Path(named).expanduser().read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise BadInput(f"the passphrase cannot be read: {error.strerror}", where=f"{PASSPHRASE_FILE}={named}") from None
