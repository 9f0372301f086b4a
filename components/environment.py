"""An environment: a namespace with bounds, and with what its services need to be pulled and to run as."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components import labels
from components.model import EnvironmentRules
from components.pods import RESTRICTED
from components.registry_access import RegistryAccess

PULL_SECRET = "registry-pull"  # noqa: S105 - the name of an object


@dataclass(frozen=True)
class EnvironmentArgs:
    """`services` are the names of those that will run here; `access` says how their images are pulled."""

    name: str
    rules: EnvironmentRules
    services: tuple[str, ...]
    access: RegistryAccess


class Environment(pulumi.ComponentResource):
    """Its children are attributes; `pull_secret` is None where the registry asks for no credentials."""

    def __init__(self, name: str, args: EnvironmentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Environment", name, None, opts)
        self._args = args
        self.namespace = self._create_namespace()
        self.quota = self._create_quota()
        self.limits = self._create_limits()
        self.pull_secret = self._create_pull_secret()
        self.service_accounts = {service: self._create_service_account(service) for service in args.services}
        self.register_outputs({"namespace": self.namespace.metadata.name})

    def _create_namespace(self) -> k8s.core.v1.Namespace:
        return k8s.core.v1.Namespace(
            self._args.name,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=self._args.name, labels=self._labels() | RESTRICTED),
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.rules.protect),
        )

    def _create_quota(self) -> k8s.core.v1.ResourceQuota:
        quota = self._args.rules.quota
        return k8s.core.v1.ResourceQuota(
            "quota",
            metadata=self._metadata("quota"),
            spec=k8s.core.v1.ResourceQuotaSpecArgs(
                hard={
                    "requests.cpu": quota.cpu,
                    "requests.memory": quota.memory,
                    "limits.memory": quota.memory_limit,
                    "pods": str(quota.pods),
                }
            ),
            opts=self._inside(),
        )

    def _create_limits(self) -> k8s.core.v1.LimitRange:
        limits = self._args.rules.limits
        return k8s.core.v1.LimitRange(
            "limits",
            metadata=self._metadata("limits"),
            spec=k8s.core.v1.LimitRangeSpecArgs(
                limits=[
                    k8s.core.v1.LimitRangeItemArgs(
                        type="Container",
                        default_request={"cpu": limits.cpu, "memory": limits.memory},
                        default={"memory": limits.memory_limit},
                        max={"memory": limits.max_memory},
                    )
                ]
            ),
            opts=self._inside(),
        )

    def _create_pull_secret(self) -> k8s.core.v1.Secret | None:
        config = self._args.access.docker_config()
        if config is None:
            return None
        return k8s.core.v1.Secret(
            PULL_SECRET,
            metadata=self._metadata(PULL_SECRET),
            type="kubernetes.io/dockerconfigjson",
            string_data={".dockerconfigjson": config},
            opts=self._inside(),
        )

    def _create_service_account(self, service: str) -> k8s.core.v1.ServiceAccount:
        secrets = [k8s.core.v1.LocalObjectReferenceArgs(name=PULL_SECRET)] if self.pull_secret else None
        return k8s.core.v1.ServiceAccount(
            service,
            metadata=self._metadata(service),
            automount_service_account_token=False,
            image_pull_secrets=secrets,
            opts=self._inside(),
        )

    def _labels(self) -> dict[str, str]:
        return labels.standard(self._args.name, "environment") | {labels.ENVIRONMENT: self._args.name}

    def _metadata(self, name: str) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(name=name, namespace=self._args.name, labels=self._labels())

    def _inside(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=[self.namespace])
