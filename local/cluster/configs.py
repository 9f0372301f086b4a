"""The configuration files of the components, as texts, each setting with the reason where it is not the usual one."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import yaml

from local.cluster.spec import (
    API_PORT,
    CONTAINERD_SOCKET,
    DNS_ADDRESS,
    DOMAIN,
    NODE_ADDRESS,
    POD_NETWORK,
    RUNTIME,
    Layout,
    Mirror,
)

CNI_PROGRAMS = Path("/usr/lib/cni")
"""Where Debian's containernetworking-plugins are."""


def write(layout: Layout, pause: str) -> None:
    """Write the configuration of every component below the cluster's directory."""
    files = {
        "containerd.toml": containerd(layout, pause),
        "cni/10-slipway.conflist": cni(),
        "kubelet.yaml": kubelet(layout),
        "kube-proxy.yaml": kube_proxy(layout),
        "Corefile": corefile(layout),
        "resolv.conf": "",
    }
    server = f"https://{NODE_ADDRESS}:{API_PORT}"
    for client in ("controller-manager", "scheduler", "kubelet", "proxy", "coredns"):
        files[f"{client}.kubeconfig"] = kubeconfig(layout.pki, client, server=server, context=layout.context)
    for name, text in files.items():
        file = layout.config / name
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(text)


def kubeconfig(pki: Path, client: str, *, server: str, context: str, embedded: bool = False) -> str:
    """Credentials of `client` for the API server at `server`; `embedded` ones can be copied elsewhere."""

    def content(key: str, file: Path) -> dict[str, str]:
        if embedded:
            return {f"{key}-data": base64.b64encode(file.read_bytes()).decode()}
        return {key: str(file)}

    cluster = {"server": server} | content("certificate-authority", pki / "ca.crt")
    user = content("client-certificate", pki / f"{client}.crt") | content("client-key", pki / f"{client}.key")
    return _yaml(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": context, "cluster": cluster}],
            "users": [{"name": context, "user": user}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
            "current-context": context,
        }
    )


def containerd(layout: Layout, pause: str) -> str:
    """containerd 1.6's configuration.

    `restrict_oom_score_adj`: without CAP_SYS_RESOURCE no score may be lowered. `disable_apparmor`: its profile would be
    loaded into the kernel of the host. Both directories are the node's own (see `namespace`).
    """
    return f"""version = 2
root = "/var/lib/containerd"
state = "{RUNTIME}/containerd"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {json.dumps(pause)}
  stream_server_address = "127.0.0.1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PROGRAMS}"
    conf_dir = {json.dumps(str(layout.config / "cni"))}
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = {json.dumps(str(layout.certs_d))}
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def cni() -> str:
    """The pods' network: each pod a link of its own to the node (`ptp`), which routes between them.

    On a bridge, an answer from a pod to its neighbour would pass by the translation of Service addresses unless the
    kernel module br_netfilter is loaded, for the whole host. Leases lie on a tmpfs: they do not outlive the pods.
    """
    ipam = {
        "type": "host-local",
        "dataDir": str(RUNTIME / "leases"),
        "ranges": [[{"subnet": POD_NETWORK}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "mtu": 1500, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "1.0.0", "name": "slipway", "plugins": plugins}, indent=2)


def kubelet(layout: Layout) -> str:
    """KubeletConfiguration. Disk thresholds and image collection are off.

    They watch the host's disk, which the cluster does not own: a disk 90 % full would evict every pod, and preloaded
    images could not be pulled again (Debian's containerd knows no pinned images).
    """
    return _yaml(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(layout.pki / "kubelet-serving.crt"),
            "tlsPrivateKeyFile": str(layout.pki / "kubelet-serving.key"),
            "address": NODE_ADDRESS,
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": DOMAIN,
            "resolvConf": str(layout.config / "resolv.conf"),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{layout.cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            "serializeImagePulls": False,
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "0%",
                "nodefs.inodesFree": "0%",
                "imagefs.available": "0%",
                "imagefs.inodesFree": "0%",
            },
            "enableProfilingHandler": False,
        }
    )


def kube_proxy(layout: Layout) -> str:
    """KubeProxyConfiguration. Conntrack's limits belong to the whole machine and stay as they are."""
    return _yaml(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": str(layout.config / "proxy.kubeconfig")},
            "hostnameOverride": layout.context,
            "bindAddress": NODE_ADDRESS,
            "clusterCIDR": POD_NETWORK,
            "nodePortAddresses": ["primary"],
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "oomScoreAdj": 0,
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            # The default of a second is for nodes with thousands of Services; here endpoints should follow at once.
            "nftables": {"syncPeriod": "30s", "minSyncPeriod": "100ms"},
        }
    )


def corefile(layout: Layout) -> str:
    """CoreDNS answers for the cluster only: there is no network beyond it to forward to."""
    return f""".:53 {{
    bind {NODE_ADDRESS}
    errors
    ready 127.0.0.1:8181
    prometheus {NODE_ADDRESS}:9153
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {layout.config / "coredns.kubeconfig"} {layout.context}
        pods insecure
        ttl 5
    }}
    cache 5
    loadbalance
}}
"""


def write_mirrors(layout: Layout, mirrors: tuple[Mirror, ...]) -> None:
    """Tell containerd where registries are, without restarting it: it reads these files at each pull."""
    for mirror in mirrors:
        folder = layout.certs_d / mirror.host
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A copy, since the node sees no files of the host that come after it.
        (folder / "ca.crt").write_bytes(mirror.ca.read_bytes())
        scratch = folder / "hosts.toml.new"
        scratch.write_text(hosts_toml(mirror, folder / "ca.crt"))
        scratch.replace(folder / "hosts.toml")
    wanted = {mirror.host for mirror in mirrors}
    layout.certs_d.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in layout.certs_d.iterdir():
        if folder.name not in wanted:
            (folder / "hosts.toml").unlink(missing_ok=True)
            (folder / "ca.crt").unlink(missing_ok=True)
            folder.rmdir()


def hosts_toml(mirror: Mirror, ca: Path) -> str:
    """The file in certs.d that sends pulls of `mirror.host` to its endpoint; nothing is pushed from a node."""
    return f"""server = {json.dumps(mirror.endpoint)}
[host.{json.dumps(mirror.endpoint)}]
  capabilities = ["pull", "resolve"]
  ca = {json.dumps(str(ca))}
"""


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False)
