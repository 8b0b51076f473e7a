"""Faults of calls that only look."""

from __future__ import annotations

from sanitree.models.snapshot import Key
from tests.planted.tools import fresh, mark_load, mark_write, pick, still
from tests.steps.found import fly, full_of, lose_request, pending, transfer_id
from tests.steps.plant import fault
from tests.steps.stage import forget, hand_out, marks_loads, transfer

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
    if row is None or not marks_loads(s.after):
        return None
    mark_load(s.after, row, s.after.nodes("load_ack")[row] + rng.choice((7, 1000)))
    return {s.after.nodes.ids[row]}


@fault("query_keeps_marks")
def query_ends_a_write(s, rng, c, t):
    """A write that no mark was left of: it is over for the node, and pending all the same. Where loads leave no mark,
    nobody can see one.
    """
    row = pick(rng, pending(s.after, "write"))
    if row is None:
        return None
    s.after.nodes("write_ack")[row] = -1
    if not marks_loads(s.after):
        for d in (s.before, s.after):
            d.nodes.columns.pop(Key("load_ack"), None)
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
