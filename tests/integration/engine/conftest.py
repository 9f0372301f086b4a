"""Small Pulumi programs, run by the engine through the Automation API, against a real API server."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi import automation as auto

from local.engine.command import Engine

PASSPHRASE = "a passphrase for tests"
PROJECT = "engine-tests"

PRELUDE = """
import pulumi
import pulumi_kubernetes as k8s
from pulumi import ResourceOptions as Opts

config = pulumi.Config()
target = pulumi.Config("slipway").require_object("cluster")
provider = k8s.Provider(
    "cluster",
    kubeconfig=target["kubeconfig"],
    context=target["context"],
    cluster_identifier=target["identifier"],
    enable_config_map_mutable=True,
    enable_secret_mutable=True,
)
NS = config.require("namespace")
LABELS = {
    "app.kubernetes.io/name": "test",
    "app.kubernetes.io/part-of": "slipway",
    "app.kubernetes.io/managed-by": "slipway",
}


def metadata(name, **more):
    return {"name": name, "namespace": NS, "labels": LABELS, **more}


def config_map(name, data=None, *, urn=None, **opts):
    given = {"key": name} if data is None else data
    return k8s.core.v1.ConfigMap(urn or name, metadata=metadata(name), data=given, opts=Opts(provider=provider, **opts))


def container(image, **more):
    return {
        "name": "main",
        "image": image,
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **more,
    }


def pod_spec(image, **more):
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container(image, **more)],
    }


def template(name, image, **more):
    return {"metadata": {"labels": {"app": name, **LABELS}}, "spec": pod_spec(image, **more)}
"""


@dataclass
class Project:
    """A configuration directory with a program; `stack` is the stack of a name, made when first asked for."""

    directory: Path
    cluster: dict[str, str]
    namespace: str
    stacks: dict[str, auto.Stack] = field(default_factory=dict)

    def program(self, text: str) -> None:
        """Make `text` the program; the prelude's names are there."""
        body = textwrap.dedent(text)
        (self.directory / "__main__.py").write_text(f"from prelude import *\n\n{body}", encoding="utf-8")

    def configure(self, name: str, **config: Any) -> Path:
        """A stack file with this configuration beside the cluster and the namespace; its salt and secrets stay."""
        path = self.directory / f"Pulumi.{name}.yaml"
        data = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
        own = {f"{PROJECT}:{key}": value for key, value in config.items()}
        fixed = {"slipway:cluster": self.cluster, f"{PROJECT}:namespace": self.namespace}
        data["config"] = data.get("config", {}) | fixed | own
        path.write_text(yaml.safe_dump(data), encoding="utf-8")
        return path

    def stack(self, name: str = "") -> auto.Stack:
        """By the name of the namespace where none is given, so that tests do not meet."""
        name = name or self.namespace
        if name not in self.stacks:
            self.configure(name)
            self.stacks[name] = auto.create_stack(
                name,
                work_dir=str(self.directory),
                opts=auto.LocalWorkspaceOptions(
                    pulumi_command=Engine(), env_vars={"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}
                ),
            )
        return self.stacks[name]

    def up(self, text: str, **options: Any) -> auto.UpResult:
        """Run `up` with this program."""
        self.program(text)
        return self.stack().up(**options)

    def fails(self, text: str, **options: Any) -> auto.CommandError:
        """The error of an `up` with this program, which must fail."""
        self.program(text)
        with pytest.raises(auto.CommandError) as caught:
            self.stack().up(**options)
        return caught.value


def write_project(directory: Path) -> None:
    """What every project has."""
    (directory / "Pulumi.yaml").write_text(
        json.dumps({"name": PROJECT, "runtime": {"name": "python"}}), encoding="utf-8"
    )
    (directory / "prelude.py").write_text(PRELUDE, encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, cluster: Any, namespace: str) -> Project:
    """A project whose stack lies in the test's namespace."""
    directory = tmp_path / "project"
    directory.mkdir()
    write_project(directory)
    target = {"kubeconfig": str(cluster.kubeconfig), "context": cluster.context, "identifier": cluster.context}
    return Project(directory, target, namespace)


@pytest.fixture
def config_map(kube: Any, namespace: str) -> Callable[[str], dict[str, str] | None]:
    """The data of a ConfigMap in the test's namespace, None if there is none."""

    def read(name: str) -> dict[str, str] | None:
        found = kube.get("v1", "ConfigMap", name, namespace)
        return None if found is None else found.get("data", {})

    return read
