"""What holds for every stack, whatever it declares."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from policies.rules import violations

from .conftest import Declare, Plain, Recorded, environment, in_clear, monitoring, secrets_of, shared

STACKS = ("shared", "monitoring", "test", "stage", "prod")
EVERYTHING: dict[str, Any] = {
    "secrets": {"DATABASE_URL": Plain("postgres://a-password")},
    "config": {"settings.toml": "a = 1"},
    "autoscaling": {"maxReplicas": 9},
    "ingress": {"host": "hello.example.org", "tlsSecret": "hello-tls"},
}


def declared(declare: Declare, stack: str) -> tuple[Recorded, dict[str, Any]]:
    match stack:
        case "monitoring":
            config = monitoring()
        case "shared":
            config = shared()
        case _:
            config = environment(stack, **(EVERYTHING if stack == "prod" else {}))
    return declare(config, stack=stack), config


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_obeys_the_rules(declare_once: Declare, stack: str) -> None:
    recorded, _ = declared(declare_once, stack)
    broken = {
        (r.kind, r.manifest["metadata"]["name"]): violations({"kind": r.kind} | r.manifest) for r in recorded.objects
    }
    assert not {name: found for name, found in broken.items() if found}
    assert len(broken) > 5


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_goes_to_the_cluster_of_the_stack_by_an_explicit_provider(
    declare_once: Declare, stack: str
) -> None:
    recorded, config = declared(declare_once, stack)
    provider = recorded.one_provider("kubernetes")
    assert provider.manifest["context"] == config["cluster"]["context"]
    assert provider.manifest["clusterIdentifier"] == config["cluster"]["identifier"]
    assert {provider.manifest["enableConfigMapMutable"], provider.manifest["enableSecretMutable"]} == {"true"}
    assert {r.request.provider.partition("::cluster")[1] for r in recorded.objects} == {"::cluster"}


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_names_itself_and_its_namespace_and_has_a_parent(declare_once: Declare, stack: str) -> None:
    recorded, _ = declared(declare_once, stack)
    namespaces = {"shared": {"slipway-registry"}, "monitoring": {"monitoring", "monitoring-agents"}}.get(stack, {stack})
    for resource in recorded.objects:
        metadata = resource.manifest["metadata"]
        assert metadata["name"]
        of_no_namespace = resource.kind in {"Namespace", "ClusterRole", "ClusterRoleBinding"}
        assert metadata.get("namespace", "") in ({""} if of_no_namespace else namespaces)
        assert "slipway:index:" in resource.request.parent


@pytest.mark.parametrize("stack", STACKS)
def test_no_secret_is_in_clear_anywhere_and_none_is_exported(declare_once: Declare, stack: str) -> None:
    recorded, config = declared(declare_once, stack)
    secrets = secrets_of(config)
    assert secrets
    for resource in recorded.resources:
        assert not [text for text in secrets if text in in_clear(resource)]
    assert not [text for text in secrets if text in str(recorded.outputs)]


@pytest.mark.parametrize("stack", STACKS)
def test_two_runs_declare_the_same(declare: Declare, stack: str) -> None:
    def shape(recorded: Recorded) -> list[tuple[str, dict[str, Any]]]:
        return sorted(((r.request.name, r.manifest) for r in recorded.objects), key=str)

    assert shape(declared(declare, stack)[0]) == shape(declared(declare, stack)[0])


def test_exports_say_where_what_and_which_release(declare: Declare) -> None:
    recorded = declare(environment("prod"))
    assert recorded.outputs == {
        "namespace": "prod",
        "addresses": {"hello": "http://hello.prod"},
        "images": {"hello": f"registry.slipway.local/hello@sha256:{'ab' * 32}"},
        "releases": {"hello": "ab" * 6},
    }


def test_a_kubeconfig_is_found_from_wherever_the_program_runs(declare: Declare, tmp_path: Any) -> None:
    config = environment()
    config["cluster"] |= {"kubeconfig": "own/kubeconfig"}
    assert declare(config).one_provider("kubernetes").manifest["kubeconfig"] == str(tmp_path / "own/kubeconfig")


def test_no_component_makes_the_sdk_load_what_it_may_not_need(declare_once: Declare) -> None:
    declare_once(shared(), stack="shared")
    declare_once(monitoring(), stack="monitoring")
    ours = [each for each in _subclasses(pulumi.ComponentResource) if each.__module__.startswith("components.")]
    assert len(ours) > 10
    assert not {each.__name__: vars(each)["__annotations__"] for each in ours if "__annotations__" in vars(each)}


def _subclasses(cls: type) -> list[type]:
    return [found for each in cls.__subclasses__() for found in (each, *_subclasses(each))]
