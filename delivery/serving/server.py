"""Puts the receiver together and runs it."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import uvicorn

from delivery.factory import Factory
from delivery.serving.answering import Answerer
from delivery.serving.app import Receiver
from delivery.serving.chores import Chores, environments
from delivery.serving.deliveries import Deliveries
from delivery.serving.inbox import Inbox
from delivery.serving.log import LogConsole, log_json
from delivery.serving.metrics import Metrics
from delivery.serving.worker import Worker

_AT_ONCE = 64
"""Connections; more are answered 503, which Alertmanager takes as a request to come again."""
_KEEP_ALIVE_S = 5


def create_receiver(factory: Factory, token: str, queue: Path) -> Receiver:
    """The receiver for a configuration directory."""
    factory.options.yes = True  # what people agreed to is in the stack files: `automation`
    deliveries = Deliveries()
    metrics = Metrics(environments(factory.workspace()), [deliveries])
    chores = Chores(factory, metrics, deliveries, logging.getLogger("slipway").warning)
    inbox = Inbox(queue)
    worker = Worker(inbox, Answerer(factory), metrics, chores)
    return Receiver(inbox, worker, metrics, token, lambda: chores.is_ready)


def run(factory: Factory, listening: socket.socket, token: str, queue: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    log_json()
    factory.console = LogConsole()
    config = uvicorn.Config(
        create_receiver(factory, token, queue).application(),
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_AT_ONCE,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    logging.getLogger("slipway").info("serving", extra={"address": listening.getsockname(), "queue": str(queue)})
    uvicorn.Server(config).run(sockets=[listening])
