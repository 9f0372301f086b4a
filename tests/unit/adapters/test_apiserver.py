"""What is sent to an API server again, what its refusals become, and how streams end."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapters.apiserver import ApiServer, Cause, KubernetesError
from adapters.errors import Unreachable
from adapters.kubeconfig import open_client

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def connect(kubeconfig_of: Any) -> Iterator[Callable[..., ApiServer]]:
    servers: list[ApiServer] = []

    def opened(url: str, ca: str | None = None) -> ApiServer:
        cluster = {"certificate-authority-data": base64.b64encode(ca.encode()).decode()} if ca else {}
        servers.append(ApiServer(*open_client(kubeconfig_of(url, cluster), None)))
        return servers[-1]

    yield opened
    for server in servers:
        server.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses made, which take no time."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


class Script:
    """Gives its answers one after another, the last one for ever, and remembers what it was asked."""

    def __init__(self, *answers: Callable[[Any], None]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, bytes]] = []

    def __call__(self, exchange: Any) -> None:
        self.asked.append((exchange.command, exchange.body))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        answer(exchange)


def _reply(status: int, body: Any = None, **headers: str) -> Callable[[Any], None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.reply(status, {} if body is None else body, named)


def _drop(exchange: Any) -> None:
    exchange.drop()


def _status(code: int, reason: str, message: str, **more: Any) -> dict[str, Any]:
    return {"kind": "Status", "code": code, "reason": reason, "message": message, **more}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_the_server_asks_to_be_sent_later_is_sent_later(
    serve: Any, connect: Any, pauses: list[float], method: str, status: int
) -> None:
    script = Script(_reply(status, Retry_After="3"), _reply(status, Retry_After="1"), _reply(200, {"kind": "Pod"}))
    assert connect(serve(script).url).json(method, "/x", body={"a": 1}) == {"kind": "Pod"}
    assert script.asked == [(method, b'{"a":1}')] * 3
    assert pauses == [3, 1]


def test_a_server_cannot_make_us_wait_for_an_hour(serve: Any, connect: Any, pauses: list[float]) -> None:
    connect(serve(Script(_reply(429, Retry_After="3600"), _reply(200))).url).json("GET", "/x")
    assert pauses == [10]


def test_a_server_that_always_says_later_is_given_up(serve: Any, connect: Any, pauses: list[float]) -> None:
    script = Script(_reply(429, _status(429, "TooManyRequests", "too many"), Retry_After="1"))
    with pytest.raises(KubernetesError, match="too many") as caught:
        connect(serve(script).url).json("GET", "/x")
    assert caught.value.status == 429
    assert len(script.asked) == 6


@pytest.mark.parametrize("answer", [_reply(500), _reply(409, Retry_After="1"), _reply(404)])
def test_a_refusal_that_names_no_time_is_not_repeated(
    serve: Any, connect: Any, pauses: list[float], answer: Callable[[Any], None]
) -> None:
    script = Script(answer)
    with pytest.raises(KubernetesError):
        connect(serve(script).url).json("GET", "/x")
    assert len(script.asked) == 1
    assert pauses == []


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_broken_connection_is_repeated_where_twice_does_the_same(
    serve: Any, connect: Any, pauses: list[float], method: str
) -> None:
    script = Script(_drop, _drop, _reply(200, {"kind": "Pod"}))
    assert connect(serve(script).url).json(method, "/x", body={}) == {"kind": "Pod"}
    assert len(script.asked) == 3
    assert len(pauses) == 2


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_broken_connection_is_not_repeated_where_twice_might_do_more(
    serve: Any, connect: Any, pauses: list[float], method: str
) -> None:
    script = Script(_drop, _reply(200))
    with pytest.raises(Unreachable, match="does not answer"):
        connect(serve(script).url).json(method, "/x", body={})
    assert len(script.asked) == 1


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("PATCH", 2), ("DELETE", 2), ("POST", 1), ("PUT", 1)])
def test_what_etcd_was_too_slow_for_is_repeated_where_twice_does_the_same(
    serve: Any, connect: Any, pauses: list[float], method: str, times: int
) -> None:
    late = _status(500, "InternalError", "etcdserver: request timed out")
    script = Script(_reply(500, late), _reply(200, {"kind": "Thing"}))
    with contextlib.suppress(KubernetesError):
        connect(serve(script).url).json(method, "/x", body={})
    assert len(script.asked) == times


def test_a_server_that_never_answered_is_unreachable_at_once(connect: Any, pauses: list[float]) -> None:
    with pytest.raises(
        Unreachable, match=r"context main \(http://127\.0\.0\.1:1\): the API server does not answer"
    ) as e:
        connect("http://127.0.0.1:1").json("GET", "/x")
    assert "Start the cluster, or choose another context" in str(e.value)
    assert pauses == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_server_that_restarts_is_waited_for(
    serve: Any, connect: Any, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    answer = _reply(200, {"kind": "Pod"}, Connection="close")
    server = serve(answer)
    api = connect(server.url)
    api.json("GET", "/x")
    server.stop()
    again: list[Any] = []
    monkeypatch.setattr(time, "sleep", lambda _: again.append(serve(answer, server.port)) if not again else None)
    assert api.json(method, "/x") == {"kind": "Pod"}
    assert again


def test_a_refusal_tells_what_the_server_told(serve: Any, connect: Any) -> None:
    causes = [{"reason": "FieldValueInvalid", "message": "Invalid value: -1", "field": "spec.replicas"}, {}]
    status = _status(422, "Invalid", 'Deployment "x" is invalid', details={"causes": causes})
    with pytest.raises(KubernetesError) as caught:
        connect(serve(_reply(422, status)).url).json("POST", "/x", body={}, where="Deployment test/x")
    error = caught.value
    assert (error.status, error.reason, error.message) == (422, "Invalid", 'Deployment "x" is invalid')
    assert error.causes == (Cause("FieldValueInvalid", "Invalid value: -1", "spec.replicas"), Cause("", "", ""))
    assert str(error) == 'Deployment test/x: Deployment "x" is invalid.'


@pytest.mark.parametrize("body", [b"<h1>Bad gateway</h1>", b"[]", b'"text"', b"{}"])
def test_a_refusal_in_words_of_a_proxy_is_shown_as_it_is(serve: Any, connect: Any, body: bytes) -> None:
    with pytest.raises(KubernetesError) as caught:
        connect(serve(lambda exchange: exchange.reply(502, body)).url).json("GET", "/x")
    assert caught.value.message == body.decode()
    assert caught.value.status == 502


def test_credentials_that_are_not_accepted_are_no_refusal_of_the_object(serve: Any, connect: Any) -> None:
    with pytest.raises(Unreachable, match=r"does not accept our credentials\. Renew the credentials"):
        connect(serve(_reply(401, _status(401, "Unauthorized", "Unauthorized"))).url).json("GET", "/x")


def test_a_server_of_another_authority_gets_no_request(serve: Any, connect: Any, authority: Any, stranger: Any) -> None:
    script = Script(_reply(200, {"kind": "Pod"}))
    server = serve(script, tls=authority.tls)
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        connect(server.url, stranger.pem).json("GET", "/x")
    assert script.asked == []
    assert connect(server.url, authority.pem).json("GET", "/x") == {"kind": "Pod"}


def test_text_is_returned_as_it_is(serve: Any, connect: Any) -> None:
    server = serve(lambda exchange: exchange.reply(200, b"one\n\xfftwo\n"))
    assert connect(server.url).text("/log", params={}, where="Pod x") == "one\n\ufffdtwo\n"


@pytest.fixture
def ended() -> Iterator[threading.Event]:
    """Set when the test is over, for answers that go on until then."""
    event = threading.Event()
    yield event
    event.set()


def _lines(api: ApiServer, seconds: float) -> Iterator[bytes]:
    return api.lines("/w", params={}, deadline=time.monotonic() + seconds, where="pods")


@pytest.mark.parametrize("secure", [False, True])
def test_a_stream_in_which_nothing_happens_ends_at_its_deadline(
    serve: Any, connect: Any, authority: Any, ended: threading.Event, secure: bool
) -> None:
    def answer(exchange: Any) -> None:
        exchange.begin()
        exchange.chunk(b"one\ntw")
        ended.wait()

    api = connect(serve(answer, tls=authority.tls if secure else None).url, authority.pem if secure else None)
    assert list(_lines(api, 0.5)) == [b"one"]


@pytest.mark.parametrize("secure", [False, True])
def test_a_stream_that_never_falls_silent_ends_at_its_deadline(
    serve: Any, connect: Any, authority: Any, ended: threading.Event, secure: bool
) -> None:
    def answer(exchange: Any) -> None:
        exchange.begin()
        while not ended.wait(0.01):
            exchange.chunk(b"more\n")

    api = connect(serve(answer, tls=authority.tls if secure else None).url, authority.pem if secure else None)
    assert set(_lines(api, 0.5)) == {b"more"}


@pytest.mark.parametrize("end", ["drop", "end"])
def test_a_stream_ends_without_an_error_whichever_way_it_ends(serve: Any, connect: Any, end: str) -> None:
    def answer(exchange: Any) -> None:
        exchange.begin()
        for chunk in (b"o", b"ne\ntwo\nth", b"ree\nhalf"):
            exchange.chunk(chunk)
        getattr(exchange, end)()

    assert list(_lines(connect(serve(answer).url), 20)) == [b"one", b"two", b"three"]


def test_a_line_ends_at_a_line_feed_and_nowhere_else(serve: Any, connect: Any) -> None:
    line = "a\x85b\u2028c\rd".encode()

    def answer(exchange: Any) -> None:
        exchange.begin()
        exchange.chunk(line + b"\n")
        exchange.end()

    assert list(_lines(connect(serve(answer).url), 20)) == [line]


def test_a_stream_that_is_refused_raises_what_the_server_told(serve: Any, connect: Any) -> None:
    server = serve(_reply(403, _status(403, "Forbidden", "pods is forbidden")))
    with pytest.raises(KubernetesError, match="pods: pods is forbidden") as caught:
        list(_lines(connect(server.url), 20))
    assert caught.value.reason == "Forbidden"


def test_a_stream_without_a_server_is_unreachable(connect: Any) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        list(_lines(connect("http://127.0.0.1:1"), 20))


def test_the_connection_is_of_use_after_a_stream_was_left(serve: Any, connect: Any, ended: threading.Event) -> None:
    def answer(exchange: Any) -> None:
        if exchange.route != "/w":
            exchange.reply(200, {"kind": "Pod"})
            return
        exchange.begin()
        exchange.chunk(b"one\n")
        ended.wait()

    api = connect(serve(answer).url)
    stream = _lines(api, 20)
    assert next(stream) == b"one"
    stream.close()  # type: ignore[attr-defined]
    assert api.json("GET", "/x") == {"kind": "Pod"}
