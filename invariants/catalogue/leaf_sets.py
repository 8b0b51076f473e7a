"""Leaf sets: the nodes that eviction starts from. Cost: a set look-up a node."""

from sanitree.invariants.language import (
    all_of,
    children,
    count,
    every_component,
    iff,
    implies,
    nodes,
    policy_is,
    some,
    trait,
    transfers,
)
from sanitree.invariants.rules import Family, rule
from sanitree.invariants.vocabulary import FULL, WRITE_THROUGH_FAMILY, Sort

LEAF_SETS = Family.LEAF_SETS
_DUPLICATES = trait("tracks_host_duplicates")


@rule(LEAF_SETS, Sort.NODE)
def device_leaves_are_exact(n):
    """The evictable device leaves are the unlocked nodes on the device with no child on the device.

    One missing is memory that eviction cannot find; one too many is evicted under its children or its holder.
    """
    unlocked = every_component(lambda c: n[c].lock == 0)
    leaf = ~some(children(n), lambda child: child[FULL].on_device)
    return iff(n.in_device_leaves, all_of(~n.is_root, n[FULL].on_device, unlocked, leaf))


@rule(LEAF_SETS, Sort.NODE)
def host_leaves_are_exact(n):
    """The evictable host leaves are the nodes on the host alone, without children and without host locks.

    From 0.5.20 a device lock, which may cover a node without device data, bars it too.
    """
    unlocked = every_component(lambda c: (n[c].host_lock == 0) & implies(trait("host_leaf_unlocked"), n[c].lock == 0))
    alone = ~n[FULL].on_device & n[FULL].on_host
    childless = ~some(children(n), lambda child: ~child.is_root)
    return iff(n.in_host_leaves, all_of(~n.is_root, alone, unlocked, childless))


@rule(LEAF_SETS, Sort.NODE)
def leaf_sets_are_disjoint(n):
    """No node is an evictable leaf of both tiers."""
    return ~(n.in_device_leaves & n.in_host_leaves)


@rule(LEAF_SETS, Sort.TREE)
def device_leaves_are_in_the_tree(t):
    """Every member of the device leaves is a node of the tree: eviction must not free a removed node again."""
    return t.device_leaves == count(nodes, lambda n: n.in_device_leaves)


@rule(LEAF_SETS, Sort.TREE)
def host_leaves_are_in_the_tree(t):
    """Every member of the host leaves is a node of the tree."""
    return t.host_leaves == count(nodes, lambda n: n.in_host_leaves)


@rule(LEAF_SETS, Sort.NODE, when=_DUPLICATES)
def settled_duplicates_are_registered(n):
    """A node with full copies on both tiers and nothing in flight is registered for reclaim.

    Registered nodes that no longer qualify are legal: they are dropped when next looked at. Only
    write_back marks the nodes of a load; under write_through they are registered when it is
    acknowledged, and until then nobody can tell them from settled ones.
    """
    both = n[FULL].on_device & n[FULL].on_host
    unmarked_load = policy_is(*WRITE_THROUGH_FAMILY) & some(transfers, lambda x: x.is_load)
    settled = all_of(~n.is_root, both, ~n.write_pending, ~n.load_pending, ~unmarked_load)
    return implies(settled, n.in_host_duplicates)


@rule(LEAF_SETS, Sort.TREE, when=_DUPLICATES)
def duplicates_are_in_the_tree(t):
    """Every registered duplicate is a node of the tree."""
    return t.host_duplicates == count(nodes, lambda n: n.in_host_duplicates)
