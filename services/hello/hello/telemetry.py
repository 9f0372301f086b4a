"""Metrics and logs of every request, by route template, code and release.

It wraps the whole application rather than being one of its middlewares, so that the 500 made of an unforeseen error is
counted, logged and given a request id like every other response.
"""

from __future__ import annotations

import logging
import logging.config
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from uuid import uuid4

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from pythonjsonlogger.core import RESERVED_ATTRS
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hello.settings import Settings

REQUEST_ID_HEADER = "X-Request-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})

_log = logging.getLogger("hello.request")
_current_request: ContextVar[str | None] = ContextVar("current_request", default=None)


class Metrics:
    """The service's own registry, so that two applications in one process do not share counts."""

    def __init__(self, settings: Settings) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        labels = ("route", "code", "release")
        self._requests = Counter("http_requests", "Requests answered.", labels, registry=self.registry)
        self._duration = Histogram(
            "http_request_duration_seconds", "From head to end of the answer.", labels, registry=self.registry
        )
        self._release = settings.release
        info = Gauge("service_info", "Always 1.", ("release", "version", "environment"), registry=self.registry)
        info.labels(settings.release, settings.version, settings.environment).set(1)

    def record(self, route: str, code: int, seconds: float) -> None:
        """Count one request."""
        labels = (route, str(code), self._release)
        # There before anything fails: a count that begins with the first failure hides it, since nothing rose.
        self._requests.labels(route, "500", self._release)
        self._requests.labels(*labels).inc()
        self._duration.labels(*labels).observe(seconds)


class Telemetry:
    """ASGI wrapper that gives each request an id, times it, counts it and logs it."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, is_draining: Callable[[], bool]) -> None:
        self._app, self._metrics, self._is_draining = app, metrics, is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event; everything but HTTP requests passes untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        # Not reset afterwards: the server logs an unforeseen error in this same task, and its line should carry the id.
        _current_request.set(request_id)
        code = 500

        async def send_observed(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                self._add_headers(message, request_id)
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, send_observed)
        finally:
            self._record(scope, code, time.perf_counter() - started)

    def _add_headers(self, message: Message, request_id: str) -> None:
        headers = MutableHeaders(scope=message)
        headers[REQUEST_ID_HEADER] = request_id
        if self._is_draining():
            # The client opens its next connection elsewhere, instead of losing a request to the closing of this one.
            headers["Connection"] = "close"

    def _record(self, scope: Scope, code: int, seconds: float) -> None:
        route = _template(scope)
        self._metrics.record(route, code, seconds)
        if route in _PROBES:
            return
        # Without its query, which may carry what does not belong in a log.
        facts = {"method": scope["method"], "path": scope["path"], "route": route, "code": code}
        _log.info("request", extra={**facts, "duration_seconds": round(seconds, 6)})


def configure_logging(settings: Settings) -> None:
    """One JSON object a line on standard output, for the service's own lines and the server's alike."""
    identity = {"release": settings.release, "version": settings.version, "environment": settings.environment}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "json": {
                    "()": "pythonjsonlogger.json.JsonFormatter",
                    "fmt": "%(levelname)s %(name)s %(message)s %(request_id)s",
                    "rename_fields": {"levelname": "level", "name": "logger"},
                    "reserved_attrs": [*RESERVED_ATTRS, "color_message"],
                    "static_fields": {"service": "hello", **identity},
                    "timestamp": "time",
                }
            },
            "filters": {"request": {"()": _AddRequestId}},
            "handlers": {
                "stdout": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stdout",
                    "formatter": "json",
                    "filters": ["request"],
                }
            },
            "root": {"level": "INFO", "handlers": ["stdout"]},
        }
    )


class _AddRequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _current_request.get()
        return True


def _request_id(scope: Scope) -> str:
    """The caller's id where it is one (letters, digits, `._:-`, at most 128), a new one otherwise."""
    given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
    return given if _REQUEST_ID.fullmatch(given) else uuid4().hex


def _template(scope: Scope) -> str:
    """The route as declared, such as `/orders/{id}`: paths as requested would give a time series each."""
    route = scope.get("route")
    return getattr(route, "path", "unmatched")
