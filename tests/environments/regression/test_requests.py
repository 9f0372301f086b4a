"""How hello answers: what its callers may rely on, also when they make mistakes or come all at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

_CLIENTS, _REQUESTS_EACH = 8, 50


@pytest.mark.parametrize("path", ["/", "/version", "/healthz", "/readyz"])
def test_answers_are_json_with_a_request_id(client: httpx2.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert isinstance(answer.json(), dict)
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize("given", ["a", "0af7651916cd43dd8448eb211c80319c", "web-1:2026.11_x"])
def test_a_callers_request_id_is_taken_over(client: httpx2.Client, given: str) -> None:
    assert client.get("/", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["two words", "x" * 129, '"}, {"level": "ERROR', "-leading"])
def test_a_request_id_that_is_none_is_replaced(client: httpx2.Client, given: str) -> None:
    made = client.get("/", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert made != given
    assert made.isalnum()


@pytest.mark.parametrize(("method", "path", "code"), [("GET", "/nowhere", 404), ("POST", "/version", 405)])
def test_mistakes_of_callers_are_told_with_a_request_id(
    client: httpx2.Client, method: str, path: str, code: int
) -> None:
    answer = client.request(method, path, headers={"X-Request-Id": "mistake-1"})
    assert answer.status_code == code
    assert answer.headers["X-Request-Id"] == "mistake-1"


def test_a_head_request_is_answered_without_a_body(client: httpx2.Client) -> None:
    answer = client.head("/version")
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_query_changes_nothing(client: httpx2.Client) -> None:
    assert client.get("/?name=%F0%9F%9A%A2&empty=").json() == client.get("/").json()


def test_many_at_once_are_all_answered_by_one_release_and_its_control(hello: Any) -> None:
    def ask(number: int) -> list[tuple[int, str, str]]:
        with hello.connect() as client:
            answers = [client.get("/version") for _ in range(_REQUESTS_EACH)]
        return [(a.status_code, a.json()["release"], a.headers["X-Request-Id"]) for a in answers]

    with ThreadPoolExecutor(_CLIENTS) as clients:
        answers = [answer for answers in clients.map(ask, range(_CLIENTS)) for answer in answers]
    assert {code for code, _, _ in answers} == {200}
    assert len({release for _, release, _ in answers} - {hello.control}) == 1
    assert len({request_id for _, _, request_id in answers}) == _CLIENTS * _REQUESTS_EACH
