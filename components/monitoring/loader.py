"""The container that copies labelled ConfigMaps of environments into a folder of its pod, and removes what has gone."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi_kubernetes as k8s

from components import pods
from components.pods import volume_mount


def loader(
    name: str, image: str, *, label: str, environments: Sequence[str], volume: str, path: str
) -> k8s.core.v1.ContainerArgs:
    """Copies the files of ConfigMaps with `label: "true"`; the pod's account must be let see them (`access`)."""
    variables = {
        "LABEL": label,
        "LABEL_VALUE": "true",
        "NAMESPACE": ",".join(environments),
        "RESOURCE": "configmap",
        "FOLDER": path,
        "UNIQUE_FILENAMES": "true",
    }
    return k8s.core.v1.ContainerArgs(
        name=name,
        image=image,
        image_pull_policy="IfNotPresent",
        env=[k8s.core.v1.EnvVarArgs(name=variable, value=value) for variable, value in variables.items()],
        resources=pods.resources(cpu="5m", memory="16Mi", memory_limit="128Mi"),
        security_context=pods.container_security(),
        volume_mounts=[volume_mount(volume, path, read_only=False)],
    )
