"""Two faults or so for each step rule, in the catalogue's order. See `plant.Fault` for what is expected of each."""

from __future__ import annotations

from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, SWA, Tier
from tests.legal import settle
from tests.planted.tools import (
    fresh,
    mark_load,
    mark_write,
    pick,
    still,
    submit,
    take,
    through,
    window,
    write,
)
from tests.steps.moves import evict_one, evictable, insert, lockable, start_write, writable
from tests.steps.plant import FAULTS, fault
from tests.steps.stage import forget, hand_out, row_of, transfer

__all__ = ["FAULTS"]

QUERIES = (Operation.MATCH, Operation.COPY)
ENDS = (Operation.EVICT, Operation.EVICT_HOST)


def transfer_id(ack):
    """A transfer as a report on a step names it."""
    return 2 * ack[1] + ack[0]


# Locks: a release undoes its acquire.


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


def lose_request(s, rng):
    """A request goes and leaves its locks."""
    d = s.after
    if not len(d.requests):
        return None
    row = rng.randrange(len(d.requests))
    number = d.requests.ids[row]
    forget(d.requests, row)
    return number


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


# Transfers.


def fly(s, rng, is_write=None):
    """The row of a transfer in flight."""
    return pick(rng, [i for i, w in enumerate(s.after.transfers("is_write")) if is_write in (None, w)])


@fault("every_submit_is_acked_once", also=("query_moves_no_transfer",))
def transfer_is_lost(s, rng, c, t):
    """It is gone, and nobody heard of its end."""
    if (at := fly(s, rng)) is None:
        return None
    ack = transfer(s.after, at)
    forget(s.after.transfers, at)
    return {transfer_id(ack)}


@fault("every_submit_is_acked_once", also=("query_moves_no_transfer",))
def transfer_comes_from_nowhere(s, rng, c, t):
    able = still(s.after)
    if not able:
        return None
    at = submit(s.after, rng.choice(able), is_write=rng.random() < 0.5, locks=False)
    return {transfer_id(transfer(s.after, at))}


@fault("every_submit_is_acked_once")
def transfer_flies_on_after_its_ack(s, rng, c, t):
    if (at := fly(s, rng)) is None:
        return None
    ack = transfer(s.after, at)
    s.call.acked.append(ack)
    return {transfer_id(ack)}


@fault("every_submit_is_acked_once", but=QUERIES)
def transfer_is_acked_twice(s, rng, c, t):
    if (at := fly(s, rng)) is None:
        return None
    ack, _ = s.acknowledge(at)
    s.call.acked.append(ack)
    return {transfer_id(ack)}


@fault("every_submit_is_acked_once")
def transfer_is_submitted_again(s, rng, c, t):
    if (at := fly(s, rng)) is None:
        return None
    ack = transfer(s.after, at)
    s.call.submitted.append(ack)
    return {transfer_id(ack)}


@fault("every_submit_is_acked_once")
def transfer_is_acked_again_later(s, rng, c, t):
    """An acknowledgement that comes when its transfer is long gone."""
    if (at := fly(s, rng)) is None:
        return None
    operation = s.call.operation
    s.call.operation = Operation.POLL_WRITES if s.after.transfers("is_write")[at] else Operation.POLL_LOADS
    ack, _ = s.acknowledge(at)
    settle(s.after)
    s.next(operation)
    s.call.acked.append(ack)
    return {transfer_id(ack)}


@fault("every_submit_is_acked_once")
def submission_comes_to_nothing(s, rng, c, t):
    able = still(s.after)
    if not able:
        return None
    ack = rng.random() < 0.5, s.after.nodes.ids[rng.choice(able)]
    s.call.submitted.append(ack)
    return {transfer_id(ack)}


@fault("every_submit_is_acked_once")
def two_submissions_come_to_nothing(s, rng, c, t):
    at = submission_comes_to_nothing(s, rng, c, t)
    if at:
        s.call.submitted *= 2
    return at


@fault("every_submit_is_acked_once")
def later_write_is_submitted_twice(s, rng, c, t):
    """Submitted by one call, and by a later one again."""
    operation, row = s.call.operation, pick(rng, writable(s))
    if row is None:
        return None
    s.call.operation = Operation.BACK_UP
    start_write(s, row)
    ack = s.call.submitted[0]
    s.next(operation)
    s.call.submitted.append(ack)
    return {transfer_id(ack)}


def pending(d, kind):
    return [r for r in d.rows() if d.nodes(f"{kind}_pending")[r]]


@fault("write_is_pending_until_acked", also=("query_keeps_marks",))
def write_mark_goes_by_itself(s, rng, c, t):
    row = pick(rng, pending(s.after, "write"))
    if row is None:
        return None
    s.after.nodes("write_pending")[row], s.after.nodes("write_ack")[row] = False, -1
    return {s.after.nodes.ids[row]}


@fault(
    "write_is_pending_until_acked",
    also=("query_moves_no_slot", "query_removes_no_node"),
    may=("eviction_keeps_backups",),
)
def node_goes_while_it_is_written(s, rng, c, t):
    row = pick(rng, [r for r in pending(s.after, "write") if not s.after.children(r)])
    if row is None:
        return None
    return {s.remove(row)}


@fault(
    "write_is_pending_until_acked",
    also=("query_moves_no_transfer", "query_keeps_marks"),
    may=("query_keeps_locks_and_copies",),
)
def load_of_that_ack_ends_the_write(s, rng, c, t):
    """Acks of writes and loads are counted apart."""
    d = s.after
    row = pick(rng, pending(d, "write"))
    if row is None:
        return None
    ack = d.nodes("write_ack")[row]
    own = [i for i in range(len(d.transfers)) if transfer(d, i) == (False, ack)]
    if not own:
        return None
    s.acknowledge(own[0])
    d.nodes("write_pending")[row], d.nodes("write_ack")[row] = False, -1
    return {d.nodes.ids[row]}


@fault(
    "write_is_pending_until_acked",
    also=("query_moves_no_transfer", "query_keeps_marks"),
    may=("query_keeps_locks_and_copies",),
)
def another_write_ends_this_one(s, rng, c, t):
    d = s.after
    row, at = pick(rng, pending(d, "write")), fly(s, rng, True)
    if row is None or at is None or d.transfers("ack")[at] == d.nodes("write_ack")[row]:
        return None
    s.acknowledge(at)
    d.nodes("write_pending")[row], d.nodes("write_ack")[row] = False, -1
    return {d.nodes.ids[row]}


@fault("load_is_pending_until_acked", also=("query_keeps_marks",))
def load_mark_goes_by_itself(s, rng, c, t):
    row = pick(rng, pending(s.after, "load"))
    if row is None:
        return None
    s.after.nodes("load_pending")[row], s.after.nodes("load_ack")[row] = False, -1
    return {s.after.nodes.ids[row]}


@fault(
    "load_is_pending_until_acked",
    also=("query_moves_no_slot", "query_removes_no_node"),
    may=("eviction_keeps_backups",),
)
def node_goes_while_it_is_loaded(s, rng, c, t):
    row = pick(rng, [r for r in pending(s.after, "load") if not s.after.children(r)])
    if row is None:
        return None
    return {s.remove(row)}


@fault(
    "load_is_pending_until_acked",
    also=("query_moves_no_transfer", "query_keeps_marks"),
    may=("query_keeps_locks_and_copies",),
)
def another_load_ends_this_one(s, rng, c, t):
    d = s.after
    row, other = pick(rng, pending(d, "load")), pick(rng, still(d))
    if row is None or other is None:
        return None
    at = [submit(side, other, is_write=False) for side in (s.before, d)]
    s.acknowledge(at[1])
    d.nodes("load_pending")[row], d.nodes("load_ack")[row] = False, -1
    return {d.nodes.ids[row]}


@fault("load_is_pending_until_acked", also=("query_keeps_marks",))
def write_of_that_ack_ends_the_load(s, rng, c, t):
    d = s.after
    row = pick(rng, pending(d, "load"))
    if row is None:
        return None
    d.nodes("load_pending")[row], d.nodes("load_ack")[row] = False, -1
    s.call.submitted.append((True, s.before.nodes("load_ack")[row]))
    s.call.acked.append((True, s.before.nodes("load_ack")[row]))
    return {d.nodes.ids[row]}


def poll(s, rng):
    """A write that is acknowledged as it should be; the ids of the nodes that waited."""
    at = fly(s, rng, True)
    if at is None:
        return []
    _, waiting = s.acknowledge(at)
    return waiting


@fault("acked_write_is_published")
def acked_write_has_no_host_copy(s, rng, c, t):
    d = s.after
    number = pick(rng, [i for i in poll(s, rng) if d.has(row_of(d, i), FULL, HOST)])
    if number is None:
        return None
    s.evict(row_of(d, number), FULL, HOST)
    return {number}


@fault("acked_write_is_published")
def acked_write_lost_its_device_copy(s, rng, c, t):
    d = s.after
    number = pick(rng, poll(s, rng))
    if number is None or not d.has(row_of(d, number), FULL, HOST):
        return None
    s.evict(row_of(d, number), FULL, DEVICE)
    return {number}


@fault("acked_write_is_published")
def acked_write_never_had_a_host_copy(s, rng, c, t):
    if window(s.after) and SWA in s.after.settings.components and not through(s.after):
        return None
    row = pick(rng, [r for r in still(s.after) if s.after.has(r, FULL) and not s.after.has(r, FULL, HOST)])
    if row is None:
        return None
    s.call.acked.append(transfer(s.before, write(s.before, row)))
    return {s.after.nodes.ids[row]}


@fault("acked_write_is_published")
def acked_write_of_no_window_has_no_host_copy(s, rng, c, t):
    """Only sliding windows are backed up without full data, and only under write_back."""
    components = s.after.settings.components
    if through(s.after) or not window(s.after) or SWA in components:
        return None
    return acked_write_never_had_a_host_copy(s, rng, c, t)


# Content.


@fault("settled_copy_keeps_its_bytes")
def copy_changes_under_its_node(s, rng, c, t):
    row = pick(rng, [r for r in s.after.rows() if s.after.has(r, c, t)])
    if row is None:
        return None
    s.after.nodes("bytes", c, t)[row] += rng.choice((1, -1))
    return {s.after.nodes.ids[row]}


@fault("settled_copy_keeps_its_bytes")
def copies_swap_their_bytes(s, rng, c, t):
    """As where slots are mixed up: only what is copied anew in between is not known."""
    d = s.after
    able = [r for r in d.rows() if d.has(r, c, t)]
    if len(able) < 2:
        return None
    one, other = rng.sample(able, 2)
    column = d.nodes("bytes", c, t)
    column[one], column[other] = column[other], column[one]
    return {d.nodes.ids[one], d.nodes.ids[other]}


# Progress.


@fault("eviction_frees_what_was_asked")
def eviction_does_nothing(s, rng, c, t):
    if not s.before.tree("evictable_size", c)[0]:
        return None
    s.call.asked[c.name, "device"] = rng.choice((1, 100))
    return {0}


@fault("eviction_frees_what_was_asked")
def eviction_stops_one_slot_short(s, rng, c, t):
    row = pick(rng, evictable(s))
    if row is None:
        return None
    evict_one(s, row, backed_up=False)
    freed = s.call.evicted[c.name, "device"]
    if freed >= s.before.tree("evictable_size", c)[0]:
        return None
    s.call.asked[c.name, "device"] = freed + 1
    return {0}


@fault("eviction_frees_what_was_asked")
def eviction_leaves_the_last_slot(s, rng, c, t):
    """All but one of the evictable slots are freed, and more is asked for."""
    size = s.before.tree("evictable_size", c)[0]
    if not size:
        return None
    slots = s.after.tree.of("free", c, DEVICE)[0]
    slots += fresh(s.after, c, DEVICE, size - 1)
    s.after.tree("available", c, DEVICE)[0] += size - 1
    s.call.evicted[c.name, "device"] = size - 1
    s.call.asked[c.name, "device"] = size + rng.choice((0, 5))
    return {0}


def host_evictable(d, c):
    n = d.nodes
    rows = [
        r for r in d.rows()
        if (n("in_host_leaves")[r] if c is FULL else n("in_lru", c, HOST)[r] and not n("lock", c, HOST)[r])
    ]  # fmt: skip
    return rows, sum(n("tokens", c, HOST)[r] for r in rows)


@fault("host_eviction_frees_what_was_asked")
def host_eviction_does_nothing(s, rng, c, t):
    rows, _ = host_evictable(s.after, c)
    if not rows:
        return None
    s.call.asked[c.name, "host"] = rng.choice((1, 100))
    return {0}


@fault("host_eviction_frees_what_was_asked")
def host_eviction_stops_early(s, rng, c, t):
    """What is left of the evictable is less than what is gone: it would be all if it were counted late."""
    rows, size = host_evictable(s.after, c)
    first = max(rows, key=lambda r: len(s.after.nodes.of("holds", c, HOST)[r]), default=None)
    if len(rows) < 2:
        return None
    if c is FULL:
        s.remove(first)
    else:
        s.evict(first, c, HOST)
    settle(s.after)
    freed = s.call.evicted[c.name, "host"]
    s.call.asked[c.name, "host"] = freed + 1
    return {0} if freed < size else None


@fault("host_eviction_frees_what_was_asked")
def host_eviction_leaves_the_last_slot(s, rng, c, t):
    _, size = host_evictable(s.after, c)
    if not size:
        return None
    s.after.tree.of("free", c, HOST)[0] += fresh(s.after, c, HOST, size - 1)
    s.after.tree("available", c, HOST)[0] += size - 1
    s.call.evicted[c.name, "host"] = size - 1
    s.call.asked[c.name, "host"] = size + rng.choice((0, 5))
    return {0}


def free_more(s, rng, c, t):
    """The allocator counts more free slots, or fewer, than the call accounts for."""
    s.after.tree("available", c, t)[0] += rng.choice((1, -1, 3))
    return {0}


@fault("eviction_says_what_it_freed", may=("eviction_frees_what_was_asked",))
def eviction_frees_in_silence(s, rng, c, t):
    return free_more(s, rng, c, DEVICE)


@fault("eviction_says_what_it_freed")
def eviction_says_more_than_it_did(s, rng, c, t):
    s.call.evicted[c.name, "device"] += rng.choice((1, 5))
    return {0}


@fault("host_eviction_says_what_it_freed", may=("host_eviction_frees_what_was_asked",))
def host_eviction_frees_in_silence(s, rng, c, t):
    return free_more(s, rng, c, HOST)


@fault("host_eviction_says_what_it_freed")
def host_eviction_says_more_than_it_did(s, rng, c, t):
    s.call.evicted[c.name, "host"] += rng.choice((1, 5))
    return {0}


def full_of(d, c, t):
    return [r for r in d.rows() if d.nodes.of("holds", c, t)[r]]


@fault(
    "nothing_leaves_unreported",
    also=("query_moves_no_slot", "query_keeps_locks_and_copies"),
    may=("eviction_says_what_it_freed", "host_eviction_says_what_it_freed", "eviction_keeps_backups"),
)
def copy_disappears(s, rng, c, t):
    row = pick(rng, full_of(s.after, c, t))
    if row is None:
        return None
    take(s.after, row, c, t)
    if s.call.operation is Operation.INSERT:
        s.after.nodes("hits")[row] += 5  # of what is on no device nothing was promised
        s.call.refused = int(s.after.has(row, FULL) and not s.after.has(row, FULL, HOST))
    return {0}


@fault("nothing_leaves_unreported", on=[Operation.INSERT])
def insert_loses_what_it_hits(s, rng, c, t):
    """Of what is on no device no backup was promised."""
    row = pick(rng, [r for r in s.after.rows() if s.after.nodes.of("holds", FULL, DEVICE)[r]])
    if row is None or (c, t) != (FULL, DEVICE):
        return None
    for tier in Tier:
        take(s.after, row, c, tier)
    s.call.evicted["full", "host"] = 1000
    s.after.nodes("hits")[row] += 5
    return {0}


@fault("nothing_leaves_unreported", on=[Operation.POLL_WRITES])
def copy_that_is_being_written_disappears(s, rng, c, t):
    """The write goes on: it has published nothing yet."""
    row = pick(rng, [r for r in pending(s.after, "write") if s.after.nodes.of("holds", c, t)[r]])
    if row is None:
        return None
    take(s.after, row, c, t)
    return {0}


@fault("nothing_leaves_unreported", also=("query_moves_no_slot",))
def slot_is_handed_out_from_the_tree(s, rng, c, t):
    """A node's slot is given to a request: nothing is freed, and it is gone all the same."""
    row = pick(rng, full_of(s.after, c, t))
    if row is None or not len(s.after.requests):
        return None
    s.after.requests.of("holds", c, t)[rng.randrange(len(s.after.requests))].append(
        s.after.nodes.of("holds", c, t)[row].pop()
    )
    return {0}


@fault("nothing_leaves_unreported", but=ENDS, also=("query_moves_no_slot", "query_keeps_locks_and_copies"))
def more_leaves_than_is_said(s, rng, c, t):
    """One slot less than was evicted is reported, and others by the wrong name."""
    row = pick(rng, full_of(s.after, c, t))
    if row is None:
        return None
    s.evict(row, c, t)
    s.call.evicted[c.name, t.value] -= 1
    for other in s.after.settings.components:
        for tier in Tier:
            if (other, tier) != (c, t):
                s.call.evicted[other.name, tier.value] += 100
    s.call.asked[c.name, t.value] = s.call.dropped[c.name, t.value] = 100
    if s.call.operation is Operation.INSERT:
        s.call.refused = 1
    return {0}


def enough(d):
    return 1 if d.settings.policy.value == "write_through" else 2


@fault("promised_backup_is_made")
def hits_that_are_enough_back_up_nothing(s, rng, c, t):
    d = s.after
    row = pick(rng, [r for r in d.rows() if d.has(r, FULL) and not d.has(r, FULL, HOST)])
    if row is None:
        return None
    for side, hits in ((s.before, enough(d) - 1), (d, enough(d))):
        side.nodes("hits")[row] = hits
    return {d.nodes.ids[row]}


@fault("promised_backup_is_made")
def hot_node_is_hit_again_and_not_backed_up(s, rng, c, t):
    d = s.after
    row = pick(rng, [r for r in d.rows() if d.has(r, FULL) and not d.has(r, FULL, HOST)])
    if row is None:
        return None
    d.nodes("hits")[row] += 2
    return {d.nodes.ids[row]}


@fault("promised_backup_is_made")
def new_node_is_not_backed_up(s, rng, c, t):
    row = insert(s, rng, [DEVICE], lockable(s))
    s.after.nodes("hits")[row] = enough(s.after)
    return {s.after.nodes.ids[row]}


@fault("eviction_keeps_backups")
def eviction_takes_a_backup(s, rng, c, t):
    d = s.after
    row = pick(rng, [r for r in d.rows() if d.has(r, FULL, HOST)])
    if row is None:
        return None
    s.evict(row, FULL, HOST)
    return {d.nodes.ids[row]}


@fault("eviction_keeps_backups")
def eviction_takes_a_node_with_its_backup(s, rng, c, t):
    row = pick(rng, [r for r in evictable(s) if s.after.has(r, FULL, HOST) and not s.after.children(r)])
    return None if row is None else {s.remove(row)}


@fault("eviction_backs_up_or_says_so")
def eviction_loses_a_node_in_silence(s, rng, c, t):
    row = pick(rng, [r for r in evictable(s) if not s.after.children(r)])
    if row is None:
        return None
    number = s.remove(row)
    settle(s.after)
    s.call.dropped["full", "device"] = 0
    s.call.asked["full", "device"] = s.call.evicted["full", "device"]
    return {number}


@fault("eviction_backs_up_or_says_so")
def eviction_says_that_something_else_is_lost(s, rng, c, t):
    at = eviction_loses_a_node_in_silence(s, rng, c, t)
    for other in s.after.settings.components:
        for tier in Tier:
            if (other, tier) != (FULL, DEVICE):
                s.call.dropped[other.name, tier.value] = 7
    return at


# Purity.


@fault("query_moves_no_slot")
def query_frees_a_slot_again(s, rng, c, t):
    """A slot in the free list a second time, or in the tree and in the free list."""
    d = s.after
    free, held = d.tree.of("free", c, t)[0], [x for r in d.rows() for x in d.nodes.of("holds", c, t)[r]]
    slot = pick(rng, [*free, *held])
    if slot is None:
        return None
    free.append(slot)
    return {slot}


@fault("query_moves_no_slot")
def query_loses_a_free_slot(s, rng, c, t):
    free = s.after.tree.of("free", c, t)[0]
    return {free.pop(rng.randrange(len(free)))} if free else None


@fault("query_moves_no_slot")
def query_puts_a_slot_into_the_tree(s, rng, c, t):
    """A slot that nobody names, or one of the tree's own, in a node's copy."""
    d = s.after
    row = pick(rng, [r for r in d.rows() if d.has(r, c, t)])
    if row is None:
        return None
    slot = pick(rng, d.nodes.of("holds", c, t)[row]) if rng.random() < 0.5 else fresh(d, c, t, 1)[0]
    if slot is None:
        return None
    d.nodes.of("holds", c, t)[row].append(slot)
    return {slot}


@fault("query_moves_no_slot", also=("nothing_leaves_unreported",))
def query_leaks_a_slot_of_the_tree(s, rng, c, t):
    row = pick(rng, full_of(s.after, c, t))
    return None if row is None else {s.after.nodes.of("holds", c, t)[row].pop()}


@fault("query_moves_no_slot")
def query_gives_a_request_a_slot(s, rng, c, t):
    d = s.after
    if not len(d.requests):
        return None
    slot = fresh(d, c, t, 1)[0]
    d.requests.of("holds", c, t)[rng.randrange(len(d.requests))].append(slot)
    return {slot}


@fault("query_moves_no_slot")
def query_gives_out_free_slots(s, rng, c, t):
    d = s.after
    if not len(d.requests) or not d.tree.of("free", c, t)[0]:
        return None
    slots = hand_out(d, c, t, rng.randint(1, len(d.tree.of("free", c, t)[0])))
    d.requests.of("holds", c, t)[0] += slots
    return set(slots)


@fault(
    "query_removes_no_node",
    also=("query_moves_no_slot",),
    may=("write_is_pending_until_acked", "load_is_pending_until_acked"),
)
def query_removes_a_leaf(s, rng, c, t):
    d = s.after
    row = pick(rng, [r for r in d.rows() if not d.children(r)])
    return None if row is None else {s.remove(row)}


@fault("query_removes_no_node")
def query_counts_a_hit(s, rng, c, t):
    row = rng.randrange(len(s.after.nodes))
    s.after.nodes("hits")[row] += rng.choice((1, -1))
    return {s.after.nodes.ids[row]}


@fault("query_keeps_locks_and_copies")
def query_locks(s, rng, c, t):
    row = rng.randrange(len(s.after.nodes))
    s.after.nodes("lock", c, t)[row] += 1
    return {s.after.nodes.ids[row]}


@fault("query_keeps_locks_and_copies")
def query_unlocks(s, rng, c, t):
    row = pick(rng, [r for r in s.after.rows() if s.after.nodes("lock", c, t)[r]])
    if row is None:
        return None
    s.after.nodes("lock", c, t)[row] -= 1
    return {s.after.nodes.ids[row]}


@fault("query_keeps_locks_and_copies")
def query_forgets_a_copy(s, rng, c, t):
    """Its slots are still the node's."""
    row = pick(rng, [r for r in s.after.rows() if s.after.has(r, c, t)])
    if row is None:
        return None
    s.after.nodes("present", c, t)[row] = False
    return {s.after.nodes.ids[row]}


@fault("query_keeps_locks_and_copies")
def query_claims_a_copy(s, rng, c, t):
    row = pick(rng, [r for r in s.after.rows() if not s.after.has(r, c, t)])
    if row is None:
        return None
    s.after.nodes("present", c, t)[row] = True
    return {s.after.nodes.ids[row]}


@fault("query_keeps_sizes")
def query_changes_the_evictable_size(s, rng, c, t):
    s.after.tree("evictable_size", c)[0] += rng.choice((1, -1))
    return {0}


@fault("query_keeps_sizes")
def query_changes_the_protected_size(s, rng, c, t):
    s.after.tree("protected_size", c)[0] += rng.choice((1, -1))
    return {0}


@fault("query_keeps_marks")
def query_marks_a_write(s, rng, c, t):
    row = pick(rng, s.after.rows())
    if row is None:
        return None
    mark_write(s.after, row, s.after.nodes("write_ack")[row] + rng.choice((7, 1000)))
    return {s.after.nodes.ids[row]}


@fault("query_keeps_marks")
def query_marks_a_load(s, rng, c, t):
    row = pick(rng, s.after.rows())
    if row is None:
        return None
    mark_load(s.after, row, s.after.nodes("load_ack")[row] + rng.choice((7, 1000)))
    return {s.after.nodes.ids[row]}


@fault("query_keeps_marks")
def query_ends_a_write(s, rng, c, t):
    """A write that no mark was left of: it is over for the node, and pending all the same."""
    row = pick(rng, pending(s.after, "write"))
    if row is None:
        return None
    s.after.nodes("write_ack")[row] = -1
    return {s.after.nodes.ids[row]}


@fault("query_moves_no_transfer")
def query_submits(s, rng, c, t):
    row = pick(rng, still(s.after))
    if row is None:
        return None
    at = s.after.transfers.add(9, is_write=True, ack=s.after.nodes.ids[row], node=row, node_in_tree=True)
    s.call.submitted.append(transfer(s.after, at))
    return {transfer_id(transfer(s.after, at))}


@fault("query_moves_no_transfer")
def query_acknowledges(s, rng, c, t):
    """And the nodes wait on."""
    if (at := fly(s, rng)) is None:
        return None
    ack = transfer(s.after, at)
    forget(s.after.transfers, at)
    s.call.acked.append(ack)
    return {transfer_id(ack)}


@fault("query_holds_nothing")
def query_brings_a_request(s, rng, c, t):
    number = max([0, *s.after.requests.ids]) + 1
    s.after.requests.add(number, node=0, node_in_tree=True)
    return {number}


@fault("query_holds_nothing", may=("query_moves_no_slot",))
def query_ends_its_request(s, rng, c, t):
    s.call.request = lose_request(s, rng)
    return None if s.call.request is None else {s.call.request}
