"""Reads from and writes to an OCI registry (https://github.com/opencontainers/distribution-spec); reads references."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn
from urllib.parse import urljoin

import httpx2

from adapters.errors import BadInput, Refused, Unreachable

_INDEX = "application/vnd.oci.image.index.v1+json"
_IMAGE = "application/vnd.oci.image.manifest.v1+json"
_MANIFESTS = ", ".join(
    (
        _INDEX,
        _IMAGE,
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_CONNECT_S, _READ_S = 10.0, 30.0
_IDLE_S = 30.0  # how long a connection is kept that nobody uses: pods mostly get ready in less
_LARGEST_MANIFEST = 4 << 20
"""Bytes; what registries take at most (distribution-spec, "Pushing Manifests")."""

# https://github.com/distribution/reference/blob/main/regexp.go
_DOMAIN_PART = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"(?:{_DOMAIN}/)?{_PATH_PART}(?:/{_PATH_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST_NAME = 255

_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_OF_REPOSITORY = re.compile(r"/v2/(.+)/(?:manifests|blobs|tags)/.*")
_READING = ("GET", "HEAD")
_ALLOW_DELETES = "Let it delete (distribution: `storage.delete.enabled: true`), or remove it by the registry's own ways"


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
            limits=httpx2.Limits(keepalive_expiry=_IDLE_S),
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

    def manifest(self, repository: str, tag_or_digest: str) -> bytes | None:
        """A manifest's bytes, None if there is none; of a digest asked for, the bytes are those it names."""
        response = self._ask("GET", f"{self._repository(repository)}/manifests/{tag_or_digest}", _MANIFESTS)
        if response.status_code == httpx2.codes.NOT_FOUND:
            return None
        named = response.headers.get("Docker-Content-Digest") or digest_of(response.content)
        wanted = tag_or_digest if _DIGEST.fullmatch(tag_or_digest) else named
        return self._checked(response.content, wanted, f"{repository} {tag_or_digest}")

    def blob(self, repository: str, digest: str) -> bytes:
        """A blob's bytes, which are those its digest names; raises `BadInput` if the repository has no such blob."""
        response = self._ask("GET", f"{self._repository(repository)}/blobs/{digest}", "*/*")
        if response.status_code == httpx2.codes.NOT_FOUND:
            raise BadInput(f"the repository {repository} has no blob {digest}", where=self._address)
        return self._checked(response.content, digest, f"{repository} {digest}")

    def put_manifest(self, repository: str, reference: str, content: bytes, media_type: str) -> str:
        """Store a manifest under a tag or its own digest, and return its digest; what it names must be there."""
        if len(content) > _LARGEST_MANIFEST:
            raise BadInput(f"a manifest of {len(content)} bytes is too large", allowed=f"{_LARGEST_MANIFEST} bytes")
        path = f"{self._repository(repository)}/manifests/{reference}"
        self._write("PUT", path, content, {"Content-Type": media_type})
        return digest_of(content)

    def put_blob(self, repository: str, content: bytes, *, is_new: bool = False) -> str:
        """Store a blob, unless the repository has it, and return its digest; for one that `is_new` it is not asked."""
        digest = digest_of(content)
        blobs = f"{self._repository(repository)}/blobs"
        if not is_new and self._ask("HEAD", f"{blobs}/{digest}", "*/*").status_code != httpx2.codes.NOT_FOUND:
            return digest
        begun = self._write("POST", f"{blobs}/uploads/")
        if "Location" not in begun.headers:
            raise Unreachable("the registry does not say where to upload to", where=self._address)
        upload = httpx2.URL(urljoin(str(begun.url), begun.headers["Location"])).copy_merge_params({"digest": digest})
        self._write("PUT", str(upload), content, {"Content-Type": "application/octet-stream"})
        return digest

    def delete_manifest(self, repository: str, digest: str) -> None:
        """Remove a manifest with every tag that names it; nothing to do if it is gone.

        Raises `Refused` where the registry does not delete, or does not let these credentials.
        """
        self._write("DELETE", f"{self._repository(repository)}/manifests/{digest}")

    def copy_tag(self, repository: str, digest: str, tag: str) -> None:
        """Let `tag` name the manifest `digest` of the same repository; raises `BadInput` if that is not there."""
        content = self.manifest(repository, digest)
        if content is None:
            raise BadInput(f"the repository {repository} has no manifest {digest}", where=self._address)
        self.put_manifest(repository, tag, content, media_type_of(content))

    def _repository(self, repository: str) -> str:
        return "/v2/" + "/".join(part for part in (self._prefix, repository) if part)

    def _checked(self, content: bytes, digest: str, asked: str) -> bytes:
        if digest_of(content) != digest:
            raise Unreachable(f"the registry's answer to {asked} is not what the digest names", where=self._address)
        return content

    def _write(
        self, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        """The answer of a success; a deletion of what is not there is one too."""
        response = self._ask(method, path, "application/json", content, headers)
        if response.status_code == httpx2.codes.NOT_FOUND and method != "DELETE":
            raise Unreachable(f"the registry has no place for {_of(path)}{_said(response)}", where=self._address)
        return response

    def _ask(
        self, method: str, path: str, accept: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        """The answer, which is a success or `404`."""
        try:
            response = self._client.request(
                method, path, headers={"Accept": accept, **(headers or {})}, content=content or None
            )
        except httpx2.RequestError as error:
            raise Unreachable(
                f"the registry does not answer ({error or 'no answer in time'})",
                where=self._address,
                fix="Start it, or correct the address in `slipway:registry`",
            ) from None
        if response.status_code in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            self._refuse(response, method)
        if response.status_code == httpx2.codes.METHOD_NOT_ALLOWED and method not in _READING:
            raise Refused(
                f"the registry does not let anybody {_verb(method)} {_of(path)} ({response.status_code})",
                where=self._address,
                fix=_ALLOW_DELETES if method == "DELETE" else "Push to an instance that is not read-only",
            )
        if response.is_error and response.status_code != httpx2.codes.NOT_FOUND:
            said = "" if method in _READING else _said(response)
            raise Unreachable(
                f"the registry answers with {response.status_code} to {_of(path)}{said}", where=self._address
            )
        return response

    def _refuse(self, response: httpx2.Response, method: str) -> NoReturn:
        raise BadInput(
            f"the registry does not let us {_verb(method)} {response.url.path} ({response.status_code})",
            where=self._address,
            fix="Correct the user name and password in `slipway:registryCredentials`, or their rights",
        )


class _RegistryAuth(httpx2.Auth):
    """Answers the challenge of a registry: with the password itself, or with a token its issuer gives for it.

    https://distribution.github.io/distribution/spec/auth/token/. Tokens are kept, one for each scope; they are short
    of life, and asked for anew when refused. Who asked for the password once is given it unasked.
    """

    requires_response_body = True

    def __init__(self, username: str | None, password: str | None) -> None:
        self._basic = httpx2.BasicAuth(username, password or "") if username else None
        self._wants_basic: set[tuple[str, int | None]] = set()  # hosts and ports that asked for the password
        self._tokens: dict[tuple[str, str], str] = {}  # by repository and what is done there
        self._lock = threading.Lock()

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        use = (_repository_of(request.url.path), _verb(request.method))
        with self._lock:
            token = self._tokens.get(use)
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        elif self._basic and (request.url.host, request.url.port) in self._wants_basic:
            yield from self._basic.auth_flow(request)
            return
        response = yield request
        if response.status_code != httpx2.codes.UNAUTHORIZED:
            return
        scheme, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
        if scheme.lower() == "basic" and self._basic:
            self._wants_basic.add((request.url.host, request.url.port))
            yield from self._basic.auth_flow(request)
        elif scheme.lower() == "bearer" and "realm" in (challenge := dict(_CHALLENGE.findall(rest))):
            answer = yield self._token_request(challenge)
            if token := _token_of(answer):
                with self._lock:
                    self._tokens[use] = token
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


def digest_of(content: bytes) -> str:
    """How a registry calls these bytes: `sha256:<64 hex digits>`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _repository_of(path: str) -> str:
    found = _OF_REPOSITORY.fullmatch(path)
    return found[1] if found else ""


def _verb(method: str) -> str:
    return "read" if method in _READING else "delete" if method == "DELETE" else "write"


def _of(path: str) -> str:
    """A path without what stands behind `?`: the state of an upload, long and of no use to a person."""
    return path.partition("?")[0]


def _said(response: httpx2.Response) -> str:
    """What a registry says is wrong, for its reader: `: <message> (<code>); …`."""
    try:
        errors = response.json()["errors"]
        said = "; ".join(f"{error.get('message', '')} ({error['code']})".strip() for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f": {said}" if said else ""


def media_type_of(manifest: bytes) -> str:
    """What a manifest says it is; OCI's, where it need not say so, is told from an index by its entries."""
    try:
        parsed = json.loads(manifest)
        return str(parsed.get("mediaType") or (_INDEX if "manifests" in parsed else _IMAGE))
    except (ValueError, AttributeError):
        raise BadInput("what the registry holds there is no manifest") from None


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
