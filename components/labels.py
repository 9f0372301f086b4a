"""Standard labels (https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/), everywhere alike.

Selectors leave out whatever a release changes, since they cannot change themselves.
"""

from __future__ import annotations

NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
ENVIRONMENT = "slipway.dev/environment"
RELEASE = "slipway.dev/release"
TRACK = "slipway.dev/track"
"""Tells pods of a service that serve its release from the control beside them: both are its Service's, and neither is
the other's Deployment's."""
TRACK_RELEASE, TRACK_CONTROL = "release", "control"
BESIDE = "slipway.dev/beside"
"""Of a control: the release that it stands beside, and is compared with."""
CONFIG_HASH = "slipway.dev/config-hash"
API_TOKEN = "slipway.dev/needs-api-token"  # noqa: S105 - the name of an annotation
HOST_NETWORK = "slipway.dev/needs-host-network"
ROOT = "slipway.dev/needs-root"
SKIP_AWAIT = "pulumi.com/skipAwait"
DELETION = "pulumi.com/deletionPropagationPolicy"


def standard(name: str, component: str) -> dict[str, str]:
    """Labels of an object that belongs to the application `name` and is its `component`."""
    return {
        NAME: name,
        COMPONENT: component,
        "app.kubernetes.io/part-of": "slipway",
        "app.kubernetes.io/managed-by": "slipway",
    }


def selector(name: str, component: str) -> dict[str, str]:
    """What selects the pods with `standard` labels."""
    return {NAME: name, COMPONENT: component}


def of_service(name: str, environment: str) -> dict[str, str]:
    """Labels of what belongs to a service in an environment."""
    return standard(name, "service") | {ENVIRONMENT: environment}
