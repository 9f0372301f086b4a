"""`slipway cluster …`: the local platform's Kubernetes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from adapters.errors import Unreachable
from delivery import options
from delivery.agreement import agree
from delivery.console import table
from delivery.factory import Factory


@click.group(help="The local platform's cluster: a real Kubernetes on this machine, in namespaces of its own.")
@options.common
def cluster() -> None:
    """The local platform's Kubernetes: up, down, status, kubeconfig."""


@cluster.command(
    help=f"""Start the cluster, building what is missing; at once if it runs.

\b
Example:
  slipway cluster up && export KUBECONFIG=$(slipway cluster kubeconfig)

{options.EXIT_CODES}"""
)
@options.json_option
@options.common
@options.pass_factory
def up(factory: Factory) -> None:
    """Start the cluster."""
    factory.seams.local_platform().prepare()
    running = factory.seams.clusters().find(factory.cluster_name)
    facts = {"name": running.name, "context": running.context, "kubeconfig": str(running.kubeconfig)}
    factory.console.facts(facts, lambda: [f"cluster {running.name} runs, kubeconfig {running.kubeconfig}"])


@cluster.command(
    help=f"""End the cluster. It leaves no process, mount, address or rule, and its data is deleted. Asks first.

The configuration directory stays; `slipway down --delete-data` removes that too.

{options.EXIT_CODES}"""
)
@options.yes_option
@options.json_option
@options.common
@options.pass_factory
def down(factory: Factory) -> None:
    """End the cluster."""
    clusters, name = factory.seams.clusters(), factory.cluster_name
    there = clusters.status(name).exists
    if there:
        agree(factory, f"end the cluster {name} and delete all its data")
        clusters.down(name)
    said = f"The cluster {name} is gone." if there else f"There is no cluster {name}."
    factory.console.facts({"name": name, "changed": there}, lambda: [said])


@cluster.command(
    help="""Show whether the cluster and each of its components run, and how often one was started anew.

\b
Exit codes: 0 also for a cluster that does not run."""
)
@options.json_option
@options.common
@options.pass_factory
def status(factory: Factory) -> None:
    """Show how the cluster is."""
    facts = asdict(factory.seams.clusters().status(factory.cluster_name))
    factory.console.facts(facts, lambda: _lines(facts))


@cluster.command(
    help="""Print the path of the cluster's kubeconfig.

\b
Example:
  kubectl --kubeconfig $(slipway cluster kubeconfig) get pods -A

\b
Exit codes: 0, or 5 if the cluster does not run."""
)
@options.json_option
@options.common
@options.pass_factory
def kubeconfig(factory: Factory) -> None:
    """Print the kubeconfig's path."""
    running = factory.seams.clusters().find(factory.cluster_name)
    if running is None:
        raise Unreachable(f"the cluster {factory.cluster_name} does not run", fix="Start it with `slipway cluster up`")
    facts = {"kubeconfig": str(running.kubeconfig), "context": running.context}
    factory.console.facts(facts, lambda: [str(running.kubeconfig)])


def _lines(facts: dict[str, Any]) -> list[str]:
    if not facts["running"]:
        kept = ", its data is kept" if facts["exists"] else ""
        return [f"The cluster {facts['name']} does not run{kept}: `slipway cluster up` starts it."]
    ready = "ready" if facts["node_ready"] else "not ready"
    rows = [
        (name, str(component.get("pid") or "ended"), str(component.get("restarts", "")))
        for name, component in facts["components"].items()
    ]
    return [
        f"Cluster {facts['name']}: Kubernetes {facts['version'] or 'does not answer'}, node {ready}",
        *table(rows, ("component", "pid", "restarts")),
    ]
