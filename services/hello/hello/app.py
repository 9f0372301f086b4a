"""The application: what it answers, and nothing about how it is served."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from hello.settings import Settings
from hello.telemetry import Metrics, Telemetry


class Application:
    """The ASGI application. `drain()` makes it unready for good; it goes on answering."""

    def __init__(self, settings: Settings, *, more_routes: Sequence[BaseRoute] = ()) -> None:
        self._settings, self._draining = settings, False
        self._metrics = Metrics(settings)
        routes = [
            Route("/", self._greet),
            Route("/version", self._version),
            Route("/healthz", self._alive),
            Route("/readyz", self._ready),
            Route("/metrics", self._exposition),
        ]
        web = Starlette(routes=[*routes, *more_routes])
        self._asgi = Telemetry(web, self._metrics, is_draining=lambda: self._draining)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        await self._asgi(scope, receive, send)

    def drain(self) -> None:
        """Say from now on that no new requests should come here."""
        self._draining = True

    async def _greet(self, _: Request) -> Response:
        return JSONResponse({"message": f"Hello from {self._settings.environment}"})

    async def _version(self, _: Request) -> Response:
        return JSONResponse(
            {
                "service": "hello",
                "release": self._settings.release,
                "version": self._settings.version,
                "environment": self._settings.environment,
            }
        )

    async def _alive(self, _: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _ready(self, _: Request) -> Response:
        if self._draining:
            return JSONResponse({"status": "draining"}, status_code=503)
        return JSONResponse({"status": "ready"})

    async def _exposition(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(self._metrics.registry), headers={"Content-Type": content_type})
