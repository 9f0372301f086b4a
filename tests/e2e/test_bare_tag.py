"""Only test may name a bare tag: it is resolved to its digest at once, and pods get nothing but the digest."""

from __future__ import annotations

from tests.e2e.platform import Platform


def test_a_bare_tag_runs_in_test_as_the_digest_it_names(platform: Platform) -> None:
    tag, _, digest = platform.stack("test").get(["images", "hello"]).partition("@")
    with platform.edited("test", images__hello=tag):
        up = platform.slipway("up", "test")
    assert up.code == 0, up.said
    deployment = platform.kube.get("apps/v1", "Deployment", "hello", "test")
    assert deployment is not None
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"registry.slipway.local/hello@{digest}"
    assert platform.slipway("up", "test").code == 0


def test_a_tag_that_is_not_in_the_registry_is_refused_in_test(platform: Platform) -> None:
    with platform.edited("test", images__hello="hello:v99"):
        up = platform.slipway("up", "test")
    assert up.code == 3, up.said
    assert "hello:v99" in up.err
    assert "Traceback" not in up.said
