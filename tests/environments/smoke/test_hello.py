"""Whether hello is up, is what it should be, and can be watched. A few requests; asked after each deployment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

_CONNECTIONS = 20
"""Each goes to any of the pods: one that runs another release hardly hides from so many."""


def test_it_is_alive(client: httpx2.Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


def test_it_takes_requests(client: httpx2.Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_it_greets(client: httpx2.Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.json()["message"].startswith("Hello")


def test_every_answer_is_of_the_expected_release(hello: Any) -> None:
    if hello.release is None:
        pytest.skip("nobody said which release it should run (--release hello=DIGITS)")
    with hello.connect(anew=True) as client, ThreadPoolExecutor(_CONNECTIONS) as at_once:
        answers = list(at_once.map(client.get, ["/version"] * _CONNECTIONS))
    assert [answer.text for answer in answers if answer.status_code != 200] == []
    assert {answer.json()["release"] for answer in answers} - {hello.control} == {hello.release}


def test_it_knows_where_it_runs(client: httpx2.Client, environment: Any) -> None:
    if environment.name is None:
        pytest.skip("nobody said which environment this is (--environment NAME)")
    version = client.get("/version").json()
    assert (version["service"], version["environment"]) == ("hello", environment.name)


def test_its_metrics_name_the_release(client: httpx2.Client) -> None:
    release = client.get("/version").json()["release"]
    answer = client.get("/metrics")
    assert answer.status_code == 200
    samples = answer.text.splitlines()
    assert any(line.startswith("service_info{") and f'release="{release}"' in line for line in samples)
    assert any(line.startswith("http_requests_total{") for line in samples)
