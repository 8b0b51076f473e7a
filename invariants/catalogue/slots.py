"""Slots: every slot of a pool is in one place. Cost: touches every slot, vectorised.

A rule is repeated for each component's pool on each tier.
"""

from sanitree.invariants.language import count, implies, is_kind, is_tier, ite, page_size, slots, sum_over, trait
from sanitree.invariants.rules import Cost, Family, rule
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Kind, Sort

SLOTS = Family.SLOTS
_BOTH = (DEVICE, HOST)


@rule(SLOTS, Sort.SLOT, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def slot_is_of_its_pool(s, c, tier):
    """A slot that a free list, a node, a request or a transfer names is one that its pool hands out.

    A device pool begins with a page of padding, where what is computed for padding tokens is written: slot 0 is
    nobody's. A host pool has none. What lies beyond the pool is somebody else's memory.
    """
    padding = ite(is_tier(tier, DEVICE), ite(is_kind(c, Kind.PER_TOKEN), page_size, 1), 0)
    return (padding <= s.number) & (s.number < padding + s.pool_size)


@rule(SLOTS, Sort.SLOT, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def freed_once(s, c, tier):
    """A slot is in the free lists at most once: freed twice, it is handed out twice."""
    return s.free <= 1


@rule(SLOTS, Sort.SLOT, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def one_node_a_slot(s, c, tier):
    """At most one node holds a slot."""
    return s.in_tree <= 1


@rule(SLOTS, Sort.SLOT, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def one_request_a_slot(s, c, tier):
    """At most one request holds a slot outside the tree."""
    return s.held <= 1


@rule(SLOTS, Sort.SLOT, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def free_slot_is_not_in_the_tree(s, c, tier):
    """A slot that a node holds is not free: the next allocation would overwrite cached data."""
    return implies(s.free > 0, s.in_tree == 0)


@rule(SLOTS, Sort.SLOT, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def free_slot_is_not_held(s, c, tier):
    """A slot that a request holds is not free."""
    return implies(s.free > 0, s.held == 0)


@rule(SLOTS, Sort.SLOT, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def held_slot_is_not_in_the_tree(s, c, tier):
    """A slot belongs to a request or to the tree, not to both."""
    return implies(s.held > 0, s.in_tree == 0)


@rule(SLOTS, Sort.SLOT, per=Kind.BACKBONE, tiers=(DEVICE,), cost=Cost.SLOT)
def prefix_stays_in_the_tree(s, c, tier):
    """A slot that a request reads as part of its locked prefix belongs to a node: nobody freed it under the request."""
    return implies(s.used > 0, s.in_tree > 0)


@rule(SLOTS, Sort.TREE, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def no_slot_leaks(t, c, tier):
    """Every slot of a pool is free, in the tree, or held by a request."""
    return t[c, tier].capacity == count(slots(c, tier), lambda s: (s.free > 0) | (s.in_tree > 0) | (s.held > 0))


@rule(SLOTS, Sort.TREE, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def available_counts_the_free(t, c, tier):
    """The allocator's count of available slots is the number of its free slots."""
    return t[c, tier].available == sum_over(slots(c, tier), lambda s: s.free)


@rule(SLOTS, Sort.NODE, per=Kind.PER_TOKEN, when=trait("maps_full_to_swa"), cost=Cost.SLOT)
def window_slots_mirror_full(n, c):
    """A window copy's slots are the ones that the allocator's map gives for the full copy's; none where it is gone.

    The map is how they are freed: where they disagree, freeing one node frees another's window.
    """
    return implies(is_kind(c, Kind.AUXILIARY) & ~n.is_root & n[FULL].on_device, n[c].mirrors_full)
