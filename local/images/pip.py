"""This machine's pip settings for use inside a build, as secrets and mounts: they end up in no layer and no history.

A machine that reaches Python packages through a mirror, a proxy or a certificate of its own has that in `PIP_*`
variables and configuration files; a build has neither. Source: pip documentation, "Configuration".
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_FILES = ("cert", "client-cert")
_VARIABLES_NOT_SETTINGS = {"PIP_CONFIG_FILE", "PIP_REQUIRE_VIRTUALENV"}


def settings_for_build(scratch: Path) -> list[str]:
    """Arguments for buildah: a configuration file as the secret `pip.conf`, and the files that it names as mounts."""
    settings = machine_settings()
    secret = scratch / "pip.conf"
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        settings.write(file)
    return [f"--secret=id=pip.conf,src={secret}", *(f"--volume={path}:{path}:ro" for path in sorted(_paths(settings)))]


def machine_settings(environ: Mapping[str, str] = os.environ) -> configparser.RawConfigParser:
    """What pip is told here, by files and then by variables, which win over every section of every file."""
    settings = configparser.RawConfigParser()
    settings.read(_configuration_files(environ), encoding="utf-8")
    if not settings.has_section("global"):
        settings.add_section("global")
    for name, value in environ.items():
        if name.startswith("PIP_") and name not in _VARIABLES_NOT_SETTINGS:
            key = name.removeprefix("PIP_").lower().replace("_", "-")
            for section in settings.sections():
                settings.remove_option(section, key)
            settings.set("global", key, value)
    return settings


def _configuration_files(environ: Mapping[str, str]) -> list[Path]:
    """In pip's order, the last one winning: global, user's, virtual environment's, `PIP_CONFIG_FILE`'s."""
    home = Path(environ.get("HOME", "/"))
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    files = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip" / "pip.conf", user]
    files.append(Path(sys.prefix) / "pip.conf")
    if "PIP_CONFIG_FILE" in environ:
        # Its being /dev/null means: no configuration file at all.
        named = Path(environ["PIP_CONFIG_FILE"])
        files = [] if named == Path(os.devnull) else [*files, named]
    return files


def _paths(settings: configparser.RawConfigParser) -> Iterator[str]:
    """Files and directories of this machine that the settings name and that are there."""
    named = {settings.get(section, key, fallback="") for section in settings.sections() for key in _FILES}
    for section in settings.sections():
        named.update(settings.get(section, "find-links", fallback="").split())
    return (path for path in named if Path(path).is_absolute() and Path(path).exists())
