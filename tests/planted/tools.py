"""What faults are made with: changes that leave everything else of a cache as it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component, Tier
from tests.drafts import Draft
from tests.legal import acquire

T = TypeVar("T")
Plant = Callable[[Draft, Random, Component | None, Tier | None], "set[int] | None"]


@dataclass(frozen=True)
class Fault:
    """One thing broken in a legal cache.

    plant: changes the draft for one component and tier of the rule, and returns where the rule
    must report it, exactly: rows, slot numbers for a rule about slots, {0} for the tree; None where
    this draft has no place for the fault. also: other rules that must report it too, where they
    apply under the draft's settings. may: rules that may, as the tree happens to be. No other rule may.
    """

    rule: str
    plant: Plant
    also: tuple[str, ...]
    may: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.plant.__name__


FAULTS: list[Fault] = []


def fault(rule: str, *, also: tuple[str, ...] = (), may: tuple[str, ...] = ()) -> Callable[[Plant], Plant]:
    """Declares the decorated function to be a fault of a rule."""

    def declare(plant: Plant) -> Plant:
        FAULTS.append(Fault(rule, plant, also, may))
        return plant

    return declare


def pick(rng: Random, among: Iterable[T]) -> T | None:
    """One of them; None if there are none."""
    found = list(among)
    return rng.choice(found) if found else None


# Slots and copies.


def padding(d: Draft, c: Component, t: Tier) -> int:
    """The last slot before those that a pool hands out."""
    return -1 if t is HOST else d.settings.page_size - 1 if c.per_token else 0


def beyond(d: Draft, c: Component, t: Tier) -> int:
    """The first slot after those that a pool hands out."""
    return padding(d, c, t) + 1 + d.tree("capacity", c, t)[0]


def fresh(d: Draft, c: Component, t: Tier, count: int) -> list[int]:
    """Slots that nothing names yet; the pool grows by them."""
    first = beyond(d, c, t)
    d.tree("capacity", c, t)[0] += count
    return list(range(first, first + count))


def release(d: Draft, c: Component, t: Tier, slots: list[int]) -> None:
    """Puts slots into the free list."""
    d.tree.of("free", c, t)[0] += slots
    d.tree("available", c, t)[0] += len(slots)


def give(d: Draft, row: int, c: Component, t: Tier) -> None:
    """A copy more."""
    size = d.nodes("key_len")[row] if c.per_token else 1
    d.nodes("present", c, t)[row] = True
    d.nodes("tokens", c, t)[row] = size
    d.nodes.of("holds", c, t)[row] = fresh(d, c, t, size)
    if t is DEVICE:
        d.nodes("mirrors_full", c)[row] = True


def take(d: Draft, row: int, c: Component, t: Tier) -> None:
    """A copy less: its slots are free, and no transfer copies them."""
    if not d.has(row, c, t):
        return
    d.nodes("present", c, t)[row] = False
    d.nodes("tokens", c, t)[row] = 0
    slots = d.nodes.of("holds", c, t)[row]
    d.nodes.of("holds", c, t)[row] = []
    for name in ("reads", "writes"):
        lists = d.transfers.of(name, c, t)
        lists[:] = [[s for s in x if s not in slots] for x in lists]
    release(d, c, t, slots)


def take_tier(d: Draft, row: int, t: Tier) -> None:
    """All copies of a tier less."""
    for c in d.settings.components:
        take(d, row, c, t)


# Locks.


def unlocked(d: Draft, row: int) -> bool:
    return all(d.nodes("lock", c, DEVICE)[row] == 0 for c in d.settings.components)


def clamp(d: Draft, row: int) -> None:
    """Auxiliary locks down to the full lock."""
    full = d.nodes("lock", FULL, DEVICE)[row]
    for c in d.settings.components:
        locks = d.nodes("lock", c, DEVICE)
        locks[row] = min(locks[row], max(full, 0))


def unlock(d: Draft, row: int) -> None:
    """One path lock less."""
    acquire(d, row, aux=False, times=-1)
    for r in d.path(row):
        clamp(d, r)


def hold(d: Draft, row: int) -> int:
    """A request more, which holds a path lock and no slots; its row."""
    length = sum(d.nodes("key_len")[r] for r in d.path(row))
    number = max([0, *d.requests.ids]) + 1
    acquire(d, row, aux=False)
    return d.requests.add(number, node=row, node_in_tree=True, prefix_len=length)


def holders(d: Draft, row: int) -> int:
    """Requests and transfers whose path lock ends at a node."""
    x, r = d.transfers, d.requests
    locking = [n for n, takes in zip(x("node"), x("takes_lock"), strict=True) if takes]
    return [*locking, *r("node")].count(row)


# Transfers.


def flying(d: Draft) -> set[int]:
    """Nodes that a transfer in flight copies, waits for or was submitted for."""
    n, x = d.nodes, d.transfers
    found = {r for r in d.rows() if n("write_pending")[r] or n("load_pending")[r]} | set(x("node"))
    for c in d.settings.components:
        for t in Tier:
            busy = {s for name in ("reads", "writes") for part in x.of(name, c, t) for s in part}
            found |= {r for r in d.rows() if busy.intersection(n.of("holds", c, t)[r])}
    return found


def still(d: Draft) -> list[int]:
    """Nodes that no transfer has to do with."""
    moving = flying(d)
    return [r for r in d.rows() if r not in moving]


def submit(d: Draft, row: int, *, is_write: bool, published: int = 1, locks: bool = True) -> int:
    """A transfer more, which copies nothing; its row."""
    if locks:
        acquire(d, row, aux=False)
    return d.transfers.add(
        len(d.transfers), is_write=is_write, is_load=not is_write, ack=d.nodes.ids[row], node=row, node_in_tree=True,
        takes_lock=locks, published=published, queued=1,
    )  # fmt: skip


def write(d: Draft, row: int) -> int:
    """A write of a node more, marked and locked, that copies what the node has on both tiers; its row."""
    at = submit(d, row, is_write=True)
    mark_write(d, row, d.nodes.ids[row])
    for c in d.settings.components:
        if d.has(row, c) and d.has(row, c, HOST):
            d.transfers.of("reads", c, DEVICE)[at] = list(d.nodes.of("holds", c, DEVICE)[row])
            d.transfers.of("writes", c, HOST)[at] = list(d.nodes.of("holds", c, HOST)[row])
    return at


def mark_write(d: Draft, row: int, ack: int) -> None:
    d.nodes("write_pending")[row], d.nodes("write_ack")[row] = True, ack


def mark_load(d: Draft, row: int, ack: int) -> None:
    d.nodes("load_pending")[row], d.nodes("load_ack")[row] = True, ack


def sole_node(d: Draft, is_write: bool) -> list[int]:
    """Transfers of a kind that alone keep their node locked, at the end of its path."""
    x = d.transfers
    lock = d.nodes("lock", FULL, DEVICE)
    return [i for i, w in enumerate(x("is_write")) if w is is_write and lock[x("node")[i]] == 1 and x("takes_lock")[i]]


def through(d: Draft) -> bool:
    return d.settings.policy.value != "write_back"


def tiered(d: Draft) -> bool:
    return "tiered" in d.settings.traits


def window(d: Draft) -> bool:
    return "async_window_backup" in d.settings.traits


def may_write(d: Draft) -> bool:
    """Whether a write may be in flight between operations."""
    return tiered(d) and (through(d) or window(d))
