from __future__ import annotations

import copy
from typing import Any

import pytest

from policies.rules import (
    AGENTS,
    AGENTS_FOLDER,
    NETWORK_REASON,
    ROOT_REASON,
    RULES,
    SERVICE_LABEL,
    TOKEN_REASON,
    violations,
)

DIGEST = "sha256:" + "a" * 64
LABELS = {
    "app.kubernetes.io/name": "hello",
    "app.kubernetes.io/part-of": "slipway",
    "app.kubernetes.io/managed-by": "slipway",
}


def deployment() -> dict[str, Any]:
    """A service's Deployment that obeys every rule; each test spoils one thing."""
    return copy.deepcopy(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "hello", "namespace": "prod", "labels": LABELS},
            "spec": {
                "selector": {"matchLabels": {"app.kubernetes.io/name": "hello"}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
                "template": {
                    "metadata": {"labels": {**LABELS, SERVICE_LABEL: "prod"}},
                    "spec": {
                        "automountServiceAccountToken": False,
                        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                        "volumes": [{"name": "tmp", "emptyDir": {}}],
                        "containers": [
                            {
                                "name": "hello",
                                "image": f"registry.slipway.local/hello@{DIGEST}",
                                "securityContext": {
                                    "allowPrivilegeEscalation": False,
                                    "readOnlyRootFilesystem": True,
                                    "capabilities": {"drop": ["ALL"]},
                                },
                                "resources": {
                                    "requests": {"cpu": "10m", "memory": "32Mi"},
                                    "limits": {"memory": "64Mi"},
                                },
                                "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}},
                            }
                        ],
                    },
                },
            },
        }
    )


def put(manifest: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    *parents, last = (int(step) if step.isdigit() else step for step in path.split("/"))
    place: Any = manifest
    for step in parents:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return manifest


POD = "spec/template/spec"
CONTAINER = f"{POD}/containers/0"


def test_a_deployment_that_obeys_has_no_violations() -> None:
    assert violations(deployment()) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("metadata/namespace", None, "the namespace default is not ours"),
        ("metadata/namespace", "kube-system", "the namespace kube-system is not ours"),
        ("metadata/labels", {}, "app.kubernetes.io/name and app.kubernetes.io/part-of"),
        ("spec/selector/matchLabels", {"app.kubernetes.io/version": "1"}, "selectors cannot change"),
        (f"{POD}/hostNetwork", True, "hostNetwork is on"),
        (f"{POD}/hostPID", True, "hostPID is on"),
        (f"{POD}/volumes/0", {"name": "node", "hostPath": {"path": "/"}}, "the volume node is a hostPath"),
        (f"{POD}/securityContext/runAsNonRoot", None, "may run as root"),
        (f"{POD}/securityContext/runAsUser", 0, "may run as root"),
        (f"{POD}/securityContext/seccompProfile", None, "has no seccomp profile"),
        (f"{CONTAINER}/securityContext/runAsNonRoot", False, "may run as root"),
        (f"{CONTAINER}/securityContext/privileged", True, "may gain privileges"),
        (f"{CONTAINER}/securityContext/allowPrivilegeEscalation", None, "may gain privileges"),
        (f"{CONTAINER}/securityContext/capabilities", None, "keeps capabilities"),
        (f"{CONTAINER}/securityContext/capabilities/add", ["SYS_ADMIN"], "adds the capability SYS_ADMIN"),
        (f"{CONTAINER}/securityContext/readOnlyRootFilesystem", False, "may write its root file system"),
        (f"{CONTAINER}/ports", [{"containerPort": 80, "hostPort": 80}], "takes a port of the node"),
        (f"{CONTAINER}/resources/requests/cpu", None, "names no resources.requests.cpu"),
        (f"{CONTAINER}/resources/limits", None, "names no resources.limits.memory"),
        (f"{CONTAINER}/image", "hello:latest", "takes the image 'hello:latest'"),
        (f"{CONTAINER}/image", "hello:v1.2.3", "name it by a digest, name@sha256"),
        (f"{CONTAINER}/image", "hello", "takes the image 'hello'"),
        (f"{POD}/automountServiceAccountToken", None, "gets a token for the API server"),
        ("spec/strategy", {"type": "Recreate"}, "Recreate ends every pod"),
        ("spec/strategy/rollingUpdate/maxUnavailable", 1, "set maxUnavailable to 0"),
        ("spec/strategy", None, "set maxUnavailable to 0"),
        (f"{CONTAINER}/readinessProbe", None, "has no readinessProbe"),
    ],
)
def test_one_broken_rule_is_one_sentence_that_says_what_to_do(path: str, value: object, said: str) -> None:
    (sentence,) = violations(put(deployment(), path, value))
    assert said in sentence


def test_init_containers_obey_the_same_rules() -> None:
    manifest = put(deployment(), f"{POD}/initContainers", [{"name": "first", "image": "busybox:latest"}])
    about_first = [sentence for sentence in violations(manifest) if "the container first" in sentence]
    assert len(about_first) >= 6


def test_the_template_of_a_cron_job_is_looked_into() -> None:
    template = deployment()["spec"]["template"]
    template["spec"]["hostIPC"] = True
    manifest = {
        "kind": "CronJob",
        "metadata": {"name": "collect", "namespace": "slipway-registry", "labels": LABELS},
        "spec": {"jobTemplate": {"spec": {"template": template}}},
    }
    assert violations(manifest) == ["hostIPC is on: pods keep out of the node's own namespaces"]


@pytest.mark.parametrize(
    ("image", "is_allowed"),
    [
        ("slipway.local/registry:3.0.0", True),
        ("registry:3.0.0-alpine", True),
        ("slipway.local/pause:3.10", True),
        (f"registry@{DIGEST}", True),
        ("registry:3", False),
        ("registry:latest", False),
        ("localhost:5000/registry", False),
        ("", False),
    ],
)
def test_an_image_of_the_platform_is_named_by_digest_or_version(image: str, is_allowed: bool) -> None:
    manifest = put(deployment(), f"{CONTAINER}/image", image)
    manifest["spec"]["template"]["metadata"]["labels"] = LABELS
    assert (violations(manifest) == []) is is_allowed


def test_a_token_is_mounted_where_an_annotation_says_what_for() -> None:
    manifest = put(deployment(), f"{POD}/automountServiceAccountToken", True)
    assert violations(put(manifest, "spec/template/metadata/annotations", {TOKEN_REASON: "turns writing off"})) == []


def test_what_runs_nothing_has_only_to_lie_in_a_namespace_of_ours() -> None:
    config_map = {"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "prod"}}
    assert violations(config_map) == []
    assert violations(put(config_map, "metadata/namespace", "default")) != []
    assert violations({"kind": "Namespace", "metadata": {"name": "prod"}}) == []


def test_an_empty_object_breaks_rules_and_raises_nothing() -> None:
    assert violations({}) == []
    for kind in ("Pod", "Deployment", "CronJob", "Service"):
        assert violations({"kind": kind})
        assert violations({"kind": kind, "metadata": None, "spec": {"template": None, "jobTemplate": "unknown"}})


def test_every_rule_says_in_its_docstring_why() -> None:
    assert all(rule.__doc__ for rule in RULES)


def agent() -> dict[str, Any]:
    """A pod of the agents' namespace that reads its node's files and sees its network."""
    manifest = deployment()
    manifest["kind"] = "DaemonSet"
    manifest["metadata"]["namespace"] = AGENTS
    del manifest["spec"]["strategy"]
    template = manifest["spec"]["template"]
    template["metadata"] = {"labels": LABELS, "annotations": {NETWORK_REASON: "counts packets of the node"}}
    template["spec"] |= {"hostNetwork": True, "volumes": [{"name": "root", "hostPath": {"path": "/"}}]}
    template["spec"]["containers"][0]["volumeMounts"] = [{"name": "root", "mountPath": "/host", "readOnly": True}]
    return manifest


def test_an_agent_may_read_its_node_and_see_its_network() -> None:
    assert violations(agent()) == []


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("metadata/namespace", "monitoring", "hostNetwork is on"),
        ("metadata/namespace", "monitoring", "is a hostPath"),
        ("spec/template/metadata/annotations", {}, "hostNetwork is on"),
        ("spec/template/spec/hostPID", True, "hostPID is on"),
        ("spec/template/spec/containers/0/volumeMounts/0/readOnly", False, "is a hostPath"),
        ("spec/template/spec/securityContext", {}, "may run as root"),
    ],
)
def test_an_agent_may_nothing_else_and_nobody_else_may_that(path: str, value: object, words: str) -> None:
    assert [sentence for sentence in violations(put(agent(), path, value)) if words in sentence]


def reading_agent() -> dict[str, Any]:
    """An agent that reads files of whoever, and writes to the one folder that is there for it."""
    manifest = agent()
    template = manifest["spec"]["template"]
    template["metadata"]["annotations"][ROOT_REASON] = "reads files of the container runtime"
    template["spec"]["securityContext"] = {"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}}
    template["spec"]["volumes"].append({"name": "state", "hostPath": {"path": AGENTS_FOLDER}})
    (container,) = template["spec"]["containers"]
    container["volumeMounts"].append({"name": "state", "mountPath": "/state", "readOnly": False})
    container["securityContext"]["capabilities"] = {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}
    return manifest


def test_an_agent_that_says_why_may_read_as_root_and_write_to_one_folder() -> None:
    assert violations(reading_agent()) == []


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("metadata/namespace", "monitoring", "may run as root"),
        ("metadata/namespace", "monitoring", "DAC_READ_SEARCH"),
        ("spec/template/metadata/annotations", {NETWORK_REASON: "counts"}, "may run as root"),
        ("spec/template/spec/containers/0/securityContext/capabilities/add", ["SYS_ADMIN"], "SYS_ADMIN"),
        ("spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation", True, "may gain privileges"),
        ("spec/template/spec/volumes/1/hostPath/path", "/var/lib", "is a hostPath"),
        ("spec/template/spec/securityContext", {"runAsUser": 0}, "no seccomp profile"),
    ],
)
def test_root_may_nothing_else_and_nobody_else_may_be_root(path: str, value: object, words: str) -> None:
    assert [sentence for sentence in violations(put(reading_agent(), path, value)) if words in sentence]
