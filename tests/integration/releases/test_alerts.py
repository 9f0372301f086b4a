"""What a soak learns of alerts, from a real Prometheus with a past of the tests' making."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.apiserver import KubernetesError
from adapters.errors import SlipwayError, Unreachable
from delivery.releases.alerts import Watch
from local.images import platform_binary
from tests.integration.registry import free_port

NOW = datetime.now(UTC).replace(microsecond=0)
BEGAN = NOW - timedelta(minutes=20)
RELEASE = "0123456789ab"
GAP_S = 60
EVERY = timedelta(seconds=15)

ABOUT = {"environment": "stage", "service": "hello", "severity": "warning"}


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


class Past:
    """What a Prometheus has evaluated, as OpenMetrics text."""

    def __init__(self) -> None:
        self._samples: list[tuple[str, datetime, str]] = []

    def looked(self, since: datetime, until: datetime) -> Past:
        """The watchdog, which fires whenever alerts are evaluated."""
        return self.fires("Watchdog", since, until, severity="none")

    def fires(self, name: str, since: datetime, until: datetime, *, state: str = "firing", **labels: str) -> Past:
        """An alert in one state, evaluated every 15 seconds."""
        text = ",".join(f'{key}="{value}"' for key, value in {"alertname": name, **labels}.items())
        moment = since
        while moment < until:
            self._samples.append((f'ALERTS{{alertstate="{state}",{text}}}', moment, "1"))
            self._samples.append((f"ALERTS_FOR_STATE{{{text}}}", moment, f"{since.timestamp():.0f}"))
            moment += EVERY
        return self

    @property
    def text(self) -> str:
        """Each series together, as the format wants it."""
        lines = [f"{series} {value} {moment.timestamp():.0f}" for series, moment, value in sorted(self._samples)]
        return "\n".join([*lines, "# EOF", ""])


class Pods:
    """As much of a cluster as leads to its Prometheus instances; one of them may not answer."""

    target = SimpleNamespace(context="ours")

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = dict(enumerate(ports))

    def list(self, *_: str, **__: str) -> list[dict[str, Any]]:
        container = {"ports": [{"name": "http", "containerPort": 9090}]}
        return [{"metadata": {"name": str(name)}, "spec": {"containers": [container]}} for name in self._ports]

    def ask_pod(self, _namespace: str, pod: str, port: int, path: str, params: Mapping[str, str]) -> str:
        assert port == 9090
        if not (local := self._ports[int(pod)]):
            raise KubernetesError(503, "ServiceUnavailable", "no endpoints")
        with urllib.request.urlopen(f"http://127.0.0.1:{local}{path}?{urllib.parse.urlencode(params)}") as answer:
            return str(answer.read().decode())


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watch]]:
    """Gives what watches stage; each argument is the past of an instance, None one that does not answer."""
    if shutil.which("go") is None:
        pytest.skip("Prometheus is built with Go, which is not installed")
    with ExitStack() as running:

        def begin(*pasts: Past | None) -> Watch:
            folders = (tmp_path / str(index) for index in range(len(pasts)))
            ports = [running.enter_context(prometheus(next(folders), past)) if past else 0 for past in pasts]
            return Watch(Pods(ports), "stage", [RELEASE], GAP_S)  # type: ignore[arg-type]

        yield begin


@contextmanager
def prometheus(directory: Path, past: Past) -> Iterator[int]:
    """One that scrapes nothing and has this past; its port."""
    directory.mkdir()
    (directory / "past.txt").write_text(past.text)
    (directory / "prometheus.yml").write_text("global: {}\n")
    promtool = platform_binary("prometheus", program="promtool")
    blocks = [promtool, "tsdb", "create-blocks-from", "openmetrics", directory / "past.txt", directory / "data"]
    subprocess.run(blocks, check=True, capture_output=True)
    port = free_port()
    options = {
        "config.file": directory / "prometheus.yml",
        "storage.tsdb.path": directory / "data",
        "web.listen-address": f"127.0.0.1:{port}",
    }
    argv = [str(platform_binary("prometheus")), *(f"--{name}={value}" for name, value in options.items())]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if "Server is ready to receive web requests" in line:
                    break
            else:
                raise AssertionError("".join(said))
            yield port
        finally:
            process.kill()
            process.communicate()


def test_nothing_fired_while_somebody_looked_all_the_time(watch: Callable[..., Watch]) -> None:
    watching = watch(Past().looked(ago(60), NOW))
    assert watching.looking_since(BEGAN, NOW) == BEGAN
    assert watching.fired(BEGAN, NOW) == []


def test_alerts_about_the_release_count_wherever_they_are_from_and_no_others(watch: Callable[..., Watch]) -> None:
    past = Past().looked(ago(60), NOW)
    past.fires("OfTheService", ago(10), ago(8), **ABOUT)
    past.fires("OfTheRelease", ago(10), ago(8), **ABOUT, release=RELEASE)
    past.fires("OfTheEnvironment", ago(10), ago(8), environment="stage", severity="critical")
    past.fires("OfAnotherRelease", ago(10), ago(8), **ABOUT, release="ba9876543210")
    past.fires("OfAnotherEnvironment", ago(10), ago(8), **ABOUT | {"environment": "prod"})
    past.fires("OfNobody", ago(10), ago(8), severity="warning")
    past.fires("Pending", ago(10), ago(8), **ABOUT, state="pending")
    past.fires("OnlyForShow", ago(10), ago(8), **ABOUT | {"severity": "none"})
    assert watch(past).fired(BEGAN, NOW) == ["OfTheEnvironment", "OfTheRelease", "OfTheService"]


def test_one_from_before_counts_only_if_it_still_fires(watch: Callable[..., Watch]) -> None:
    past = Past().looked(ago(60), NOW)
    past.fires("OfTheReleaseBefore", ago(30), ago(18), **ABOUT)
    past.fires("StillThere", ago(30), NOW + EVERY, **ABOUT)
    assert watch(past).fired(BEGAN, NOW) == ["StillThere"]


def test_a_soak_begins_when_somebody_begins_to_look(watch: Callable[..., Watch]) -> None:
    watching = watch(Past().looked(ago(5), NOW))
    since = watching.looking_since(BEGAN, NOW)
    assert ago(5) - 2 * EVERY <= since < ago(5)
    with pytest.raises(SlipwayError, match=r"evaluated no alerts until .* nothing was recorded"):
        watching.fired(BEGAN, NOW)
    assert watching.fired(since, NOW) == []


def test_a_pause_shorter_than_the_gap_is_a_restart_and_a_longer_one_is_not(watch: Callable[..., Watch]) -> None:
    short = Past().looked(ago(60), ago(10)).looked(ago(9.5), NOW)
    assert watch(short).looking_since(BEGAN, NOW) == BEGAN


def test_after_a_longer_pause_the_time_counts_anew(watch: Callable[..., Watch]) -> None:
    long = Past().looked(ago(60), ago(12)).looked(ago(9), NOW)
    assert ago(9) - 2 * EVERY <= watch(long).looking_since(BEGAN, NOW) < ago(9)


def test_one_of_two_that_looked_all_the_time_is_enough_and_what_either_saw_counts(watch: Callable[..., Watch]) -> None:
    whole = Past().looked(ago(60), NOW)
    part = Past().looked(ago(60), ago(10)).fires("SeenByOne", ago(15), ago(13), **ABOUT)
    watching = watch(whole, part)
    assert watching.looking_since(BEGAN, NOW) == BEGAN
    assert watching.fired(BEGAN, NOW) == ["SeenByOne"]


def test_one_that_does_not_answer_is_left_out_and_none_at_all_is_told(watch: Callable[..., Watch]) -> None:
    assert watch(None, Past().looked(ago(60), NOW)).fired(BEGAN, NOW) == []
    with pytest.raises(Unreachable, match="no Prometheus says whether there were alerts"):
        watch(None).fired(BEGAN, NOW)


def test_an_answer_that_is_none_of_prometheus_is_left_out(watch: Callable[..., Watch], monkeypatch: Any) -> None:
    watching = watch(None)
    monkeypatch.setattr(Pods, "ask_pod", lambda *_: json.dumps({"status": "error"}))
    with pytest.raises(Unreachable):
        watching.looking_since(BEGAN, NOW)
