"""The resource monitor: what the SDK calls in place of Pulumi's engine while the program runs.

Its methods have the names and messages of the protocol (`pulumi/runtime/proto`, `resource.proto`) and run on many
threads at once. It reads each registration, refuses what the engine does not support, and hands objects to a `Handler`:
the plan pass, the apply pass, or the rendering of manifests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import resource_pb2

from adapters.errors import BadInput
from local.engine.model import Declared, Resource
from local.engine.output import Redactor
from local.engine.project import Stack
from local.engine.providers import Providers
from local.engine.registration import check_supported, read_object, read_resource, refuse_read
from local.engine.types import REGISTRY_IMAGE, STACK_REFERENCE, kind_of
from local.engine.urn import STACK_TYPE, Urn
from local.engine.values import UNKNOWN, Secret, Tree, decode, encode, has_secret, reveal

FEATURES = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
)
"""What the SDK may send. It refuses transforms, hooks and parameterised providers by itself: they are not here."""

References = Callable[[str], Mapping[str, Tree]]
"""Gives the outputs of another stack, with secrets marked."""

_SECRET_OUTPUTS = {"Secret": {"data", "stringData"}}


class Stopped(Exception):
    """No new registration is taken since something failed before."""

    def __init__(self) -> None:
        super().__init__("not attempted after an earlier failure")


class Handler(Protocol):
    """What is done with an object the program registers."""

    def register(self, declared: Declared) -> Mapping[str, Tree]:
        """Returns the object's properties as the program sees them."""


class Monitor:
    """One run of the program. `resources` are all that were registered, `outputs` what the program exports."""

    def __init__(
        self,
        stack: Stack,
        providers: Providers,
        handler: Handler,
        references: References,
        redact: Redactor,
        *,
        offline: bool = False,
    ) -> None:
        self._stack, self._providers, self._handler, self._references = stack, providers, handler, references
        self._redact, self._offline = redact, offline
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.errors: list[Exception] = []
        self.resources: dict[str, Resource] = {}
        self.outputs: dict[str, Tree] = {}

    def stop(self) -> None:
        """Take no new registrations; those under way go on."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether something failed, or somebody asked to stop."""
        return self._stopped.is_set()

    def GetDeploymentInfo(self, request: Any) -> Any:  # noqa: ARG002, N802
        """What this engine can do."""
        return resource_pb2.DeploymentInfo(supportedFeatures=FEATURES)

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        """A resource the program declares."""
        return self._guarded(self._register, request)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        """Outputs of a component, which nobody reads, or of the stack."""
        if Urn.parse(request.urn).types[-1] == STACK_TYPE:
            self.outputs = decode(request.outputs)
        return empty_pb2.Empty()

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        """A reference to another stack; no other resource can be read."""
        return self._guarded(self._read, request)

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        """A function of a provider: only the one that looks an image up in its registry."""
        return self._guarded(self._invoke, request)

    def Call(self, request: Any) -> Any:  # noqa: N802
        """A method of a resource."""
        raise BadInput("the local engine does not support methods of resources", where=request.tok)

    def SignalAndWaitForShutdown(self, request: Any) -> Any:  # noqa: ARG002, N802
        """The program has ended; there are no hooks that it would still have to serve."""
        return empty_pb2.Empty()

    def _guarded(self, work: Callable[[Any], Any], request: Any) -> Any:
        if self._stopped.is_set():
            raise Stopped
        try:
            return work(request)
        except Stopped:
            raise
        except Exception as error:
            self.errors.append(error)
            self.stop()
            raise

    def _register(self, request: Any) -> Any:
        check_supported(request)
        parent = request.parent
        urn = str(Urn.make(self._stack.name, self._stack.project.name, parent, request.type, request.name))
        resource = read_resource(request, urn)
        if not request.custom:
            self._keep(resource)
            return resource_pb2.RegisterResourceResponse(urn=urn)
        if request.type.startswith("pulumi:providers:"):
            self._keep(resource)
            id_ = self._providers.add(urn, request.type, decode(request.object))
            return resource_pb2.RegisterResourceResponse(urn=urn, id=id_, object=request.object)
        kind_of(request.type)  # what is of another provider altogether is told of first
        provider = self._providers.kubernetes(request.provider, urn)
        declared = read_object(request, resource, provider)
        self._keep(declared.resource)
        self._redact.learn_marked(declared.tree)
        outputs = _marked(self._handler.register(declared), declared.tree, request)
        identity = declared.identity
        id_ = f"{identity.namespace}/{identity.name}" if identity.namespace else identity.name
        return resource_pb2.RegisterResourceResponse(urn=urn, id=id_, object=encode(outputs))

    def _keep(self, resource: Resource) -> None:
        with self._lock:
            if resource.urn in self.resources:
                raise BadInput("two resources have this URN", where=resource.urn, fix="Give one of them another name")
            self.resources[resource.urn] = resource

    def _read(self, request: Any) -> Any:
        if request.type != STACK_REFERENCE:
            refuse_read(request)
        urn = str(Urn.make(self._stack.name, self._stack.project.name, request.parent, request.type, request.name))
        name = str(reveal(decode(request.properties)).get("name") or request.id)
        properties: dict[str, Tree] = {"name": name, "outputs": UNKNOWN, "secretOutputNames": UNKNOWN}
        if not self._offline:
            outputs = dict(self._references(name))
            properties["outputs"] = outputs
            properties["secretOutputNames"] = [key for key, value in outputs.items() if has_secret(value)]
        return resource_pb2.ReadResourceResponse(urn=urn, id=name, properties=encode(properties))

    def _invoke(self, request: Any) -> Any:
        if request.tok != REGISTRY_IMAGE:
            raise BadInput(
                "the local engine does not answer this function",
                where=request.tok,
                allowed=REGISTRY_IMAGE,
                fix="Take the Pulumi CLI for this stack, or compute the value without",
            )
        arguments = decode(request.args)
        image = str(arguments["name"])
        if self._offline:
            return resource_pb2.ResourceInvokeResponse(unknown=True)
        digest = self._providers.digest(request.provider, image)
        if digest is None:
            raise BadInput("the image is not in its registry", where=image, fix="Push it, or correct its name and tag")
        answer = {**arguments, "id": digest, "sha256Digest": digest}
        return resource_pb2.ResourceInvokeResponse(**{"return": encode(answer)})


def _marked(outputs: Mapping[str, Tree], inputs: Mapping[str, Tree], request: Any) -> dict[str, Tree]:
    """Outputs that came from secrets are secrets again: the server's answer does not know which were."""
    kind = request.type.rpartition(":")[2]
    secret = set(request.additionalSecretOutputs) | _SECRET_OUTPUTS.get(kind, set())
    secret |= {name for name, value in inputs.items() if has_secret(value)}
    return {name: Secret(value) if name in secret else value for name, value in outputs.items()}
