"""Asks an OCI registry (https://github.com/opencontainers/distribution-spec) what it has; reads image references."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Generator
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn
from urllib.parse import urljoin

import httpx2

from adapters.errors import BadInput, Unreachable

_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_CONNECT_S, _READ_S = 10.0, 30.0

# https://github.com/distribution/reference/blob/main/regexp.go
_DOMAIN_PART = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"(?:{_DOMAIN}/)?{_PATH_PART}(?:/{_PATH_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST_NAME = 255

_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Reference:
    """An image: `name` without tag and digest, a tag, a digest `sha256:<64 hex digits>`; one of the two is there."""

    name: str
    tag: str | None
    digest: str | None

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """Read `name:tag`, `name@sha256:…` or `name:tag@sha256:…`; raises `BadInput` for anything else.

    Neither is made up: a name alone would mean the tag `latest`, which names another image tomorrow.
    """
    rest, at, digest = text.partition("@")
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:  # the colon belongs to a port
        name, colon, tag = rest, "", ""
    if at and not _DIGEST.fullmatch(digest):
        raise _bad_reference(
            text, f"the digest {digest!r} is not one", "sha256: and 64 hexadecimal digits in lower case"
        )
    if colon and not _TAG.fullmatch(tag):
        raise _bad_reference(text, f"the tag {tag!r} is not one", "letters, digits, `_`, `.`, `-`, at most 128")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise _bad_reference(
            text, f"the name {name!r} is not one", "lower case, such as `hello` or `ghcr.io/org/hello`"
        )
    if not at and not colon:
        raise _bad_reference(text, "there is neither a tag nor a digest", "name:tag, name@digest or name:tag@digest")
    return Reference(name, tag or None, digest or None)


class RegistryClient:
    """A registry at `address`: `host[:port]` (TLS, except on this machine without `ca`), or a URL with its scheme.

    `ca` is PEM text: the authority of its certificate, in place of the system's. Any number of threads may ask.
    A path behind the host (`ghcr.io/org`) is put before every repository. Usable as a context manager.
    """

    def __init__(
        self, address: str, username: str | None = None, password: str | None = None, ca: str | None = None
    ) -> None:
        try:
            url = httpx2.URL(address if "://" in address else f"{_scheme(address, ca)}://{address}")
        except httpx2.InvalidURL as error:
            raise BadInput(f"this is no address of a registry: {error}", where=address, allowed="host[:port]") from None
        self._prefix = url.path.strip("/")
        self._address = address
        self._client = httpx2.Client(
            base_url=url.copy_with(path="/"),
            verify=_trust(ca, address),
            auth=_RegistryAuth(username, password),
            timeout=httpx2.Timeout(_READ_S, connect=_CONNECT_S),
            follow_redirects=True,
            trust_env=not _is_here(url.host),
        )

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def digest_of(self, repository: str, tag_or_digest: str) -> str | None:
        """The digest a tag names now, or the digest itself if the registry has it; None if it has no such image.

        Raises `Unreachable`, also for an answer that makes no sense, and `BadInput` if the registry does not let
        these credentials read.
        """
        response = self._ask("HEAD", f"{self._repository(repository)}/manifests/{tag_or_digest}", _MANIFESTS)
        if response.status_code == httpx2.codes.NOT_FOUND:
            return None
        digest = response.headers.get("Docker-Content-Digest", "")
        asked = tag_or_digest if _DIGEST.fullmatch(tag_or_digest) else digest
        if not _DIGEST.fullmatch(digest) or digest != asked:
            raise Unreachable(
                f"the registry says {digest!r} is the digest of {repository} {tag_or_digest}", where=self._address
            )
        return str(digest)

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository in the registry's order; empty if there is no such repository."""
        tags: list[str] = []
        path: str | None = f"{self._repository(repository)}/tags/list"
        while path is not None:
            response = self._ask("GET", path, "application/json")
            if response.status_code == httpx2.codes.NOT_FOUND:
                return tags
            try:
                tags += response.json()["tags"] or []
            except (ValueError, KeyError, TypeError):
                raise Unreachable(f"the registry answers with no list of tags to {path}", where=self._address) from None
            onward = response.links.get("next", {}).get("url")
            path = urljoin(str(response.url), onward) if onward else None
        return tags

    def _repository(self, repository: str) -> str:
        return "/v2/" + "/".join(part for part in (self._prefix, repository) if part)

    def _ask(self, method: str, path: str, accept: str) -> httpx2.Response:
        """The answer, which is a success or `404`."""
        try:
            response = self._client.request(method, path, headers={"Accept": accept})
        except httpx2.RequestError as error:
            raise Unreachable(
                f"the registry does not answer ({error or 'no answer in time'})",
                where=self._address,
                fix="Start it, or correct the address in `slipway:registry`",
            ) from None
        if response.status_code in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            self._refuse(response)
        if response.is_error and response.status_code != httpx2.codes.NOT_FOUND:
            raise Unreachable(f"the registry answers with {response.status_code} to {path}", where=self._address)
        return response

    def _refuse(self, response: httpx2.Response) -> NoReturn:
        raise BadInput(
            f"the registry does not let us read {response.url.path} ({response.status_code})",
            where=self._address,
            fix="Correct the user name and password in `slipway:registryCredentials`, or their rights",
        )


class _RegistryAuth(httpx2.Auth):
    """Answers the challenge of a registry: with the password itself, or with a token its issuer gives for it.

    https://distribution.github.io/distribution/spec/auth/token/. Tokens are kept, one for each scope; they are short
    of life, and asked for anew when refused.
    """

    requires_response_body = True

    def __init__(self, username: str | None, password: str | None) -> None:
        self._basic = httpx2.BasicAuth(username, password or "") if username else None
        self._tokens: dict[str, str] = {}  # by repository
        self._lock = threading.Lock()

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        repository = _repository_of(request.url.path)
        with self._lock:
            token = self._tokens.get(repository)
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code != httpx2.codes.UNAUTHORIZED:
            return
        scheme, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
        if scheme.lower() == "basic" and self._basic:
            yield from self._basic.auth_flow(request)
        elif scheme.lower() == "bearer" and "realm" in (challenge := dict(_CHALLENGE.findall(rest))):
            answer = yield self._token_request(challenge)
            if token := _token_of(answer):
                with self._lock:
                    self._tokens[repository] = token
                request.headers["Authorization"] = f"Bearer {token}"
            yield request  # also without a token: the answer must be the registry's and not the issuer's

    def _token_request(self, challenge: dict[str, str]) -> httpx2.Request:
        params = {key: value for key, value in challenge.items() if key in ("service", "scope")}
        request = httpx2.Request("GET", challenge["realm"], params=params)
        if self._basic:
            request = next(self._basic.auth_flow(request))
        return request


def _token_of(answer: httpx2.Response) -> str | None:
    try:
        given = answer.json()
        return str(given.get("token") or given["access_token"]) if answer.is_success else None
    except (ValueError, KeyError, AttributeError):
        return None


def _repository_of(path: str) -> str:
    return path.removeprefix("/v2/").rpartition("/manifests/")[0] or path.removeprefix("/v2/").rpartition("/tags/")[0]


def _is_here(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _scheme(address: str, ca: str | None) -> str:
    """As every client of registries does: this machine's own may go without TLS."""
    return "http" if ca is None and _is_here(httpx2.URL(f"//{address}").host) else "https"


def _trust(ca: str | None, address: str) -> ssl.SSLContext | bool:
    if ca is None:
        return True
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        trust.load_verify_locations(cadata=ca.encode("ascii", "replace").decode())  # comments may hold anything
    except (ValueError, ssl.SSLError):
        raise BadInput(
            "the certificate authority of the registry is no certificate", where=address, allowed="PEM text"
        ) from None
    return trust


def _bad_reference(text: str, what: str, allowed: str) -> BadInput:
    return BadInput(f"{text!r} is no image reference: {what}", allowed=allowed)
