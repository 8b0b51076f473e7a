"""Faults of transfers, from their submission to their acknowledgement."""

from __future__ import annotations

from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, SWA
from tests.legal import settle
from tests.planted.tools import pick, still, submit, through, window, write
from tests.steps.found import fly, pending, transfer_id
from tests.steps.move import start_write, writable
from tests.steps.plant import fault
from tests.steps.stage import forget, row_of, transfer

QUERIES = (Operation.MATCH, Operation.COPY)


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
