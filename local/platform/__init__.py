"""The platform on one machine: what `make up` stands on where no cluster of one's own is named.

It puts together what stands alone: the cluster (`local.cluster`), images (`local.images`) and a configuration directory
generated from the committed files. What is declared, and by which engine, is the business of others.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from adapters.errors import Unreachable
from adapters.kubernetes import JsonObject, Kubernetes
from local import cluster as clusters
from local.cluster import Cluster, ClusterSpec, Mirror
from local.images import (
    BuiltImage,
    monitoring_image_names,
    monitoring_images,
    platform_image_names,
    platform_images,
)
from local.platform import services
from local.platform.configuration import Configuration, Here
from local.platform.receiver import Receiver

_READ_PORT = 30500  # the committed Pulumi.shared.yaml says the same, and a test compares them
_REGISTRY_HOST = "registry.slipway.local"
_REGISTRY_NAMESPACE, _REGISTRY_SERVICE = "slipway-registry", "registry"
_SERVED = "app.kubernetes.io/component in (service, monitoring)"
_REGISTRY_NAMES = [
    "127.0.0.1",
    "localhost",
    clusters.NODE_ADDRESS,
    *(
        f"{name}.{_REGISTRY_NAMESPACE}.svc{domain}"
        for name in ("registry", "registry-read")
        for domain in ("", ".cluster.local")
    ),
]


class LocalPlatform:
    """The local platform, whose cluster runs."""

    def __init__(self, configuration: Configuration, cluster: Cluster | None) -> None:
        self._configuration, self._cluster = configuration, cluster
        self._writing = threading.Lock()  # stacks that come up at once share one git repository
        self._images: Future[dict[str, BuiltImage]] | None = None

    @classmethod
    def prepare(cls) -> LocalPlatform:
        """Start the cluster and generate the configuration directory, each if it is not there."""
        clusters.check_machine()  # before images are built beside, which would go on for minutes
        configuration = Configuration()
        # Services are built mostly by waiting for packages, clusters by compiling: on a fresh machine both at once.
        images = None if configuration.exists else _build_services()
        configuration.authority()  # whose certificate the cluster's node is told to trust
        cluster = clusters.up(_spec(configuration.ca))
        platform = cls(configuration, cluster)
        platform._images = images
        here = Here(
            cluster={
                "kubeconfig": str(cluster.kubeconfig),
                "context": cluster.context,
                "identifier": cluster.context,
            },
            push=platform._registry_address(),
            registry_names=_REGISTRY_NAMES,
            images=_image_map(),
        )
        if configuration.exists:
            configuration.refresh(here)
        else:
            configuration.generate(here)
        Receiver().start(cluster)
        return platform

    @classmethod
    def find(cls) -> LocalPlatform | None:
        """The platform made before, whether its cluster runs or not, without changing anything; None if never made."""
        configuration = Configuration()
        return cls(configuration, clusters.find(cluster_name())) if configuration.exists else None

    @property
    def config_dir(self) -> Path:
        """The configuration directory."""
        return self._configuration.directory

    @property
    def env(self) -> Mapping[str, str]:
        """Environment variables by which Pulumi's engines open the stacks."""
        return self._configuration.env

    @property
    def signers(self) -> Mapping[str, Path]:
        """Private keys that sign here, by their signer's name."""
        return self._configuration.signers.files

    def before(self, stack: str) -> None:
        """See to it that what a stack runs has its image: a fresh platform begins with the services of this checkout.

        The images of services are built once for all stacks. Those of the monitoring are built while environments are
        brought up, which do not wait for them.
        """
        if self._configuration.stack(stack).get(["kind"]) == "monitoring":
            self._running().load(monitoring_images())
            return
        with self._writing:
            file = self._configuration.stack(stack)
            missing = services.missing_images(file)
            if not missing:
                return
            self._images = self._images or _build_services()
            built, crypter = self._images.result(), self._configuration.crypter()
            for name in [name for name in missing if name in built]:
                image = services.publish(name, built[name], file, crypter, self._configuration.ca)
                file.set(["images", name], image)
            file.save()
            self._configuration.commit(f"Begin {stack} with the images of this checkout")

    def after(self, stack: str) -> None:
        """Make reachable on this machine what a stack has just brought: its services, or the registry."""
        with self._connected() as kube:
            registry = kube.get("v1", "Service", _REGISTRY_SERVICE, _REGISTRY_NAMESPACE)
            services_there = kube.list("v1", "Service", stack, labels=_SERVED)
        targets = {_link(service): _address(service) for service in services_there}
        if registry is not None:
            targets[_REGISTRY_SERVICE] = _address(registry)
        with self._writing:
            self._running().publish(targets)
            self._configuration.commit(f"Note which engine keeps {stack}")

    def links(self) -> dict[str, str]:
        """Where services are reached on this machine, such as `prod/hello`: `http://127.0.0.1:PORT`."""
        if self._cluster is None:
            return {}
        with self._connected() as kube:
            there = {_link(service) for service in kube.list("v1", "Service", labels=_SERVED)}
        ports = self._cluster.published()
        return {name: f"http://127.0.0.1:{port}" for name, port in sorted(ports.items()) if name in there}

    def receiver(self) -> Mapping[str, str]:
        """How `slipway serve` is, which answers alerts here, and where it says what it does."""
        receiver = Receiver()
        return {"state": "runs" if receiver.runs else "does not run", "log": str(receiver.log)}

    def down(self) -> None:
        """End the cluster and remove everything the platform has, its data too."""
        clusters.down(cluster_name())
        self._configuration.remove()

    def _running(self) -> Cluster:
        if self._cluster is None:
            raise Unreachable("the local cluster does not run", fix="Start it with `slipway cluster up`")
        return self._cluster

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Kubernetes]:
        cluster = self._running()
        with contextlib.closing(
            Kubernetes.connect(kubeconfig=str(cluster.kubeconfig), context=cluster.context)
        ) as kube:
            yield kube

    def _registry_address(self) -> str:
        """The registry's address here, which its clients are configured with before there is a registry."""
        cluster = self._running()
        port = cluster.published().get(_REGISTRY_SERVICE)
        if port is None:
            port = cluster.publish({_REGISTRY_SERVICE: (clusters.NODE_ADDRESS, _READ_PORT)})[_REGISTRY_SERVICE]
        return f"127.0.0.1:{port}"


def cluster_name(environ: Mapping[str, str] = os.environ) -> str:
    """The name of the local platform's cluster: `SLIPWAY_CLUSTER`, or `local`."""
    return environ.get("SLIPWAY_CLUSTER") or "local"


def _build_services() -> Future[dict[str, BuiltImage]]:
    pool = ThreadPoolExecutor(1, thread_name_prefix="images")
    building = pool.submit(services.build_all)
    pool.shutdown(wait=False)  # takes no more, and ends when it is done
    return building


def _spec(ca: Path) -> ClusterSpec:
    mirror = Mirror(_REGISTRY_HOST, f"https://{clusters.NODE_ADDRESS}:{_READ_PORT}", ca)
    pause = platform_image_names()["pause"]
    return ClusterSpec(name=cluster_name(), pause=pause, images=tuple(platform_images()), registry_mirrors=(mirror,))


def _image_map() -> dict[str, dict[str, str]]:
    """`slipway:platformImages` of each kind of stack: images made here in place of public ones."""
    node = {name: image for name, image in platform_image_names().items() if name != "pause"}
    return {"shared": node, "monitoring": monitoring_image_names()}


def _link(service: JsonObject) -> str:
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"


def _address(service: JsonObject) -> tuple[str, int]:
    return service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]
