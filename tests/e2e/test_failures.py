"""Every kind of failure that the platform promises to tell of, brought about for real, and its alert seen firing.

All at once, since most of the time is waiting; and by the platform's own rules in fast motion (`compressed`). One is
only shown: the node is told of its memory by a file of ours, since the machine's memory is everybody's.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.kubernetes import JsonObject
from components.model import Objectives
from components.monitoring import coverage, rules, slo
from components.reading import read_file
from components.settings import MonitoringSettings
from local.cluster import process
from local.cluster.spec import Layout
from tests.e2e import broken
from tests.e2e.compressed import compressed
from tests.e2e.platform import Platform
from tests.e2e.prometheus import Prometheus

EXPECTED = {
    "error ratio above the objective": (
        'ErrorRatioHigh{service="faulty"}',
        'ErrorBudgetBurnsFast{service="faulty", objective="availability"}',
    ),
    "latency above the objective": (
        'LatencyHigh{service="faulty"}',
        'ErrorBudgetBurnsFast{service="faulty", objective="latency"}',
    ),
    "pods crash-looping": ('PodCrashLooping{pod="crashing"}',),
    "deployment stuck": ('DeploymentStuck{replicaset=~"stuck-.*"}',),
    "probe flapping": ('ProbeFlapping{pod="faulty", probe_type="Readiness"}',),
    "node out of memory": ("NodeMemoryLow{}",),
    "node out of disk": ('NodeDiskFull{device=~"/dev/loop.*"}',),
    "certificate near expiry": (
        'CertificateExpiring{instance="expiring.test.svc:8443"}',
        'CertificateExpiresSoon{instance="expiring.test.svc:8443"}',
    ),
    "registry down": ("RegistryDown{}",),
    "target down": (
        'TargetDown{job="alertmanager"}',
        'ServiceDown{service="crashing"}',
        'PodUnreachable{pod="crashing"}',
    ),
    "Prometheus cannot reach Alertmanager": ("AlertmanagerUnreachable{}",),
    "the store of logs rejecting": ("VictoriaLogsRejecting{}",),
    "quota exhausted": (f'QuotaExhausted{{namespace="{broken.QUOTA_NAMESPACE}"}}',),
}
FAST = {"prometheus__scrapeSeconds": 2, "prometheus__serviceScrapeSeconds": 2}
PROMISED = {"availability": 99.9, "latency": {"percent": 99, "belowSeconds": 0.5}}
DISK, MEMINFO = "/var/lib/e2e-disk", "/var/lib/e2e-meminfo"  # of the node, which has a /var/lib of its own


@pytest.fixture(scope="module")
def prometheus(platform: Platform) -> Prometheus:
    return Prometheus(platform)


@pytest.fixture(scope="module")
def fast_motion(platform: Platform, failures: None) -> Iterator[set[str]]:
    """The names of the alerts that the platform has, while its rules are evaluated in fast motion."""
    settings = read_file(platform.stack("monitoring"))
    assert isinstance(settings, MonitoringSettings)
    files = dict(rules.load(coverage.present(settings)))
    files["objectives.yaml"] = slo.rules_of(broken.NAMESPACE, "faulty", Objectives.model_validate(PROMISED))
    with present(platform, broken.rules(compressed(files))):
        yield set(re.findall(r"alert: (\w+)", "\n".join(files.values())))


@pytest.fixture(scope="module")
def failures(platform: Platform) -> Iterator[None]:
    """All of them, for as long as the module's tests run."""
    healthy = platform.kube.get("apps/v1", "Deployment", "hello", broken.NAMESPACE)
    assert healthy is not None
    expiring = [*platform.stack("monitoring").get(["certificates"]), "expiring.test.svc:8443"]
    changed = platform.edited("monitoring", certificates=expiring, **FAST)
    with contextlib.ExitStack() as stack:
        # First, since it takes a minute until it has crashed three times.
        stack.enter_context(present(platform, broken.pod(healthy, "crashing", broken.CRASHING)))
        stack.callback(lambda: platform.slipway("up", "monitoring", "shared"))
        stack.enter_context(changed)
        assert platform.slipway("up", "monitoring").code == 0
        stack.enter_context(without_pods(platform, "StatefulSet", "alertmanager", "monitoring"))
        stack.enter_context(without_pods(platform, "Deployment", "registry-read", "slipway-registry"))
        for manifest in (
            broken.pod(healthy, "faulty", broken.FAULTY, readiness="/flaky"),
            broken.pod(healthy, "outdated", broken.OUTDATED),
            broken.pod(healthy, "expiring", broken.EXPIRING, PEM=expiring_certificate("expiring.test.svc")),
            broken.service("expiring", 8443),
            broken.stuck(healthy),
            broken.namespace(broken.QUOTA_NAMESPACE),
        ):
            stack.enter_context(present(platform, manifest))
        # What is there before the quota is counted at once, and what comes while it is made perhaps not for minutes.
        given = platform.kube.watch("v1", "ConfigMap", broken.QUOTA_NAMESPACE, name="kube-root-ca.crt", timeout_s=60)
        assert next(given, None)
        stack.enter_context(present(platform, broken.exhausted_quota()))
        stack.enter_context(full_disk(platform))
        stack.enter_context(low_memory(platform))
        yield


@pytest.mark.parametrize("failure", EXPECTED)
def test_a_failure_fires_its_alerts(failure: str, prometheus: Prometheus, fast_motion: set[str]) -> None:
    for alert in EXPECTED[failure]:
        name, selector = alert.split("{", 1)
        if name not in fast_motion:
            pytest.skip(f"{name} is not watched here: `slipway status` says what it lacks")
        ours = ", ".join(filter(None, [f'alertname="{name}", alertstate="firing", compressed="true"', selector[:-1]]))
        prometheus.eventually(f"ALERTS{{{ours}}}", bool)


@contextlib.contextmanager
def present(platform: Platform, manifest: JsonObject) -> Iterator[None]:
    """An object of the cluster for a while."""
    platform.kube.create(manifest)
    metadata = manifest["metadata"]
    try:
        yield
    finally:
        platform.kube.delete(manifest["apiVersion"], manifest["kind"], metadata["name"], metadata.get("namespace"))


@contextlib.contextmanager
def without_pods(platform: Platform, kind: str, name: str, namespace: str) -> Iterator[None]:
    """A workload scaled to nothing for a while; what declares it puts it right."""
    platform.kube.patch("apps/v1", kind, name, {"spec": {"replicas": 0}}, namespace)
    try:
        yield
    finally:
        platform.kube.patch("apps/v1", kind, name, {"spec": {"replicas": 1}}, namespace)


@contextlib.contextmanager
def full_disk(platform: Platform) -> Iterator[None]:
    """A disk of the node that is full: a small one, in a file."""
    on_node(platform, "mkdir", "-p", DISK)
    on_node(platform, "truncate", "--size=16M", f"{DISK}.img")
    on_node(platform, "mkfs.ext4", "-q", f"{DISK}.img")
    on_node(platform, "mount", "-o", "loop", f"{DISK}.img", DISK)
    try:
        with contextlib.suppress(subprocess.CalledProcessError):  # that it ends is what is wanted
            on_node(platform, "dd", "if=/dev/zero", f"of={DISK}/everything", "bs=1M", "status=none")
        yield
    finally:
        on_node(platform, "umount", DISK)
        on_node(platform, "rm", "-r", DISK, f"{DISK}.img")


@contextlib.contextmanager
def low_memory(platform: Platform) -> Iterator[None]:
    """The node is told that nearly nothing of its memory is left."""
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    shown = re.sub(r"(?<=MemAvailable:)\s+\d+", "  65536", text)
    on_node(platform, "dd", f"of={MEMINFO}", "status=none", stdin=shown)
    on_node(platform, "mount", "--bind", MEMINFO, "/proc/meminfo")
    try:
        yield
    finally:
        on_node(platform, "umount", "/proc/meminfo")
        on_node(platform, "rm", MEMINFO)


def on_node(platform: Platform, *argv: str, stdin: str = "") -> None:
    """Run a program of this machine with the node's files, and its processes, by which programs see their mounts."""
    pid = process.supervisor_pid(Layout(platform.cluster.name))
    entering = ["nsenter", f"--target={pid}", "--mount", "--pid", "--"]
    subprocess.run([*entering, *argv], input=stdin, text=True, check=True)


def expiring_certificate(host: str) -> str:
    """A certificate that ends tomorrow, and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    until = now + datetime.timedelta(days=1)
    certificate = builder.not_valid_before(now).not_valid_after(until).sign(key, hashes.SHA256())
    pem, traditional = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    sealed = key.private_bytes(pem, traditional, serialization.NoEncryption())
    return (certificate.public_bytes(pem) + sealed).decode()
