"""The receiver of alerts that ask for a rollback, for a team: it asks the rules, then starts the rollback workflow.

It runs beside Alertmanager, of which it gets each alert, and has no key, no stack file and no right to change
anything: the workflow does, which asks the rules once more, commits, updates, and is audited where it runs. A single
instance with a volume, since what it has taken it answers exactly once, also after it was moved to another node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components import labels, pods
from components.monitoring.model import Dispatch
from components.monitoring.names import RECEIVER, RECEIVER_PORT
from components.monitoring.namespace import MonitoringNamespace
from components.monitoring.stateful import DATA, Stateful
from components.registry_access import RegistryAccess
from components.secret import Secret

_SECRETS_PATH, _QUEUE_PATH = "/run/secrets/slipway", "/queue"
_PULL_SECRET = f"{RECEIVER}-pull"
_TOKEN, _GITHUB_TOKEN = "token", "github-token"
# Alertmanager's requests are answered at once; a workflow that is being started is waited for.
_GRACE_S = 60
_TIMEOUT = "180s"
_WHY_A_TOKEN = "reads how environments deliver"  # noqa: S105 - the text of an annotation


@dataclass(frozen=True)
class RollbackReceiverArgs:
    """`token` is what Alertmanager sends it; `environments` are those whose alerts it answers.

    `access` says how its image is pulled, which is the team's own.
    """

    shape: Dispatch
    token: Secret
    environments: Sequence[str]
    access: RegistryAccess
    place: MonitoringNamespace


class RollbackReceiver(Stateful):
    """Its children are attributes. It reads tokens when it needs them, so that a new one restarts nothing."""

    def __init__(self, name: str, args: RollbackReceiverArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:RollbackReceiver", name, RECEIVER, args.place, opts)
        self._args = args
        self.address = self._address(RECEIVER_PORT)
        self.pull_secret = self._create_pull_secret()
        self.account = self._create_account()
        self.secret = self._create_secret()
        self.stateful_set = self._create_stateful_set(
            args.shape, self._pod(), needs=[self.account, self.secret], timeout=_TIMEOUT
        )
        self.service = self._create_service(RECEIVER_PORT, "receiver")  # no link is printed: people have no use for it
        self.disruption_budget = self._create_disruption_budget(args.shape)
        self.register_outputs({"address": self.address})

    def _create_pull_secret(self) -> k8s.core.v1.Secret | None:
        config = self._args.access.docker_config()
        if config is None:
            return None
        return k8s.core.v1.Secret(
            _PULL_SECRET,
            metadata=self._metadata(_PULL_SECRET, "secrets"),
            type="kubernetes.io/dockerconfigjson",
            string_data={".dockerconfigjson": config},
            opts=self._inside(),
        )

    def _create_account(self) -> k8s.core.v1.ServiceAccount:
        """Each environment gives it the right to read how it delivers; it has no other."""
        secrets = [k8s.core.v1.LocalObjectReferenceArgs(name=_PULL_SECRET)] if self.pull_secret else None
        return k8s.core.v1.ServiceAccount(
            RECEIVER,
            metadata=self._metadata(),
            automount_service_account_token=False,
            image_pull_secrets=secrets,
            opts=self._inside(),
        )

    def _create_secret(self) -> k8s.core.v1.Secret:
        return k8s.core.v1.Secret(
            RECEIVER,
            metadata=self._metadata(component="secrets"),
            type="Opaque",
            string_data={
                _TOKEN: self._args.token.output(),
                _GITHUB_TOKEN: self._args.shape.github_token.output(),
            },
            opts=self._inside(),
        )

    def _pod(self) -> k8s.core.v1.PodTemplateSpecArgs:
        sealed = k8s.core.v1.SecretVolumeSourceArgs(secret_name=RECEIVER)
        return self._template(
            [self._container()],
            [k8s.core.v1.VolumeArgs(name="secrets", secret=sealed)],
            grace_seconds=_GRACE_S,
            annotations={labels.API_TOKEN: _WHY_A_TOKEN},
            account=RECEIVER,
        )

    def _container(self) -> k8s.core.v1.ContainerArgs:
        shape = self._args.shape
        command = [
            "serve",
            f"--listen=0.0.0.0:{RECEIVER_PORT}",
            f"--token-file={_SECRETS_PATH}/{_TOKEN}",
            f"--queue={_QUEUE_PATH}",
            f"--dispatch={shape.repository}",
            f"--workflow={shape.workflow}",
            f"--ref={shape.ref}",
            f"--github-api={shape.api}",
            f"--github-token-file={_SECRETS_PATH}/{_GITHUB_TOKEN}",
            *(f"--environment={name}" for name in self._args.environments),
        ]
        resources = shape.resources
        return k8s.core.v1.ContainerArgs(
            name=RECEIVER,
            image=shape.image,
            image_pull_policy="IfNotPresent",
            args=command,
            ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=RECEIVER_PORT, protocol="TCP")],
            resources=pods.resources(cpu=resources.cpu, memory=resources.memory, memory_limit=resources.memory_limit),
            security_context=pods.container_security(),
            startup_probe=pods.http_probe("/healthz", period=1, failures=60),
            # Not by /readyz: while GitHub or the API server is away alerts are to be taken all the same.
            readiness_probe=pods.http_probe("/healthz", period=5, failures=3),
            liveness_probe=pods.http_probe("/healthz", period=10, failures=3),
            volume_mounts=[
                pods.volume_mount(DATA, _QUEUE_PATH, read_only=False),
                pods.volume_mount("secrets", _SECRETS_PATH),
            ],
        )
