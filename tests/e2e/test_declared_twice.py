"""Our own program declares in the update what it declared in the plan, whatever the cluster adds to its objects.

On this the engine relies where it carries a plan out as it is (docs/adr/0013): so nothing of what is declared may come
from whether it is a dry run, nor from what only a server makes up.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Mapping
from io import StringIO
from multiprocessing.connection import Connection as Pipe
from typing import Any

import pytest

from local.engine.backend import References
from local.engine.model import Declared, Identity
from local.engine.monitor import Monitor
from local.engine.output import Display
from local.engine.program import run_program
from local.engine.project import Project
from local.engine.providers import Providers
from local.engine.values import Tree
from tests.e2e.platform import Platform

STACKS = ["shared", "monitoring", "test", "stage", "prod"]


class Server:
    """Answers with what was declared, and what a server makes up: `mark` is in all of it."""

    def __init__(self, mark: int) -> None:
        self._mark, self._lock = mark, threading.Lock()
        self.declared: dict[Identity, Declared] = {}

    def register(self, declared: Declared) -> Mapping[str, Tree]:
        with self._lock:
            self.declared[declared.identity] = declared
        mark = str(self._mark)
        made_up = {"uid": mark, "resourceVersion": mark, "generation": self._mark, "creationTimestamp": mark}
        answer = {**declared.tree, "metadata": {**declared.tree["metadata"], **made_up}}
        if declared.identity.kind == "Service":
            address = f"10.0.0.{mark}"
            answer["spec"] = {**declared.tree["spec"], "clusterIP": address, "clusterIPs": [address]}
            answer["status"] = {"loadBalancer": {"ingress": [{"ip": address}]}}
        return answer


def declares(platform: Platform, name: str, *, mark: int, dry_run: bool) -> tuple[dict[Identity, Declared], Any]:
    """What the program declares and exports; in a process of its own, since the SDK keeps the state of one program."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_run, args=(sender, platform, name, mark, dry_run))
    process.start()
    sender.close()
    errors, declared, outputs = receiver.recv()
    process.join()
    assert errors == []
    return declared, outputs


def _run(sender: Pipe, platform: Platform, name: str, mark: int, dry_run: bool) -> None:
    os.environ.update(platform.env)
    stack = Project.load(platform.config_dir).stack(name)
    server, display = Server(mark), Display(StringIO(), StringIO())
    references = References(stack.project, os.environ)
    monitor = Monitor(stack, Providers(stack), server, references, display.redact)
    config = stack.config(stack.crypter(os.environ))
    errors = run_program(stack, config, monitor, dry_run=dry_run, display=display)
    sender.send(([str(error) for error in errors], server.declared, monitor.outputs))


@pytest.mark.parametrize("stack", STACKS)
def test_an_update_declares_what_its_plan_declared(platform: Platform, stack: str) -> None:
    planned, known = declares(platform, stack, mark=1, dry_run=True)
    updated, exported = declares(platform, stack, mark=2, dry_run=False)
    assert len(planned) > 1
    assert all(declared.is_known for declared in planned.values())
    assert planned == updated
    assert known == exported
