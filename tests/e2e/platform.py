"""The platform under test: the real `slipway` command, on a cluster of the tests' own."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.kubernetes import Kubernetes
from adapters.passphrase import Passphrase
from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile
from local.cluster import Cluster
from local.cluster.spec import Layout
from local.images import build_service
from local.platform import services
from tests.done import Done

SLIPWAY = [sys.executable, "-m", "delivery"]
_LONGEST_S = 300


@dataclass
class Load:
    """A load generator's process while it runs; `counts` once it has ended."""

    process: subprocess.Popen[str]
    counts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Platform:
    """A running platform. `env` is what its commands need besides this process's environment."""

    config_dir: Path
    cluster: Cluster
    kube: Kubernetes
    env: Mapping[str, str]
    engine: str = "local"

    def slipway(self, *args: str, env: Mapping[str, str] | None = None) -> Done:
        """Run one command to its end."""
        return slipway(*args, env={**self.env, **(env or {})})

    def succeeds(self, *args: str, env: Mapping[str, str] | None = None) -> Done:
        """Run a command that has to end with 0."""
        done = self.slipway(*args, env=env)
        assert done.code == 0, done.said
        return done

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start a command and do not wait for it."""
        environ = {**os.environ, **self.env}
        pipe = subprocess.PIPE
        return subprocess.Popen([*SLIPWAY, *args], env=environ, stdout=pipe, stderr=pipe, text=True, cwd=REPOSITORY)

    def stack(self, name: str) -> StackFile:
        """A stack's file as it is now."""
        return StackFile.load(self.config_dir / f"Pulumi.{name}.yaml")

    def crypter(self) -> Passphrase:
        """Opens the secrets of the stacks."""
        passphrase = Path(self.env["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text(encoding="utf-8")
        return Passphrase.open(passphrase, self.stack("prod").encryption_salt or "")

    @contextmanager
    def edited(self, stack: str, **values: object) -> Iterator[None]:
        """Values of a stack file changed for a while, as a person would; the file is restored byte by byte."""
        path = self.config_dir / f"Pulumi.{stack}.yaml"
        before = path.read_bytes()
        try:
            self.edit(stack, **values)
            yield
        finally:
            path.write_bytes(before)

    def edit(self, stack: str, **values: object) -> None:
        """Change values of a stack file; double underscores part the keys: `services__hello__replicas=2`."""
        file = self.stack(stack)
        for key, value in values.items():
            file.set(key.split("__"), value)
        file.save()

    def release(self, directory: Path, name: str = "hello") -> str:
        """Build and push what lies in `directory`; the image as `slipway:images` calls it."""
        file = self.stack("shared")
        ca = self.config_dir / "registry-ca.pem"
        return services.publish(name, build_service(directory, name), file, self.crypter(), ca)

    @contextmanager
    def load(
        self,
        namespace: str,
        service: str,
        *,
        requests: int,
        clients: int = 8,
        longest_s: int = _LONGEST_S,
        rate: float = math.inf,
        slow_s: float = math.inf,
    ) -> Iterator[Load]:
        """Requests from inside the cluster's network while the body runs, and until there were enough.

        `rate` are requests a second; what takes longer than `slow_s` counts as bad.
        """
        found = self.kube.get("v1", "Service", service, namespace)
        assert found is not None
        target = [found["spec"]["clusterIP"], str(found["spec"]["ports"][0]["port"])]
        argv = [sys.executable, str(Path(__file__).with_name("load.py")), *target]
        argv += [str(clients), str(requests), str(longest_s), str(rate), str(slow_s)]
        pipe = subprocess.PIPE
        with subprocess.Popen(self.cluster.inside(argv), stdin=pipe, stdout=pipe, text=True) as process:
            load = Load(process)
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "started\n"
                yield load
                out, _ = process.communicate(timeout=longest_s)
                load.counts = json.loads(out)
            finally:
                process.kill()


def slipway(*args: str, env: Mapping[str, str]) -> Done:
    """Run one command to its end, without a terminal and without standard input."""
    done = subprocess.run(
        [*SLIPWAY, *args],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=_LONGEST_S * 2,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def changed_service(target: Path, file: str, old: str, new: str) -> Path:
    """A copy of services/hello with one change of its source."""
    shutil.copytree(REPOSITORY / "services" / "hello", target, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    source = target / "hello" / file
    text = source.read_text(encoding="utf-8")
    assert old in text
    source.write_text(text.replace(old, new), encoding="utf-8")
    return target


def kill(platform: Platform, program: str, argument: str = "") -> None:
    """End a program of this cluster's pods without a warning, as a machine does that runs out of memory.

    Of several that are called alike, the one that was started with an argument that begins so.
    """
    cgroup = Layout(platform.cluster.name).cgroup
    killed = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (process / "cmdline").read_bytes().split(b"\0")
            wanted = argv[0] == program.encode() and any(a.startswith(argument.encode()) for a in argv)
            if wanted and cgroup in (process / "cgroup").read_text():
                os.kill(int(process.name), signal.SIGKILL)
                killed.append(process.name)
    assert len(killed) == 1
