"""Which objects come before which, and work on them side by side as far as that allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter

from local.engine.model import Identity, Resource

Order = Mapping[Identity, set[Identity]]
"""For each object, those whose turn is before its own."""

_AT_ONCE = 64  # as many as the program registers: what waits to get ready must not keep what it waits for from its turn


def creation_order(coming: Iterable[Resource], known: Iterable[Resource]) -> Order:
    """For each object that comes, those that must be there before it.

    As with the SDK that is what it depends on, is a part of or is deleted with, also by way of components, which are
    among `known`; and its namespace.
    """
    objects = {resource.identity: resource for resource in coming if resource.identity}
    # Two of them may have one URN: the object of a resource that was declared by another name each time.
    by_urn: dict[str, list[Identity]] = {}
    for identity, resource in objects.items():
        by_urn.setdefault(resource.urn, []).append(identity)
    between = {resource.urn: resource for resource in known if resource.identity is None}
    order: dict[Identity, set[Identity]] = {}
    for identity, resource in objects.items():
        needed = {other for urn in _needs(resource, between) for other in by_urn.get(urn, ())}
        order[identity] = (needed | {_home(identity)}) & objects.keys() - {identity}
    return order


def deletion_order(leaving: Iterable[Resource], known: Iterable[Resource]) -> Order:
    """For each object that leaves, those that must be gone before it."""
    needed = creation_order(leaving, known)
    order: dict[Identity, set[Identity]] = {identity: set() for identity in needed}
    for identity, before in needed.items():
        for other in before:
            order[other].add(identity)
    return order


def work_through(order: Order, work: Callable[[Identity], None]) -> dict[Identity, BaseException]:
    """Call `work` for every object after those before it, many at once, and return what each that failed raised.

    What comes after one that failed is not attempted.
    """
    sorter = TopologicalSorter(order)
    sorter.prepare()
    failed: dict[Identity, BaseException] = {}
    running: dict[Future[None], Identity] = {}
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        while sorter.is_active():
            running |= {executor.submit(work, identity): identity for identity in sorter.get_ready()}
            if not running:
                break  # what is left comes after what has failed
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                identity = running.pop(future)
                if error := future.exception():
                    failed[identity] = error
                else:
                    sorter.done(identity)
    return failed


def _home(identity: Identity) -> Identity:
    """The namespace an object lies in."""
    return Identity(identity.cluster, "", "Namespace", "", identity.namespace)


def _needs(resource: Resource, between: Mapping[str, Resource]) -> set[str]:
    """What a resource depends on, also by way of components; an object ends the way, since it has needs of its own."""
    seen: set[str] = set()
    todo = [*resource.dependencies, resource.parent, resource.deleted_with]
    while todo:
        urn = todo.pop()
        if urn and urn not in seen:
            seen.add(urn)
            if component := between.get(urn):
                todo += [*component.dependencies, component.parent]
    return seen
