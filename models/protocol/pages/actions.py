"""What can happen to a page's node: as the reference cache does it, a decision an action.

An action of a page is one of the node that ends there; an insert and a prefetch are of the
prompt that ends there. What one call of a cache does one after the other (evict until there
is room, then allocate) are actions here, so that everything may come between. Only an
eviction under write_back is one action with its write: the call waits for it, and nobody
else comes in.
"""

from __future__ import annotations

from sanitree.invariants.language import Element, Expr, all_of, any_of, count, ite, nodes, requests, some
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.config import Pages
from sanitree.models.protocol.pages.copies import loads, writes
from sanitree.models.protocol.pages.doing import (
    Assigns,
    Condition,
    begins,
    chosen,
    come,
    forget,
    free,
    known_end,
    leave,
    lock,
    named,
    pages_that,
    reach,
    room,
    saved,
    take,
    unlock,
    window_is,
)
from sanitree.models.protocol.system import Action, action, becomes, on_children, on_path


def actions(m: Pages) -> dict[str, Action]:
    """All actions that the configuration has, by name."""
    found = [split, insert(m), acquire(m), release(m), demote(m) if m.writes_through else write_back(m), drop(m)]
    found += [evict_host(m), prefetch(m), *loads(m)]
    found += [evict_copy(m, c) for c in m.auxiliary]
    found += [evict_host_copy(m, c) for c in m.auxiliary]
    found += writes(m) if m.writes_through else ()
    return {a.name: a for a in found}


# Matches and inserts.


@action
def split(n: Element) -> tuple[Expr, Assigns]:
    """A match or an insert ends within a node: what is below becomes a node of its own."""
    return w.there(n) & n.goes_on, on_children(lambda x: (becomes(x.cut, True),), where=lambda x: w.there(x))


def insert(m: Pages) -> Action:
    """What a request has computed of a prompt becomes the tree's."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """A request has computed what the device lacks of the prompt that ends here, and the tree takes it."""
        guards, assigns, new = [known_end(n)], grow(lambda x: ~w.there(x)), []
        for c in m.components:
            lacking = lacked(n, c)
            new.append(lacking > 0)
            guards.append(room(m, c, DEVICE, lacking))
            assigns += taken_over(n, c)
        if m.hits_to_back_up > 1:
            most = m.hits_to_back_up
            new.append(n.hits < most)
            assigns += on_path(lambda x: (becomes(x.hits, ite(x.hits < most, x.hits + 1, x.hits)),))
        return all_of(any_of(*new), *guards), assigns

    return named("insert", said)


def grow(new: Condition) -> Assigns:
    """New pages become one node."""
    return on_path(lambda x: (becomes(x.cut, begins(x)),), where=new)


def lacked(n: Element, c: Component) -> Expr:
    """Device copies of a prompt that the tree does not have."""
    return pages_that(n, lambda y: ~y[c].on_device) if c.per_token else ite(n[c].on_device, 0, 1)


def taken_over(n: Element, c: Component) -> Assigns:
    """The tree takes what it lacks of a component: of each page, or the state at the end."""
    if c.per_token:
        return come(c, DEVICE, lambda x: ~x[c].on_device, right=True)
    return take(n, c, DEVICE, right=chosen(n[c].on_device, n[c, DEVICE].right, True))


def acquire(m: Pages) -> Action:
    """A request locks what it reads."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """A request is admitted that goes on from here, and locks what it reads."""
        guards = [w.tail(n), n[FULL].on_device, count(requests) < m.requests]
        guards += [window_is(m, n, c, kept_on_device(c)) for c in m.auxiliary]
        assigns = (becomes(n.held, n.held + 1), *lock(m, n, DEVICE, reach(m, n)))
        if m.windowed:
            guards.append(n.held == 0)
            assigns += (becomes(n.held_reach, n.reach),)
        return all_of(*guards), assigns

    return named("acquire", said)


def kept_on_device(c: Component) -> Condition:
    """A page has its device copy."""
    return lambda y: y[c].on_device


def release(m: Pages) -> Action:
    """A request ends."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """A request that has locked the path to here ends."""
        assigns = (becomes(n.held, n.held - 1), *unlock(m, n, DEVICE, n.held_reach if m.windowed else reach(m, n)))
        return n.held > 0, (*assigns, becomes(n.held_reach, 0)) if m.windowed else assigns

    return named("release", said)


# Eviction from the device.


def demote(m: Pages) -> Action:
    """Under write_through: what has a host copy stays there."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """An eviction takes a leaf off the device that has its host copy."""
        return all_of(w.tail(n), w.device_leaf(n, m.components), n[FULL].on_host), leave(m, n, DEVICE)

    return named("demote", said)


def write_back(m: Pages) -> Action:
    """Under write_back: written to the host, waited for, and then taken off the device."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """An eviction writes a leaf to the host, waits for the bytes, and takes it off the device."""
        fits = n[FULL].on_host | room(m, FULL, HOST, n.run_length)
        guard = all_of(w.tail(n), w.device_leaf(n, m.components), fits)
        written = tuple(a for c in m.components for a in save(m, n, c, always_saved(m, n, c)))
        return guard, (*written, *leave(m, n, DEVICE))

    return named("write_back", said)


def always_saved(m: Pages, n: Element, c: Component) -> Condition:
    """A page of the node goes to the host with it."""
    return lambda x: w.in_node_of(n, x) & saved(m, n, x, c)


def save(m: Pages, n: Element, c: Component, where: Condition) -> Assigns:
    """Copies are written to the host and have arrived."""
    return come(c, HOST, where, right=lambda x: x[c, DEVICE].right)


def drop(m: Pages) -> Action:
    """What is on the device alone goes altogether."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """An eviction takes a leaf out of the tree that is on the device alone."""
        guards = [w.tail(n), w.device_leaf(n, m.components), ~n[FULL].on_host, w.childless(n)]
        if not m.writes_through:
            guards += [~room(m, FULL, HOST, n.run_length), ~some(nodes, lambda y: w.host_leaf(y, m.components))]
        return all_of(*guards), (*leave(m, n, DEVICE), *forget(m, n))

    return named("drop", said)


def evict_copy(m: Pages, c: Component) -> Action:
    """Auxiliary data of an inner node goes."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """An eviction takes a node's auxiliary device copy alone; under write_back the node is saved if it can be."""
        guard = all_of(w.tail(n), n[c].on_device, n[c].lock == 0, ~w.device_leaf(n, m.components))
        goes = on_path(lambda x: free(x, c, DEVICE), where=lambda x: w.in_node_of(n, x) & x[c].on_device)
        if m.writes_through:
            return guard, goes
        kept = tuple(a for other in m.auxiliary for a in save(m, n, other, saved_beside(m, n, other)))
        return guard, (*kept, *goes)

    return named(f"evict_copy_{c.name}", said)


def saved_beside(m: Pages, n: Element, c: Component) -> Condition:
    """A page of the node goes to the host, where the node has its full copy, and nothing is in flight for it."""
    beside = n[FULL].on_host & w.unmarked(n)
    return lambda x: all_of(w.in_node_of(n, x), beside, saved(m, n, x, c))


# The host tier.


def evict_host(m: Pages) -> Action:
    """A host leaf leaves the tree."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """A host eviction takes a node out of the tree that is on the host alone."""
        return w.host_leaf(n, m.components), (*leave(m, n, HOST), *forget(m, n))

    return named("evict_host", said)


def evict_host_copy(m: Pages, c: Component) -> Action:
    """Auxiliary data leaves the host."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """A host eviction takes a node's auxiliary host copy alone."""
        alone = n[c].on_host & ~n[c].on_device
        guard = all_of(w.tail(n), alone, n[c, HOST].lock == 0, ~w.host_leaf(n, m.components))
        return guard, on_path(lambda x: free(x, c, HOST), where=lambda x: w.in_node_of(n, x) & x[c].on_host)

    return named(f"evict_host_copy_{c.name}", said)


def prefetch(m: Pages) -> Action:
    """A prefetch gives the host tier what it lacks of a prompt."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """A prefetch from storage brings to the host what the tree lacks of the prompt that ends here."""
        missing = pages_that(n, lambda y: ~w.there(y))
        guards = [known_end(n), all_on_host(n), missing > 0, room(m, FULL, HOST, missing)]
        assigns = (*grow(lambda x: ~w.there(x)), *come(FULL, HOST, lambda x: ~w.there(x), right=True))
        for c in m.auxiliary:
            guards.append(room(m, c, HOST, pages_that(n, nowhere(c)) if c.per_token else 1))
            assigns += completed(n, c)
        return all_of(*guards), assigns

    return named("prefetch", said)


def all_on_host(n: Element) -> Expr:
    """What the tree has of a prompt has its host copy."""
    return pages_that(n, lambda y: w.there(y) & ~y[FULL].on_host) == 0


def nowhere(c: Component) -> Condition:
    """A page has no copy of a component."""
    return lambda y: ~(y[c].on_device | y[c].on_host)


def completed(n: Element, c: Component) -> Assigns:
    """The host tier takes what is nowhere of an auxiliary component: of each page, or the state at the end."""
    ends = lambda x: w.distance(n, x) == 0  # noqa: E731
    missing = nowhere(c)
    return come(c, HOST, missing if c.per_token else lambda x: missing(x) & ends(x), right=True)
