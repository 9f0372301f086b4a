"""The service's environment variables."""

from __future__ import annotations

import pytest
from hello.settings import Settings


def test_everything_has_a_default() -> None:
    assert Settings.from_environment({}) == Settings()


def test_every_variable_is_read() -> None:
    settings = Settings.from_environment(
        {
            "SLIPWAY_RELEASE": "0123456789ab",
            "SLIPWAY_VERSION": "v1.4.0",
            "SLIPWAY_ENVIRONMENT": "prod",
            "PORT": "9000",
            "DRAIN_SECONDS": "0",
            "GRACE_SECONDS": "5",
        }
    )
    assert settings == Settings("0123456789ab", "v1.4.0", "prod", 9000, 0, 5)


@pytest.mark.parametrize("port", ["", "http", "-1", "65536", "8080.5", "٨٠٨٠"])
def test_a_port_that_is_none_is_refused_by_name(port: str) -> None:
    with pytest.raises(ValueError, match=r"PORT is .* whole number from 0 to 65535"):
        Settings.from_environment({"PORT": port})


def test_an_empty_release_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="SLIPWAY_RELEASE is empty"):
        Settings.from_environment({"SLIPWAY_RELEASE": ""})
