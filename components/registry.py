"""The registry: one that runs in the cluster, or one that is run elsewhere; both tell the same of themselves.

CNCF distribution knows users but no rights: whoever has a password may push. So two instances share one volume. The
read-write one knows only who may push; the read-only one knows those who pull, too, and refuses every write.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components import htpasswd, labels, pods
from components.collection import GarbageCollection, GarbageCollectionArgs
from components.model import Credentials, InClusterRegistry
from components.monitoring.names import NAMESPACE as MONITORING_NAMESPACE
from components.registry_access import RegistryAccess
from components.settings import SharedSettings
from components.storage import CLAIM, CONFIG_FILE, CONFIG_PATH, PORT, STORAGE_PATH, together

NAMESPACE = "slipway-registry"
WRITER, READER = "registry", "registry-read"
METRICS_PORT_NAME = "metrics"
_APPLICATION, _METRICS_PORT = "registry", 5001
_AUTH_PATH, _TLS_PATH = "/etc/distribution/auth", "/etc/distribution/tls"
_TIMEOUT = "150s"  # above the progress deadline
_PROGRESS_DEADLINE_S = 120


@dataclass(frozen=True)
class RegistryArgs:
    """`registry`, `push` and `pull` come from the configuration, `cluster` is its identifier."""

    access: RegistryAccess
    registry: InClusterRegistry
    push: Credentials
    pull: Credentials
    cluster: str
    registry_image: str
    kubectl_image: str


class ExternalRegistry(pulumi.ComponentResource):
    """A registry that is run elsewhere, such as `ghcr.io/org`: nothing is declared but where it is."""

    def __init__(self, name: str, access: RegistryAccess, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:ExternalRegistry", name, None, opts)
        self.access = access
        self.addresses: dict[str, str] = {}
        self.register_outputs({"push": access.push, "pull": access.pull})


class Registry(pulumi.ComponentResource):
    """A registry in the cluster. Its children are attributes; `addresses` are within the cluster."""

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:Registry", name, None, opts)
        self._args = args
        self.access = args.access
        self.addresses = {instance: f"{instance}.{NAMESPACE}:{PORT}" for instance in (WRITER, READER)}
        self.namespace = self._create_namespace()
        self.storage = self._create_storage()
        self.certificate = self._create_certificate()
        users = {WRITER: [args.push], READER: [args.pull, args.push]}
        self.passwords = {instance: self._create_passwords(instance, users[instance]) for instance in users}
        self.configs = {instance: self._create_config(instance) for instance in users}
        self.deployments = {instance: self._create_deployment(instance) for instance in users}
        self.services = {instance: self._create_service(instance) for instance in users}
        self.network_policy = self._create_network_policy()
        self.collection = self._create_collection()
        self.register_outputs({"push": args.access.push, "pull": args.access.pull, "addresses": self.addresses})

    def _create_namespace(self) -> k8s.core.v1.Namespace:
        return k8s.core.v1.Namespace(
            NAMESPACE,
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=NAMESPACE, labels=labels.standard(_APPLICATION, "namespace") | pods.RESTRICTED
            ),
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )

    def _create_storage(self) -> k8s.core.v1.PersistentVolumeClaim:
        return k8s.core.v1.PersistentVolumeClaim(
            CLAIM,
            metadata=self._metadata(CLAIM, "storage"),
            spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=self._args.registry.storage_class,
                resources=k8s.core.v1.VolumeResourceRequirementsArgs(requests={"storage": self._args.registry.storage}),
            ),
            opts=self._inside(protect=True),
        )

    def _create_certificate(self) -> k8s.core.v1.Secret:
        key = self._args.registry.key
        return k8s.core.v1.Secret(
            "registry-tls",
            metadata=self._metadata("registry-tls", "certificate"),
            type="kubernetes.io/tls",
            string_data={
                "tls.crt": self._args.registry.certificate or "",
                "tls.key": key.output() if key else "",
            },
            opts=self._inside(),
        )

    def _create_passwords(self, instance: str, users: list[Credentials]) -> k8s.core.v1.Secret:
        lines = [htpasswd.line(user, self._args.cluster) for user in users]
        return k8s.core.v1.Secret(
            f"{instance}-users",
            metadata=self._metadata(f"{instance}-users", "users"),
            type="Opaque",
            string_data={
                "htpasswd": pulumi.Output.all(*lines).apply(lambda known: "".join(f"{line}\n" for line in known)),
                # Signs the state of uploads, which may go on with another pod: the same in each of them.
                "http-secret": self._args.push.password.output().apply(_http_secret),
            },
            opts=self._inside(),
        )

    def _create_config(self, instance: str) -> k8s.core.v1.ConfigMap:
        return k8s.core.v1.ConfigMap(
            f"{instance}-config",
            metadata=self._metadata(f"{instance}-config", "config"),
            data={CONFIG_FILE: self._config_of(instance)},
            opts=self._inside(),
        )

    def _create_deployment(self, instance: str) -> k8s.apps.v1.Deployment:
        """Both roll, though they share a volume that one node mounts: their pods are kept on one node (`together`).

        For the seconds in which two writers run, nothing breaks: blobs are named by their content, uploads by their
        own names, and what a name points at is replaced whole.
        """
        return k8s.apps.v1.Deployment(
            instance,
            metadata=self._metadata(instance, instance),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=1,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=labels.selector(_APPLICATION, instance)),
                strategy=k8s.apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=1),
                ),
                progress_deadline_seconds=_PROGRESS_DEADLINE_S,
                revision_history_limit=2,
                template=self._pod(instance),
            ),
            opts=pulumi.ResourceOptions.merge(
                self._inside(),
                pulumi.ResourceOptions(
                    depends_on=[self.storage, self.certificate, self.passwords[instance], self.configs[instance]],
                    custom_timeouts=pulumi.CustomTimeouts(create=_TIMEOUT, update=_TIMEOUT),
                    # While garbage is collected the writer's number is 0, and an update must leave it so.
                    ignore_changes=["spec.replicas"] if instance == WRITER else None,
                ),
            ),
        )

    def _create_service(self, instance: str) -> k8s.core.v1.Service:
        is_reader = instance == READER
        return k8s.core.v1.Service(
            instance,
            metadata=self._metadata(instance, instance),
            spec=k8s.core.v1.ServiceSpecArgs(
                type="NodePort" if is_reader else "ClusterIP",
                selector=labels.selector(_APPLICATION, instance),
                ports=[
                    k8s.core.v1.ServicePortArgs(
                        name="https",
                        port=PORT,
                        target_port="https",
                        protocol="TCP",
                        node_port=self._args.registry.node_port if is_reader else None,
                    )
                ],
            ),
            opts=self._inside(),
        )

    def _create_network_policy(self) -> k8s.networking.v1.NetworkPolicy:
        """Beside its metrics, the registry shows everybody who reaches that port how it runs (pprof, expvar)."""
        watcher = k8s.networking.v1.NetworkPolicyPeerArgs(
            namespace_selector=k8s.meta.v1.LabelSelectorArgs(
                match_labels={"kubernetes.io/metadata.name": MONITORING_NAMESPACE}
            )
        )
        return k8s.networking.v1.NetworkPolicy(
            _APPLICATION,
            metadata=self._metadata(_APPLICATION, "network-policy"),
            spec=k8s.networking.v1.NetworkPolicySpecArgs(
                pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels={labels.NAME: _APPLICATION}),
                policy_types=["Ingress"],
                ingress=[
                    k8s.networking.v1.NetworkPolicyIngressRuleArgs(ports=[_port("https")]),
                    k8s.networking.v1.NetworkPolicyIngressRuleArgs(ports=[_port(METRICS_PORT_NAME)], from_=[watcher]),
                ],
            ),
            opts=self._inside(),
        )

    def _create_collection(self) -> GarbageCollection:
        return GarbageCollection(
            "registry-collection",
            GarbageCollectionArgs(
                namespace=NAMESPACE,
                application=_APPLICATION,
                writer=WRITER,
                schedule=self._args.registry.garbage_collection,
                registry_image=self._args.registry_image,
                kubectl_image=self._args.kubectl_image,
                storage=self.storage,
                config=self.configs[WRITER],
                config_name=f"{WRITER}-config",
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.namespace, self.deployments[WRITER]]),
        )

    def _pod(self, instance: str) -> k8s.core.v1.PodTemplateSpecArgs:
        secret, config = f"{instance}-users", f"{instance}-config"
        key = k8s.core.v1.SecretKeySelectorArgs(name=secret, key="http-secret")
        users = k8s.core.v1.SecretVolumeSourceArgs(
            secret_name=secret, items=[k8s.core.v1.KeyToPathArgs(key="htpasswd", path="htpasswd")]
        )
        return k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(
                labels=labels.standard(_APPLICATION, instance), annotations=self._hashes(instance)
            ),
            spec=k8s.core.v1.PodSpecArgs(
                automount_service_account_token=False,
                enable_service_links=False,
                security_context=pods.pod_security(),
                affinity=together(_APPLICATION),
                termination_grace_period_seconds=30,
                containers=[
                    k8s.core.v1.ContainerArgs(
                        name="registry",
                        image=self._args.registry_image,
                        image_pull_policy="IfNotPresent",
                        args=["serve", f"{CONFIG_PATH}/{CONFIG_FILE}"],
                        ports=[
                            k8s.core.v1.ContainerPortArgs(name="https", container_port=PORT, protocol="TCP"),
                            k8s.core.v1.ContainerPortArgs(
                                name=METRICS_PORT_NAME, container_port=_METRICS_PORT, protocol="TCP"
                            ),
                        ],
                        env=[
                            k8s.core.v1.EnvVarArgs(
                                name="REGISTRY_HTTP_SECRET",
                                value_from=k8s.core.v1.EnvVarSourceArgs(secret_key_ref=key),
                            ),
                            k8s.core.v1.EnvVarArgs(name="OTEL_TRACES_EXPORTER", value="none"),
                        ],
                        resources=pods.resources(cpu="50m", memory="64Mi", memory_limit="256Mi"),
                        security_context=pods.container_security(),
                        startup_probe=pods.http_probe("/", port="https", period=1, failures=60),
                        readiness_probe=pods.http_probe("/", port="https", period=2, failures=3),
                        liveness_probe=pods.http_probe("/", port="https", period=10, failures=3),
                        lifecycle=k8s.core.v1.LifecycleArgs(
                            pre_stop=k8s.core.v1.LifecycleHandlerArgs(sleep=k8s.core.v1.SleepActionArgs(seconds=3))
                        ),
                        volume_mounts=[
                            pods.volume_mount("storage", STORAGE_PATH, read_only=instance == READER),
                            pods.volume_mount("config", CONFIG_PATH),
                            pods.volume_mount("auth", _AUTH_PATH),
                            pods.volume_mount("tls", _TLS_PATH),
                        ],
                    )
                ],
                volumes=[
                    pods.volume("storage", claim=CLAIM),
                    pods.volume("config", config_map=config),
                    k8s.core.v1.VolumeArgs(name="auth", secret=users),
                    k8s.core.v1.VolumeArgs(
                        name="tls",
                        secret=k8s.core.v1.SecretVolumeSourceArgs(secret_name="registry-tls"),  # noqa: S106
                    ),
                ],
            ),
        )

    def _config_of(self, instance: str) -> str:
        """https://distribution.github.io/distribution/about/configuration/; JSON is YAML, too.

        No cache of blobs: an instance would go on answering for what was deleted through the other.
        """
        is_reader = instance == READER
        storage: dict[str, object] = {
            "filesystem": {"rootdirectory": STORAGE_PATH},
            "delete": {"enabled": not is_reader},
            # With `enabled` alone the registry does not start: it wants all of them or none.
            "maintenance": {
                "readonly": {"enabled": is_reader},
                "uploadpurging": _upload_purging(enabled=not is_reader),
            },
        }
        config = {
            "version": "0.1",
            "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": True}},
            "storage": storage,
            "http": {
                "addr": f":{PORT}",
                "tls": {"certificate": f"{_TLS_PATH}/tls.crt", "key": f"{_TLS_PATH}/tls.key", "minimumtls": "tls1.2"},
                "headers": {"X-Content-Type-Options": ["nosniff"]},
                "debug": {"addr": f":{_METRICS_PORT}", "prometheus": {"enabled": True}},
            },
            "auth": {"htpasswd": {"realm": "slipway", "path": f"{_AUTH_PATH}/htpasswd"}},
            "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
        }
        return json.dumps(config, indent=2)

    def _hashes(self, instance: str) -> Mapping[str, pulumi.Input[str]]:
        """The registry reads its files once, when it starts."""
        private = [self._args.push.password, self._args.pull.password, self._args.registry.key]
        texts = pulumi.Output.all(*(secret.output() for secret in private if secret))
        public = {
            "config": self._config_of(instance),
            "certificate": self._args.registry.certificate or "",
            "users": f"{self._args.push.username} {self._args.pull.username}",
        }
        salt = f"{NAMESPACE}/{instance}"
        secrets = texts.apply(lambda known: pods.hash_of_secret("\n".join(known), salt=salt))
        return {
            labels.CONFIG_HASH: pods.hash_of(public),
            f"{labels.CONFIG_HASH}-secrets": secrets,
        }

    def _metadata(self, name: str, component: str) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(
            name=name, namespace=NAMESPACE, labels=labels.standard(_APPLICATION, component)
        )

    def _inside(self, *, protect: bool = False) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=[self.namespace], protect=protect or None)


def create_registry(
    settings: SharedSettings, opts: pulumi.ResourceOptions | None = None
) -> Registry | ExternalRegistry:
    """The registry a stack of kind `shared` declares."""
    access, known = RegistryAccess.of(settings), settings.registry_credentials
    registry = settings.registry.in_cluster
    if registry is None or known.push is None or known.pull is None:
        return ExternalRegistry("registry", access, opts)
    return Registry(
        "registry",
        RegistryArgs(
            access=access,
            registry=registry,
            push=known.push,
            pull=known.pull,
            cluster=settings.cluster.identifier,
            registry_image=settings.platform_images.registry,
            kubectl_image=settings.platform_images.kubectl,
        ),
        opts,
    )


def _http_secret(password: str) -> str:
    return hmac.new(password.encode(), b"registry http secret", hashlib.sha256).hexdigest()


def _port(name: str) -> k8s.networking.v1.NetworkPolicyPortArgs:
    return k8s.networking.v1.NetworkPolicyPortArgs(port=name, protocol="TCP")


def _upload_purging(*, enabled: bool) -> dict[str, object]:
    """When uploads that were never finished are deleted."""
    return {"enabled": True, "age": "168h", "interval": "24h", "dryrun": False} if enabled else {"enabled": False}
