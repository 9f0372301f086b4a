"""Follows objects of one kind for a while, over everything that ends a single watch request.

A watch ends when the server closes it, when the connection breaks, and with `410 Gone` when the server no longer
has the version to go on from. The first two go on from the last version seen; the third lists again and reports the
difference to what was last seen, so that a deletion in the gap is not lost to one who waits for it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator

from adapters.apiserver import ApiServer, JsonObject, KubernetesError
from adapters.errors import Unreachable

Event = tuple[str, JsonObject]
"""`ADDED`, `MODIFIED` or `DELETED`, and the object."""

PRESENT = "PRESENT"
"""The type of the event that says: all that is there now has been reported (its object is empty)."""

_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


class Watch:
    """Events on the collection `path` until `deadline` (`time.monotonic`), beginning with what is there.

    `snapshot` lists the collection and tells the version it was read at.
    """

    def __init__(
        self,
        server: ApiServer,
        path: str,
        params: dict[str, str],
        snapshot: Callable[[], tuple[list[JsonObject], str]],
        deadline: float,
    ) -> None:
        self._server, self._path, self._params, self._snapshot = server, path, params, snapshot
        self._deadline = deadline
        self._known: dict[str, JsonObject] = {}
        self._version: str | None = None
        self._failures = 0

    def events(self) -> Iterator[Event]:
        """All events, `PRESENT` each time the present state was read anew; raises `KubernetesError` if refused."""
        while True:
            try:
                if self._version is None:
                    yield from self._list()
                yield from self._follow(self._version or "")
            except Unreachable:
                self._failures += 1
            except KubernetesError as error:
                self._forgive(error)
            if time.monotonic() >= self._deadline:
                return
            self._pause()

    def _list(self) -> Iterator[Event]:
        objects, version = self._snapshot()
        present = {obj["metadata"]["uid"]: obj for obj in objects}
        gone = [obj for uid, obj in self._known.items() if uid not in present]
        self._known, self._version, self._failures = present, version, 0
        yield from (("DELETED", obj) for obj in gone)
        yield from (("ADDED", obj) for obj in objects)
        yield PRESENT, {}

    def _follow(self, version: str) -> Iterator[Event]:
        left = max(math.ceil(self._deadline - time.monotonic()), 1)
        params = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        lines = self._server.lines(
            self._path,
            params=self._params | params | {"timeoutSeconds": str(left)},
            deadline=self._deadline,
            where=self._path,
        )
        for line in lines:
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise _error_of(event["object"], self._path)
            yield from self._accept(event["type"], event["object"])

    def _accept(self, kind: str, obj: JsonObject) -> Iterator[Event]:
        self._version, self._failures = obj["metadata"]["resourceVersion"], 0
        if kind == "BOOKMARK":
            return
        if kind == "DELETED":
            self._known.pop(obj["metadata"]["uid"], None)
        else:
            self._known[obj["metadata"]["uid"]] = obj
        yield kind, obj

    def _forgive(self, error: KubernetesError) -> None:
        """Expired versions are listed again and failures of the server waited out; anything else is the caller's."""
        if error.status == 410:  # noqa: PLR2004
            self._version = None
        elif error.status != 429 and error.status < 500:  # noqa: PLR2004
            raise error
        self._failures += 1

    def _pause(self) -> None:
        """Not at all after a stream that worked, longer with each failure in a row."""
        if self._failures:
            pause = min(_SHORTEST_PAUSE_S * 2**self._failures, _LONGEST_PAUSE_S)
            time.sleep(max(0.0, min(pause, self._deadline - time.monotonic())))


def _error_of(status: JsonObject, where: str) -> KubernetesError:
    return KubernetesError(status.get("code", 500), status.get("reason", ""), status.get("message", ""), where=where)
