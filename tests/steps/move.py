"""What a legal step is, and what such steps are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, SWA, Component, Tier
from tests.legal import settle
from tests.planted.tools import pick, still, through, tiered, window, write
from tests.steps.stage import Stage, put, transfer


@dataclass(frozen=True)
class Move:
    """do: changes a stage; False where it has no place for that."""

    operation: Operation
    do: Callable[[Stage, Random], bool]

    @property
    def name(self) -> str:
        return self.do.__name__


MOVES: list[Move] = []


def move(operation: Operation) -> Callable[[Callable[[Stage, Random], bool]], Callable[[Stage, Random], bool]]:
    def declare(do: Callable[[Stage, Random], bool]) -> Callable[[Stage, Random], bool]:
        MOVES.append(Move(operation, do))
        return do

    return declare


def evictable(s: Stage) -> list[int]:
    """Device leaves that can be evicted: backed up, or with nothing below."""
    d = s.after
    return [
        r for r in d.rows() if d.nodes("in_device_leaves")[r]
        and (d.has(r, FULL, HOST) or not d.children(r))
        and not any(d.nodes("lock", c, HOST)[r] for c in d.settings.components)
    ]  # fmt: skip


def evict_one(s: Stage, row: int, backed_up: bool) -> None:
    d = s.after
    if backed_up and not d.has(row, FULL, HOST):
        put(d, row, FULL, HOST)
    if d.has(row, FULL, HOST):
        s.evict_tier(row, DEVICE)
    else:
        s.remove(row)
    settle(d)


def writable(s: Stage) -> list[int]:
    d = s.after
    up = d.nodes("parent")
    able = tiered(d) and (through(d) or (window(d) and SWA in d.settings.components))
    return [
        r for r in still(d) if able and d.has(r, FULL) and not d.has(r, FULL, HOST)
        and (not up[r] or d.has(up[r], FULL, HOST))
    ]  # fmt: skip


def start_write(s: Stage, row: int) -> None:
    put(s.after, row, FULL, HOST)
    s.call.submitted.append(transfer(s.after, write(s.after, row)))
    s.settle()


def size_before(s: Stage, c: Component) -> int:
    return int(s.before.tree("evictable_size", c)[0])


def lockable(s: Stage) -> list[int]:
    return [0, *(r for r in s.after.rows() if s.after.has(r, FULL))]


def insert(s: Stage, rng: Random, tiers: Iterable[Tier], parents: Iterable[int]) -> int | None:
    parent = pick(rng, parents)
    if parent is None:
        return None
    row = s.grow(parent, rng, tiers)
    s.settle()
    return row


def split_one(s: Stage, rng: Random, row: int | None = None) -> bool:
    n = s.after.nodes
    able = [r for r in s.after.rows() if n("key_len")[r] > s.after.settings.page_size and row in (None, r)]
    if not able:
        return False
    s.split(rng.choice(able), rng)
    s.settle()
    return True
