"""Copies in flight: submitted, arrived, acknowledged, each an action, in whatever order."""

from __future__ import annotations

from sanitree.invariants.language import Element, Expr, all_of, any_of, count, implies, ite, path_sum, transfers
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.config import Pages
from sanitree.models.protocol.pages.doing import (
    Assigns,
    Condition,
    come,
    covers,
    lock,
    named,
    pages_that,
    reach,
    room,
    saved,
    set_where,
    unlock,
    window_is,
)
from sanitree.models.protocol.system import Action, becomes, on_path
from sanitree.models.snapshot import Key

# Writes.


def writes(m: Pages) -> list[Action]:
    """What can happen with a backup that nobody waits for."""
    return [submit_write(m), copy_write(m), ack_write(m)]


def submit_write(m: Pages) -> Action:
    """A backup is submitted."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """A node is backed up, its ancestors having their host copies: host slots are taken, the write is submitted."""
        idle = ~n.in_write & w.unmarked(n)
        fits = implies(~n[FULL].on_host, room(m, FULL, HOST, n.run_length))
        guards = [w.tail(n), n[FULL].on_device, idle, fits, parents_backed_up(n), count(transfers) < m.copies]
        if m.hits_to_back_up > 1:
            guards.append(n.hits >= m.hits_to_back_up)
        written = [saved(m, n, n, c) for c in m.components]
        of_it = lambda x: w.in_node_of(n, x)  # noqa: E731
        marks = lambda x: (  # noqa: E731
            becomes(x.write_pending, True), becomes(x.in_write, True), becomes(x.in_write_of_parent, ~x.cut),
        )  # fmt: skip
        assigns = tuple(a for c in m.components for a in written_copies(m, n, c))
        assigns += (*on_path(marks, where=of_it), *lock(m, n, DEVICE, reach(m, n)))
        if m.windowed:
            assigns += (becomes(n.write_reach, n.reach),)
        return all_of(any_of(*written), *guards), assigns

    return named("submit_write", said)


def parents_backed_up(n: Element) -> Expr:
    """What is above the node that ends here is on the host."""
    missing = pages_that(n, lambda y: ~y[FULL].on_host)
    return (missing == 0) | (~n[FULL].on_host & (missing == n.run_length))


def written_copies(m: Pages, n: Element, c: Component) -> Assigns:
    """The host copies that a write will fill."""
    where = lambda x: w.in_node_of(n, x) & saved(m, n, x, c)  # noqa: E731
    found = come(c, HOST, where, right=False)
    return (*found, *set_where(lambda x: x[c].being_written, True, where)) if m.auxiliary else found


def of_write(n: Element) -> Condition:
    """A page on the path to `n` is of the write that was submitted for the node that ends there."""
    return lambda x: x.in_write & joined(n, x, w.WITH_PARENT)


def joined(n: Element, x: Element, key: Key) -> Expr:
    """Of a page `x` on the path to `n`: each page after it, up to `n`, is joined by `key` to the one above it."""
    apart = lambda y: ite(getattr(y, key.name), 0, 1)  # noqa: E731
    return path_sum(n, apart) == path_sum(x, apart)


def copy_write(m: Pages) -> Action:
    """The bytes of a write arrive."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """The bytes of a write arrive on the host: right ones, as far as its source still has its slots."""
        assigns = set_where(lambda x: x.write_copied, True, of_write(n))
        for c in m.components:
            assigns += written_bytes(n, c)
        return n.write_ends & ~n.write_copied, assigns

    return named("copy_write", said)


def written_bytes(n: Element, c: Component) -> Assigns:
    """Host copies get the bytes of the slots that are read."""
    of_it = of_write(n)
    return on_path(
        lambda x: (becomes(x[c, HOST].right, x[c, DEVICE].right & x[c, DEVICE].taken),),
        where=lambda x: of_it(x) & x[c].being_written & x[c].on_host,
    )


def ack_write(m: Pages) -> Action:
    """A write is acknowledged."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """A write whose bytes have arrived is acknowledged: its nodes are unmarked, its lock is released."""
        flags = lambda x: (x.write_pending, x.in_write, x.in_write_of_parent, x.write_copied)  # noqa: E731
        parts = lambda x: tuple(x[c].being_written for c in m.components if m.auxiliary)  # noqa: E731
        ends = on_path(lambda x: tuple(becomes(f, False) for f in (*flags(x), *parts(x))), where=of_write(n))
        assigns = (*ends, *unlock(m, n, DEVICE, n.write_reach if m.windowed else reach(m, n)))
        return n.write_ends & n.write_copied, (*assigns, becomes(n.write_reach, 0)) if m.windowed else assigns

    return named("ack_write", said)


# Loads.


def loads(m: Pages) -> list[Action]:
    """What can happen with a load back."""
    return [submit_load(m), copy_load(m), ack_load(m)]


def submit_load(m: Pages) -> Action:
    """A load back is submitted."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """What the device lacks of the prefix that ends here is loaded: slots are taken, the load is submitted."""
        guards = [w.tail(n), pages_that(n, lambda y: ~w.there(y)) == 0, ~n.in_load, ~n.load_pending]
        guards.append(count(transfers) < m.copies)
        guards += [window_is(m, n, c, somewhere(c)) for c in m.auxiliary]
        guards += [room(m, c, DEVICE, loaded_slots(m, n, c)) for c in m.components]
        if m.windowed:
            guards.append(pages_that(n, lambda y: y.in_load) == 0)
        lacking = {c: lacks(m, n, c) for c in m.components}
        assigns = tuple(a for c, of_it in lacking.items() for a in loaded_copies(m, c, of_it))
        assigns += set_where(lambda x: x.load_pending, True, lambda x: any_of(*(waits(m, n, x, c) for c in lacking)))
        part = of_it_is(m, n)
        marks = lambda x: (  # noqa: E731
            becomes(x.in_load, True), becomes(x.in_load_of_parent, ~x.parent.is_root & above_is(m, n, x)),
        )  # fmt: skip
        assigns += (*on_path(marks, where=part), *lock(m, n, DEVICE, reach(m, n)), *lock(m, n, HOST, reach(m, n)))
        if m.windowed:
            assigns += (becomes(n.load_reach, n.reach),)
        return all_of(any_of(*(brought(m, n, c) for c in m.components)), *guards), assigns

    return named("submit_load", said)


def somewhere(c: Component) -> Condition:
    """A page has a copy of a component."""
    return lambda y: y[c].on_device | y[c].on_host


def on_host_alone(y: Element, c: Component) -> Expr:
    """A page's copy is on the host and not on the device."""
    return y[c].on_host & ~y[c].on_device


def lacks(m: Pages, n: Element, c: Component) -> Condition:
    """A page on the path to `n` has a copy on the host alone that a request reads which goes on from `n`."""
    if c.backbone:
        return lambda x: ~x[FULL].on_device
    return lambda x: on_host_alone(x, c) & covers(c, n, x, reach(m, n))


def waits(m: Pages, n: Element, x: Element, c: Component) -> Expr:
    """A page `x` is of a node that lacks a copy of the component: all pages of the node wait, whichever has it."""
    if c.per_token:
        return lacks(m, n, c)(x)
    return on_host_alone(n, c) & w.in_node_of(n, x)


def loaded_slots(m: Pages, n: Element, c: Component) -> Expr:
    """Device slots that a load takes."""
    if c.backbone:
        return pages_that(n, lambda y: on_host_alone(y, c))
    found, y = ite(on_host_alone(n, c), 1, 0), n
    for up in range(1, m.depth if c.per_token else 1):
        y = y.parent
        found = found + ite(all_of(~y.is_root, on_host_alone(y, c), n.reach > up), 1, 0)
    return found


def brought(m: Pages, n: Element, c: Component) -> Expr:
    """A load brings something of a component."""
    found, y = [], n
    for _ in range(m.window if c.per_token and not c.backbone else 1):
        found.append(~y.is_root & on_host_alone(y, c))
        y = y.parent
    return any_of(*found)


def loaded_copies(m: Pages, c: Component, where: Condition) -> Assigns:
    """The device copies that a load will fill."""
    found = come(c, DEVICE, where, right=False)
    return (*found, *set_where(lambda x: x[c].being_loaded, True, where)) if m.auxiliary else found


def of_it_is(m: Pages, n: Element) -> Condition:
    """A page is of a load that is submitted for `n`: of the node, lacking, or in the window."""
    own = lambda x: ~x[FULL].on_device | w.in_node_of(n, x)  # noqa: E731
    return (lambda x: own(x) | (w.distance(n, x) < n.reach)) if m.windowed else own


def above_is(m: Pages, n: Element, x: Element) -> Expr:
    """So is the page above it."""
    own = ~x.parent[FULL].on_device | ~x.cut
    return own | (w.distance(n, x) + 1 < n.reach) if m.windowed else own


def of_load(n: Element) -> Condition:
    """A page on the path to `n` is of the load that was submitted for the node that ends there."""
    return lambda x: x.in_load & joined(n, x, w.LOAD_WITH_PARENT)


def copy_load(m: Pages) -> Action:
    """The bytes of a load arrive."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """The bytes of a load arrive on the device: right ones, as far as its source still has its slots."""
        assigns = set_where(lambda x: x.load_copied, True, of_load(n))
        for c in m.components:
            assigns += loaded_bytes(n, c)
        return n.load_ends & ~n.load_copied, assigns

    return named("copy_load", said)


def loaded_bytes(n: Element, c: Component) -> Assigns:
    """Device copies get the bytes of the slots that are read."""
    of_it = of_load(n)
    return on_path(
        lambda x: (becomes(x[c, DEVICE].right, x[c, HOST].right & x[c, HOST].taken),),
        where=lambda x: of_it(x) & x[c].being_loaded & x[c].on_device,
    )


def ack_load(m: Pages) -> Action:
    """A load is acknowledged."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """A load whose bytes have arrived is acknowledged: its nodes are unmarked, its locks are released."""
        flags = lambda x: (x.load_pending, x.in_load, x.in_load_of_parent, x.load_copied)  # noqa: E731
        parts = lambda x: tuple(x[c].being_loaded for c in m.components if m.auxiliary)  # noqa: E731
        ends = on_path(lambda x: tuple(becomes(f, False) for f in (*flags(x), *parts(x))), where=of_load(n))
        far = n.load_reach if m.windowed else reach(m, n)
        assigns = (*ends, *unlock(m, n, DEVICE, far), *unlock(m, n, HOST, far))
        return n.load_ends & n.load_copied, (*assigns, becomes(n.load_reach, 0)) if m.windowed else assigns

    return named("ack_load", said)
