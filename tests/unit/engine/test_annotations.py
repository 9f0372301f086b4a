"""The SDK of Kubernetes is the same whether its annotations are evaluated while it is loaded or when asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from adapters.paths import REPOSITORY
from local.engine.annotations import _LAZY_ITSELF

_DESCRIBED = """
import sys
if sys.argv[1] == "unevaluated":
    from local.engine.annotations import leave_unevaluated
    leave_unevaluated()
import pulumi
from pulumi._types import input_type_py_to_pulumi_names, input_type_types, output_type_types
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.core.v1 import outputs
from pulumi_kubernetes.meta import v1 as meta

print(type(apps.Deployment._internal_init.__annotations__["opts"]).__name__, file=sys.stderr)
for kind in (apps.DeploymentSpecArgs, core.PodSpecArgs, core.ContainerArgs, core.ServiceSpecArgs, meta.ObjectMetaArgs):
    print(kind.__name__, sorted(input_type_types(kind).items()), sorted(input_type_py_to_pulumi_names(kind).items()))
for kind in (outputs.PodSpec, outputs.Container, outputs.ServiceStatus):
    print(kind.__name__, sorted(output_type_types(kind).items()))
"""


def described(how: str) -> tuple[str, str]:
    """What the SDK makes of some of its classes, and what the annotation of an argument is."""
    done = subprocess.run(
        [sys.executable, "-c", _DESCRIBED, how], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr.strip()


@pytest.mark.skipif(sys.version_info >= _LAZY_ITSELF, reason="this Python evaluates annotations when asked for them")
def test_a_class_is_described_as_it_would_be_otherwise() -> None:
    evaluated, annotation = described("evaluated")
    assert annotation != "str"
    assert described("unevaluated") == (evaluated, "str")
    assert "PodSpecArgs" in evaluated
