from __future__ import annotations

import base64
import json

from .conftest import Declare, environment


def test_only_restricted_pods_start_in_the_namespace(declare: Declare) -> None:
    labels = declare(environment()).one("Namespace").manifest["metadata"]["labels"]
    assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {"restricted"}
    assert labels["pod-security.kubernetes.io/enforce-version"].startswith("v1.")


def test_the_namespace_of_prod_is_protected_and_that_of_test_is_not(declare: Declare) -> None:
    assert declare(environment("prod"), stack="prod").one("Namespace").request.protect is True
    assert declare(environment("test"), stack="test").one("Namespace").request.protect is False


def test_everything_else_waits_for_the_namespace(declare: Declare) -> None:
    recorded = declare(environment())
    for resource in recorded.objects:
        needs = " ".join(resource.request.dependencies)
        assert resource.kind == "Namespace" or "kubernetes:core/v1:Namespace::prod" in needs


def test_quota_and_limits_are_those_of_the_configuration(declare: Declare) -> None:
    config = environment()
    config["environment"]["quota"] = {"cpu": "3", "pods": 7}
    config["environment"]["limits"] = {"maxMemory": "300Mi"}
    recorded = declare(config)
    hard = recorded.one("ResourceQuota").manifest["spec"]["hard"]
    assert (hard["requests.cpu"], hard["pods"]) == ("3", "7")
    (limits,) = recorded.one("LimitRange").manifest["spec"]["limits"]
    assert limits["max"] == {"memory": "300Mi"}
    assert "cpu" not in limits["default"]


def test_nodes_pull_with_the_credentials_for_pulling_from_the_host_that_images_name(declare: Declare) -> None:
    secret = declare(environment()).one("Secret", "registry-pull")
    config = json.loads(secret.manifest["stringData"][".dockerconfigjson"])
    (host,) = config["auths"]
    assert host == "registry.slipway.local"
    assert base64.b64decode(config["auths"][host]["auth"]) == b"node:pull-password"
    assert secret.marks("stringData")


def test_the_password_for_pushing_is_in_no_environment(declare: Declare) -> None:
    config = environment("test")
    config["registryCredentials"]["push"] = {"username": "ci", "password": "push-password"}
    recorded = declare(config, stack="test")
    assert not [r for r in recorded.resources if "push-password" in str(r.manifest)]


def test_a_registry_behind_a_path_is_known_by_its_host(declare: Declare) -> None:
    config = environment()
    config["registry"] = {"push": "ghcr.io/org", "pull": "ghcr.io/org"}
    recorded = declare(config)
    secret = recorded.one("Secret", "registry-pull").manifest["stringData"][".dockerconfigjson"]
    assert list(json.loads(secret)["auths"]) == ["ghcr.io"]
    (container,) = recorded.one("Deployment").manifest["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("ghcr.io/org/hello@sha256:")


def test_without_credentials_there_is_no_pull_secret(declare: Declare) -> None:
    config = environment()
    del config["registryCredentials"]
    recorded = declare(config)
    assert not recorded.of("Secret")
    assert "imagePullSecrets" not in recorded.one("ServiceAccount").manifest


def test_each_service_has_an_account_of_its_own_without_a_token(declare: Declare) -> None:
    recorded = declare(environment())
    account = recorded.one("ServiceAccount").manifest
    assert account["automountServiceAccountToken"] is False
    assert account["imagePullSecrets"] == [{"name": "registry-pull"}]
    spec = recorded.one("Deployment").manifest["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == account["metadata"]["name"]
    assert spec["automountServiceAccountToken"] is False
