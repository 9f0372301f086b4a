"""Releases that pass the smoke suite and turn bad afterwards: the service hello with one more thing in its answers.

A pod turns bad once there is a file in its /tmp, which outlives its container. So whoever tests says when that is, and
nothing depends on how long an update takes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from local.cluster.spec import Layout
from tests.e2e.platform import Load, Platform
from tests.e2e.prometheus import until
from tests.e2e.source import Source

PROD = "prod"
_MARK = "tmp/turned-bad"
_IS_BAD = f'__import__("os").path.exists("/{_MARK}")'

FAILS = f"""
        self.asked = getattr(self, "asked", 0) + 1
        if {_IS_BAD} and self.asked % 5 == 0:
            return JSONResponse({{"error": "one request of five"}}, status_code=500)"""
SLOW = f"""
        if {_IS_BAD}:
            await __import__("asyncio").sleep(0.1)"""
CRASHES = f"""
        if {_IS_BAD}:
            __import__("os")._exit(1)"""
_DEPENDS = """
        asked = __import__("urllib.request").request.urlopen
        try:
            await __import__("asyncio").to_thread(lambda: asked("http://hello.stage/version", timeout=1).read())
        except OSError:
            return JSONResponse({"error": "stage does not answer"}, status_code=503)"""
"""Asks stage for each answer: what fails with that one is a dependency's fault.

Beside the loop that answers: without pods the node refuses a connection a second and lets the others run into their
timeout (Linux limits the rate of ICMP's refusals), and probes are to be answered all the same.
"""

_ANSWER = "async def _version(self, _: Request) -> Response:"
"""Where in hello's source each of them comes after."""


AGREED = ("--override", "--reason", "an end-to-end test", "--yes")
"""Past the gates of prod: how a release fares there is what is looked at."""


class Shop:
    """A team's service, whose releases ask stage for each of their answers."""

    def __init__(self, platform: Platform, directory: Path) -> None:
        self._platform, self._source = platform, Source(directory)
        self._code = f"{_ANSWER}{_DEPENDS}"
        self._source.change(_ANSWER, self._code)

    def build(self, more: str) -> str:
        """The tag of a release with one more thing in it."""
        changed = f"{self._code}{more}"
        self._source.change(self._code, changed)
        tag = self._source.build(self._platform)
        self._source.change(changed, self._code)
        return tag


@dataclass(frozen=True)
class Moments:
    """Of a release that was taken back, in seconds since the epoch; `counts` are those of the load."""

    first_bad: float
    fires: float
    webhook: float
    restored: float
    last_bad: float
    record: Mapping[str, Any]
    counts: Mapping[str, Any]

    @property
    def detected_s(self) -> float:
        """From the first bad answer to the alert firing."""
        return self.fires - self.first_bad

    @property
    def restored_s(self) -> float:
        """From the webhook to the release before running, verified and recorded."""
        return self.restored - self.webhook

    def __str__(self) -> str:
        took = (self.detected_s, self.webhook - self.fires, self.restored_s, self.last_bad - self.first_bad)
        return (
            "from the first bad answer to the alert firing {:.1f} s, to the webhook {:.1f} s, to prod being restored "
            "{:.1f} s; from the first bad answer to the last one {:.1f} s"
        ).format(*took)


def suffer(platform: Platform, tag: str) -> Moments:
    """Promote a release to prod, turn it bad, and touch nothing until prod is back: under twenty requests a second."""
    with traffic(platform) as load:
        platform.succeeds("promote", tag, PROD, *AGREED)
        assert turn_bad(platform.cluster.name, release_in(platform)) >= 1
        record = until(lambda: latest(platform), lambda newest: newest["kind"] == "rollback")
    assert record["kind"] == "rollback", record
    assert load.counts["bad"], "no answer was bad"
    first, last = load.counts["bad"]
    fires, webhook, restored = (
        datetime.fromisoformat(moment).timestamp()
        for moment in (record["alert"]["since"], record["alert"]["received"], record["ended"])
    )
    return Moments(first, fires, webhook, restored, last, record, load.counts)


@contextlib.contextmanager
def traffic(platform: Platform, clients: int = 4) -> Iterator[Load]:
    """Twenty requests a second, or as many as so many clients get answered."""
    with platform.load(PROD, "hello", requests=1, clients=clients, rate=20, slow_s=0.08) as load:
        yield load


def latest(platform: Platform) -> dict[str, Any]:
    """What was last done with prod."""
    history = json.loads(platform.succeeds("history", PROD, "--limit", "1", "--json").out)
    newest: dict[str, Any] = history["releases"][0]
    return newest


def release_in(platform: Platform) -> str:
    """The release of hello that prod's file names: the first 12 digits of its digest."""
    image: str = platform.stack(PROD).get(["images", "hello"])
    return image.partition("@sha256:")[2][:12]


def turn_bad(cluster: str, release: str) -> int:
    """Turn every pod of a release bad; how many there were. `release` are 12 hex digits of its digest."""
    turned = 0
    for process in _processes(cluster):
        with contextlib.suppress(OSError):
            if f"SLIPWAY_RELEASE={release}".encode() in (process / "environ").read_bytes().split(b"\0"):
                (process / "root" / _MARK).touch()
                turned += 1
    return turned


def _processes(cluster: str) -> Iterator[Path]:
    """Those of services of a local cluster, as this machine sees them."""
    cgroup = Layout(cluster).cgroup
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if cgroup in (process / "cgroup").read_text():
                yield process
