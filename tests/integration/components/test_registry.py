"""The registry in a real cluster: who may do what, and that collecting garbage always ends with writing turned on."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import ssl
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pulumi import automation as auto

from adapters.kubernetes import Kubernetes
from adapters.passphrase import Passphrase
from adapters.paths import REPOSITORY
from adapters.stackfile import StackFile
from components.registry import NAMESPACE, READER, WRITER
from components.storage import PORT
from local.certificates import Authority
from local.cluster import Cluster, ClusterSpec
from local.engine.command import Engine
from local.images import platform_image_names
from tests.clusters import running

PASSPHRASE = "a passphrase for tests"
PUSH, PULL = ("ci", "password to push"), ("node", "password to pull")
HTTP_OK, HTTP_ACCEPTED, HTTP_UNAUTHORIZED, HTTP_NOT_FOUND, HTTP_NOT_ALLOWED = 200, 202, 401, 404, 405


@dataclass(frozen=True)
class Instances:
    """How the two instances are reached from here."""

    addresses: dict[str, str]
    trust: ssl.SSLContext

    def ask(self, instance: str, method: str, path: str, user: tuple[str, str] | None) -> int:
        with self._client(instance, user) as client:
            return int(client.request(method, path).status_code)

    def push_blob(self, repository: str, content: bytes) -> str:
        """Upload a blob that no image refers to; its path."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        with self._client(WRITER, PUSH) as client:
            location = client.post(f"/v2/{repository}/blobs/uploads/").headers["Location"]
            target = httpx2.URL(location).copy_merge_params({"digest": digest})
            client.put(target.raw_path.decode(), content=content).raise_for_status()
        return f"/v2/{repository}/blobs/{digest}"

    def _client(self, instance: str, user: tuple[str, str] | None) -> httpx2.Client:
        base = f"https://{self.addresses[instance]}"
        return httpx2.Client(base_url=base, verify=self.trust, auth=user, trust_env=False)


@pytest.fixture(scope="module")
def cluster(cluster_spec: ClusterSpec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of its own: in the session's there may be the platform under test, which has a registry, too."""
    own = dataclasses.replace(cluster_spec, name=f"{cluster_spec.name}-registry")
    with running(own, tmp_path_factory.mktemp("state")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def kube(cluster: Cluster) -> Iterator[Kubernetes]:
    """A client of that cluster."""
    with contextlib.closing(Kubernetes.connect(kubeconfig=str(cluster.kubeconfig), context=cluster.context)) as client:
        yield client


@pytest.fixture(scope="module")
def registry(cluster: Cluster, kube: Kubernetes, tmp_path_factory: pytest.TempPathFactory) -> Instances:
    directory = tmp_path_factory.mktemp("config")
    authority = Authority.open(directory / "authority", "registry-ca")
    write_configuration(directory, authority, cluster)
    options = auto.LocalWorkspaceOptions(pulumi_command=Engine(), env_vars={"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE})
    stack = auto.select_stack("shared", work_dir=str(directory), opts=options)
    stack.up()
    services = {name: kube.get("v1", "Service", name, NAMESPACE) for name in (WRITER, READER)}
    targets = {name: (service["spec"]["clusterIP"], PORT) for name, service in services.items() if service}
    ports = cluster.publish(targets)
    addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    return Instances(addresses, ssl.create_default_context(cadata=authority.pem))


def write_configuration(directory: Path, authority: Authority, cluster: Cluster) -> None:
    """The committed stack file with what the local platform adds to it."""
    crypter, salt = Passphrase.create(PASSPHRASE)
    certificate = authority.issue("registry", hosts=["127.0.0.1"])
    project = (REPOSITORY / "Pulumi.yaml").read_text()
    (directory / "Pulumi.yaml").write_text(f"{project}main: {REPOSITORY}\n")
    path = directory / "Pulumi.shared.yaml"
    path.write_bytes((REPOSITORY / path.name).read_bytes())
    file = StackFile.load(path)
    file.encryption_salt = salt
    named = {"kubeconfig": str(cluster.kubeconfig), "context": cluster.context, "identifier": cluster.context}
    images = {name: image for name, image in platform_image_names().items() if name != "pause"}
    file.set(["cluster"], named)
    file.set(["platformImages"], images)
    file.set(["registry", "inCluster", "certificate"], certificate.certificate)
    file.set(["registry", "inCluster", "key"], {"secure": crypter.encrypt(certificate.key)})
    for role, (username, password) in {"push": PUSH, "pull": PULL}.items():
        user = {"username": username, "password": {"secure": crypter.encrypt(password)}}
        file.set(["registryCredentials", role], user)
    file.save()


def test_collecting_from_a_registry_that_nothing_was_pushed_to_ends_well(registry: Instances, kube: Kubernetes) -> None:
    """Has to be the first test: the folders of a registry are there for good once anything is pushed."""
    job = collect(kube, None)
    assert numbers_of_writers(kube) == [1, 0, 1]
    assert condition(kube, job) == "Complete", said_by(kube, job)
    garbage = registry.push_blob("first", b"what is pushed afterwards")
    assert registry.ask(READER, "HEAD", garbage, PULL) == HTTP_OK


def test_only_those_who_push_may_write_and_only_where_writing_is_possible(registry: Instances) -> None:
    upload = "/v2/anything/blobs/uploads/"
    assert registry.ask(WRITER, "POST", upload, PUSH) == HTTP_ACCEPTED
    assert registry.ask(WRITER, "POST", upload, PULL) == HTTP_UNAUTHORIZED
    assert registry.ask(WRITER, "POST", upload, None) == HTTP_UNAUTHORIZED
    assert registry.ask(READER, "POST", upload, PUSH) == HTTP_NOT_ALLOWED
    assert registry.ask(READER, "POST", upload, PULL) == HTTP_NOT_ALLOWED


def test_both_may_read_and_nobody_else(registry: Instances) -> None:
    assert registry.ask(READER, "GET", "/v2/", PULL) == HTTP_OK
    assert registry.ask(READER, "GET", "/v2/", PUSH) == HTTP_OK
    assert registry.ask(READER, "GET", "/v2/", None) == HTTP_UNAUTHORIZED
    assert registry.ask(READER, "GET", "/v2/", ("node", "another password")) == HTTP_UNAUTHORIZED


@pytest.mark.parametrize(("config", "outcome"), [(None, "Complete"), ("/etc/not-there.yml", "Failed")])
def test_writing_is_off_while_garbage_is_collected_and_on_afterwards_however_it_ends(
    registry: Instances, kube: Kubernetes, config: str | None, outcome: str
) -> None:
    garbage = registry.push_blob("garbage", uuid.uuid4().bytes)
    assert registry.ask(READER, "HEAD", garbage, PULL) == HTTP_OK
    job = collect(kube, config)
    assert numbers_of_writers(kube) == [1, 0, 1]
    assert condition(kube, job) == outcome, said_by(kube, job)
    assert registry.ask(READER, "HEAD", garbage, PULL) == (HTTP_NOT_FOUND if outcome == "Complete" else HTTP_OK)


def collect(kube: Kubernetes, config: str | None) -> str:
    """Begin to collect as the CronJob would, once, with another configuration file if given; the Job's name."""
    cron = kube.get("batch/v1", "CronJob", "registry-collection", NAMESPACE)
    assert cron is not None
    template: dict[str, Any] = copy.deepcopy(cron["spec"]["jobTemplate"])
    template["spec"]["backoffLimit"] = 0
    if config:
        template["spec"]["template"]["spec"]["containers"][0]["args"][-1] = config
    name = f"collect-{uuid.uuid4().hex[:8]}"
    metadata = {"name": name, "namespace": NAMESPACE}
    kube.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]})
    return name


def numbers_of_writers(kube: Kubernetes) -> list[int]:
    """How the number of writers changes, from the one that runs while a Job begins until one is available again."""
    numbers = [1]
    for _, seen in kube.watch("apps/v1", "Deployment", NAMESPACE, name=WRITER, timeout_s=90):
        numbers += [seen["spec"]["replicas"]] if seen["spec"]["replicas"] != numbers[-1] else []
        if len(numbers) > len([1, 0]) and seen["status"].get("availableReplicas") == 1:
            break
    return numbers


def condition(kube: Kubernetes, job: str) -> str:
    """How a Job ended."""
    for _, seen in kube.watch("batch/v1", "Job", NAMESPACE, name=job, timeout_s=60):
        for found in seen.get("status", {}).get("conditions", []):
            if found["type"] in ("Complete", "Failed") and found["status"] == "True":
                return str(found["type"])
    raise AssertionError(f"the job {job} has not ended")


def said_by(kube: Kubernetes, job: str) -> str:
    """The last lines of what collected."""
    pods = kube.list("v1", "Pod", NAMESPACE, labels=f"job-name={job}")
    return "\n".join(kube.logs(NAMESPACE, pod["metadata"]["name"], container="collect") for pod in pods)
