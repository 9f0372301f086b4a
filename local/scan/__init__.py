"""The scanners of images and dependencies: syft, grype and pip-audit, pinned, where PATH has none."""

from local.scan.programs import grype, pip_audit, syft

__all__ = ["grype", "pip_audit", "syft"]
