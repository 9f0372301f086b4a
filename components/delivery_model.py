"""The parts of an environment's configuration that say how a release gets into it: whose word counts, and for what.

The program reads them like the rest and acts on none of them; the commands do (`delivery/releases/gates.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from components.complaints import keys_at
from components.model import DIGEST, EnvironmentRules, Model, Name, Service
from components.secret import SEALED

Read = TypeVar("Read", date, datetime)

Role = Literal["builder", "verifier", "approver"]
Severity = Literal["negligible", "low", "medium", "high", "critical"]

SignerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-._@A-Za-z0-9]{0,62}[A-Za-z0-9])?$")]

_ENVIRONMENT = "environment"


def _reader(parse: Callable[[str], Read], form: str) -> Callable[[object], object]:
    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return parse(value)
        except ValueError:
            raise ValueError(f"{value!r} is not {form}") from None

    return read


def _parse_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("no time zone")
    return time.astimezone(UTC)


Time = Annotated[
    datetime, BeforeValidator(_reader(_parse_time, "a time with its zone, such as '2026-12-24T00:00:00Z'"), str)
]
Date = Annotated[date, BeforeValidator(_reader(date.fromisoformat, "a date such as '2026-12-24'"), str)]


def _check_key(pem: str, info: ValidationInfo) -> str:
    """Only for commands: the program has no use for keys, and the import takes as long as a small update."""
    if not (info.context or {}).get(SEALED):
        return pem
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        key = load_pem_public_key(pem.encode())
    except Exception:  # what else than ValueError it raises for broken input differs between its versions
        raise ValueError("the key is no public key in PEM form (-----BEGIN PUBLIC KEY-----)") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("the key is of another kind than signatures are made with here: ECDSA, P-256")  # noqa: TRY004
    return pem


class Identity(Model):
    """Somebody whom an OIDC issuer knows, as Sigstore certifies it: https://docs.sigstore.dev/certificate_authority."""

    issuer: str = Field(
        pattern=r"^https://\S+$",
        description="Who says so, for GitHub's workflows `https://token.actions.githubusercontent.com`.",
    )
    subject: str = Field(
        min_length=1,
        description="Who it is, exactly as in the certificate: a workflow as "
        "`https://github.com/OWNER/REPOSITORY/.github/workflows/FILE@refs/heads/main`, a person as an e-mail address.",
    )

    def __str__(self) -> str:
        return f"{self.subject!r}, issuer {self.issuer!r}"


class SignerSettings(Model):
    """Somebody whose signature counts here, known by a key or by an identity."""

    roles: Annotated[tuple[Role, ...], Field(strict=False, min_length=1)] = Field(
        description="What the signature counts for. builder: where an image comes from, its parts and its scan; "
        "verifier: how a release did in an environment, and what was done with it; approver: a person's sign-off."
    )
    key: Annotated[str, AfterValidator(_check_key)] | None = Field(
        default=None,
        description="Public key, PEM, ECDSA on P-256 (`openssl pkey -in KEY -pubout`). The private half of "
        "an approver's belongs neither into CI nor into the cluster.",
    )
    identity: Identity | None = Field(
        default=None, description="In place of a key: who signs with certificates of Sigstore that live for minutes."
    )

    @model_validator(mode="after")
    def _is_known_by_one(self) -> Self:
        if (self.key is None) == (self.identity is None):
            raise ValueError("a signer is known by `key` or by `identity`, and by one of them")
        return self


class SigstoreSettings(Model):
    """The Sigstore whose certificates identities sign with."""

    trust_config: str | None = Field(
        default=None,
        description="File of its addresses and keys (`ClientTrustConfig`, JSON), relative to the configuration "
        "directory. Default: the public instance, https://sigstore.dev, whose log names repository and workflow.",
    )


class Built(Model):
    """Provenance, signed by a builder, of every image."""

    accept_dirty: bool = Field(
        default=False,
        description="Whether a build of files that are in no commit counts. Only for test: nobody can build it again.",
    )


class Scanned(Model):
    """A scan, signed by a builder, that every image passed."""

    accept_unscanned: bool = Field(
        default=False, description="Whether the record of a scan that could not look counts like one that passed."
    )


class Verified(Model):
    """A suite that the release passed in another stack, as that one is configured now."""

    stack: Name = Field(description="The stack that it ran in.")
    suite: Name = Field(description="The suite: `smoke`, `regression`, or `manual` for a person's own tests.")


class Soaked(Model):
    """Ran in another stack, as that one is configured now, unchanged and without an alert."""

    stack: Name = Field(description="The stack that it ran in.")
    minutes: int = Field(ge=1, le=10080, description="For at least so many minutes.")
    requests: int = Field(default=0, ge=0, description="With at least so many requests in that time.")
    accept_unwatched: bool = Field(
        default=False,
        description="Whether a soak counts without anybody to see alerts, for a stack that no stack of kind "
        "`monitoring` watches.",
    )


class SignedOff(Model):
    """An approver's sign-off for this stack; one who built the release has no say in it."""


class Close(Model):
    """Another stack's configuration differs from this one's only where it may."""

    to: Name = Field(description="The stack that has to be like this one, since a release is tested there.")


class Gate(Model):
    """One thing that a release must carry before it may enter."""

    NOUN: ClassVar[str] = "gate"
    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    built: Built | None = Field(default=None, description="By CI: provenance of every image, signed by a builder.")
    scanned: Scanned | None = Field(default=None, description="Every image passed its scan.")
    verified: Verified | None = Field(default=None, description="It passed a suite in another stack.")
    soaked: Soaked | None = Field(default=None, description="It ran in another stack for a time, without an alert.")
    signed_off: SignedOff | None = Field(default=None, description="An approver who did not build it signed it off.")
    close: Close | None = Field(default=None, description="The stack where it was tested is like this one.")

    @property
    def name(self) -> str:
        """Which gate it is, as the stack file says: `signedOff`."""
        fields = type(self).model_fields.items()
        return next(field.alias or name for name, field in fields if getattr(self, name) is not None)

    @property
    def needs(self) -> str | None:
        """The other stack that it asks about."""
        if self.close:
            return self.close.to
        place = self.verified or self.soaked
        return place.stack if place else None

    def __str__(self) -> str:
        if self.verified:
            return f"verified ({self.verified.suite} in {self.verified.stack})"
        if self.soaked:
            return f"soaked ({self.soaked.minutes} min in {self.soaked.stack})"
        return f"close to {self.close.to}" if self.close else self.name

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"an entry is one gate: {' or '.join(keys_at(type(self), ()) or ())}")
        return self


def _by_name(value: object) -> object:
    """A gate that needs nothing more may be its name alone, with a colon or without."""
    if isinstance(value, dict):
        return {key: {} if inner is None else inner for key, inner in value.items()}
    return {value: {}} if isinstance(value, str) else value


GateEntry = Annotated[Gate, BeforeValidator(_by_name, Literal["built", "scanned", "signedOff"] | Gate)]


class Hold(Model):
    """A digest that must not run in this environment."""

    digest: str = Field(pattern=DIGEST, description="Digest of the image, `sha256:…`.")
    reason: str = Field(min_length=1, description="Why; shown to whoever tries.")
    author: str = Field(min_length=1, description="Who says so.")
    alert: str | None = Field(default=None, description="The alert that it was rolled back for, if one was.")
    at: Time | None = Field(default=None, description="Since when.")


class Freeze(Model):
    """For a time nothing new comes into the environment, and nothing happens there by itself."""

    until: Time = Field(description="When it ends by itself, with its zone: `2026-12-24T00:00:00Z`.")
    reason: str = Field(min_length=1, description="Why; shown to whoever tries.")
    author: str = Field(min_length=1, description="Who says so.")

    def is_on(self, now: datetime) -> bool:
        """Whether it has not ended by itself."""
        return now < self.until


class ScanException(Model):
    """A vulnerability that is accepted for a while."""

    id: str = Field(min_length=1, description="As the scan names it: `CVE-…`, `GHSA-…`.")
    until: Date = Field(description="The last day it is accepted: `2027-01-31`.")
    reason: str = Field(min_length=1, description="Why it does no harm here, or cannot be mended yet.")
    author: str = Field(min_length=1, description="Who says so.")


class ScanRules(Model):
    """What a scan lets pass."""

    fail_on: Severity = Field(default="high", description="The lowest severity that fails a scan.")
    exceptions: Annotated[tuple[ScanException, ...], Field(strict=False)] = Field(
        default=(), description="Vulnerabilities that are accepted for a while."
    )


def _check_path(path: str) -> str:
    """Refuses a path that no service and no environment has, so that a slip of the pen allows nothing."""
    first, *rest = path.split(".")
    model: type[BaseModel] = EnvironmentRules if first == _ENVIRONMENT and rest else Service
    steps: list[str] = rest if model is EnvironmentRules else [first, *rest]
    for end, step in enumerate(steps):
        valid = keys_at(model, steps[:end])
        if valid is not None and step not in valid:
            listed = ", ".join(sorted(valid)) or "nothing"
            raise ValueError(f"{path!r} is no path within a service: instead of {step!r} there may be {listed}")
    return path


MayDiffer = Annotated[tuple[Annotated[str, Field(min_length=1), AfterValidator(_check_path)], ...], Field(strict=False)]

MAY_DIFFER = ("replicas", "resources", "autoscaling", "ingress.host", "environment.protect", "environment.quota")
"""Where environments differ by default, by their size and by their address."""

Signers = dict[SignerName, SignerSettings]


def check_signers_differ(signers: Signers) -> Signers:
    """Refuses one key, or one identity, under two names: whoever has it could approve what they built."""
    names: dict[Any, str] = {}
    for name, signer in signers.items():
        known_by = signer.identity or "".join((signer.key or "").split())
        if (other := names.setdefault(known_by, name)) != name:
            what = "identity" if signer.identity else "key"
            raise ValueError(f"{other} and {name} have the same {what}: one person is one signer, with all roles")
    return signers
