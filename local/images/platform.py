"""The images a local cluster needs before its registry runs: each one static binary, built from a pinned Go module.

They are imported into containerd when the node starts. Names are known without building anything.
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
    entries: tuple[oci.File | oci.Directory, ...] = field(default=_ACCOUNTS)

    @property
    def tag(self) -> str:
        return self.version or _pinned_version(_MODULES / self.module / "go.mod", self.versioned_by)

    @property
    def ldflags(self) -> str:
        return f"-X {self.version_variable}=v{self.tag}" if self.version_variable else ""


_PROGRAMS = {
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


def platform_image_names() -> dict[str, str]:
    """The reference each platform image is imported as, by its short name; builds nothing."""
    return {short: f"slipway.local/{short}:{program.tag}" for short, program in _PROGRAMS.items()}


def platform_images() -> list[Path]:
    """The OCI archives of all platform images, built where the cache lacks them (minutes for the Go builds)."""
    return [_archive(short, reference) for short, reference in platform_image_names().items()]


def platform_binary(short: str) -> Path:
    """The program of a platform image, as it runs on this machine too."""
    program = _PROGRAMS[short]
    (built,) = gobuild.build(_MODULES / program.module, [program.package], ldflags=program.ldflags).values()
    return built


def _archive(short: str, reference: str) -> Path:
    program, binary = _PROGRAMS[short], platform_binary(short).read_bytes()
    recipe = repr((reference, program, Path(oci.__file__).read_text()))
    key = hashlib.sha256(recipe.encode() + hashlib.sha256(binary).digest()).hexdigest()[:24]
    archive = cache_dir() / "images" / "platform" / f"{short}-{key}.tar"
    if not archive.exists():
        content = oci.layer([*program.entries, oci.File(program.path, binary, 0o755)])
        oci.write_archive(archive, reference, content, program.config)
    return archive


def _pinned_version(go_mod: Path, module: str) -> str:
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+v(\S+)", go_mod.read_text(), re.MULTILINE)
    if found is None:
        raise BadInput(f"{module} is not required", where=str(go_mod))
    return found[1]
