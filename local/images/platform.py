"""The platform's own images: each one static binary, built from a pinned Go module.

Those a local cluster needs before its registry runs are imported into containerd when the node starts; those of the
monitoring are built and imported later, while environments serve. Names are known without building anything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adapters.errors import BadInput
from adapters.paths import cache_dir
from local import gobuild
from local.images import oci

_MODULES = Path(__file__).resolve().parent / "modules"
_NONROOT = "65532:65532"
_ACCOUNTS = (
    oci.Directory("tmp", 0o1777),
    oci.File("etc/passwd", b"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"),
    oci.File("etc/group", b"root:x:0:\nnonroot:x:65532:\n"),
)


@dataclass(frozen=True)
class _Program:
    """How an image's one program is built and started."""

    module: str
    """Folder below `modules/`."""
    package: str
    path: str
    """Where the program is in the image, without the leading slash."""
    config: Mapping[str, object]
    version: str = ""
    """The image's tag; the version of the Go module `versioned_by` where empty."""
    versioned_by: str = ""
    version_variable: str = ""
    """Go variables to set to that version; as `-ldflags -X` takes them."""
    version_prefix: str = "v"
    built_with: tuple[str, ...] = ()
    """Further packages of the module, built by the same command since they share most of their code."""
    build_tags: str = ""
    completes: str = ""
    """A module that lacks files it embeds: those of `additions` in the folder are put in."""
    entries: tuple[oci.File | oci.Directory, ...] = field(default=_ACCOUNTS)

    @property
    def tag(self) -> str:
        return self.version or _release(_pinned_version(_MODULES / self.module / "go.mod", self.versioned_by))

    @property
    def ldflags(self) -> str:
        return f"-X {self.version_variable}={self.version_prefix}{self.tag}" if self.version_variable else ""


_NODE = {
    "pause": _Program(
        module="pause",
        package="slipway.local/pause",
        path="pause",
        # Tag, path and user are those of the image every Kubernetes node knows.
        version="3.10",
        config={"Entrypoint": ["/pause"], "User": "65535:65535"},
        entries=(),
    ),
    "registry": _Program(
        module="registry",
        package="github.com/distribution/distribution/v3/cmd/registry",
        path="bin/registry",
        versioned_by="github.com/distribution/distribution/v3",
        version_variable="github.com/distribution/distribution/v3/version.version",
        config={
            "Entrypoint": ["/bin/registry"],
            "Cmd": ["serve", "/etc/distribution/config.yml"],
            "Env": ["PATH=/bin", "OTEL_TRACES_EXPORTER=none"],
            "ExposedPorts": {"5000/tcp": {}},
            "User": _NONROOT,
        },
    ),
    "kubectl": _Program(
        module="kubectl",
        package="k8s.io/kubernetes/cmd/kubectl",
        path="bin/kubectl",
        versioned_by="k8s.io/kubernetes",
        version_variable="k8s.io/component-base/version.gitVersion",
        config={"Entrypoint": ["/bin/kubectl"], "Env": ["PATH=/bin", "HOME=/tmp"], "User": _NONROOT},
    ),
}

# Prometheus' module comes without its user interface, which is made by tools of another language. Its API is whole, and
# a browser is told where the interface would be.
_NO_INTERFACE = b"""<!doctype html><title>Prometheus</title><p>This build has no user interface; its API is at
<a href="/api/v1/status/buildinfo">/api/v1</a>, and <a href="/metrics">/metrics</a> are its own metrics.
"""
_PROMETHEUS_COMMANDS = "github.com/prometheus/prometheus/cmd"
_MONITORING = {
    "prometheus": _Program(
        module="prometheus",
        package=f"{_PROMETHEUS_COMMANDS}/prometheus",
        path="bin/prometheus",
        versioned_by="github.com/prometheus/prometheus",
        version_variable="github.com/prometheus/common/version.Version",
        version_prefix="",
        built_with=(f"{_PROMETHEUS_COMMANDS}/promtool",),
        # Of the dozens of ways to find targets only one is used here; the others are most of the code.
        build_tags="remove_all_sd,enable_kubernetes_sd",
        config={
            "Entrypoint": ["/bin/prometheus"],
            "Env": ["PATH=/bin"],
            "ExposedPorts": {"9090/tcp": {}},
            "User": _NONROOT,
            # Below a directory of this name the program looks for its interface in web/ui.
            "WorkingDir": "/usr/share/prometheus",
        },
        entries=(*_ACCOUNTS, oci.File("usr/share/prometheus/web/ui/static/mantine-ui/index.html", _NO_INTERFACE)),
    ),
    "alertmanager": _Program(
        module="alertmanager",
        package="github.com/prometheus/alertmanager/cmd/alertmanager",
        path="bin/alertmanager",
        versioned_by="github.com/prometheus/alertmanager",
        version_variable="github.com/prometheus/common/version.Version",
        version_prefix="",
        built_with=("github.com/prometheus/alertmanager/cmd/amtool",),
        completes="github.com/prometheus/alertmanager",
        config={
            "Entrypoint": ["/bin/alertmanager"],
            "Env": ["PATH=/bin"],
            "ExposedPorts": {"9093/tcp": {}},
            "User": _NONROOT,
        },
    ),
    "nodeExporter": _Program(
        module="node-exporter",
        package="github.com/prometheus/node_exporter",
        path="bin/node_exporter",
        versioned_by="github.com/prometheus/node_exporter",
        version_variable="github.com/prometheus/common/version.Version",
        version_prefix="",
        config={
            "Entrypoint": ["/bin/node_exporter"],
            "Env": ["PATH=/bin"],
            "ExposedPorts": {"9100/tcp": {}},
            "User": _NONROOT,
        },
    ),
    "prober": _Program(
        module="certificate-prober",
        package="slipway.local/certificate-prober",
        path="bin/certificate-prober",
        version="1.0.0",
        config={
            "Entrypoint": ["/bin/certificate-prober"],
            "Env": ["PATH=/bin"],
            "ExposedPorts": {"9115/tcp": {}},
            "User": _NONROOT,
        },
    ),
    "victorialogs": _Program(
        module="victorialogs",
        package="github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs",
        path="bin/victoria-logs",
        versioned_by="github.com/VictoriaMetrics/VictoriaLogs",
        version_variable="github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version",
        config={
            "Entrypoint": ["/bin/victoria-logs"],
            "Env": ["PATH=/bin"],
            "ExposedPorts": {"9428/tcp": {}},
            "User": _NONROOT,
        },
    ),
    "collector": _Program(
        module="collector",
        package="slipway.local/collector",
        path="bin/collector",
        versioned_by="go.opentelemetry.io/collector/otelcol",
        version_variable="main.version",
        config={"Entrypoint": ["/bin/collector"], "Env": ["PATH=/bin"], "User": _NONROOT},
    ),
    "loader": _Program(
        module="config-loader",
        package="slipway.local/config-loader",
        path="bin/config-loader",
        version="1.0.0",
        config={"Entrypoint": ["/bin/config-loader"], "Env": ["PATH=/bin"], "User": _NONROOT},
    ),
}
_PROGRAMS = _NODE | _MONITORING


def platform_image_names() -> dict[str, str]:
    """The reference each image of the node is imported as, by its short name; builds nothing."""
    return _names(_NODE)


def platform_images() -> list[Path]:
    """The OCI archives of the node's images, built where the cache lacks them (minutes for the Go builds)."""
    return [_archive(short, reference) for short, reference in platform_image_names().items()]


def monitoring_image_names() -> dict[str, str]:
    """The reference each image of the monitoring is imported as, by its short name; builds nothing."""
    return _names(_MONITORING)


def monitoring_images() -> list[Path]:
    """The OCI archives of the monitoring's images, built where the cache lacks them, yielding to everything else."""
    return [_archive(short, reference, yielding=True) for short, reference in monitoring_image_names().items()]


def platform_binary(short: str, *, program: str = "", yielding: bool = False) -> Path:
    """The program of an image, as it runs on this machine too, or `program`, which is built with it."""
    recipe = _PROGRAMS[short]
    built = gobuild.build(
        _MODULES / recipe.module,
        [recipe.package, *recipe.built_with],
        ldflags=recipe.ldflags,
        tags=recipe.build_tags,
        completes=recipe.completes,
        yielding=yielding,
    )
    return built[program] if program else next(iter(built.values()))


def _names(programs: Mapping[str, _Program]) -> dict[str, str]:
    return {short: f"slipway.local/{program.module}:{program.tag}" for short, program in programs.items()}


def _archive(short: str, reference: str, *, yielding: bool = False) -> Path:
    program, binary = _PROGRAMS[short], platform_binary(short, yielding=yielding).read_bytes()
    recipe = repr((reference, program, Path(oci.__file__).read_text()))
    key = hashlib.sha256(recipe.encode() + hashlib.sha256(binary).digest()).hexdigest()[:24]
    archive = cache_dir() / "images" / "platform" / f"{short}-{key}.tar"
    if not archive.exists():
        content = oci.layer([*program.entries, oci.File(program.path, binary, 0o755)])
        oci.write_archive(archive, reference, content, program.config)
    return archive


def _release(pinned: str) -> str:
    """Prometheus' module is v0.316.0 where the program is 3.16.0: its packages promise nothing to their users."""
    found = re.fullmatch(r"0\.(\d)(\d\d)\.(\d+)", pinned)
    return f"{found[1]}.{int(found[2])}.{found[3]}" if found else pinned


def _pinned_version(go_mod: Path, module: str) -> str:
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+v(\S+)", go_mod.read_text(), re.MULTILINE)
    if found is None:
        raise BadInput(f"{module} is not required", where=str(go_mod))
    return found[1]
