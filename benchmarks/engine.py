"""The local engine beside `kubectl apply --server-side`: the same 1,000 ConfigMaps, in one run, on one cluster.

    .venv/bin/python benchmarks/engine.py [--kubeconfig FILE --context NAME] [--objects N]

Without a context it brings up a local cluster of its own and takes it down again. Where the Pulumi CLI is installed its
times are a further column. A ratio is the time of a row over that of kubectl's apply of new objects, the first row.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from pulumi import automation as auto

from adapters.kubernetes import Kubernetes
from local import cluster as clusters
from local.engine.command import Engine
from local.engine.readiness import wait_deleted
from local.images import platform_binary, platform_image_names, platform_images

PROJECT = "bench"
_DELETED_S = 300.0
PROGRAM = """
import pulumi
import pulumi_kubernetes as k8s

config, cluster = pulumi.Config(), pulumi.Config("slipway").require_object("cluster")
provider = k8s.Provider("cluster", kubeconfig=cluster["kubeconfig"], context=cluster["context"],
    cluster_identifier=cluster["identifier"], enable_config_map_mutable=True)
for number in range(config.require_int("objects")):
    k8s.core.v1.ConfigMap(f"map-{number}", data={"number": str(number), "text": "x" * 100},
        metadata={"name": f"map-{number}", "namespace": config.require("namespace")},
        opts=pulumi.ResourceOptions(provider=provider))
"""


@dataclass(frozen=True)
class Target:
    """Where the objects go."""

    kubeconfig: str
    context: str


@dataclass(frozen=True)
class Run:
    """How long an operation took, and the most memory its processes had at a moment."""

    seconds: float
    peak_mib: float = 0.0


def main() -> None:
    """Measure, and print the table."""
    arguments = _arguments()
    with _target(arguments) as target:
        baseline = _kubectl(target, arguments.objects)
        rows = {"kubectl apply --server-side": {"local engine": baseline[0]}}
        rows["kubectl apply, nothing to change"] = {"local engine": baseline[1]}
        columns = {"local engine": Engine()} | ({"Pulumi CLI": None} if shutil.which("pulumi") else {})
        for column, command in columns.items():
            for operation, run in _pulumi(target, arguments.objects, command).items():
                rows.setdefault(operation, {})[column] = run
    _print(rows, list(columns), arguments.objects)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", help="file with the context; the usual one if left out")
    parser.add_argument("--context", help="an existing cluster to use in place of one made for this run")
    parser.add_argument("--objects", type=int, default=1000, help="how many ConfigMaps (%(default)s)")
    return parser.parse_args()


@contextmanager
def _target(arguments: argparse.Namespace) -> Iterator[Target]:
    if arguments.context:
        yield Target(arguments.kubeconfig or os.environ.get("KUBECONFIG", "~/.kube/config"), arguments.context)
        return
    with tempfile.TemporaryDirectory() as state:
        os.environ["SLIPWAY_STATE_DIR"] = state
        name = f"bench-{os.getpid()}"
        images = tuple(platform_images())
        try:
            cluster = clusters.up(clusters.ClusterSpec(name=name, pause=platform_image_names()["pause"], images=images))
            yield Target(str(cluster.kubeconfig), cluster.context)
        finally:
            clusters.down(name)


@contextmanager
def _namespace(target: Target) -> Iterator[str]:
    kube = Kubernetes.connect(kubeconfig=target.kubeconfig, context=target.context)
    name = f"bench-{uuid.uuid4().hex[:8]}"
    created = kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield name
    finally:
        kube.delete("v1", "Namespace", name)
        wait_deleted(kube, created, _DELETED_S)  # or the server would still be deleting while the next one is measured
        kube.close()


def _kubectl(target: Target, objects: int) -> tuple[Run, Run]:
    """The same objects, applied twice."""
    kubectl = str(platform_binary("kubectl"))  # of the server's release: older ones hold back requests by themselves
    with _namespace(target) as namespace, tempfile.TemporaryDirectory() as directory:
        manifests = Path(directory) / "objects.json"
        items = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"map-{number}", "namespace": namespace},
                "data": {"number": str(number), "text": "x" * 100},
            }
            for number in range(objects)
        ]
        manifests.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), encoding="utf-8")
        where = ["--kubeconfig", str(Path(target.kubeconfig).expanduser()), "--context", target.context]
        command = [kubectl, *where, "apply", "--server-side", "-f", str(manifests)]
        return _timed(lambda: _quietly(command)), _timed(lambda: _quietly(command))


def _quietly(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _pulumi(target: Target, objects: int, command: auto.PulumiCommand | None) -> dict[str, Run]:
    """The operations of one engine, by name; with the real CLI (`command` None) on a file backend."""
    with _namespace(target) as namespace, tempfile.TemporaryDirectory() as directory:
        stack = _stack(Path(directory), target, namespace, objects, command)
        runs = {
            "up": _timed(stack.up),
            "up, nothing to change": _timed(stack.up),
            "preview, nothing to change": _timed(stack.preview),
        }
        stack.destroy()
        return runs


def _stack(
    directory: Path, target: Target, namespace: str, objects: int, command: auto.PulumiCommand | None
) -> auto.Stack:
    project = directory / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n", encoding="utf-8")
    (project / "__main__.py").write_text(PROGRAM, encoding="utf-8")
    cluster = {"kubeconfig": target.kubeconfig, "context": target.context, "identifier": target.context}
    config = {
        "slipway:cluster": cluster,
        f"{PROJECT}:namespace": namespace,
        f"{PROJECT}:objects": str(objects),
    }
    (project / f"Pulumi.{namespace}.yaml").write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
    environment = {"PULUMI_CONFIG_PASSPHRASE": "bench", "PULUMI_BACKEND_URL": f"file://{directory}"}
    options = auto.LocalWorkspaceOptions(pulumi_command=command, env_vars=environment)
    return auto.create_stack(namespace, work_dir=str(project), opts=options)


def _timed(work: Callable[[], object]) -> Run:
    """Run `work`, and watch the memory of the processes that it starts."""
    ended = threading.Event()
    peaks = [0]

    def watch() -> None:
        while not ended.wait(0.05):
            peaks.append(sum(_resident(pid) for pid in _descendants(os.getpid())))

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    try:
        work()
        return Run(time.monotonic() - began, max(peaks) / 2**20)
    finally:
        ended.set()
        watcher.join()


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text(encoding="ascii").split()]
        except OSError:  # it has ended
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found


def _resident(pid: int) -> int:
    """Bytes that are the process's own share: what a forked process has in common with its parent counts half."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _print(rows: dict[str, dict[str, Run]], columns: list[str], objects: int) -> None:
    base = rows["kubectl apply --server-side"]["local engine"].seconds
    print(f"\n{objects} ConfigMaps on {os.cpu_count()} cores\n")
    print("| operation | " + " | ".join(f"{column} | ratio | peak memory" for column in columns) + " |")
    print("|---|" + "---:|---:|---:|" * len(columns))
    for operation, runs in rows.items():
        cells = [_cells(runs.get(column), base) for column in columns]
        print(f"| {operation} | " + " | ".join(cells) + " |")


def _cells(run: Run | None, base: float) -> str:
    return f"{run.seconds:.1f} s | {run.seconds / base:.1f} x | {run.peak_mib:.0f} MiB" if run else "– | – | –"


if __name__ == "__main__":
    main()
