"""Legal steps: what calls do to a legal cache that ends in a legal one, and that no rule may report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, SWA, Component, Tier
from tests.legal import settle
from tests.planted.tools import pick, release, still, through, tiered, window, write
from tests.steps.stage import (
    Stage,
    forget,
    hand_out,
    own_bytes,
    put,
    renumber,
    row_of,
    transfer,
)


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


@move(Operation.EVICT)
def evicts_a_leaf(s: Stage, rng: Random) -> bool:
    """A leaf loses its device copies: it stays on the host, or is gone. Just what it freed was asked for, or less."""
    row = pick(rng, evictable(s))
    if row is None:
        return False
    evict_one(s, row, backed_up=tiered(s.after) and not through(s.after) and rng.random() < 0.5)
    for c in s.after.settings.components:
        s.call.asked[c.name, "device"] = max(0, s.call.evicted[c.name, "device"] - rng.choice((0, 0, 1)))
    return True


@move(Operation.EVICT)
def evicts_all_there_is(s: Stage, rng: Random) -> bool:
    """More is asked for than there is to evict."""
    while (row := pick(rng, evictable(s))) is not None:
        evict_one(s, row, backed_up=False)
    done = False
    for c in s.after.settings.components:
        pool = c.name, "device"
        if s.call.evicted[pool] >= size_before(s, c):
            s.call.asked[pool] = s.call.evicted[pool] + rng.choice((1, 50))
            done = True
    return done


@move(Operation.EVICT_HOST)
def evicts_a_host_leaf(s: Stage, rng: Random) -> bool:
    """A leaf that lives on the host alone is gone."""
    row = pick(rng, [r for r in s.after.rows() if s.after.nodes("in_host_leaves")[r]])
    if row is None:
        return False
    s.remove(row)
    s.settle()
    s.call.asked["full", "host"] = s.call.evicted["full", "host"]
    return True


@move(Operation.EVICT)
def evicts_what_was_locked(s: Stage, rng: Random) -> bool:
    """A write ends meanwhile, and more can be evicted than could at first."""
    d = s.after
    while (at := pick(rng, range(len(d.transfers)))) is not None:
        s.acknowledge(at)
        settle(d)
    while (row := pick(rng, evictable(s))) is not None:
        evict_one(s, row, backed_up=False)
    more = [c for c in d.settings.components if s.call.evicted[c.name, "device"] > size_before(s, c)]
    for c in more:
        s.call.asked[c.name, "device"] = s.call.evicted[c.name, "device"] + 1
    return bool(more)


def size_before(s: Stage, c: Component) -> int:
    return int(s.before.tree("evictable_size", c)[0])


@move(Operation.EVICT)
def makes_room_on_the_host(s: Stage, rng: Random) -> bool:
    """What lived on the host alone goes, and the call says so: no device data is lost with it."""
    row = pick(rng, [r for r in s.after.rows() if s.after.nodes("in_host_leaves")[r] and not s.after.has(r, FULL)])
    if row is None or through(s.after):
        return False
    s.remove(row)
    s.call.dropped.clear()
    s.settle()
    return True


@move(Operation.EVICT)
def backs_up_meanwhile(s: Stage, rng: Random) -> bool:
    row = pick(rng, writable(s))
    if row is None:
        return False
    start_write(s, row)
    return True


@move(Operation.EVICT_HOST)
def evicts_all_there_is_on_the_host(s: Stage, rng: Random) -> bool:
    """More is asked for than could be taken at once, and all of that is taken, or what it uncovers too."""
    d, deep = s.after, rng.random() < 0.5
    while leaves := [d.nodes.ids[r] for r in d.rows() if d.nodes("in_host_leaves")[r]]:
        for number in leaves:
            s.remove(row_of(d, number))
        if not deep:
            break
        settle(d)
    for c in d.settings.components:
        for row in d.rows():
            if d.nodes("in_lru", c, HOST)[row] and not d.nodes("lock", c, HOST)[row]:
                s.evict(row, c, HOST)
    if rng.random() < 0.5:
        insert(s, rng, [DEVICE], lockable(s))  # what came meanwhile could not be taken
    s.settle()
    for c in d.settings.components:
        s.call.asked[c.name, "host"] = s.call.evicted[c.name, "host"] + rng.choice((1, 50))
    return True


@move(Operation.EVICT_HOST)
def evicts_an_auxiliary_host_copy(s: Stage, rng: Random) -> bool:
    """Auxiliary data of a node that stays."""
    d = s.after
    n = d.nodes
    able = [
        (r, c) for c in d.settings.components for r in d.rows() if n("in_lru", c, HOST)[r] and not n("lock", c, HOST)[r]
    ]
    if not able:
        return False
    row, c = rng.choice(able)
    s.evict(row, c, HOST)
    s.settle()
    s.call.asked[c.name, "host"] = s.call.evicted[c.name, "host"]
    return True


def acknowledge(s: Stage, rng: Random, is_write: bool) -> bool:
    at = pick(rng, [i for i, w in enumerate(s.after.transfers("is_write")) if w is is_write])
    if at is None:
        return False
    s.acknowledge(at)
    s.settle()
    return True


@move(Operation.POLL_WRITES)
def acknowledges_a_write(s: Stage, rng: Random) -> bool:
    return acknowledge(s, rng, True)


@move(Operation.POLL_LOADS)
def acknowledges_a_load(s: Stage, rng: Random) -> bool:
    return acknowledge(s, rng, False)


@move(Operation.BACK_UP)
def submits_a_write(s: Stage, rng: Random) -> bool:
    row = pick(rng, writable(s))
    if row is None:
        return False
    start_write(s, row)
    return True


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


@move(Operation.BACK_UP)
def submits_and_acknowledges_at_once(s: Stage, rng: Random) -> bool:
    """A runner that copies at once: nobody ever sees the transfer."""
    row = pick(rng, writable(s))
    if row is None:
        return False
    start_write(s, row)
    s.acknowledge(len(s.after.transfers) - 1)
    s.settle()
    return True


@move(Operation.POLL_WRITES)
def acknowledges_what_it_saw_submitted(s: Stage, rng: Random) -> bool:
    """A write that is submitted by one call, and acknowledged by a later one, with a split in between."""
    row = pick(rng, writable(s))
    if row is None:
        return False
    s.call.operation = Operation.BACK_UP
    number = s.after.nodes.ids[row]
    start_write(s, row)
    s.next(Operation.MATCH)
    split_one(s, rng, row_of(s.after, number))
    s.next(Operation.POLL_WRITES)
    s.acknowledge(s.after.transfers("ack").index(number))
    s.settle()
    return True


@move(Operation.LOAD_BACK)
def submits_a_load(s: Stage, rng: Random) -> bool:
    d = s.after
    up = d.nodes("parent")
    row = pick(rng, [r for r in still(d) if d.has(r, FULL, HOST) and not d.has(r, FULL) and d.has(up[r], FULL)])
    if row is None:
        return False
    s.load(row)
    s.settle()
    return True


@move(Operation.POLL_LOADS)
def acknowledges_a_load_it_saw_submitted(s: Stage, rng: Random) -> bool:
    s.call.operation = Operation.LOAD_BACK
    if not submits_a_load(s, rng):
        return False
    ack = s.call.submitted[0]
    s.next(Operation.POLL_LOADS)
    s.acknowledge([transfer(s.after, i) for i in range(len(s.after.transfers))].index(ack))
    s.settle()
    return True


def lockable(s: Stage) -> list[int]:
    return [0, *(r for r in s.after.rows() if s.after.has(r, FULL))]


@move(Operation.ACQUIRE)
def a_request_comes(s: Stage, rng: Random) -> bool:
    s.come(rng.choice(lockable(s)), aux=rng.random() < 0.7)
    s.settle()
    return True


@move(Operation.RELEASE)
def a_request_comes_and_goes(s: Stage, rng: Random) -> bool:
    s.call.operation = Operation.ACQUIRE
    number = s.come(rng.choice(lockable(s)), aux=rng.random() < 0.7)
    s.settle()
    if rng.random() < 0.5:
        s.next(rng.choice((Operation.MATCH, Operation.FREE)))
    s.next(Operation.RELEASE)
    s.go(number)
    s.settle()
    return True


def split_one(s: Stage, rng: Random, row: int | None = None) -> bool:
    n = s.after.nodes
    able = [r for r in s.after.rows() if n("key_len")[r] > s.after.settings.page_size and row in (None, r)]
    if not able:
        return False
    s.split(rng.choice(able), rng)
    s.settle()
    return True


@move(Operation.RELEASE)
def a_path_is_split_before_its_release(s: Stage, rng: Random) -> bool:
    """The lock weighs what it weighed: on state that a node has once it stays with the end."""
    d = s.after
    long = {r for r in d.rows() if d.nodes("key_len")[r] > d.settings.page_size}
    able = [r for r in lockable(s) if long.intersection(d.path(r))]
    if not able:
        return False
    s.call.operation = Operation.ACQUIRE
    row = rng.choice(able)
    number = s.come(row)
    target = d.nodes.ids[rng.choice([r for r in d.path(row) if r in long])]
    s.settle()
    s.next(rng.choice((Operation.MATCH, Operation.INSERT)))
    if s.call.operation is Operation.INSERT:
        s.call.refused = 1
    split_one(s, rng, row_of(s.after, target))
    s.next(Operation.RELEASE)
    s.go(number)
    s.settle()
    return True


@move(Operation.RELEASE)
def two_requests_on_one_path(s: Stage, rng: Random) -> bool:
    """Each undoes its own lock and leaves the other's."""
    s.call.operation = Operation.ACQUIRE
    row = rng.choice(lockable(s))
    first = s.come(row)
    s.settle()
    s.next(Operation.ACQUIRE)
    second = s.come(rng.choice([row, *(r for r in s.after.path(row) if s.after.has(r, FULL))]))
    s.settle()
    s.next(Operation.RELEASE)
    s.go(first)
    s.settle()
    if rng.random() < 0.5:
        s.next(Operation.RELEASE)
        s.go(second)
        s.settle()
    return True


@move(Operation.MATCH)
def a_match_splits(s: Stage, rng: Random) -> bool:
    return split_one(s, rng)


def insert(s: Stage, rng: Random, tiers: Iterable[Tier], parents: Iterable[int]) -> int | None:
    parent = pick(rng, parents)
    if parent is None:
        return None
    row = s.grow(parent, rng, tiers)
    s.settle()
    return row


@move(Operation.INSERT)
def an_insert_too_rare_to_back_up(s: Stage, rng: Random) -> bool:
    """A new node, and hits that are counted and not yet enough."""
    d = s.after
    row = insert(s, rng, [DEVICE], lockable(s))
    enough = 1 if d.settings.policy.value == "write_through" else 2
    for r in (row, *d.path(d.nodes("parent")[row])):
        d.nodes("hits")[r] += d.nodes("hits")[r] + 1 < enough
    return True


@move(Operation.INSERT)
def an_insert_that_backs_up(s: Stage, rng: Random) -> bool:
    """A node has enough hits, and a host copy."""
    d = s.after
    up = [r for r in lockable(s) if not r or d.has(r, FULL, HOST)]
    if not tiered(d) or not (row := insert(s, rng, [DEVICE, HOST], up)):
        return False
    for r in (row, *d.path(d.nodes("parent")[row])):
        d.nodes("hits")[r] += rng.choice((1, 2)) * d.has(r, FULL, HOST)
    return True


@move(Operation.INSERT)
def an_insert_that_could_not_back_up(s: Stage, rng: Random) -> bool:
    """Hits that are enough, no host copy, and the call says so."""
    d = s.after
    row = insert(s, rng, [DEVICE], lockable(s))
    for r in (row, *d.path(d.nodes("parent")[row])):
        d.nodes("hits")[r] += 2
    s.call.refused = rng.choice((1, 2))
    return True


@move(Operation.INSERT)
def an_insert_that_promises_nothing(s: Stage, rng: Random) -> bool:
    """Under write_back hits back up nothing; with a threshold of its own nobody knows how many it takes."""
    if through(s.after) and "own_threshold" not in s.after.settings.traits:
        return False
    row = insert(s, rng, [DEVICE], lockable(s))
    for r in (row, *s.after.path(s.after.nodes("parent")[row])):
        s.after.nodes("hits")[r] += 3
    return True


@move(Operation.INSERT)
def an_insert_that_counts_at_the_root(s: Stage, rng: Random) -> bool:
    """The root is never backed up, however often it is passed."""
    s.after.nodes("hits")[0] += rng.choice((1, 3))
    return True


@move(Operation.PREFETCH)
def a_prefetch_inserts_on_the_host(s: Stage, rng: Random) -> bool:
    d = s.after
    if not tiered(d):
        return False
    able = [r for r in range(len(d.nodes)) if not r or d.has(r, FULL, HOST)]
    return insert(s, rng, [HOST], able) is not None


@move(Operation.ALLOCATE)
def a_request_is_given_slots(s: Stage, rng: Random) -> bool:
    d = s.after
    if not len(d.requests):
        return False
    c, row = rng.choice(d.settings.components), rng.randrange(len(d.requests))
    d.requests.of("holds", c, DEVICE)[row] += hand_out(d, c, DEVICE, d.settings.page_size if c.per_token else 1)
    return True


@move(Operation.FREE)
def a_request_gives_slots_back(s: Stage, rng: Random) -> bool:
    d = s.after
    held = d.requests.of
    able = [(r, c) for r in range(len(d.requests)) for c in d.settings.components if held("holds", c, DEVICE)[r]]
    if not able:
        return False
    row, c = rng.choice(able)
    release(d, c, DEVICE, d.requests.of("holds", c, DEVICE)[row])
    d.requests.of("holds", c, DEVICE)[row] = []
    return True


@move(Operation.RESET)
def a_reset(s: Stage, rng: Random) -> bool:
    """Nothing is left of anything, and nobody says a word."""
    d = s.after
    for c in d.settings.components:
        for t in Tier:
            for row in d.rows():
                release(d, c, t, d.nodes.of("holds", c, t)[row])
            for row in range(len(d.requests)):
                release(d, c, t, d.requests.of("holds", c, t)[row])
            d.nodes("lock", c, t)[0] = int(t is DEVICE)
    renumber(d, [0])
    d.nodes.ids[0] += rng.choice((0, 1000))
    for sheet in (d.transfers, d.requests):
        while len(sheet):
            forget(sheet, 0)
    settle(d)
    return True


@move(Operation.COPY)
def nobody_asks_what_the_root_holds(s: Stage, rng: Random) -> bool:
    own_bytes(s.after, 0, rng.randrange(10**6))
    return True


def something_else(s: Stage, rng: Random) -> bool:
    """A leaf goes, which the call says, and another one comes: rules about what stays do not speak of them."""
    row = pick(rng, [r for r in evictable(s) if not s.after.has(r, FULL, HOST)])
    if row is not None:
        s.remove(row)
        s.settle()
    insert(s, rng, [DEVICE], lockable(s))
    return row is not None


@move(Operation.EVICT)
def evicts_while_a_node_comes(s: Stage, rng: Random) -> bool:
    return something_else(s, rng)


@move(Operation.POLL_WRITES)
def polls_while_a_node_comes(s: Stage, rng: Random) -> bool:
    return something_else(s, rng)


@move(Operation.RELEASE)
def nodes_come_and_go_with_a_request(s: Stage, rng: Random) -> bool:
    """When it comes and when it goes."""
    s.call.operation = Operation.ACQUIRE
    done = something_else(s, rng)
    number = s.come(rng.choice(lockable(s)))
    s.settle()
    s.next(Operation.RELEASE)
    done = something_else(s, rng) and done
    s.go(number)
    s.settle()
    return done


@move(Operation.POLL_WRITES)
def acknowledges_a_window(s: Stage, rng: Random) -> bool:
    """A write of auxiliary data alone: no full copy was promised, and none comes of it."""
    row = pick(rng, [r for r in writable(s) if not s.after.has(r, FULL, HOST)])
    if row is None or through(s.after):
        return False
    s.call.operation = Operation.INSERT
    s.call.submitted.append(transfer(s.after, write(s.after, row)))
    s.settle()
    s.next(Operation.POLL_WRITES)
    s.acknowledge(len(s.after.transfers) - 1)
    s.settle()
    return True
