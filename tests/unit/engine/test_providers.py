"""Which cluster a provider means, and whom a registry is asked as."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest

from adapters.errors import BadInput
from local.engine import providers as module
from local.engine.providers import Providers
from local.engine.types import DOCKER_PROVIDER, KUBERNETES_PROVIDER
from local.engine.values import UNKNOWN, Secret

URN = "urn:pulumi:s::p::t::n"


@pytest.fixture
def providers(stack):
    return Providers(stack)


def test_a_cluster_is_known_by_its_identifier_so_that_a_moved_kubeconfig_replaces_nothing(providers, stack):
    arguments = {"kubeconfig": "./here", "context": "ctx", "clusterIdentifier": "id", "namespace": "ns"}
    assert providers.add(URN, KUBERNETES_PROVIDER, arguments) == "id"
    provider = providers.kubernetes(f"{URN}::id", "x")
    assert (provider.cluster, provider.namespace, provider.connection.context) == ("id", "ns", "ctx")
    assert provider.connection.kubeconfig == str(stack.project.directory / "here")


def test_a_cluster_without_identifier_is_known_by_its_context(providers):
    assert providers.add(URN, KUBERNETES_PROVIDER, {"context": "ctx"}) == "ctx"


def test_a_cluster_must_be_known_before_the_update(providers):
    with pytest.raises(BadInput, match="not known before the update"):
        providers.add(URN, KUBERNETES_PROVIDER, {"kubeconfig": UNKNOWN, "context": "c"})


class FakeRegistry:
    asked: ClassVar[list[tuple[object, ...]]] = []

    def __init__(self, address, username=None, password=None, ca=None):
        self.whom = (address, username, password, ca)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def digest_of(self, repository, reference):
        self.asked.append((*self.whom, repository, reference))
        return "sha256:" + "0" * 64


def test_a_digest_is_asked_for_with_the_providers_credentials_and_authority(providers, monkeypatch):
    monkeypatch.setattr(module, "RegistryClient", FakeRegistry)
    monkeypatch.setattr(FakeRegistry, "asked", [])
    auth = json.dumps([{"address": "127.0.0.1:5000", "username": "me", "password": "pw"}])
    providers.add(URN, DOCKER_PROVIDER, {"registryAuth": Secret(auth), "caMaterial": "PEM"})
    assert providers.digest(f"{URN}::docker", "127.0.0.1:5000/hello:v1") == "sha256:" + "0" * 64
    assert FakeRegistry.asked == [("127.0.0.1:5000", "me", "pw", "PEM", "hello", "v1")]


def test_another_registry_is_not_given_the_credentials(providers, monkeypatch):
    monkeypatch.setattr(module, "RegistryClient", FakeRegistry)
    monkeypatch.setattr(FakeRegistry, "asked", [])
    auth = json.dumps([{"address": "127.0.0.1:5000", "username": "me", "password": "pw"}])
    providers.add(URN, DOCKER_PROVIDER, {"registryAuth": auth})
    providers.digest(f"{URN}::docker", "other.example/org/hello:v1")
    assert FakeRegistry.asked == [("other.example", None, None, None, "org/hello", "v1")]


def test_a_lookup_without_a_provider_is_refused(providers):
    with pytest.raises(BadInput, match="names no provider"):
        providers.digest("", "a/b:c")
