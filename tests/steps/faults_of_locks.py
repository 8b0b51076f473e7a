"""Faults of releases and of requests."""

from __future__ import annotations

from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import DEVICE
from tests.legal import settle
from tests.planted.tools import pick
from tests.steps.found import lose_request
from tests.steps.move import lockable
from tests.steps.plant import fault
from tests.steps.stage import row_of

QUERIES = (Operation.MATCH, Operation.COPY)


def acquired(s, rng, at=None, aux=True):
    """A request that has come, and is about to go; its number. `at` says which nodes it may lock."""
    able = [r for r in lockable(s) if at is None or at(r)]
    if not able:
        return None
    s.call.operation = Operation.ACQUIRE
    number = s.come(rng.choice(able), aux=aux)
    settle(s.after)
    s.next(Operation.RELEASE)
    return number


def locked_nodes(s, number, c):
    return [row_of(s.before, i) for i, times in s.held[number][c].items() if times]


@fault("release_undoes_its_acquire")
def release_leaves_a_node_locked(s, rng, c, t):
    number = acquired(s, rng)
    if number is None or not (locked := locked_nodes(s, number, c)):
        return None
    kept = rng.choice(locked)
    s.go(number)
    s.after.nodes("lock", c, DEVICE)[kept] += 1
    return {number}


@fault("release_undoes_its_acquire")
def release_unlocks_a_node_of_another(s, rng, c, t):
    """The right ones, and one more."""
    number = acquired(s, rng)
    if number is None:
        return None
    other = pick(rng, [r for r in s.before.rows() if r not in locked_nodes(s, number, c)])
    if other is None:
        return None
    s.go(number)
    s.after.nodes("lock", c, DEVICE)[other] -= 1
    return {number}


@fault("release_undoes_its_acquire")
def release_unlocks_twice(s, rng, c, t):
    """One node that weighs as much as another loses two locks; no node of the path loses one too few."""
    number = acquired(s, rng)
    if number is None or not (locked := locked_nodes(s, number, c)):
        return None
    s.go(number)
    s.after.nodes("lock", c, DEVICE)[rng.choice(locked)] -= 1
    return {number}


@fault("release_undoes_its_acquire")
def release_also_locks(s, rng, c, t):
    """The right ones, and a lock more on a node of another, or two less."""
    number = acquired(s, rng)
    if number is None:
        return None
    other = pick(rng, [r for r in range(len(s.before.nodes)) if r not in locked_nodes(s, number, c)])
    s.go(number)
    if other is None:
        return None
    s.after.nodes("lock", c, DEVICE)[other] += rng.choice((1, 2, -2))
    return {number}


@fault("release_undoes_its_acquire")
def release_unlocks_once_what_was_locked_twice(s, rng, c, t):
    number = acquired(s, rng)
    if number is None or not (locked := locked_nodes(s, number, c)):
        return None
    row = rng.choice(locked)
    for d in (s.before, s.after):
        d.nodes("lock", c, DEVICE)[row] += 1
    s.go(number)
    return {number}


@fault("release_undoes_its_acquire")
def release_forgets_what_was_split_off(s, rng, c, t):
    """The prefix that a split made stays locked for ever."""
    d = s.after
    long = {r for r in d.rows() if d.nodes("key_len")[r] > d.settings.page_size}
    number = acquired(s, rng, at=lambda r: long.intersection(d.path(r)))
    if number is None or not c.per_token:
        return None
    able = [r for r in locked_nodes(s, number, c) if r in long]
    if not able:
        return None
    s.call.operation = Operation.MATCH
    prefix = s.split(rng.choice(able), rng)
    settle(s.after)
    s.next(Operation.RELEASE)
    s.go(number)
    s.after.nodes("lock", c, DEVICE)[row_of(s.after, prefix)] += 1
    return {number}


@fault("release_undoes_its_acquire")
def release_takes_the_lock_of_another_path(s, rng, c, t):
    """As much as was locked, and more: a second path goes with it."""
    d = s.after
    if len(lockable(s)) < 2:
        return None
    s.call.operation = Operation.ACQUIRE
    first, second = rng.sample(lockable(s), 2)
    numbers = []
    for row in (first, second):
        numbers.append(s.come(row))
        settle(s.after)
        s.next(Operation.ACQUIRE)
    mine, others = (set(locked_nodes(s, i, c)) for i in numbers)
    if not others - mine:
        return None
    s.call.operation = Operation.RELEASE
    s.go(numbers[0])
    for row in others - mine:
        s.after.nodes("lock", c, DEVICE)[row] -= 1
    assert d is not s.after
    return {numbers[0]}


@fault("requests_keep_their_locks", also=("query_holds_nothing",), may=("query_moves_no_slot",))
def request_goes_by_itself(s, rng, c, t):
    number = lose_request(s, rng)
    return None if number is None else {number}


@fault("requests_keep_their_locks", also=("query_holds_nothing",), may=("query_moves_no_slot",))
def request_goes_with_another(s, rng, c, t):
    d = s.after
    if len(d.requests) < 2 or s.call.operation is Operation.RELEASE:
        return None
    number = lose_request(s, rng)
    s.call.request = rng.choice(d.requests.ids)
    return {number}
