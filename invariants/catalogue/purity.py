"""Purity: what only looks changes nothing but recency. A match may split a node: that moves no slot."""

from sanitree.invariants.calls import Operation
from sanitree.invariants.language import all_of, iff, implies, trait
from sanitree.invariants.rules import Cost, Family, step
from sanitree.invariants.steps import before
from sanitree.invariants.vocabulary import DEVICE, HOST, Kind, Sort

PURITY = Family.PURITY
_BOTH = (DEVICE, HOST)
_LOOKS = [Operation.MATCH, Operation.COPY]


@step(PURITY, Sort.SLOT, on=_LOOKS, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def query_moves_no_slot(s, c, tier):
    """A query leaves every slot where it was: free, in the tree, or held."""
    return all_of(s.free == before(s).free, s.in_tree == before(s).in_tree, s.held == before(s).held)


@step(PURITY, Sort.NODE, on=_LOOKS)
def query_removes_no_node(n):
    """A query removes no node, and counts no hit."""
    return implies(before(n).exists, n.exists & (n.hits == before(n).hits))


@step(PURITY, Sort.NODE, on=_LOOKS, per=Kind.ANY, tiers=_BOTH)
def query_keeps_locks_and_copies(n, c, tier):
    """A query neither locks nor unlocks, and a node keeps exactly the copies that it had.

    Of a node that it splits, state that belongs to the end of the run stays with the end.
    """
    there = before(n).exists & n.exists
    return implies(
        there, (n[c, tier].lock == before(n)[c, tier].lock) & iff(n[c, tier].present, before(n)[c, tier].present)
    )


@step(PURITY, Sort.TREE, on=_LOOKS, per=Kind.ANY)
def query_keeps_sizes(t, c):
    """A query changes no counter that admission trusts."""
    return (t[c].evictable_size == before(t)[c].evictable_size) & (t[c].protected_size == before(t)[c].protected_size)


@step(PURITY, Sort.NODE, on=_LOOKS)
def query_keeps_marks(n):
    """A query leaves pending writes and loads pending, and starts none."""
    there = before(n).exists & n.exists
    loads = implies(trait("marks_pending_loads"), n.load_ack == before(n).load_ack)
    return implies(there, (n.write_ack == before(n).write_ack) & loads)


@step(PURITY, Sort.TRANSFER, on=_LOOKS)
def query_moves_no_transfer(x):
    """A query submits and acknowledges nothing."""
    return iff(x.exists, before(x).exists)


@step(PURITY, Sort.REQUEST, on=_LOOKS)
def query_holds_nothing(r):
    """A query leaves every request's lock as it was."""
    return iff(r.exists, before(r).exists)
