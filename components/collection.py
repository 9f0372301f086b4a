"""Collects the registry's garbage: blobs that no image refers to any more.

A blob pushed while this runs would be deleted with the garbage (distribution's documentation), so writing is off
meanwhile: the writer's Deployment is scaled to 0 and its pods are awaited. Pulling goes on.

Writing is turned on again however collecting ends. That is the work of a sidecar whose `preStop` scales the Deployment
back: the kubelet ends sidecars when the pod's containers have ended, well or not, or a deadline has passed. Should the
node fail in between, the Job is tried again and ends the same way. Images with neither shell nor script interpreter
serve for it. Images that have lost their tag stay: pods name them by digest.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components import labels, pods
from components.storage import CLAIM, CONFIG_FILE, CONFIG_PATH, STORAGE_PATH, together

_NAME = "registry-collection"
_DEADLINE_S = 3600
_PODS_GONE = "120s"
_FOLDERS = ("docker/registry/v2/repositories", "docker/registry/v2/blobs")
"""Where distribution keeps what it is given, made by the first push; collecting fails without. The kubelet makes the
folder of a mount when it is missing, and there is no shell that could."""


@dataclass(frozen=True)
class GarbageCollectionArgs:
    """`writer` names the Deployment to turn off, and the `component` label of its pods."""

    namespace: str
    application: str
    writer: str
    schedule: str
    registry_image: str
    kubectl_image: str
    storage: k8s.core.v1.PersistentVolumeClaim
    config: k8s.core.v1.ConfigMap
    config_name: str


class GarbageCollection(pulumi.ComponentResource):
    """A CronJob with the rights to scale one Deployment and to see pods end."""

    def __init__(self, name: str, args: GarbageCollectionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:index:GarbageCollection", name, None, opts)
        self._args = args
        self.account = self._create_account()
        self.role = self._create_role()
        self.binding = self._create_binding()
        self.job = self._create_job()
        self.register_outputs({"schedule": args.schedule})

    def _create_account(self) -> k8s.core.v1.ServiceAccount:
        return k8s.core.v1.ServiceAccount(
            _NAME, metadata=self._metadata(), automount_service_account_token=False, opts=self._child()
        )

    def _create_role(self) -> k8s.rbac.v1.Role:
        one = [self._args.writer]
        return k8s.rbac.v1.Role(
            _NAME,
            metadata=self._metadata(),
            rules=[
                k8s.rbac.v1.PolicyRuleArgs(
                    api_groups=["apps"], resources=["deployments"], resource_names=one, verbs=["get"]
                ),
                k8s.rbac.v1.PolicyRuleArgs(
                    api_groups=["apps"],
                    resources=["deployments/scale"],
                    resource_names=one,
                    verbs=["get", "patch", "update"],
                ),
                # Watching goes by labels, which rights cannot be bound to.
                k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["pods"], verbs=["get", "list", "watch"]),
            ],
            opts=self._child(),
        )

    def _create_binding(self) -> k8s.rbac.v1.RoleBinding:
        return k8s.rbac.v1.RoleBinding(
            _NAME,
            metadata=self._metadata(),
            role_ref=k8s.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=_NAME),
            subjects=[
                k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=_NAME, namespace=self._args.namespace),
            ],
            opts=self._child(self.role, self.account),
        )

    def _create_job(self) -> k8s.batch.v1.CronJob:
        return k8s.batch.v1.CronJob(
            _NAME,
            metadata=self._metadata(),
            spec=k8s.batch.v1.CronJobSpecArgs(
                schedule=self._args.schedule,
                concurrency_policy="Forbid",
                starting_deadline_seconds=_DEADLINE_S,
                successful_jobs_history_limit=1,
                failed_jobs_history_limit=3,
                job_template=k8s.batch.v1.JobTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(labels=self._labels()),
                    spec=k8s.batch.v1.JobSpecArgs(
                        backoff_limit=2, active_deadline_seconds=_DEADLINE_S, template=self._pod()
                    ),
                ),
            ),
            opts=self._child(self.binding, self._args.storage, self._args.config),
        )

    def _pod(self) -> k8s.core.v1.PodTemplateSpecArgs:
        writer = f"deployment/{self._args.writer}"
        selector = ",".join(
            f"{label}={value}" for label, value in labels.selector(self._args.application, self._args.writer).items()
        )
        on = k8s.core.v1.ExecActionArgs(command=["kubectl", "scale", writer, "--replicas=1"])
        return k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(
                labels=self._labels(),
                annotations={labels.API_TOKEN: "turns writing to the registry off and on"},
            ),
            spec=k8s.core.v1.PodSpecArgs(
                service_account_name=_NAME,
                automount_service_account_token=True,
                enable_service_links=False,
                restart_policy="Never",
                security_context=pods.pod_security(),
                affinity=together(self._args.application),
                init_containers=[
                    self._kubectl(
                        "writing-on",
                        ["get", "pods", "--watch", "--output=name", f"--selector={selector}"],
                        restart_policy="Always",
                        lifecycle=k8s.core.v1.LifecycleArgs(pre_stop=k8s.core.v1.LifecycleHandlerArgs(exec_=on)),
                    ),
                    self._kubectl("writing-off", ["scale", writer, "--replicas=0"]),
                    self._kubectl(
                        "pods-gone",
                        ["wait", "pods", f"--selector={selector}", "--for=delete", f"--timeout={_PODS_GONE}"],
                    ),
                ],
                containers=[
                    k8s.core.v1.ContainerArgs(
                        name="collect",
                        image=self._args.registry_image,
                        image_pull_policy="IfNotPresent",
                        args=["garbage-collect", f"{CONFIG_PATH}/{CONFIG_FILE}"],
                        env=[k8s.core.v1.EnvVarArgs(name="OTEL_TRACES_EXPORTER", value="none")],
                        resources=pods.resources(cpu="10m", memory="64Mi", memory_limit="512Mi"),
                        security_context=pods.container_security(),
                        volume_mounts=[
                            pods.volume_mount("storage", STORAGE_PATH, read_only=False),
                            *(
                                pods.volume_mount(
                                    "storage", f"{STORAGE_PATH}/{folder}", read_only=False, sub_path=folder
                                )
                                for folder in _FOLDERS
                            ),
                            pods.volume_mount("config", CONFIG_PATH),
                        ],
                    )
                ],
                volumes=[pods.volume("storage", claim=CLAIM), pods.volume("config", config_map=self._args.config_name)],
            ),
        )

    def _kubectl(
        self,
        name: str,
        args: list[str],
        *,
        restart_policy: str | None = None,
        lifecycle: k8s.core.v1.LifecycleArgs | None = None,
    ) -> k8s.core.v1.ContainerArgs:
        return k8s.core.v1.ContainerArgs(
            name=name,
            image=self._args.kubectl_image,
            image_pull_policy="IfNotPresent",
            args=args,
            restart_policy=restart_policy,
            lifecycle=lifecycle,
            resources=pods.resources(cpu="10m", memory="32Mi", memory_limit="128Mi"),
            security_context=pods.container_security(),
        )

    def _labels(self) -> dict[str, str]:
        return labels.standard(self._args.application, "garbage-collection")

    def _metadata(self) -> k8s.meta.v1.ObjectMetaArgs:
        return k8s.meta.v1.ObjectMetaArgs(name=_NAME, namespace=self._args.namespace, labels=self._labels())

    def _child(self, *needs: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(needs) or None)
