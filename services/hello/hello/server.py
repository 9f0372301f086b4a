"""Serves the application, and ends without losing a request."""

from __future__ import annotations

import time
from types import FrameType

import uvicorn

from hello.app import Application
from hello.settings import Settings
from hello.telemetry import configure_logging

_KEEP_ALIVE_S = 75
"""Above the 60 s for which common proxies keep idle connections, so that they and not we close them: a connection
closed by the server just as a request comes in is a lost request."""


class Server(uvicorn.Server):
    """Ends in three steps on SIGTERM or SIGINT; a second signal ends it at once.

    At once the application says it is not ready and asks its clients to reconnect. For `drain_seconds` it still
    answers, since it takes clients a moment to know. Then nothing new is taken, and what runs has `grace_seconds`.
    """

    def __init__(self, application: Application, settings: Settings) -> None:
        config = uvicorn.Config(
            application,
            host="0.0.0.0",  # noqa: S104 - in a container, whose network decides who reaches it
            port=settings.port,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=settings.grace_seconds,
        )
        super().__init__(config)
        self._application, self._drain_seconds = application, settings.drain_seconds
        self._drained_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a signal handler
        """Take a signal; unlike uvicorn's own, it leaves none to be raised again, so that a drained end is code 0."""
        if self._drained_at is not None:
            self.should_exit = self.force_exit = True
            return
        self._application.drain()
        self._drained_at = time.monotonic() + self._drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; true ends the taking of requests."""
        if self._drained_at is not None and time.monotonic() >= self._drained_at:
            self.should_exit = True
        return await super().on_tick(counter)


def serve(application: Application, settings: Settings) -> None:
    """Serve until told to end; exits with a code other than 0 if the port cannot be had."""
    configure_logging(settings)
    Server(application, settings).run()
