"""Things that do not work, each in its own way: objects for a cluster, made of the pods of a service that does."""

from __future__ import annotations

import copy
from typing import Any

from adapters.kubernetes import JsonObject

NAMESPACE = "test"
QUOTA_NAMESPACE = "e2e-quota"

# Serves like the service that it is made of, asks itself for what fails and what is slow, and is ready now and then.
FAULTY = """
import asyncio, threading, time, urllib.request
from starlette.responses import Response
from starlette.routing import Route
from hello.app import Application
from hello.server import serve
from hello.settings import Settings

async def fail(_): return Response(status_code=500)
async def flaky(_): return Response(status_code=503 if time.time() % 6 < 3 else 200)
async def slow(_):
    await asyncio.sleep(1.5)
    return Response()

def ask(path):
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{settings.port}{path}").read()
        except OSError:
            time.sleep(0.2)

settings = Settings.from_environment()
for path in ("/fail", *["/slow"] * 4):
    threading.Thread(target=ask, args=(path,), daemon=True).start()
routes = [Route("/fail", fail), Route("/flaky", flaky), Route("/slow", slow)]
serve(Application(settings, more_routes=routes), settings)
"""
CRASHING = "raise SystemExit('out of order')"
EXPIRING = """
import os, socket, ssl
with open("/tmp/both.pem", "w") as file:
    file.write(os.environ["PEM"])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tmp/both.pem")
with socket.create_server(("", 8443)) as listener:
    while True:
        try:
            context.wrap_socket(listener.accept()[0], server_side=True).close()
        except OSError:
            pass
"""

OUTDATED = """
import time, urllib.request
line = b'{"at": "2001-01-01T00:00:00Z", "_msg": "late"}'
address = "http://victorialogs.monitoring:9428/insert/jsonline?_time_field=at"
while True:
    asked = urllib.request.Request(address, line, {"Content-Type": "application/stream+json"})
    urllib.request.urlopen(asked).read()
    time.sleep(0.5)
"""


def pod(healthy: JsonObject, name: str, script: str, *, readiness: str = "", **env: str) -> JsonObject:
    """A pod that Prometheus takes for one of a service `name`, with the image of the Deployment `healthy`."""
    template = copy.deepcopy(healthy["spec"]["template"])
    template["metadata"]["labels"] |= {"app.kubernetes.io/name": name, "slipway.dev/release": "0" * 12}
    (container,) = template["spec"]["containers"]
    container |= {"name": name, "command": ["python3", "-c", script]}
    container["env"] = [*container["env"], *({"name": key, "value": value} for key, value in env.items())]
    for unwanted in ("startupProbe", "livenessProbe", "readinessProbe", "lifecycle"):
        container.pop(unwanted, None)
    if readiness:
        probe = {"httpGet": {"path": readiness, "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}
        container["readinessProbe"] = probe
    template["spec"] |= {"terminationGracePeriodSeconds": 0, "topologySpreadConstraints": None}
    return _object("v1", "Pod", name, labels=template["metadata"]["labels"]) | {"spec": template["spec"]}


def stuck(healthy: JsonObject) -> JsonObject:
    """A Deployment whose pod never gets ready."""
    never = pod(healthy, "stuck", "import time; time.sleep(3600)", readiness="/readyz")
    labels = {"app.kubernetes.io/name": "stuck"}
    template = {"metadata": {"labels": labels}, "spec": never["spec"]}
    return _object("apps/v1", "Deployment", "stuck") | {
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    }


def service(name: str, port: int) -> JsonObject:
    """A Service for the pods of `pod`, which it reaches on the same port."""
    return _object("v1", "Service", name) | {
        "spec": {"selector": {"app.kubernetes.io/name": name}, "ports": [{"port": port, "targetPort": port}]}
    }


def namespace(name: str) -> JsonObject:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def exhausted_quota() -> JsonObject:
    """It allows as many ConfigMaps as its namespace has: the one that every namespace is given."""
    quota = _object("v1", "ResourceQuota", "quota") | {"spec": {"hard": {"count/configmaps": "1"}}}
    quota["metadata"]["namespace"] = QUOTA_NAMESPACE
    return quota


def rules(files: dict[str, str]) -> JsonObject:
    """Files of rules as an environment brings them."""
    return _object("v1", "ConfigMap", "e2e-compressed", labels={"slipway.dev/rules": "true"}) | {"data": files}


def _object(api_version: str, kind: str, name: str, **metadata: Any) -> JsonObject:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE, **metadata}}
