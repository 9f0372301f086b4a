"""The platform's own programs: which Go module each is built from, and how its image starts it.

Versions are those that the modules' `go.mod` files pin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.errors import BadInput
from local.images import oci

MODULES = Path(__file__).resolve().parent / "modules"
_ACCOUNTS = (
    oci.Directory("tmp", 0o1777),
    oci.File("etc/passwd", b"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"),
    oci.File("etc/group", b"root:x:0:\nnonroot:x:65532:\n"),
)


@dataclass(frozen=True)
class Program:
    """How an image's one program is built and started."""

    module: str
    """Folder below `modules/`, and the image's name."""
    package: str
    version: str = ""
    """The image's tag; the version of the Go module `versioned_by` where empty."""
    versioned_by: str = ""
    version_variable: str = ""
    """Go variable to set to that version; as `-ldflags -X` takes it."""
    version_prefix: str = "v"
    built_with: tuple[str, ...] = ()
    """Further packages of the module, built by the same command since they share most of their code."""
    build_tags: str = ""
    completes: str = ""
    """A module that lacks files it embeds: those of `additions` in the folder are put in."""
    folder: str = "bin/"
    """Where the program is in the image, with a closing slash; empty for the top."""
    entries: tuple[oci.File | oci.Directory, ...] = _ACCOUNTS
    user: str = "65532:65532"
    environment: tuple[str, ...] = ("PATH=/bin",)
    port: int | None = None
    arguments: tuple[str, ...] = ()
    """What it is started with where nobody says otherwise."""
    working_directory: str = ""

    @property
    def path(self) -> str:
        """Where the program is in the image, without the leading slash."""
        return self.folder + self.package.rpartition("/")[2]

    @property
    def tag(self) -> str:
        """The image's tag, a version."""
        return self.version or _release(_pinned_version(MODULES / self.module / "go.mod", self.versioned_by))

    @property
    def ldflags(self) -> str:
        """Tells the program its version."""
        return f"-X {self.version_variable}={self.version_prefix}{self.tag}" if self.version_variable else ""

    @property
    def config(self) -> Mapping[str, object]:
        """https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#properties, what is under `config`."""
        config = {
            "Entrypoint": [f"/{self.path}"],
            "Cmd": list(self.arguments),
            "Env": list(self.environment),
            "ExposedPorts": {f"{self.port}/tcp": {}} if self.port else {},
            "User": self.user,
            "WorkingDir": self.working_directory,
        }
        return {key: value for key, value in config.items() if value}


NODE: Mapping[str, Program] = {
    "pause": Program(
        module="pause",
        package="slipway.local/pause",
        # Tag, path and user are those of the image every Kubernetes node knows.
        version="3.10",
        folder="",
        entries=(),
        user="65535:65535",
        environment=(),
    ),
    "registry": Program(
        module="registry",
        package="github.com/distribution/distribution/v3/cmd/registry",
        versioned_by="github.com/distribution/distribution/v3",
        version_variable="github.com/distribution/distribution/v3/version.version",
        environment=("PATH=/bin", "OTEL_TRACES_EXPORTER=none"),
        port=5000,
        arguments=("serve", "/etc/distribution/config.yml"),
    ),
    "kubectl": Program(
        module="kubectl",
        package="k8s.io/kubernetes/cmd/kubectl",
        versioned_by="k8s.io/kubernetes",
        version_variable="k8s.io/component-base/version.gitVersion",
        environment=("PATH=/bin", "HOME=/tmp"),
    ),
}
"""What a local cluster needs before its registry runs, by short names."""

_PROMETHEUS_COMMANDS = "github.com/prometheus/prometheus/cmd"
_PROMETHEUS_VERSION = "github.com/prometheus/common/version.Version"
# Prometheus' module comes without its user interface, which is made by tools of another language. Its API is whole, and
# a browser is told where the interface would be.
_NO_INTERFACE = b"""<!doctype html><title>Prometheus</title><p>This build has no user interface; its API is at
<a href="/api/v1/status/buildinfo">/api/v1</a>, and <a href="/metrics">/metrics</a> are its own metrics.
"""

MONITORING: Mapping[str, Program] = {
    "prometheus": Program(
        module="prometheus",
        package=f"{_PROMETHEUS_COMMANDS}/prometheus",
        versioned_by="github.com/prometheus/prometheus",
        version_variable=_PROMETHEUS_VERSION,
        version_prefix="",
        built_with=(f"{_PROMETHEUS_COMMANDS}/promtool",),
        # Of the dozens of ways to find targets only one is used here; the others are most of the code.
        build_tags="remove_all_sd,enable_kubernetes_sd",
        entries=(*_ACCOUNTS, oci.File("usr/share/prometheus/web/ui/static/mantine-ui/index.html", _NO_INTERFACE)),
        port=9090,
        # Below a directory of this name the program looks for its interface in web/ui.
        working_directory="/usr/share/prometheus",
    ),
    "alertmanager": Program(
        module="alertmanager",
        package="github.com/prometheus/alertmanager/cmd/alertmanager",
        versioned_by="github.com/prometheus/alertmanager",
        version_variable=_PROMETHEUS_VERSION,
        version_prefix="",
        built_with=("github.com/prometheus/alertmanager/cmd/amtool",),
        completes="github.com/prometheus/alertmanager",
        port=9093,
    ),
    "nodeExporter": Program(
        module="node-exporter",
        package="github.com/prometheus/node_exporter",
        versioned_by="github.com/prometheus/node_exporter",
        version_variable=_PROMETHEUS_VERSION,
        version_prefix="",
        port=9100,
    ),
    "prober": Program(
        module="certificate-prober", package="slipway.local/certificate-prober", version="1.0.0", port=9115
    ),
    "victorialogs": Program(
        module="victorialogs",
        package="github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs",
        versioned_by="github.com/VictoriaMetrics/VictoriaLogs",
        version_variable="github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version",
        port=9428,
    ),
    "collector": Program(
        module="collector",
        package="slipway.local/collector",
        versioned_by="go.opentelemetry.io/collector/otelcol",
        version_variable="main.version",
    ),
    "loader": Program(module="config-loader", package="slipway.local/config-loader", version="1.0.0"),
}
"""What watches the environments, by the names of `slipway:platformImages`."""


def _release(pinned: str) -> str:
    """Prometheus' module is v0.316.0 where the program is 3.16.0: its packages promise nothing to their users."""
    found = re.fullmatch(r"0\.(\d)(\d\d)\.(\d+)", pinned)
    return f"{found[1]}.{int(found[2])}.{found[3]}" if found else pinned


def _pinned_version(go_mod: Path, module: str) -> str:
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+v(\S+)", go_mod.read_text(), re.MULTILINE)
    if found is None:
        raise BadInput(f"{module} is not required", where=str(go_mod))
    return found[1]
