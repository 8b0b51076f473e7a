"""Sizes: counters that admission trusts. Cost: two additions a node."""

from sanitree.invariants.language import nodes, sum_over
from sanitree.invariants.rules import Family, rule
from sanitree.invariants.vocabulary import Kind, Sort

SIZES = Family.SIZES


@rule(SIZES, Sort.TREE, per=Kind.ANY)
def evictable_size_is_exact(t, c):
    """The evictable counter is the number of unlocked device slots in the tree.

    Too high, and a request is admitted that cannot be served; too low, and memory is never used again.
    """
    return t[c].evictable_size == sum_over(
        nodes, lambda n: n[c].device_tokens, where=lambda n: ~n.is_root & (n[c].lock <= 0)
    )


@rule(SIZES, Sort.TREE, per=Kind.ANY)
def protected_size_is_exact(t, c):
    """The protected counter is the number of locked device slots in the tree."""
    return t[c].protected_size == sum_over(
        nodes, lambda n: n[c].device_tokens, where=lambda n: ~n.is_root & (n[c].lock > 0)
    )
