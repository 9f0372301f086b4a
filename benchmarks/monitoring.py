"""What the whole monitoring costs: processor and memory of each of its parts, idle and under load, in one run.

    .venv/bin/python benchmarks/monitoring.py [--seconds N] [--requests N] [--lines N]

It brings up a local platform of its own and asks its Prometheus what the pods of the monitoring used: first while
nothing happens, then while a pod sends requests to hello in prod and writes log lines, as many a second as asked for.
How many there were is measured as well: requests as hello counts them, lines as the store takes them in (hello writes
one a request). The ratio is over idle. All traffic stays in the cluster's network.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests, whose tools are used here, are no package

from adapters.kubernetes import JsonObject, Kubernetes
from benchmarks.own_platform import own_platform

_NAMESPACES = 'namespace=~"monitoring|monitoring-agents"'
_SETTLING_S = 45
_APPLICATION = r'label_replace({}, "part", "$1", "pod", "(.+?)(-[0-9a-f]{{8,10}})?-([a-z0-9]{{5}}|[0-9]+)")'
_LINES = "sum(rate(vl_rows_ingested_total[{}s]))"
_REQUESTS = 'sum(rate(http_requests_total{{environment="prod", route="/version"}}[{}s]))'

# Four threads keep a connection each; lines go out in tenths of a second.
_LOAD = """
import http.client, threading, time
def paced(each_s, act):
    due = time.monotonic()
    while True:
        act()
        due += each_s
        time.sleep(max(0, due - time.monotonic()))
def client():
    connection = http.client.HTTPConnection("hello.prod", timeout=10)
    def ask():
        try:
            connection.request("GET", "/version")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()
    paced({clients} / {requests}, ask)
for _ in range({clients}):
    threading.Thread(target=client, daemon=True).start()
line = '{{"message": "a line of a benchmark", "level": "INFO"}}'
paced(0.1, lambda: print("\\n".join([line] * ({lines} // 10)), flush=True))
"""
_CLIENTS = 4

Use = dict[str, tuple[float, float]]
"""By part: cores and bytes."""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="how long each is measured (%(default)s)")
    parser.add_argument("--requests", type=int, default=500, help="requests a second (%(default)s)")
    parser.add_argument("--lines", type=int, default=1000, help="log lines a second, with hello's (%(default)s)")
    args = parser.parse_args()
    with own_platform() as platform:
        links = {link["name"]: link["url"] for link in json.loads(platform.slipway("status", "--json").out)["links"]}
        prometheus = links["monitoring/prometheus"]
        idle = _measure(prometheus, args.seconds)
        with _load(platform.kube, args.requests, args.lines - args.requests):
            loaded = _measure(prometheus, args.seconds)
            rates = [_sum(prometheus, query.format(args.seconds)) for query in (_REQUESTS, _LINES)]
    print(f"\n{rates[0]:.0f} requests and {rates[1]:.0f} log lines a second, {os.cpu_count()} cores\n")
    _print(idle, loaded)


@contextlib.contextmanager
def _load(kube: Kubernetes, requests: int, lines: int) -> Iterator[None]:
    """A pod of the environment test that asks and writes, with hello's image."""
    hello = kube.get("apps/v1", "Deployment", "hello", "test")
    assert hello is not None
    spec = copy.deepcopy(hello["spec"]["template"]["spec"])
    (container,) = spec["containers"]
    for unwanted in ("startupProbe", "livenessProbe", "readinessProbe", "lifecycle", "ports"):
        container.pop(unwanted, None)
    container["command"] = ["python3", "-c", _LOAD.format(clients=_CLIENTS, requests=requests, lines=lines)]
    metadata = {"name": "load", "namespace": "test"}
    pod: JsonObject = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    kube.create(pod)
    try:
        yield
    finally:
        kube.delete("v1", "Pod", "load", "test")


def _measure(prometheus: str, seconds: int) -> Use:
    """What each part uses on the average of that time, once what was before it is forgotten."""
    time.sleep(_SETTLING_S + seconds)
    cores = f'rate(container_cpu_usage_seconds_total{{{_NAMESPACES}, pod!="", container=""}}[{seconds}s])'
    memory = f'avg_over_time(container_memory_working_set_bytes{{{_NAMESPACES}, pod!="", container=""}}[{seconds}s])'
    by_part = [_query(prometheus, f"sum by (part) ({_APPLICATION.format(metric)})") for metric in (cores, memory)]
    return {part: (by_part[0].get(part, 0.0), by_part[1][part]) for part in sorted(by_part[1])}


def _query(prometheus: str, promql: str) -> dict[str, float]:
    answer = httpx2.get(f"{prometheus}/api/v1/query", params={"query": promql}, trust_env=False).raise_for_status()
    return {found["metric"].get("part", ""): float(found["value"][1]) for found in answer.json()["data"]["result"]}


def _sum(prometheus: str, promql: str) -> float:
    return sum(_query(prometheus, promql).values())


def _print(idle: Use, loaded: Use) -> None:
    print("| part | CPU idle | CPU loaded | ratio | memory idle | memory loaded | ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for part in sorted(idle.keys() & loaded.keys()):
        _print_row(part, idle[part], loaded[part])
    _print_row("all", _total(idle), _total(loaded))


def _print_row(name: str, idle: tuple[float, float], loaded: tuple[float, float]) -> None:
    cores = f"{idle[0] * 1000:.0f} m | {loaded[0] * 1000:.0f} m | {_ratio(loaded[0], idle[0])}"
    memory = f"{idle[1] / 2**20:.0f} MiB | {loaded[1] / 2**20:.0f} MiB | {_ratio(loaded[1], idle[1])}"
    print(f"| {name} | {cores} | {memory} |")


def _ratio(loaded: float, idle: float) -> str:
    return f"{loaded / idle:.1f} x" if idle else "-"


def _total(use: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    return sum(cores for cores, _ in use.values()), sum(memory for _, memory in use.values())


if __name__ == "__main__":
    main()
