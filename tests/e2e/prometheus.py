"""What the tests ask Prometheus, by its link."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx2

from tests.e2e.platform import Platform

LONGEST_S = 180.0

Series = dict[str, Any]
T = TypeVar("T")


def links(platform: Platform) -> dict[str, str]:
    """Where things are reached, by name."""
    return {link["name"]: link["url"] for link in json.loads(platform.slipway("status", "--json").out)["links"]}


class Prometheus:
    """Prometheus by its link."""

    def __init__(self, platform: Platform) -> None:
        self._address = links(platform)["monitoring/prometheus"]

    def get(self, path: str, **params: str) -> Any:
        """The `data` of an answer of its API; None while it does not answer."""
        try:
            answer = httpx2.get(f"{self._address}{path}", params=params, trust_env=False)
        except httpx2.TransportError:
            return None
        return answer.json()["data"] if answer.status_code == httpx2.codes.OK else None

    def query(self, promql: str, *, at: float | None = None) -> list[Series]:
        """An instant query's series, each its labels and its `value`."""
        found = self.get("/api/v1/query", query=promql, **({"time": str(at)} if at else {}))
        return [r["metric"] | {"value": float(r["value"][1])} for r in found["result"]] if found else []

    def eventually(self, promql: str, enough: Callable[[list[Series]], bool]) -> list[Series]:
        """The series of a query, once they are `enough`: what is scraped comes when the next scrape does."""
        found = until(lambda: self.query(promql), enough)
        assert enough(found), f"{promql} gives {found}"
        return found


def until(look: Callable[[], T], enough: Callable[[T], bool]) -> T:
    """What `look` gives once it is `enough`, or at last."""
    deadline = time.monotonic() + LONGEST_S
    while not enough(found := look()) and time.monotonic() < deadline:
        time.sleep(0.5)  # Prometheus has no way to be told of a scrape
    return found
