"""The heap preset: a small model whose states and transitions four other tools have counted.

Nodes 0 … N-1 with parent(n) = (n - 1) // 2, a device copy, a host copy, a pending write
and a lock up to 2 for each. Source of the actions and the counts: the project's design.
"""

from __future__ import annotations

from sanitree.invariants.catalogue import BY_ID
from sanitree.invariants.language import Element, Expr, ite, path_sum, some, sum_over
from sanitree.invariants.language import children as children_of
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Policy, Settings
from sanitree.models.protocol.system import Action, Assign, System, Variable, action, becomes, on_path
from sanitree.models.snapshot import Key

MAX_LOCK = 2

DEVICE_COPY, HOST_COPY = Key.of("present", FULL, DEVICE), Key.of("present", FULL, HOST)
PENDING, LOCK = Key("write_pending"), Key.of("lock", FULL, DEVICE)

Said = tuple[Expr, tuple[Assign, ...]]


def heap(policy: Policy, nodes: int) -> System:
    """The preset under write_through or write_back. Raises ValueError for what it cannot be."""
    if policy not in BACKUPS:
        raise ValueError(f"the heap preset has no {policy.value}: take {' or '.join(p.value for p in BACKUPS)}")
    if nodes < 1:
        raise ValueError(f"{nodes} nodes make no heap: at least 1")
    return System(
        name="heap",
        settings=Settings(policy, (FULL,), frozenset({"tiered"}), 1),
        parents=tuple(0 if n == 0 else (n - 1) // 2 + 1 for n in range(nodes)),
        variables=(Variable(DEVICE_COPY), Variable(HOST_COPY), Variable(PENDING), Variable(LOCK, MAX_LOCK)),
        exists=(DEVICE_COPY, HOST_COPY, PENDING),
        root={DEVICE_COPY: 1, HOST_COPY: 1, PENDING: 0, LOCK: 0},
        actions=(insert, *BACKUPS[policy], ack, EVICTS[policy], evict_host, load_back, lock, unlock),
        rules=tuple(BY_ID[name] for name in RULES),
    )


RULES = ("path_lock_covers_children", "backup_is_prefix_closed", "pending_write_keeps_its_source")


def on_device(n: Element) -> Expr:
    return n[FULL].on_device  # type: ignore[no-any-return]


def on_host(n: Element) -> Expr:
    return n[FULL].on_host  # type: ignore[no-any-return]


def leaf_of_device(n: Element) -> Expr:
    """No child has a device copy."""
    return ~some(children_of(n), lambda c: on_device(c))


@action
def insert(n: Element) -> Said:
    """A node is computed below one that is on the device."""
    return ~on_device(n) & ~on_host(n) & on_device(n.parent), (becomes(on_device(n), True),)


@action
def start_backup(n: Element) -> Said:
    """Under write_through: a node below one that is backed up."""
    guard = on_device(n) & ~on_host(n) & ~n.write_pending & on_host(n.parent)
    return guard, (becomes(n.write_pending, True),)


@action
def start_write_back(n: Element) -> Said:
    """Under write_back: an unlocked leaf of the device, on its way out."""
    guard = on_device(n) & ~on_host(n) & ~n.write_pending & (n[FULL].lock == 0) & leaf_of_device(n)
    return guard, (becomes(n.write_pending, True),)


@action
def ack(n: Element) -> Said:
    """A write is done: the host copy is there."""
    return n.write_pending, (becomes(n.write_pending, False), becomes(on_host(n), True))


@action
def evict_device(n: Element) -> Said:
    """Under write_through: an unlocked leaf of the device goes, backed up or not."""
    guard = on_device(n) & ~n.write_pending & (n[FULL].lock == 0) & leaf_of_device(n)
    return guard, (becomes(on_device(n), False),)


@action
def evict_written(n: Element) -> Said:
    """Under write_back: only what is backed up goes."""
    guard = on_device(n) & on_host(n) & ~n.write_pending & (n[FULL].lock == 0) & leaf_of_device(n)
    return guard, (becomes(on_device(n), False),)


@action
def evict_host(n: Element) -> Said:
    """A host copy alone, below which there is nothing, goes."""
    below = some(children_of(n), lambda c: on_device(c) | on_host(c))
    return ~on_device(n) & on_host(n) & ~below, (becomes(on_host(n), False),)


@action
def load_back(n: Element) -> Said:
    """The whole path comes back to the device."""
    nowhere = path_sum(n, lambda x: ite(on_device(x) | on_host(x), 0, 1))
    return on_host(n) & ~on_device(n) & (nowhere == 0), on_path(lambda x: (becomes(on_device(x), True),))


@action
def lock(n: Element) -> Said:
    """A request holds the path."""
    full = path_sum(n, lambda x: ite(on_device(x) & (x[FULL].lock < MAX_LOCK), 0, 1))
    return full == 0, on_path(lambda x: (becomes(x[FULL].lock, x[FULL].lock + 1),))


@action
def unlock(n: Element) -> Said:
    """A request that ends here lets the path go."""
    ends_here = n[FULL].lock > sum_over(children_of(n), lambda c: c[FULL].lock)
    return ends_here, on_path(lambda x: (becomes(x[FULL].lock, x[FULL].lock - 1),))


BACKUPS: dict[Policy, tuple[Action, ...]] = {
    Policy.WRITE_THROUGH: (start_backup,),
    Policy.WRITE_BACK: (start_write_back,),
}
EVICTS = {Policy.WRITE_THROUGH: evict_device, Policy.WRITE_BACK: evict_written}
