"""One Kubernetes API server over HTTP: sends requests, repeats what may be repeated, turns refusals into errors.

What is repeated follows client-go: whatever the server answers with `Retry-After` (it did not do it), and requests
that can be done twice when their connection breaks, since an idle connection may be closed just as it is used again;
those also where etcd was too slow for the server, as on a disk that stalls.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import httpx2

from adapters.errors import SlipwayError, Unreachable
from adapters.kubeconfig import Target

JsonObject = dict[str, Any]
"""An object of the Kubernetes API as decoded JSON."""

JSON = "application/json"
APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML
MERGE_PATCH = "application/merge-patch+json"

_ATTEMPTS = 6
_AT_ONCE = 16  # for each request the client looks at every connection there is, and all threads wait for that
_LONGEST_PAUSE_S = 10.0
_REPEATABLE = frozenset({"GET", "PATCH", "DELETE"})
_CONNECT_S = 10.0
_STORE_WAS_LATE = re.compile(rb"etcdserver: (request timed out|leader changed)")


@dataclass(frozen=True)
class Cause:
    """One reason of a refusal: `field` is a path such as `spec.replicas`, empty where none is to blame."""

    reason: str
    message: str
    field: str


class KubernetesError(SlipwayError):
    """The API server refused a request. `reason` is its word for it (`NotFound`, `Conflict`, `Invalid`…)."""

    def __init__(self, status: int, reason: str, message: str, causes: tuple[Cause, ...] = (), *, where: str = ""):
        self.status, self.reason, self.message, self.causes = status, reason, message, causes
        super().__init__(message, where=where)


class ApiServer:
    """Requests to the API server of `target`; any number of threads may send at once."""

    def __init__(self, client: httpx2.Client, target: Target) -> None:
        self._client, self.target = client, target
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._has_answered = False

    def close(self) -> None:
        """Close the connections; requests still under way in other threads fail."""
        self._client.close()

    def json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = JSON,
        where: str = "",
    ) -> JsonObject:
        """Send a request and return the object answered; errors name `where`."""
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {"Accept": JSON} | ({"Content-Type": content_type} if body is not None else {})
        request = self._client.build_request(method, path, params=params, content=content, headers=headers)
        answer: JsonObject = json.loads(self._answer(request, where).content)
        return answer

    def text(self, path: str, *, params: Mapping[str, str], where: str) -> str:
        """Get what is no JSON, such as a log."""
        request = self._client.build_request("GET", path, params=params)
        return self._answer(request, where).content.decode("utf-8", errors="replace")

    def lines(self, path: str, *, params: Mapping[str, str], deadline: float, where: str) -> Iterator[bytes]:
        """The lines of an answer without end, as they come, until the server closes it or `deadline` passes.

        `deadline` is in seconds of `time.monotonic`. Ends without error whichever way the stream ends; raises
        `KubernetesError` if the request is refused and `Unreachable` if there is no connection.
        """
        left = max(deadline - time.monotonic(), 0.001)
        timeout = httpx2.Timeout(left, connect=min(_CONNECT_S, left))
        request = self._client.build_request("GET", path, params=params, timeout=timeout)
        try:
            response = self._client.send(request, stream=True)
        except httpx2.TransportError as error:
            self._raise_unreachable(error)
        with contextlib.closing(response), _cut_off(response, left):
            if response.is_error:
                response.read()
                raise _refusal(response, where)
            yield from _split_lines(response)

    def _answer(self, request: httpx2.Request, where: str) -> httpx2.Response:
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            try:
                with self._turns:
                    response = self._client.send(request)
            except httpx2.TransportError as error:
                if last or not self._may_repeat(request, error):
                    self._raise_unreachable(error)
                time.sleep(0.1 * 2**attempt)
                continue
            self._has_answered = True
            if response.is_success:
                return response
            pause = _asked_pause(response)
            if pause is None and request.method in _REPEATABLE and _is_late_store(response):
                pause = 0.1 * 2**attempt
            if last or pause is None:
                raise self._explained(response, where)
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _may_repeat(self, request: httpx2.Request, error: httpx2.TransportError) -> bool:
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return self._has_answered  # nothing was sent; a server that was there may be restarting
        broken = isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError)
        return broken and request.method in _REPEATABLE

    def _explained(self, response: httpx2.Response, where: str) -> SlipwayError:
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            return Unreachable(
                "the API server does not accept our credentials",
                where=self._name(),
                fix="Renew the credentials of this context in the kubeconfig",
            )
        return _refusal(response, where)

    def _raise_unreachable(self, error: httpx2.TransportError) -> NoReturn:
        reason = str(error) or ("no answer in time" if isinstance(error, httpx2.TimeoutException) else "no answer")
        raise Unreachable(
            f"the API server does not answer ({reason})",
            where=self._name(),
            fix="Start the cluster, or choose another context or kubeconfig",
        ) from None

    def _name(self) -> str:
        return f"context {self.target.context} ({self.target.server})"


def _asked_pause(response: httpx2.Response) -> float | None:
    """The seconds the server asks us to wait before we try again, None if it does not."""
    if response.status_code != httpx2.codes.TOO_MANY_REQUESTS and not response.is_server_error:
        return None
    with contextlib.suppress(KeyError, ValueError):
        return min(float(response.headers["Retry-After"]), _LONGEST_PAUSE_S)
    return None


def _is_late_store(response: httpx2.Response) -> bool:
    return response.is_server_error and _STORE_WAS_LATE.search(response.content) is not None


def _refusal(response: httpx2.Response, where: str) -> KubernetesError:
    """The error a `Status` object tells of; proxies in between answer with whatever they like."""
    try:
        status = json.loads(response.content)
        details = status.get("details") or {}
        message, reason = status["message"], status.get("reason", "")
    except (ValueError, KeyError, AttributeError):
        text = response.text.strip()[:500] or response.reason_phrase
        return KubernetesError(response.status_code, response.reason_phrase, text, where=where)
    causes = tuple(
        Cause(cause.get("reason", ""), cause.get("message", ""), cause.get("field", ""))
        for cause in details.get("causes") or []
    )
    return KubernetesError(response.status_code, reason, message, causes, where=where)


def _split_lines(response: httpx2.Response) -> Iterator[bytes]:
    """Lines end with a line feed only; `iter_lines` would also cut at U+0085, which JSON strings may hold."""
    pending = b""
    with contextlib.suppress(httpx2.TransportError):
        for chunk in response.iter_bytes():
            *complete, pending = (pending + chunk).split(b"\n")
            yield from complete


@contextlib.contextmanager
def _cut_off(response: httpx2.Response, after_s: float) -> Iterator[None]:
    """End a blocked read of `response` after `after_s` seconds.

    The client's read time-out begins anew with every chunk, so it cannot hold a deadline. Shutting the socket down
    wakes the reader, which then sees the end of the stream.
    """
    connection = response.extensions["network_stream"].get_extra_info("socket")

    def shut() -> None:
        with contextlib.suppress(OSError):  # closed by now
            # An SSL socket's own shutdown would take the TLS state away from under its reader.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = threading.Timer(after_s, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
