"""The receiver as an ASGI application: takes Alertmanager's webhooks, and says how it is.

An alert is on the disk before it is answered with 2xx. Who calls is asked for its token before anything it sent is
read, of which no more is read than a webhook may hold.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
from collections.abc import AsyncIterator, Callable

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.errors import BadInput
from delivery.serving.alerts import parse
from delivery.serving.inbox import Full, Inbox
from delivery.serving.metrics import Metrics
from delivery.serving.worker import Worker

PATH = "/alerts"
LARGEST_BODY = 256 << 10
"""Bytes; some hundred alerts."""
_GRACE_S = 100.0

_log = logging.getLogger(__name__)


class Receiver:
    """What requests work with. `token` is what Alertmanager sends as a bearer."""

    def __init__(self, inbox: Inbox, worker: Worker, metrics: Metrics, token: str, ready: Callable[[], bool]) -> None:
        self._inbox, self._worker, self._metrics, self._ready = inbox, worker, metrics, ready
        self._expected = f"Bearer {token}".encode()

    def application(self) -> Starlette:
        """The application; its worker lives as long."""
        return Starlette(
            routes=[
                Route(PATH, self._take, methods=["POST"]),
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._show_metrics),
            ],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._worker.start()
        yield
        await run_in_threadpool(self._worker.stop, _GRACE_S)

    async def _take(self, request: Request) -> Response:
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._expected):
            return self._refuse(401, "the token is missing or wrong")
        try:
            body = await _read(request)
            alerts = parse(body) if body is not None else None
        except BadInput as error:
            return self._refuse(400, error.paragraph())
        except ClientDisconnect:
            return self._refuse(400, "the caller went away")
        if alerts is None:
            return self._refuse(413, f"a webhook holds at most {LARGEST_BODY} bytes")
        try:
            new = [await run_in_threadpool(self._inbox.put, alert) for alert in alerts]
        except Full:
            return self._refuse(503, "too many alerts wait; send them again")
        for alert, is_new in zip(alerts, new, strict=True):
            if is_new:
                self._metrics.received()
                _log.info("received", extra={"alert": str(alert), "since": alert.since})
        return JSONResponse({"taken": sum(new), "known": len(new) - sum(new)}, status_code=202)

    def _refuse(self, status: int, why: str) -> Response:
        self._metrics.refused(status)
        return JSONResponse({"error": why}, status_code=status)

    async def _healthz(self, _: Request) -> Response:
        return JSONResponse({"worker": self._worker.is_alive}, status_code=200 if self._worker.is_alive else 503)

    async def _readyz(self, _: Request) -> Response:
        is_ready = self._worker.is_alive and self._ready()
        return JSONResponse({"ready": is_ready}, status_code=200 if is_ready else 503)

    async def _show_metrics(self, _: Request) -> Response:
        return Response(self._metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def _read(request: Request) -> bytes | None:
    """The body; None as soon as it is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return body
