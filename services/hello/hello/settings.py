"""What the service is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Settings:
    """One field an environment variable; the platform sets the three `SLIPWAY_` ones."""

    release: str = "dev"
    """`SLIPWAY_RELEASE`: the first 12 hex digits of the image's digest; labels metrics and logs."""
    version: str = "dev"
    """`SLIPWAY_VERSION`: the version people call it by, such as `v1.4.0`."""
    environment: str = "local"
    """`SLIPWAY_ENVIRONMENT`: where it runs, such as `prod`."""
    port: int = 8080
    """`PORT`: the TCP port to listen on, on all addresses."""
    drain_seconds: int = 1
    """`DRAIN_SECONDS`: how long, once told to end, requests are still taken while clients are sent elsewhere."""
    grace_seconds: int = 20
    """`GRACE_SECONDS`: how long after that running requests may take to finish."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the variables that are set; raises `ValueError` with a sentence about the first wrong one."""
        settings = cls(
            release=environ.get("SLIPWAY_RELEASE", cls.release),
            version=environ.get("SLIPWAY_VERSION", cls.version),
            environment=environ.get("SLIPWAY_ENVIRONMENT", cls.environment),
            port=_number(environ, "PORT", cls.port, most=65535),
            drain_seconds=_number(environ, "DRAIN_SECONDS", cls.drain_seconds, most=3600),
            grace_seconds=_number(environ, "GRACE_SECONDS", cls.grace_seconds, most=3600),
        )
        for field in fields(settings):
            if getattr(settings, field.name) == "":
                raise ValueError(f"SLIPWAY_{field.name.upper()} is empty: leave it out or give it a value.")
        return settings


def _number(environ: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    text = environ.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise ValueError(f"{name} is {text!r}: it must be a whole number from 0 to {most}.")
    return int(text)
