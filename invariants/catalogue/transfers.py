"""Transfers: what may happen to a slot, and must be true of a node, while a copy is in flight.

Cost: rules about slots touch every slot, vectorised; the others a few reads a transfer.
"""

from sanitree.invariants.calls import ANY_CALL, Operation
from sanitree.invariants.catalogue.backup import WINDOW
from sanitree.invariants.language import count, distinct, iff, implies, ite, nodes, some, trait, transfers
from sanitree.invariants.rules import Cost, Family, rule, step
from sanitree.invariants.steps import before, ghost
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Kind, Sort

TRANSFERS = Family.TRANSFERS
_BOTH = (DEVICE, HOST)
_LOADS = trait("marks_pending_loads")


@rule(TRANSFERS, Sort.SLOT, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def source_is_not_free(s, c, tier):
    """A slot that a transfer in flight reads is not free: its next owner would write under the copy."""
    return implies(s.read > 0, s.free == 0)


@rule(TRANSFERS, Sort.SLOT, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def target_is_not_free(s, c, tier):
    """A slot that a transfer in flight writes is not free: the copy would overwrite its next owner."""
    return implies(s.written > 0, s.free == 0)


@rule(TRANSFERS, Sort.SLOT, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def slot_in_flight_is_not_held(s, c, tier):
    """A slot that a transfer in flight reads or writes has not been handed to a request."""
    return implies(s.held > 0, (s.read == 0) & (s.written == 0))


@rule(TRANSFERS, Sort.SLOT, per=Kind.ANY, tiers=(DEVICE,), cost=Cost.SLOT)
def write_source_stays_with_its_node(s, c, tier):
    """A device slot that a write in flight reads still belongs to a node which that write will publish.

    Also after a split: both parts wait for the same acknowledgement.
    """
    return implies((s.read > 0) & (s.in_tree > 0), s.owner.write_ack == s.reader_ack)


@rule(TRANSFERS, Sort.SLOT, per=Kind.ANY, tiers=(HOST,), cost=Cost.SLOT)
def write_target_stays_with_its_node(s, c, tier):
    """A host slot that a write in flight fills still belongs to a node which that write will publish."""
    return implies((s.written > 0) & (s.in_tree > 0), s.owner.write_ack == s.writer_ack)


@rule(TRANSFERS, Sort.SLOT, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def one_writer_a_slot(s, c, tier):
    """At most one transfer in flight writes a slot, and none reads it meanwhile."""
    return (s.written <= 1) & implies(s.written > 0, s.read == 0)


@rule(TRANSFERS, Sort.TRANSFER)
def transfer_node_is_in_the_tree(x):
    """The node that a transfer in flight was submitted for is in the tree."""
    return x.node_in_tree


@rule(TRANSFERS, Sort.TRANSFER)
def transfer_node_is_locked(x):
    """The node that a transfer in flight was submitted for is locked: nothing else keeps its slots."""
    return implies(x.node_in_tree, x.node[FULL].lock > 0)


@rule(TRANSFERS, Sort.NODE)
def pending_write_has_its_transfer(n):
    """A node marked as being written waits for a write that is in flight; else it waits for ever."""
    return implies(n.write_pending, some(transfers, lambda x: x.is_write & (x.ack == n.write_ack)))


@rule(TRANSFERS, Sort.NODE, when=_LOADS)
def pending_load_has_its_transfer(n):
    """A node marked as being loaded waits for a load that is in flight; else its host copy is pinned for ever."""
    return implies(n.load_pending, some(transfers, lambda x: x.is_load & (x.ack == n.load_ack)))


@rule(TRANSFERS, Sort.TRANSFER)
def write_publishes_its_nodes(x):
    """As many nodes wait for a write as its acknowledgement will publish, splits included."""
    waiting = count(nodes, lambda n: n.write_pending & (n.write_ack == x.ack))
    return implies(x.is_write, waiting == x.published)


@rule(TRANSFERS, Sort.TRANSFER)
def transfer_is_acknowledged_once(x):
    """Each transfer in flight has exactly one acknowledgement on its way.

    Without one its lock is never released; with two it is released twice.
    """
    return x.queued == 1


@rule(TRANSFERS, Sort.TREE)
def writes_have_their_own_acks(t):
    """No two writes in flight wait for the same acknowledgement."""
    return distinct(transfers, lambda x: x.ack, where=lambda x: x.is_write)


@rule(TRANSFERS, Sort.TREE)
def loads_have_their_own_acks(t):
    """No two loads in flight wait for the same acknowledgement."""
    return distinct(transfers, lambda x: x.ack, where=lambda x: x.is_load)


# Submission and acknowledgement.

_KEEPING = [o for o in ANY_CALL if o is not Operation.RESET]


@ghost(Sort.TRANSFER, "times", initial=lambda x: ite(x.exists, 1, 0))
def owed(x):
    """how often it was submitted and not yet acknowledged"""
    return before(x).owed + x.submitted - x.acked


@step(TRANSFERS, Sort.TRANSFER, on=_KEEPING)
def every_submit_is_acked_once(x):
    """A transfer is in flight from its submission to its one acknowledgement, and at no other time."""
    return (x.owed >= 0) & (x.owed <= 1) & iff(x.exists, x.owed == 1)


@step(TRANSFERS, Sort.NODE, on=_KEEPING)
def write_is_pending_until_acked(n):
    """A node waits for its write until just that write is acknowledged: what an ack publishes is what was submitted.

    So does what a split makes of it; a node that is waiting cannot be removed.
    """
    ended = before(n).exists & before(n).write_pending & ~(n.exists & n.write_pending)
    acked = some(transfers, lambda x: x.is_write & (x.acked > 0) & (x.ack == before(n).write_ack))
    return implies(ended, acked)


@step(TRANSFERS, Sort.NODE, on=_KEEPING, when=_LOADS)
def load_is_pending_until_acked(n):
    """A node waits for its load until just that load is acknowledged."""
    ended = before(n).exists & before(n).load_pending & ~(n.exists & n.load_pending)
    acked = some(transfers, lambda x: x.is_load & (x.acked > 0) & (x.ack == before(n).load_ack))
    return implies(ended, acked)


@step(TRANSFERS, Sort.NODE, on=[Operation.POLL_WRITES])
def acked_write_is_published(n):
    """When a write is acknowledged, the nodes that waited for it have their host copy and lose nothing.

    From 0.5.20 to 0.5.22 a write under write_back may be of a window of auxiliary data: then no full
    copy is promised, and one that was there stays.
    """
    ended = before(n).exists & before(n).write_pending & ~n.write_pending
    published = n[FULL].on_host | (WINDOW & ~before(n)[FULL].on_host)
    return implies(ended & n.exists, published & n[FULL].on_device)
