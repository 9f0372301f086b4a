"""Puts the receiver together and runs it."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import uvicorn

from adapters.github import Workflow
from delivery.factory import Factory
from delivery.serving.answering import Answerer
from delivery.serving.app import Receiver
from delivery.serving.chores import Chores, environments
from delivery.serving.deliveries import Deliveries
from delivery.serving.dispatching import Dispatcher, Environments, Looking
from delivery.serving.inbox import Inbox
from delivery.serving.metrics import Metrics
from delivery.serving.worker import Worker

_AT_ONCE = 64
"""Connections; more are answered 503, which Alertmanager takes as a request to come again."""
_KEEP_ALIVE_S = 5


def create_receiver(factory: Factory, token: str, queue: Path) -> Receiver:
    """The receiver where the configuration directory is: it rolls back by itself."""
    factory.options.yes = True  # what people agreed to is in the stack files: `automation`
    deliveries = Deliveries()
    metrics = Metrics(environments(factory.workspace()), [deliveries])
    inbox = Inbox(queue)
    chores = Chores(factory, inbox, metrics, deliveries, logging.getLogger("slipway").warning)
    worker = Worker(inbox, Answerer(factory), metrics, chores)
    return Receiver(inbox, worker, metrics, token, lambda: chores.is_ready)


def create_dispatcher(
    environments: Environments, workflow: Workflow, github_token: Path, token: str, queue: Path
) -> Receiver:
    """The receiver where only the cluster is: it starts the rollback workflow."""
    inbox, metrics = Inbox(queue), Metrics(environments.names)
    looking = Looking(environments, metrics, inbox)
    worker = Worker(inbox, Dispatcher(environments, workflow, github_token, inbox), metrics, looking)
    return Receiver(inbox, worker, metrics, token, lambda: looking.is_ready)


def run(receiver: Receiver, listening: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        receiver.application(),
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_AT_ONCE,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    logging.getLogger("slipway").info("serving", extra={"address": listening.getsockname()})
    uvicorn.Server(config).run(sockets=[listening])
