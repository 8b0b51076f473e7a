"""Locks: counts that keep copies from being evicted. Cost: a few field reads a node."""

from sanitree.invariants.calls import ANY_CALL, Operation
from sanitree.invariants.language import (
    children,
    count,
    every,
    implies,
    is_kind,
    ite,
    nodes,
    path_sum,
    requests,
    sum_over,
    trait,
    transfers,
)
from sanitree.invariants.rules import Family, rule, step
from sanitree.invariants.steps import before, ghost
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Kind, Sort

LOCKS = Family.LOCKS


@rule(LOCKS, Sort.NODE, per=Kind.ANY, tiers=(DEVICE, HOST))
def lock_is_not_negative(n, c, tier):
    """A lock count is never negative: nothing is released more often than it was acquired."""
    return n[c, tier].lock >= 0


@rule(LOCKS, Sort.NODE, per=Kind.AUXILIARY)
def full_lock_covers_auxiliary(n, c):
    """Whoever locks auxiliary data locks the full data of that node too."""
    return n[FULL].lock >= n[c].lock


@rule(LOCKS, Sort.NODE)
def path_lock_covers_children(n):
    """A full lock is a lock on the whole path: a node is locked at least as often as its children together."""
    return implies(~n.is_root, n[FULL].lock >= sum_over(children(n), lambda child: child[FULL].lock))


@rule(LOCKS, Sort.NODE, per=Kind.ANY)
def root_is_locked_once(n, c):
    """The root carries one lock, its own: paths are locked up to it and not further."""
    return implies(n.is_root, n[c].lock == 1)


@rule(LOCKS, Sort.NODE, per=Kind.ANY, when=~trait("locked_tombstones"))
def locked_data_is_there(n, c):
    """Locked data is on the device: a lock is what keeps it there."""
    return implies(~n.is_root & (n[c].lock > 0), n[c].on_device)


@rule(LOCKS, Sort.NODE)
def lock_has_its_holders(n):
    """A node is locked as often as its children together, and once for each request and transfer that locks it.

    A count above that is a lock that nobody will release: the node can never be evicted.
    A count below is a release too many: the node can be evicted under its holder.
    """
    own = n[FULL].lock - sum_over(children(n), lambda child: child[FULL].lock)
    holders = count(requests, lambda r: r.node == n) + count(transfers, lambda x: x.takes_lock & (x.node == n))
    return implies(~n.is_root, own == holders)


@rule(LOCKS, Sort.NODE)
def pending_write_is_locked(n):
    """A node being written is locked until the write is acknowledged: nothing else keeps its slots."""
    return implies(n.write_pending, n[FULL].lock > 0)


@rule(LOCKS, Sort.REQUEST)
def request_holds_its_node(r):
    """The node that a request has locked is in the tree and locked."""
    return r.node_in_tree & (r.node.is_root | (r.node[FULL].lock > 0))


@rule(LOCKS, Sort.REQUEST)
def request_prefix_is_its_path(r):
    """The path that a request has locked holds as many tokens as the request thinks, through every split."""
    return implies(r.node_in_tree, r.prefix_len == path_sum(r.node, lambda n: n.key_len))


# A release.


def _weight(n, c):
    """What a lock on a node weighs: tokens, so that splitting the node changes nothing."""
    return ite(is_kind(c, Kind.PER_NODE), 1, n.key_len)


def _both(n):
    return n.exists & before(n).exists


@ghost(Sort.REQUEST, "tokens", per=Kind.ANY, initial=None)
def locked(r, c):
    """tokens of the nodes that the request locked when it came, nodes for state that a node has once"""
    taken = sum_over(nodes, lambda n: _weight(n, c), where=lambda n: _both(n) & (n[c].lock == before(n)[c].lock + 1))
    return ite(r.exists & ~before(r).exists, taken, before(r)[c].locked)


@step(LOCKS, Sort.REQUEST, on=[Operation.RELEASE], per=Kind.ANY)
def release_undoes_its_acquire(r, c):
    """A release undoes exactly what its acquire did, whatever was split in between, and nothing else.

    Less, and the rest is never evicted; more, and it is evicted under another holder.
    """
    released = lambda n: n[c].lock == before(n)[c].lock - 1  # noqa: E731  a word for one rule
    undone = sum_over(nodes, lambda n: _weight(n, c), where=lambda n: _both(n) & released(n))
    nothing_else = every(nodes, lambda n: released(n) | (n[c].lock == before(n)[c].lock), where=_both)
    return implies(r.called & before(r).exists, (undone == before(r)[c].locked) & nothing_else)


@step(LOCKS, Sort.REQUEST, on=[o for o in ANY_CALL if o is not Operation.RESET])
def requests_keep_their_locks(r):
    """A request's lock goes when the request releases it, and through nobody else's call."""
    return implies(before(r).exists & ~r.exists, r.called)
