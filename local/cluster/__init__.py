"""A real Kubernetes on this machine, in namespaces of its own.

`up` builds what is missing and starts it; `Cluster.publish` makes what runs in it reachable on 127.0.0.1; `down`
leaves nothing. One process is the root of each cluster: when it ends, however it ends, the kernel ends all the rest.
"""

from local.cluster.lifecycle import Cluster, ComponentStatus, Status, check_machine, down, find, status, up
from local.cluster.spec import NODE_ADDRESS, ClusterSpec, Mirror

__all__ = [
    "NODE_ADDRESS",
    "Cluster",
    "ClusterSpec",
    "ComponentStatus",
    "Mirror",
    "Status",
    "check_machine",
    "down",
    "find",
    "status",
    "up",
]
