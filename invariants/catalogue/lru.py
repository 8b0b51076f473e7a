"""LRU: the lists that auxiliary data is evicted from. Cost: one walk of each list and a look-up a node.

Parents and children need not be in order of recency: no version keeps that.
"""

from sanitree.invariants.language import all_of, count, iff, implies, nodes, trait
from sanitree.invariants.rules import Family, rule
from sanitree.invariants.vocabulary import DEVICE, HOST, Kind, Sort

LRU = Family.LRU
_BOTH = (DEVICE, HOST)
_DELISTS = trait("host_lock_delists")


def _host_only(n, c):
    return all_of(~n.is_root, n[c].on_host, ~n[c].on_device)


@rule(LRU, Sort.NODE, per=Kind.AUXILIARY)
def device_lru_is_exact(n, c):
    """The device LRU list has the nodes with auxiliary data on the device, locked ones included."""
    return iff(n[c, DEVICE].in_lru, ~n.is_root & n[c].on_device)


@rule(LRU, Sort.NODE, per=Kind.AUXILIARY)
def host_lru_has_only_host_copies(n, c):
    """The host LRU list has only nodes whose auxiliary data is on the host alone."""
    return implies(n[c, HOST].in_lru, _host_only(n, c))


@rule(LRU, Sort.NODE, per=Kind.AUXILIARY)
def host_lru_misses_none(n, c):
    """Every node whose auxiliary data is on the host alone is in the host LRU list.

    From 0.5.13 a host lock takes its node out of the list, and a later demotion may put it back.
    """
    locked = _DELISTS & (n[c].host_lock > 0)
    return implies(_host_only(n, c) & ~locked, n[c, HOST].in_lru)


@rule(LRU, Sort.NODE, per=Kind.AUXILIARY)
def lru_lists_are_disjoint(n, c):
    """No node is in the LRU lists of both tiers."""
    return ~(n[c, DEVICE].in_lru & n[c, HOST].in_lru)


@rule(LRU, Sort.NODE, per=Kind.AUXILIARY, tiers=_BOTH)
def lru_list_is_linked(n, c, tier):
    """A walk from the head meets exactly the registered nodes."""
    return iff(n[c, tier].in_lru, n[c, tier].lru_rank >= 0)


@rule(LRU, Sort.NODE, per=Kind.AUXILIARY, tiers=_BOTH)
def lru_links_agree(n, c, tier):
    """The prev pointer of a listed node names the node whose next pointer led to it."""
    return implies(n[c, tier].lru_rank >= 0, n[c, tier].lru_prev_rank == n[c, tier].lru_rank - 1)


@rule(LRU, Sort.TREE, per=Kind.AUXILIARY, tiers=_BOTH)
def lru_walk_is_whole(t, c, tier):
    """A walk from an LRU list's head ends at its tail and meets as many nodes as are registered."""
    return t[c, tier].lru_length == t[c, tier].lru_size


@rule(LRU, Sort.TREE, per=Kind.AUXILIARY, tiers=_BOTH)
def lru_nodes_are_in_the_tree(t, c, tier):
    """Every registered member of an LRU list is a node of the tree."""
    return t[c, tier].lru_size == count(nodes, lambda n: n[c, tier].in_lru)


@rule(LRU, Sort.TREE, per=Kind.BACKBONE, tiers=_BOTH)
def full_has_no_lru(t, c, tier):
    """Full data is evicted from leaf sets; its LRU lists stay empty."""
    return t[c, tier].lru_size == 0
