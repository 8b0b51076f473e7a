"""Legal steps that lock, match, insert and allocate."""

from __future__ import annotations

from random import Random

from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Tier
from tests.legal import settle
from tests.planted.tools import pick, release, through, tiered, write
from tests.steps.move import evictable, insert, lockable, move, split_one, writable
from tests.steps.stage import Stage, forget, hand_out, own_bytes, renumber, row_of, transfer


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
    """When it comes and when it goes. It locks none that comes with it."""
    s.call.operation = Operation.ACQUIRE
    done = something_else(s, rng)
    number = s.come(rng.choice([r for r in lockable(s) if s.after.nodes.ids[r] in s.before.nodes.ids]))
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
