"""Clients that were given back are taken over by who connects to the same place soon after, and by nobody else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import kubernetes
from adapters.kubernetes import Kubernetes


@pytest.fixture
def greetings(serve: Any, kubeconfig_of: Callable[[str], str], tmp_path: Path) -> tuple[str, list[int]]:
    """A kubeconfig's path, and for each connection that asked for the version the port it came from."""
    ports: list[int] = []

    def answer(exchange: Any) -> None:
        ports.append(exchange.client_address[1])
        exchange.reply(200, {"gitVersion": "v1.36.0"})

    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig_of(serve(answer).url), encoding="utf-8")
    return str(path), ports


def test_who_connects_again_takes_over_the_connection(greetings: tuple[str, list[int]]) -> None:
    path, ports = greetings
    first = Kubernetes.connect(kubeconfig=path, context=None)
    first.close()
    again = Kubernetes.connect(kubeconfig=path, context=None)
    assert again is first
    again.version()
    assert len(set(ports)) == 1
    again.disconnect()


def test_no_two_have_one_client_at_once(greetings: tuple[str, list[int]]) -> None:
    path, _ = greetings
    one, other = (Kubernetes.connect(kubeconfig=path, context=None) for _ in range(2))
    assert one is not other
    one.close()
    other.close()
    with pytest.raises(RuntimeError):  # the later one is kept
        one.version()
    assert Kubernetes.connect(kubeconfig=path, context=None) is other
    other.disconnect()


def test_a_kubeconfig_that_was_written_anew_is_read_anew(greetings: tuple[str, list[int]]) -> None:
    path, ports = greetings
    first = Kubernetes.connect(kubeconfig=path, context=None)
    first.close()
    os.utime(path, (1, 1))
    again = Kubernetes.connect(kubeconfig=path, context=None)
    assert again is not first
    assert len(ports) == 2
    again.disconnect()


def test_one_that_was_given_back_long_ago_is_not_taken(
    greetings: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ports = greetings
    Kubernetes.connect(kubeconfig=path, context=None).close()
    monkeypatch.setattr(kubernetes, "IDLE_S", -1.0)
    Kubernetes.connect(kubeconfig=path, context=None).disconnect()
    assert len(set(ports)) == 2


def test_a_process_never_takes_what_the_one_before_its_fork_gave(
    greetings: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ports = greetings
    Kubernetes.connect(kubeconfig=path, context=None).close()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    Kubernetes.connect(kubeconfig=path, context=None).disconnect()
    assert len(set(ports)) == 2
