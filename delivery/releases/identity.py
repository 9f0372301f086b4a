"""Signatures by who an OIDC issuer says that one is, with certificates of Sigstore that live for minutes.

Whoever signs shows a token to Fulcio, which certifies a key made for the occasion; what was signed with it is entered
into a log, Rekor, which says when (https://docs.sigstore.dev/about/overview). So there is no key to keep and to lose.
The library `sigstore` signs and judges, by its own rules; like all that reads certificates it is loaded only where that
is wanted.
"""

from __future__ import annotations

import base64
import functools
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from adapters.errors import BadInput, Refused, Unreachable
from components.delivery_model import Identity
from delivery.releases.artifact import canonical

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig
    from sigstore.sign import Signer

TOKEN_FILE = "SLIPWAY_IDENTITY_TOKEN_FILE"  # noqa: S105 - the name of a variable
GITHUB = "https://token.actions.githubusercontent.com"
"""The issuer of tokens for workflows on GitHub."""

# What an issuer is in a certificate: https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
_ISSUER = "1.3.6.1.4.1.57264.1.1"
_SHOWN = 200

_loading = threading.Lock()  # proof is judged in threads, and a module that two of them load may be half there for one


class NotBelieved(Exception):
    """A bundle does not show that the one who is named in it signed it; the text is a sentence about it."""


class Sigstore:
    """One Sigstore: that of a `ClientTrustConfig` in a file, or the public one."""

    def __init__(self, trust_config: Path | None = None) -> None:
        self._trust_config = trust_config

    def signed_by(self, identity: Identity, bundle: bytes) -> tuple[str, bytes]:
        """Type and payload that this identity signed while its certificate held; raises `NotBelieved` for all else."""
        config = self.config()
        from sigstore.errors import Error  # noqa: PLC0415 - see above
        from sigstore.models import Bundle  # noqa: PLC0415
        from sigstore.verify import Verifier, policy  # noqa: PLC0415

        expected = policy.Identity(identity=identity.subject, issuer=identity.issuer)
        try:
            return Verifier(trusted_root=config.trusted_root).verify_dsse(Bundle.from_json(bundle), expected)
        except Error as error:
            raise NotBelieved(f"Sigstore's rules do not let it count: {_line(error)}") from None
        except Exception as error:  # what its library says of things that it did not expect in a bundle differs
            raise NotBelieved(f"it is no bundle that Sigstore's library can read: {type(error).__name__}") from None

    def config(self) -> ClientTrustConfig:
        """Its addresses and keys; raises `BadInput` for a file that is none, `Unreachable` for what cannot be had."""
        with _loading:
            return _read_config(self._trust_config)


@dataclass
class IdentitySigner:
    """Somebody who signs with certificates of Sigstore. `token` gives a token of theirs, which lives for minutes."""

    name: str
    role: str
    known_by: Identity
    token: Callable[[], str | None] = field(repr=False)
    sigstore: Sigstore
    _certified: Signer | None = field(default=None, init=False, repr=False)

    def sign(self, statement: Mapping[str, Any]) -> bytes:
        """A bundle with the statement in it; raises `Unreachable` or `Refused` by what Sigstore does."""
        config = self.sigstore.config()
        import requests  # noqa: PLC0415 - see above
        from sigstore._internal.fulcio import ExpiredCertificate  # noqa: PLC0415 - the library names its errors nowhere else
        from sigstore._internal.fulcio.client import FulcioClientError  # noqa: PLC0415
        from sigstore._internal.rekor import RekorClientError  # noqa: PLC0415
        from sigstore.errors import Error  # noqa: PLC0415
        from sigstore.oidc import ExpiredIdentity  # noqa: PLC0415

        try:
            try:
                return self._sign(config, canonical(statement))
            except (ExpiredCertificate, ExpiredIdentity):  # a build may take longer than a certificate lives
                self._certified = None
                return self._sign(config, canonical(statement))
        except requests.RequestException as error:
            raise Unreachable(f"Sigstore cannot be reached: {_line(error)}", where=_asked(error)) from None
        except (FulcioClientError, RekorClientError) as error:
            raise Refused(f"Sigstore takes no signature of {self.name}: {_answer(error)}") from None
        except (Error, ExpiredCertificate, ExpiredIdentity) as error:
            raise Refused(f"{self.name} could not sign with Sigstore: {_line(error)}") from None

    def _sign(self, config: ClientTrustConfig, statement: bytes) -> bytes:
        from sigstore import dsse  # noqa: PLC0415 - see above
        from sigstore.oidc import IdentityToken  # noqa: PLC0415
        from sigstore.sign import SigningContext  # noqa: PLC0415

        if self._certified is None:
            token = IdentityToken(self.token() or "")
            with SigningContext.from_trust_config(config).signer(token) as signer:
                self._certified = signer
        return canonical(json.loads(self._certified.sign_dsse(dsse.Statement(statement)).to_json()))


def identity_in(bundle: bytes) -> Identity:
    """Whom the certificate in a bundle names, whoever made it; raises `NotBelieved` if it names nobody."""
    from cryptography import x509  # noqa: PLC0415 - see above

    try:
        raw = json.loads(bundle)["verificationMaterial"]["certificate"]["rawBytes"]
        extensions = x509.load_der_x509_certificate(base64.b64decode(raw)).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        issuer = extensions.get_extension_for_oid(x509.ObjectIdentifier(_ISSUER)).value
        (subject,) = (
            *names.get_values_for_type(x509.UniformResourceIdentifier),
            *names.get_values_for_type(x509.RFC822Name),
        )
        return Identity(issuer=cast("x509.UnrecognizedExtension", issuer).value.decode(), subject=subject)
    except Exception:  # what the library says of a broken certificate differs between its versions
        raise NotBelieved("its certificate names nobody") from None


def identity_of(token: str) -> Identity:
    """Whom a certificate for this token will name; raises `BadInput` for what is no token. Nothing of it is shown.

    By https://github.com/sigstore/fulcio/blob/main/docs/oidc.md: a workflow on GitHub, a person's e-mail address where
    there is one, else the token's subject.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if claims["iss"] == GITHUB:
            return Identity(issuer=GITHUB, subject=f"https://github.com/{claims['job_workflow_ref']}")
        issuer = claims.get("federated_claims", {}).get("connector_id") or claims["iss"]
        return Identity(issuer=issuer, subject=claims.get("email") or claims["sub"])
    except (ValueError, LookupError, TypeError, AttributeError):
        raise BadInput(
            "the identity token is none that names somebody", allowed="a JSON web token of an OIDC issuer"
        ) from None


def find_token(environ: Mapping[str, str]) -> str | None:
    """A token of whoever we are now: from a file, else of the CI system that runs us; None if there is neither."""
    if named := environ.get(TOKEN_FILE):
        return _read_token(Path(named).expanduser())
    with _loading:
        from sigstore.oidc import IdentityError, detect_credential  # noqa: PLC0415 - see above

        try:
            return detect_credential()
        except IdentityError as error:
            raise BadInput(
                f"the CI system gives us no identity token: {_line(error)}",
                fix="Give the job of the workflow `permissions: {id-token: write}`, or sign with a key",
            ) from None


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise BadInput(f"the identity token cannot be read: {reason}", where=f"{TOKEN_FILE}={path}") from None


@functools.cache
def _read_config(path: Path | None) -> ClientTrustConfig:
    import sigstore.sign  # noqa: PLC0415 - see above: all of it at once
    import sigstore.verify  # noqa: F401, PLC0415
    from sigstore.errors import Error  # noqa: PLC0415
    from sigstore.models import ClientTrustConfig  # noqa: PLC0415

    if path is not None:
        try:
            config = ClientTrustConfig.from_json(path.read_text(encoding="utf-8"))
            _ = config.trusted_root, config.signing_config
        except (OSError, ValueError, Error) as error:
            reason = getattr(error, "strerror", None) or _line(error)
            raise BadInput(
                f"the Sigstore that identities sign with cannot be read: {reason}",
                where=f"slipway:sigstore.trustConfig, {path}",
                allowed="a file with a ClientTrustConfig, JSON; without the key it is the public Sigstore",
            ) from None
        return config
    try:
        return ClientTrustConfig.production()
    except Error:  # what was fetched the last time, or came with the library, is as good but for what was added since
        try:
            return ClientTrustConfig.production(offline=True)
        except (Error, OSError) as error:
            raise Unreachable(f"the keys of the public Sigstore cannot be had: {_line(error)}") from None


def _asked(error: Exception) -> str:
    return str(getattr(getattr(error, "request", None), "url", "") or "")


def _answer(error: Exception) -> str:
    """What a service of Sigstore answered; its library keeps that as the cause."""
    response = getattr(error.__cause__ or (error.args[0] if error.args else None), "response", None)
    text = f"{response.status_code} {response.text}" if response is not None else str(error)
    return " ".join(text.split())[:_SHOWN] or type(error).__name__


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:_SHOWN] or type(error).__name__
