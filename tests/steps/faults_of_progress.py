"""Faults of contents, and of what a call promises and says."""

from __future__ import annotations

from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Tier
from tests.legal import settle
from tests.planted.tools import fresh, pick, take
from tests.steps.found import full_of, pending
from tests.steps.move import evict_one, evictable, insert, lockable
from tests.steps.plant import fault

ENDS = (Operation.EVICT, Operation.EVICT_HOST)


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
