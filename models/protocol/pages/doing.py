"""What several actions do to the pages of a node, and ask of them."""

from __future__ import annotations

from collections.abc import Callable

from sanitree.invariants.language import Element, Expr, all_of, always, implies, ite, path_sum
from sanitree.invariants.vocabulary import DEVICE, HOST, Component, Tier
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.config import Pages
from sanitree.models.protocol.pages.shown import taken
from sanitree.models.protocol.system import Action, Assign, action, becomes, on_path

Assigns = tuple[Assign, ...]
Condition = Callable[[Element], Expr]


def named(name: str, said: Callable[[Element], tuple[Expr, Assigns]]) -> Action:
    """An action under a name of its own."""
    said.__name__ = name
    return action(said)


def room(m: Pages, c: Component, tier: Tier, more: Expr | int) -> Expr:
    """A pool has so many slots left."""
    return taken(c, tier) + more <= m.capacity(c, tier)


def pages_that(n: Element, such: Condition) -> Expr:
    """How many pages of the prompt that ends at `n` something is true of."""
    return path_sum(n, lambda y: ite(such(y), 1, 0))


# Copies.


def take(x: Element, c: Component, tier: Tier, right: Expr | bool) -> Assigns:
    """A copy comes into a slot that was free."""
    copy = x[c, tier]
    return becomes(copy.present, True), becomes(copy.taken, True), becomes(copy.right, right)


def free(x: Element, c: Component, tier: Tier) -> Assigns:
    """A copy goes, and its slot is free."""
    copy = x[c, tier]
    return becomes(copy.present, False), becomes(copy.taken, False), becomes(copy.right, False)


def come(c: Component, tier: Tier, where: Condition, right: Expr | bool | Condition) -> Assigns:
    """Copies of pages of the prompt come."""
    return on_path(lambda x: take(x, c, tier, right(x) if callable(right) else right), where=where)


def set_where(flag: Condition, value: bool, where: Condition) -> Assigns:
    """A flag of pages of the prompt changes."""
    return on_path(lambda x: (becomes(flag(x), value),), where=where)


def leave(m: Pages, n: Element, tier: Tier) -> Assigns:
    """The node that ends here loses its copies on a tier."""
    return on_path(
        lambda x: tuple(a for c in m.components for a in free(x, c, tier)), where=lambda x: w.in_node_of(n, x)
    )


def forget(m: Pages, n: Element) -> Assigns:
    """Nothing is remembered of the node that ends here."""
    of_it = lambda x: w.in_node_of(n, x)  # noqa: E731
    forgotten = set_where(lambda x: x.cut, False, where=of_it)
    if m.hits_to_back_up > 1:
        forgotten += on_path(lambda x: (becomes(x.hits, 0),), where=of_it)
    return forgotten


def saved(m: Pages, n: Element, x: Element, c: Component) -> Expr:
    """A component of the node that ends at `n` goes to the host when the node is written: there is room, or must be."""
    lacking = x[c].on_device & ~x[c].on_host
    if c.backbone:
        return lacking
    return lacking & room(m, c, HOST, n.run_length if c.per_token else 1)


# Locks.


def covers(c: Component, n: Element, x: Element, reach: Expr) -> Expr:
    """Of a page `x` on the path to `n`: a lock on `n` that reaches so far covers the component there."""
    if c.backbone:
        return always
    return w.distance(n, x) < (reach if c.per_token else 1)


def reach(m: Pages, n: Element) -> Expr:
    """How far a lock on `n` reaches now; without a window nobody asks."""
    return n.reach if m.windowed else n.run_length


def lock(m: Pages, n: Element, tier: Tier, far: Expr) -> Assigns:
    """Locks what a request reads that goes on from `n`."""
    return tuple(a for c in m.components for a in _shift(c, n, tier, far, _one_more))


def unlock(m: Pages, n: Element, tier: Tier, far: Expr) -> Assigns:
    """Undoes just that."""
    return tuple(a for c in m.components for a in _shift(c, n, tier, far, one_less))


Shift = Callable[[Element, Component, Tier], Assigns]


def _shift(c: Component, n: Element, tier: Tier, far: Expr, shift: Shift) -> Assigns:
    return on_path(lambda x: shift(x, c, tier), where=lambda x: covers(c, n, x, far))


def _one_more(x: Element, c: Component, tier: Tier) -> Assigns:
    held = x[c].lock if tier is DEVICE else x[c, HOST].locks
    return (becomes(held, held + 1),)


def one_less(x: Element, c: Component, tier: Tier) -> Assigns:
    """A lock of a copy is released once."""
    if tier is DEVICE:
        return (becomes(x[c].lock, x[c].lock - 1),)
    left = x[c, HOST]
    return (
        becomes(left.locks, ite(left.locks > 0, left.locks - 1, 0)),
        becomes(left.below_zero, left.below_zero | (left.locks == 0)),
    )


# Prompts.


def known_end(n: Element) -> Expr:
    """Where the prompt that ends at `n` leaves the tree, a node ends: a match has split it."""
    halfway = pages_that(n, lambda y: ~w.there(y) & w.there(y.parent) & y.parent.goes_on)
    return (halfway == 0) & ~(w.there(n) & n.goes_on)


def begins(x: Element) -> Expr:
    """A new page begins a node of its own: the page above it was there."""
    return x.parent.is_root | w.there(x.parent)


def window_is(m: Pages, n: Element, c: Component, kept: Condition) -> Expr:
    """What a request that goes on from `n` reads of an auxiliary component is there."""
    found, y = [], n
    for _ in range(m.window if c.per_token else 1):
        found.append(y.is_root | kept(y))
        y = y.parent
    return all_of(*found)


def chosen(condition: Expr, then: Expr, otherwise: bool) -> Expr:
    """A choice between truth values."""
    return implies(condition, then) & implies(~condition, otherwise)
