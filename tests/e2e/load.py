"""A load generator for inside the cluster's network: counts every request that was not answered with 200.

    load.py HOST PORT CLIENTS REQUESTS LONGEST_S [RATE [SLOW_S]]

Half of the clients keep their connection as long as the server lets them, half open one for each request. It sends
until its standard input ends and REQUESTS are sent, or LONGEST_S seconds have passed, RATE a second or as many as are
answered; then it prints what it saw as JSON: `sent`, `failed` (texts, at most 20), `failures`, `releases` (requests
each release answered), `longest_s`, and `bad`: when the first and the last one ended that failed or took longer than
SLOW_S, seconds since the epoch, null if none did.
"""

from __future__ import annotations

import http.client
import json
import math
import sys
import threading
import time
from collections import Counter

_TIMEOUT_S = 10.0
_SHOWN = 20


class Load:
    """Counts of all clients together."""

    def __init__(self, host: str, port: int, requests: int, longest_s: float, *limits: float) -> None:
        self._host, self._port, self._requests = host, port, requests
        self._rate, self._slow_s = (*limits, math.inf, math.inf)[:2]
        self._deadline = time.monotonic() + longest_s
        self._lock = threading.Lock()
        self._input_ended = threading.Event()
        self._sent = 0
        self._failed: list[str] = []
        self._releases: Counter[str] = Counter()
        self._longest_s = 0.0
        self._bad: list[float] = []

    def run(self, clients: int) -> None:
        """Send until done, then print the counts."""
        threading.Thread(target=self._await_end_of_input, daemon=True).start()
        pause = clients / self._rate
        threads = [threading.Thread(target=self._client, args=(number % 2 == 0, pause)) for number in range(clients)]
        for thread in threads:
            thread.start()
        print("started", flush=True)
        for thread in threads:
            thread.join()
        counts = {
            "sent": self._sent,
            "failures": len(self._failed),
            "failed": self._failed[:_SHOWN],
            "releases": dict(self._releases),
            "longest_s": round(self._longest_s, 3),
            "bad": [self._bad[0], self._bad[-1]] if self._bad else None,
        }
        print(json.dumps(counts), flush=True)

    def _await_end_of_input(self) -> None:
        sys.stdin.read()
        self._input_ended.set()

    def _is_done(self) -> bool:
        enough = self._input_ended.is_set() and self._sent >= self._requests
        return enough or time.monotonic() >= self._deadline

    def _client(self, keeps: bool, pause: float) -> None:
        connection: http.client.HTTPConnection | None = None
        due = time.monotonic()
        while not self._is_done():
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due + pause, time.monotonic() - pause)
            connection = connection or http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
            started = time.monotonic()
            try:
                connection.request("GET", "/version")
                response = connection.getresponse()
                body = response.read()
                error = None if response.status == http.client.OK else f"{response.status}: {body[:100]!r}"
            except (OSError, http.client.HTTPException) as failure:
                error, body = f"{type(failure).__name__}: {failure}", b""
            self._count(error, body, time.monotonic() - started)
            if error or not keeps:
                connection.close()
                connection = None
        if connection:
            connection.close()

    def _count(self, error: str | None, body: bytes, took_s: float) -> None:
        with self._lock:
            self._sent += 1
            self._longest_s = max(self._longest_s, took_s)
            if error or took_s > self._slow_s:
                self._bad.append(time.time())
            if error:
                self._failed.append(error)
            else:
                self._releases[json.loads(body)["release"]] += 1


if __name__ == "__main__":
    host, port, clients, requests, longest_s, *limits = sys.argv[1:]
    Load(host, int(port), int(requests), float(longest_s), *map(float, limits)).run(int(clients))
