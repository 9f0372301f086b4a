"""The platform's own images: each one static binary, built from a pinned Go module (`local/images/programs.py`).

Those a local cluster needs before its registry runs are imported into containerd when the node starts; those of the
monitoring are built and imported later, while environments serve. Names are known without building anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from adapters.paths import cache_dir
from local import gobuild
from local.images import oci
from local.images.programs import MODULES, MONITORING, NODE, Program

_PROGRAMS = {**NODE, **MONITORING}


def platform_image_names() -> dict[str, str]:
    """The reference each image of the node is imported as, by its short name; builds nothing."""
    return _names(NODE)


def platform_images() -> list[Path]:
    """The OCI archives of the node's images, built where the cache lacks them (minutes for the Go builds)."""
    return [_archive(short, reference) for short, reference in platform_image_names().items()]


def monitoring_image_names() -> dict[str, str]:
    """The reference each image of the monitoring is imported as, by its short name; builds nothing."""
    return _names(MONITORING)


def monitoring_images() -> list[Path]:
    """The OCI archives of the monitoring's images, built where the cache lacks them, yielding to everything else."""
    return [_archive(short, reference, yielding=True) for short, reference in monitoring_image_names().items()]


def platform_binary(short: str, *, program: str = "", yielding: bool = False) -> Path:
    """The program of an image, as it runs on this machine too, or `program`, which is built with it."""
    recipe = _PROGRAMS[short]
    built = gobuild.build(
        MODULES / recipe.module,
        [recipe.package, *recipe.built_with],
        ldflags=recipe.ldflags,
        tags=recipe.build_tags,
        completes=recipe.completes,
        yielding=yielding,
    )
    return built[program] if program else next(iter(built.values()))


def _names(programs: Mapping[str, Program]) -> dict[str, str]:
    return {short: f"slipway.local/{program.module}:{program.tag}" for short, program in programs.items()}


def _archive(short: str, reference: str, *, yielding: bool = False) -> Path:
    program, binary = _PROGRAMS[short], platform_binary(short, yielding=yielding).read_bytes()
    recipe = repr((reference, program.path, program.entries, program.config, Path(oci.__file__).read_text()))
    key = hashlib.sha256(recipe.encode() + hashlib.sha256(binary).digest()).hexdigest()[:24]
    archive = cache_dir() / "images" / "platform" / f"{short}-{key}.tar"
    if not archive.exists():
        content = oci.layer([*program.entries, oci.File(program.path, binary, 0o755)])
        oci.write_archive(archive, reference, content, program.config)
    return archive
