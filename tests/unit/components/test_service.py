from __future__ import annotations

from typing import Any

import pytest

from adapters.errors import Refused
from components import model

from .conftest import DIGEST, OTHER_DIGEST, Declare, Plain, Recorded, environment


def seconds(timeout: str) -> float:
    return float(timeout.removesuffix("s"))


def pod_of(recorded: Recorded) -> dict[str, Any]:
    template: dict[str, Any] = recorded.one("Deployment").manifest["spec"]["template"]
    return template


def container_of(recorded: Recorded) -> dict[str, Any]:
    (container,) = pod_of(recorded)["spec"]["containers"]
    found: dict[str, Any] = container
    return found


def variables_of(recorded: Recorded) -> dict[str, Any]:
    return {entry["name"]: entry.get("value") for entry in container_of(recorded)["env"]}


def test_pods_run_the_digest_from_where_nodes_pull_and_never_a_tag(declare: Declare) -> None:
    assert container_of(declare(environment()))["image"] == f"registry.slipway.local/hello@{DIGEST}"


def test_another_tag_of_the_same_digest_restarts_nothing(declare: Declare) -> None:
    before, config = declare(environment()), environment()
    config["images"] = {"hello": f"hello:v9@{DIGEST}"}
    after = declare(config)
    assert pod_of(before) == pod_of(after)
    assert after.one("ConfigMap", "hello-version").manifest["data"] == {"version": "v9"}


def test_pods_are_told_their_release_version_and_environment(declare: Declare) -> None:
    recorded = declare(environment("stage"), stack="stage")
    told = variables_of(recorded)
    assert told["SLIPWAY_RELEASE"] == DIGEST.removeprefix("sha256:")[:12]
    assert told["SLIPWAY_ENVIRONMENT"] == "stage"
    assert recorded.one("ConfigMap", "hello-version").manifest["data"] == {"version": "v1.2.3"}
    assert "SLIPWAY_VERSION" in told
    assert pod_of(recorded)["metadata"]["labels"]["slipway.dev/release"] == told["SLIPWAY_RELEASE"]


def test_an_update_takes_no_pod_away_before_another_one_is_ready(declare: Declare) -> None:
    spec = declare(environment()).one("Deployment").manifest["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["strategy"]["rollingUpdate"]["maxSurge"] != 0


@pytest.mark.parametrize("rollout", [{}, {"preStopSeconds": 7, "drainSeconds": 11, "graceSeconds": 13}])
def test_a_pod_has_more_time_to_end_than_sleeping_draining_and_finishing_take(
    declare: Declare, rollout: dict[str, int]
) -> None:
    recorded = declare(environment(rollout=rollout))
    told, container = variables_of(recorded), container_of(recorded)
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert sleep == rollout.get("preStopSeconds", model.Rollout().pre_stop_seconds)
    needed = sleep + int(told["DRAIN_SECONDS"]) + int(told["GRACE_SECONDS"])
    assert pod_of(recorded)["spec"]["terminationGracePeriodSeconds"] > needed


def test_the_progress_deadline_comes_before_the_timeout_of_the_resource(declare: Declare) -> None:
    deployment = declare(environment(rollout={"progressDeadlineSeconds": 300})).one("Deployment")
    deadline = deployment.manifest["spec"]["progressDeadlineSeconds"]
    assert deadline == 300
    timeouts = deployment.request.customTimeouts
    assert seconds(timeouts.create) > deadline
    assert seconds(timeouts.update) > deadline


def test_probes_ask_the_paths_of_the_service_and_startup_each_second(declare: Declare) -> None:
    container = container_of(declare(environment(probes={"readiness": "/up", "startupSeconds": 7})))
    assert container["readinessProbe"]["httpGet"]["path"] == "/up"
    assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] == 7
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_pods_are_spread_over_nodes_and_zones_and_run_where_there_is_only_one(declare: Declare) -> None:
    spread = pod_of(declare(environment()))["spec"]["topologySpreadConstraints"]
    assert {c["topologyKey"] for c in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert {c["whenUnsatisfiable"] for c in spread} == {"ScheduleAnyway"}


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_disruption_budget_always_lets_one_pod_go(declare: Declare, replicas: int) -> None:
    budget = declare(environment(replicas=replicas)).one("PodDisruptionBudget").manifest["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_selectors_hold_nothing_that_a_release_changes(declare: Declare) -> None:
    def selectors(image: str) -> list[Any]:
        config = environment()
        config["images"] = {"hello": image}
        recorded = declare(config)
        return [
            recorded.one("Deployment").manifest["spec"]["selector"],
            recorded.one("Service").manifest["spec"]["selector"],
        ]

    assert selectors(f"hello:v1@{DIGEST}") == selectors(f"hello:v2@{OTHER_DIGEST}")


def test_a_service_sends_to_its_pods(declare: Declare) -> None:
    recorded = declare(environment())
    service = recorded.one("Service").manifest["spec"]
    assert service["selector"].items() <= pod_of(recorded)["metadata"]["labels"].items()
    (port,) = service["ports"]
    (container_port,) = container_of(recorded)["ports"]
    assert (port["port"], port["targetPort"]) == (80, container_port["name"])
    assert container_port["containerPort"] == 8080


def test_without_asking_there_is_no_autoscaler_no_ingress_no_configuration_and_no_secret(declare: Declare) -> None:
    config = environment()
    del config["services"]["hello"]["objectives"]  # which prod asks for
    recorded = declare(config)
    assert not recorded.of("HorizontalPodAutoscaler")
    assert not recorded.of("Ingress")
    assert [r.manifest["metadata"]["name"] for r in recorded.of("ConfigMap")] == [
        "delivery",
        "hello-version",
        "hello-dashboard",
    ]
    assert [r.manifest["metadata"]["name"] for r in recorded.of("Secret")] == ["registry-pull"]
    assert list(recorded.one("Deployment").request.ignoreChanges) == []


def test_with_an_autoscaler_the_number_of_pods_is_its_to_say_and_never_below_the_declared_one(declare: Declare) -> None:
    recorded = declare(environment(replicas=4, autoscaling={"maxReplicas": 9}))
    scaler, deployment = recorded.one("HorizontalPodAutoscaler"), recorded.one("Deployment")
    assert list(deployment.request.ignoreChanges) == ["spec.replicas"]
    assert deployment.manifest["spec"]["replicas"] == 4
    assert scaler.manifest["spec"]["minReplicas"] == 4
    assert scaler.manifest["spec"]["maxReplicas"] == 9
    assert scaler.manifest["spec"]["scaleTargetRef"]["name"] == deployment.manifest["metadata"]["name"]


def test_an_ingress_leads_to_the_service_and_holds_no_update_up(declare: Declare) -> None:
    ingress = declare(environment(ingress={"host": "hello.example.org", "tlsSecret": "hello-tls"})).one("Ingress")
    (rule,) = ingress.manifest["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"]["name"] == "hello"
    assert ingress.manifest["spec"]["tls"] == [{"hosts": ["hello.example.org"], "secretName": "hello-tls"}]
    assert ingress.manifest["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"


def test_a_change_of_mounted_configuration_restarts_the_pods(declare: Declare) -> None:
    one = declare(environment(config={"a.toml": "x = 1"}))
    other = declare(environment(config={"a.toml": "x = 2"}))
    assert one.one("ConfigMap", "hello-config").manifest["data"] == {"a.toml": "x = 1"}
    mounts = {m["name"]: m["mountPath"] for m in container_of(one)["volumeMounts"]}
    assert mounts["config"] == "/etc/slipway"
    assert pod_of(one)["metadata"]["annotations"] != pod_of(other)["metadata"]["annotations"]


def test_a_secret_goes_through_a_secret_and_its_change_restarts_the_pods(declare: Declare) -> None:
    one = declare(environment(secrets={"DATABASE_URL": Plain("postgres://one-password")}))
    other = declare(environment(secrets={"DATABASE_URL": Plain("postgres://other-password")}))
    secret = one.one("Secret", "hello-secrets")
    assert secret.manifest["stringData"] == {"DATABASE_URL": "postgres://one-password"}
    assert secret.marks("stringData")
    (variable,) = [v for v in container_of(one)["env"] if v["name"] == "DATABASE_URL"]
    assert variable["valueFrom"]["secretKeyRef"] == {"name": "hello-secrets", "key": "DATABASE_URL"}
    assert pod_of(one)["metadata"]["annotations"] != pod_of(other)["metadata"]["annotations"]


def test_pods_get_no_variables_for_other_services(declare: Declare) -> None:
    assert pod_of(declare(environment()))["spec"]["enableServiceLinks"] is False


def tagged() -> dict[str, Any]:
    config = environment("test")
    config["images"] = {"hello": "hello:main"}
    config["registryCredentials"]["push"] = {"username": "ci", "password": Plain("push-password")}
    del config["registry"]["ca"]
    return config


def test_a_bare_tag_is_resolved_at_once_where_images_are_pushed(declare: Declare) -> None:
    recorded = declare(tagged(), stack="test", digests={"127.0.0.1:5000/hello:main": OTHER_DIGEST})
    assert container_of(recorded)["image"] == f"registry.slipway.local/hello@{OTHER_DIGEST}"
    assert recorded.outputs["releases"] == {"hello": "cd" * 6}
    (_, provider), docker = recorded.lookups[0], recorded.one_provider("docker")
    assert "pulumi:providers:docker::registry" in provider
    assert "push-password" in str(docker.manifest["registryAuth"])
    assert docker.marks("registryAuth")


def test_with_digests_alone_no_registry_is_asked(declare: Declare) -> None:
    recorded = declare(environment("test"), stack="test")
    assert recorded.lookups == []
    assert not [r for r in recorded.resources if "docker" in r.request.type]


def test_the_lookup_trusts_the_authority_beside_the_stack_file(declare: Declare, tmp_path: Any) -> None:
    config = tagged()
    config["registry"]["ca"] = "ca.pem"
    (tmp_path / "ca.pem").write_text("PEM of the authority")
    recorded = declare(config, stack="test", digests={"127.0.0.1:5000/hello:main": OTHER_DIGEST})
    assert recorded.one_provider("docker").manifest["caMaterial"] == "PEM of the authority"


def test_a_tag_that_means_a_held_digest_is_refused_and_nothing_runs_it(declare: Declare) -> None:
    config = tagged()
    config["holds"] = [{"digest": OTHER_DIGEST, "reason": "loses orders", "author": "ann"}]
    with pytest.raises(Refused, match=r"on hold in test: loses orders \(ann\)"):
        declare(config, stack="test", digests={"127.0.0.1:5000/hello:main": OTHER_DIGEST})
