"""Legal steps that evict, back up and load back."""

from __future__ import annotations

from random import Random

from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST
from tests.legal import settle
from tests.planted.tools import pick, still, through, tiered
from tests.steps.move import evict_one, evictable, insert, lockable, move, size_before, split_one, start_write, writable
from tests.steps.stage import Stage, row_of, transfer


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
