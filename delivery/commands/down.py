"""`slipway down`: what stacks declare is deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from adapters.errors import Refused
from delivery import options
from delivery.agreement import agree, agree_to_deletion
from delivery.change import Changer
from delivery.factory import Factory
from delivery.frozen import check_thawed
from delivery.updates import run
from delivery.workspace import DeclaredStack, Workspace

_HELP = f"""Delete all that stacks have in their clusters.

Without STACK: all of them, those that stand on others first. What holds data (the registry's volume, prod's namespace)
is protected, and nothing of such a stack is deleted without --delete-data. A stack that others stand on goes only
together with them. Without STACK and with --delete-data the local platform goes altogether: cluster, images,
configuration. Always asks first. A frozen environment is refused.

\b
Examples:
  slipway down test
  slipway down --delete-data       everything, data too

{options.EXIT_CODES}"""


@click.command(help=_HELP)
@options.stacks_argument
@click.option("--delete-data", is_flag=True, help="Delete what is protected because it holds data, too.")
@options.message_option
@options.yes_option
@options.json_option
@options.common
@options.pass_factory
def down(factory: Factory, stacks: tuple[str, ...], delete_data: bool, message: str) -> None:
    """Delete what stacks have in their clusters."""
    if factory.is_local and not stacks and delete_data:
        _end_platform(factory)
        return
    workspace = factory.workspace()
    chosen = workspace.select(stacks)
    check_thawed(workspace, chosen)
    _refuse_to_leave_others_standing(workspace, chosen, delete_data=delete_data)
    if not delete_data:
        _refuse_protected(workspace, [stack.name for stack in chosen])
    agree_to_deletion(factory, chosen, with_data=delete_data)
    names = [stack.name for stack in chosen]
    changer = Changer(workspace, factory.console, names, message or "slipway down")
    results = run(chosen, lambda name: changer.delete(name, with_data=delete_data), reverse=True)
    factory.console.facts(
        results.to_json(), lambda: [] if results.changed or results.errors else ["Nothing was there."]
    )
    results.raise_errors()


def _refuse_to_leave_others_standing(
    workspace: Workspace, chosen: Sequence[DeclaredStack], *, delete_data: bool
) -> None:
    """What stands on a stack breaks without it: a pod that is started anew finds no registry to pull from."""
    going = {stack.name for stack in chosen}
    standing = [
        stack
        for stack in workspace.stacks.values()
        if stack.name not in going and going.intersection(stack.stands_on) and workspace.is_made(stack.name)
    ]
    if not standing:
        return
    needed = {name for stack in standing for name in stack.stands_on} & going
    together = [stack.name for stack in workspace.stacks.values() if stack in standing or stack.name in going]
    with_data = delete_data or any(_protected(workspace, together).values())
    raise Refused(
        f"what stands on {', '.join(sorted(needed))} would be left without it, so nothing was deleted: "
        f"{', '.join(stack.name for stack in standing)}",
        fix=f"Take them down together: `slipway down {' '.join(together)}{' --delete-data' if with_data else ''}`",
    )


def _refuse_protected(workspace: Workspace, names: Sequence[str]) -> None:
    """Nothing is begun while anything is protected."""
    if held := [f"{name} ({', '.join(objects)})" for name, objects in _protected(workspace, names).items() if objects]:
        raise Refused(
            f"protected, since its loss would be the loss of data or an outage: {'; '.join(held)}",
            fix="Name only other stacks, or give --delete-data to delete these with their data",
        )


def _protected(workspace: Workspace, names: Sequence[str]) -> Mapping[str, list[str]]:
    return {name: workspace.manage(name).protected() for name in names}


def _end_platform(factory: Factory) -> None:
    platform = factory.seams.local_platform().find()
    there = platform is not None or factory.seams.clusters().status(factory.cluster_name).exists
    if there:
        agree(factory, "end the local platform and delete its cluster, images and configuration, its data too")
        if platform is not None:
            platform.down()
        else:  # its making was cut short
            factory.seams.clusters().down(factory.cluster_name)
    said = "The local platform is gone, its data too." if there else "There is no local platform."
    factory.console.facts({"changed": there, "stacks": []}, lambda: [said])
