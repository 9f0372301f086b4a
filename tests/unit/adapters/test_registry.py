"""Image references, and a registry asked over each kind of credentials."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from adapters.errors import BadInput, Refused, Unreachable
from adapters.registry import Reference, RegistryClient, digest_of, parse_reference

DIGEST = "sha256:" + "a1" * 32
OTHER = "sha256:" + "b2" * 32
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BASIC = "Basic " + base64.b64encode(b"ci:s3cret").decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello:v1", Reference("hello", "v1", None)),
        (f"hello@{DIGEST}", Reference("hello", None, DIGEST)),
        (f"hello:v1@{DIGEST}", Reference("hello", "v1", DIGEST)),
        ("ghcr.io/org/hello:sha-0a1b2c", Reference("ghcr.io/org/hello", "sha-0a1b2c", None)),
        (f"127.0.0.1:5000/hello@{DIGEST}", Reference("127.0.0.1:5000/hello", None, DIGEST)),
        ("[::1]:5000/a/b__c/d--e:V_1.2-3", Reference("[::1]:5000/a/b__c/d--e", "V_1.2-3", None)),
        ("a:" + "x" * 128, Reference("a", "x" * 128, None)),
    ],
)
def test_references_are_read_and_written_alike(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("hello", "neither a tag nor a digest"),
        ("127.0.0.1:5000/hello", "neither a tag nor a digest"),
        ("", "the name '' is not one"),
        (":v1", "the name '' is not one"),
        ("Hello:v1", "lower case"),
        ("hello/:v1", "the name"),
        ("hello..x:v1", "the name"),
        ("he llo:v1", "the name"),
        ("a" * 256 + ":v1", "the name"),
        ("hello:", "the tag '' is not one"),
        ("hello:-v1", "the tag"),
        ("hello:v1\n", "the tag"),
        ("hello:" + "x" * 129, "at most 128"),
        ("hello@", "the digest '' is not one"),
        ("hello@sha256:ab", "64 hexadecimal digits"),
        (f"hello@{DIGEST.upper()}", "the digest"),
        (f"hello@{DIGEST}@{DIGEST}", "the digest"),
        ("hello@sha512:" + "a1" * 64, "the digest"),
    ],
)
def test_what_is_no_reference_says_why(text: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        parse_reference(text)


@pytest.fixture
def registry() -> Iterator[Callable[..., RegistryClient]]:
    clients: list[RegistryClient] = []

    def connect(*args: Any, **named: Any) -> RegistryClient:
        clients.append(RegistryClient(*args, **named))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def _serving(exchange: Any) -> None:
    """A registry that has `org/hello:v1` and lets everybody read."""
    if exchange.route in ("/v2/org/hello/manifests/v1", f"/v2/org/hello/manifests/{DIGEST}"):
        exchange.reply(200, headers={"Docker-Content-Digest": DIGEST})
    else:
        exchange.reply(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]})


def test_a_tag_gives_its_digest_and_a_digest_itself(serve: Any, registry: Any) -> None:
    client = registry(serve(_serving).host)
    assert client.digest_of("org/hello", "v1") == DIGEST
    assert client.digest_of("org/hello", DIGEST) == DIGEST


def test_what_is_not_there_is_none(serve: Any, registry: Any) -> None:
    client = registry(serve(_serving).host)
    assert client.digest_of("org/hello", "v2") is None
    assert client.digest_of("org/hello", OTHER) is None
    assert client.digest_of("org/nobody", "v1") is None
    assert client.tags("org/nobody") == []


def test_a_path_behind_the_host_comes_before_every_repository(serve: Any, registry: Any) -> None:
    assert registry(f"{serve(_serving).host}/org").digest_of("hello", "v1") == DIGEST


def test_indexes_and_manifests_of_both_kinds_are_accepted(serve: Any, registry: Any) -> None:
    accepted: list[str] = []
    server = serve(lambda exchange: (accepted.append(exchange.headers["Accept"]), _serving(exchange)))
    registry(server.host).digest_of("org/hello", "v1")
    assert len(accepted[0].split(", ")) == 4
    assert "application/vnd.oci.image.index.v1+json" in accepted[0]


@pytest.mark.parametrize("header", [None, "", "sha256:ab", "md5:abc"])
def test_an_answer_without_a_digest_is_not_believed(serve: Any, registry: Any, header: str | None) -> None:
    server = serve(lambda exchange: exchange.reply(200, headers={"Docker-Content-Digest": header} if header else {}))
    with pytest.raises(Unreachable, match=r"is the digest of org/hello v1"):
        registry(server.host).digest_of("org/hello", "v1")


def test_a_digest_that_is_not_the_one_asked_for_is_not_believed(serve: Any, registry: Any) -> None:
    server = serve(lambda exchange: exchange.reply(200, headers={"Docker-Content-Digest": OTHER}))
    with pytest.raises(Unreachable, match=f"'{OTHER}' is the digest of org/hello {DIGEST}"):
        registry(server.host).digest_of("org/hello", DIGEST)


def _basic(exchange: Any) -> None:
    if exchange.headers["Authorization"] == BASIC:
        _serving(exchange)
    else:
        exchange.reply(401, headers={"WWW-Authenticate": 'Basic realm="registry"'})


def test_a_password_is_given_where_it_is_asked_for(serve: Any, registry: Any) -> None:
    assert registry(serve(_basic).host, "ci", "s3cret").digest_of("org/hello", "v1") == DIGEST


def test_a_password_that_was_asked_for_once_is_given_unasked_but_to_nobody_else(serve: Any, registry: Any) -> None:
    seen: list[tuple[str, str | None]] = []

    def take(exchange: Any) -> None:
        seen.append((f"storage {exchange.command}", exchange.headers["Authorization"]))
        exchange.reply(201)

    def answer(exchange: Any) -> None:
        seen.append((exchange.command, exchange.headers["Authorization"]))
        if exchange.command == "POST":
            exchange.reply(202, headers={"Location": f"{storage.url}/upload"})
        else:
            _basic(exchange)

    storage, server = serve(take), serve(answer)
    client = registry(server.host, "ci", "s3cret")
    assert client.digest_of("org/hello", "v1") == DIGEST
    client.put_blob("org/hello", b"content")
    assert seen == [("HEAD", None), ("HEAD", BASIC), ("HEAD", BASIC), ("POST", BASIC), ("storage PUT", None)]


@pytest.mark.parametrize("credentials", [(), ("ci", "wr0ng")])
def test_a_wrong_or_missing_password_is_explained_and_not_shown(
    serve: Any, registry: Any, credentials: tuple[str, ...]
) -> None:
    with pytest.raises(BadInput, match=r"\(401\)\. Correct .*registryCredentials") as caught:
        registry(serve(_basic).host, *credentials).digest_of("org/hello", "v1")
    assert "wr0ng" not in str(caught.value)


def test_a_forbidden_repository_is_explained(serve: Any, registry: Any) -> None:
    with pytest.raises(BadInput, match=r"does not let us read /v2/org/hello/tags/list \(403\)"):
        registry(serve(lambda exchange: exchange.reply(403)).host).tags("org/hello")


class Issuer:
    """A registry that wants tokens, and the issuer of them: one a repository, each good for some requests."""

    _action: ClassVar = {"GET": "pull", "HEAD": "pull", "POST": "pull,push", "PUT": "pull,push", "DELETE": "delete"}

    def __init__(self, good_for: int = 99, key: str = "token") -> None:
        self.issued: list[dict[str, str]] = []
        self.credentials: list[str | None] = []
        self._good_for, self._key = good_for, key
        self._left: dict[str, int] = {}

    def __call__(self, exchange: Any) -> None:
        if exchange.route == "/token":
            self.issued.append(exchange.params)
            self.credentials.append(exchange.headers["Authorization"])
            token = f"t{len(self.issued)}"
            self._left[f"Bearer {token} {exchange.params['scope']}"] = self._good_for
            exchange.reply(200, {self._key: token})
            return
        repository = re.sub(r"^/v2/(.+)/(manifests|blobs|tags)/.*$", r"\1", exchange.route)
        scope = f"repository:{repository}:{self._action[exchange.command]}"
        use = f"{exchange.headers['Authorization']} {scope}"
        if self._left.get(use, 0) > 0:
            self._left[use] -= 1
            exchange.reply(200, {"tags": ["v1"]}, {"Docker-Content-Digest": DIGEST})
            return
        realm = f"http://{exchange.headers['Host']}/token"
        challenge = f'Bearer realm="{realm}",service="registry.example",scope="{scope}"'
        exchange.reply(401, headers={"WWW-Authenticate": challenge})


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_a_token_is_fetched_once_a_repository_with_the_password(serve: Any, registry: Any, key: str) -> None:
    issuer = Issuer(key=key)
    client = registry(serve(issuer).host, "ci", "s3cret")
    assert [client.digest_of("org/hello", "v1") for _ in range(3)] == [DIGEST] * 3
    assert client.tags("org/hello") == ["v1"]
    assert client.digest_of("org/other", "v1") == DIGEST
    assert [asked["scope"] for asked in issuer.issued] == ["repository:org/hello:pull", "repository:org/other:pull"]
    assert {asked["service"] for asked in issuer.issued} == {"registry.example"}
    assert issuer.credentials == [BASIC, BASIC]


def test_a_token_without_a_password_is_for_everybody(serve: Any, registry: Any) -> None:
    issuer = Issuer()
    assert registry(serve(issuer).host).digest_of("org/hello", "v1") == DIGEST
    assert issuer.credentials == [None]


def test_a_token_that_has_expired_is_replaced(serve: Any, registry: Any) -> None:
    issuer = Issuer(good_for=1)
    client = registry(serve(issuer).host)
    assert [client.digest_of("org/hello", "v1") for _ in range(3)] == [DIGEST] * 3
    assert len(issuer.issued) == 3


def test_a_token_to_read_is_not_taken_for_one_to_write(serve: Any, registry: Any) -> None:
    issuer = Issuer()
    client = registry(serve(issuer).host)
    for _ in range(2):
        client.put_manifest("org/hello", "v1", b"{}", MANIFEST)
        client.digest_of("org/hello", "v1")
        client.delete_manifest("org/hello", DIGEST)
    assert [asked["scope"].rpartition(":")[2] for asked in issuer.issued] == ["pull,push", "pull", "delete"]


@pytest.mark.parametrize(
    "challenge", ["", "Basic", "Negotiate x", "Bearer", 'Bearer service="x"', 'Bearer realm="http://{host}/refuses"']
)
def test_a_challenge_that_cannot_be_met_is_a_refusal(serve: Any, registry: Any, challenge: str) -> None:
    def answer(exchange: Any) -> None:
        given = challenge.replace("{host}", exchange.headers["Host"])
        exchange.reply(401, headers={"WWW-Authenticate": given})

    with pytest.raises(BadInput, match="does not let us read"):
        registry(serve(answer).host).digest_of("org/hello", "v1")


@pytest.mark.parametrize(("status", "answer"), [(200, b"hello"), (200, b"[]"), (200, b"{}"), (401, b"{}"), (404, b"")])
def test_an_issuer_that_gives_no_token_is_a_refusal(serve: Any, registry: Any, status: int, answer: bytes) -> None:
    def serving(exchange: Any) -> None:
        if exchange.route == "/token":
            exchange.reply(status, answer)
        else:
            realm = f'Bearer realm="http://{exchange.headers["Host"]}/token"'
            exchange.reply(401, headers={"WWW-Authenticate": realm})

    with pytest.raises(BadInput, match="does not let us read"):
        registry(serve(serving).host).digest_of("org/hello", "v1")


@pytest.mark.parametrize("absolute", [False, True])
def test_tags_come_from_all_pages_in_their_order(serve: Any, registry: Any, absolute: bool) -> None:
    pages = {"": (["v2", "v1"], "v1"), "v1": (["latest"], "latest"), "latest": (None, None)}

    def answer(exchange: Any) -> None:
        tags, onward = pages[exchange.params.get("last", "")]
        host = f"http://{exchange.headers['Host']}" if absolute else ""
        link = {"Link": f'<{host}{exchange.route}?last={onward}>; rel="next"'} if onward else {}
        exchange.reply(200, {"name": "org/hello", "tags": tags}, link)

    assert registry(serve(answer).host).tags("org/hello") == ["v2", "v1", "latest"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_what_is_no_list_of_tags_is_not_believed(serve: Any, registry: Any, body: bytes) -> None:
    with pytest.raises(Unreachable, match="no list of tags"):
        registry(serve(lambda exchange: exchange.reply(200, body)).host).tags("org/hello")


def test_a_redirection_is_followed_without_the_password(serve: Any, registry: Any) -> None:
    seen: list[str | None] = []
    storage = serve(lambda exchange: (seen.append(exchange.headers["Authorization"]), _serving(exchange)))

    def answer(exchange: Any) -> None:
        if exchange.headers["Authorization"] == BASIC:
            exchange.reply(307, headers={"Location": storage.url + exchange.path})
        else:
            _basic(exchange)

    assert registry(serve(answer).host, "ci", "s3cret").digest_of("org/hello", "v1") == DIGEST
    assert seen == [None]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_registry_in_trouble_is_unreachable(serve: Any, registry: Any, status: int) -> None:
    with pytest.raises(Unreachable, match=f"answers with {status}"):
        registry(serve(lambda exchange: exchange.reply(status)).host).digest_of("org/hello", "v1")


def test_a_registry_that_is_not_there_is_named_with_what_to_do(registry: Any, serve: Any) -> None:
    server = serve(lambda exchange: exchange.drop())
    with pytest.raises(Unreachable, match=rf"^{server.host}: the registry does not answer .*slipway:registry"):
        registry(server.host).digest_of("org/hello", "v1")
    with pytest.raises(Unreachable, match="does not answer"):
        registry("127.0.0.1:1").digest_of("org/hello", "v1")


def test_a_circle_of_redirections_is_unreachable(registry: Any, serve: Any) -> None:
    server = serve(lambda exchange: exchange.reply(307, headers={"Location": exchange.path}))
    with pytest.raises(Unreachable, match="does not answer"):
        registry(server.host).digest_of("org/hello", "v1")


@pytest.mark.parametrize("address", ["127.0.0.1:port", "http://[::1", "a b:\x00"])
def test_what_is_no_address_is_said_to_be_none(address: str) -> None:
    with pytest.raises(BadInput, match="no address of a registry"):
        RegistryClient(address)


def test_tls_is_trusted_by_the_authority_given_as_text(serve: Any, registry: Any, authority: Any) -> None:
    server = serve(_serving, tls=authority.tls)
    pem = f"# the authority of Zürich\n{authority.pem}"
    assert registry(server.host, ca=pem).digest_of("org/hello", "v1") == DIGEST


def test_tls_of_another_authority_is_refused(serve: Any, registry: Any, authority: Any, stranger: Any) -> None:
    server = serve(_serving, tls=authority.tls)
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        registry(server.host, ca=stranger.pem).digest_of("org/hello", "v1")
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        registry(server.url).digest_of("org/hello", "v1")


@pytest.mark.parametrize("pem", ["", "ca.pem", "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"])
def test_what_is_no_authority_is_said_to_be_none(pem: str) -> None:
    with pytest.raises(BadInput, match=r"127\.0\.0\.1:5000: the certificate authority .* PEM"):
        RegistryClient("127.0.0.1:5000", ca=pem)


def test_no_proxy_stands_before_a_registry_of_this_machine(
    serve: Any, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert registry(serve(_serving).host).digest_of("org/hello", "v1") == DIGEST


def _answering(status: int, body: Any = b"", **headers: str) -> Callable[[Any], None]:
    return lambda exchange: exchange.reply(
        status, body, {name.replace("_", "-"): text for name, text in headers.items()}
    )


def test_a_manifest_is_its_bytes_and_none_where_there_is_none(serve: Any, registry: Any) -> None:
    client = registry(serve(_answering(200, b"{}", Docker_Content_Digest=digest_of(b"{}"))).host)
    assert client.manifest("org/hello", "v1") == b"{}"
    assert client.manifest("org/hello", digest_of(b"{}")) == b"{}"
    assert registry(serve(_answering(404)).host).manifest("org/hello", "v1") is None


def test_bytes_that_their_digest_does_not_name_are_not_believed(serve: Any, registry: Any) -> None:
    client = registry(serve(_answering(200, b"{}", Docker_Content_Digest=OTHER)).host)
    for ask in (client.manifest, client.blob):
        with pytest.raises(Unreachable, match=f"answer to org/hello {OTHER} is not what the digest names"):
            ask("org/hello", OTHER)
    with pytest.raises(Unreachable, match="answer to org/hello v1"):
        client.manifest("org/hello", "v1")


def test_a_blob_that_is_not_there_is_said_to_be_missing(serve: Any, registry: Any) -> None:
    with pytest.raises(BadInput, match=f"repository org/hello has no blob {DIGEST}"):
        registry(serve(_answering(404)).host).blob("org/hello", DIGEST)


@pytest.mark.parametrize("absolute", [False, True])
def test_a_blob_is_uploaded_to_where_the_registry_says_unless_it_is_there(
    serve: Any, registry: Any, absolute: bool
) -> None:
    stored: dict[str, bytes] = {}
    asked: list[str] = []

    def answer(exchange: Any) -> None:
        host = f"http://{exchange.headers['Host']}" if absolute else ""
        match exchange.command, exchange.route:
            case "HEAD", route:
                asked.append(route)
                exchange.reply(200 if route.rpartition("/")[2] in stored else 404)
            case "POST", "/v2/org/hello/blobs/uploads/":
                exchange.reply(202, headers={"Location": f"{host}/elsewhere/1?_state=a%2Bb"})
            case "PUT", "/elsewhere/1" if exchange.params["_state"] == "a+b":
                stored[exchange.params["digest"]] = exchange.body
                exchange.reply(201)
            case _:
                exchange.reply(500)

    client = registry(serve(answer).host)
    assert [client.put_blob("org/hello", b"content") for _ in range(2)] == [digest_of(b"content")] * 2
    assert stored == {digest_of(b"content"): b"content"}
    assert len(asked) == 2
    assert client.put_blob("org/hello", b"new", is_new=True) == digest_of(b"new")
    assert (stored[digest_of(b"new")], len(asked)) == (b"new", 2)


def test_a_manifest_goes_with_its_media_type_and_a_copied_tag_keeps_it(serve: Any, registry: Any) -> None:
    index = b'{"manifests":[]}'
    put: list[tuple[str, str, bytes]] = []

    def answer(exchange: Any) -> None:
        if exchange.command == "PUT":
            put.append((exchange.route.rpartition("/")[2], exchange.headers["Content-Type"], exchange.body))
        found = exchange.command == "PUT" or exchange.route.endswith(digest_of(index))
        exchange.reply(201 if exchange.command == "PUT" else 200 if found else 404, index)

    client = registry(serve(answer).host)
    assert client.put_manifest("org/hello", "v1", b"{}", MANIFEST) == digest_of(b"{}")
    client.copy_tag("org/hello", digest_of(index), "latest")
    assert put == [("v1", MANIFEST, b"{}"), ("latest", "application/vnd.oci.image.index.v1+json", index)]
    with pytest.raises(BadInput, match=f"no manifest {OTHER}"):
        client.copy_tag("org/hello", OTHER, "latest")


def test_what_a_registry_says_of_a_write_is_told(serve: Any, registry: Any) -> None:
    errors = {"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry", "detail": "x"}]}
    client = registry(serve(_answering(400, errors)).host)
    with pytest.raises(Unreachable, match=r"answers with 400 to /v2/org/hello/manifests/v1: blob unknown to registry"):
        client.put_manifest("org/hello", "v1", b"{}", MANIFEST)
    for body in (b"<html>", b"[]", b'{"errors": 1}'):
        with pytest.raises(Unreachable, match=r"answers with 400 to /v2/org/hello/manifests/v1\.$"):
            registry(serve(_answering(400, body)).host).put_manifest("org/hello", "v1", b"{}", MANIFEST)


def test_what_is_gone_is_deleted(serve: Any, registry: Any) -> None:
    for status in (202, 404):
        registry(serve(_answering(status)).host).delete_manifest("org/hello", DIGEST)


def test_a_registry_that_takes_no_writes_or_deletes_refuses_and_says_what_to_do(serve: Any, registry: Any) -> None:
    client = registry(serve(_answering(405)).host)
    with pytest.raises(Refused, match=r"does not let anybody delete .*storage\.delete\.enabled"):
        client.delete_manifest("org/hello", DIGEST)
    with pytest.raises(Refused, match=r"does not let anybody write .*not read-only"):
        client.put_manifest("org/hello", "v1", b"{}", MANIFEST)


def test_who_may_not_write_is_told(serve: Any, registry: Any) -> None:
    client = registry(serve(_answering(403)).host)
    with pytest.raises(BadInput, match=r"does not let us write /v2/org/hello/manifests/v1 \(403\)"):
        client.put_manifest("org/hello", "v1", b"{}", MANIFEST)
    with pytest.raises(BadInput, match="does not let us delete"):
        client.delete_manifest("org/hello", DIGEST)


def test_an_upload_without_a_place_is_not_begun(serve: Any, registry: Any) -> None:
    def answer(exchange: Any) -> None:
        exchange.reply(404 if exchange.command == "HEAD" else 202)

    with pytest.raises(Unreachable, match="does not say where to upload to"):
        registry(serve(answer).host).put_blob("org/hello", b"content")
    with pytest.raises(Unreachable, match="no place for /v2/org/hello/blobs/uploads/"):
        registry(serve(_answering(404)).host).put_blob("org/hello", b"content")


def test_a_manifest_that_no_registry_takes_is_not_sent(serve: Any, registry: Any) -> None:
    client = registry(serve(lambda exchange: exchange.drop()).host)
    with pytest.raises(BadInput, match="too large"):
        client.put_manifest("org/hello", "v1", b" " * (4 * 2**20 + 1), MANIFEST)
