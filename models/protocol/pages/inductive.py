"""What a proof by induction needs of the page model besides the rules.

Most of it says that the pages of a node are alike, and that the pages that one transfer was submitted for
form a line: what a tree of nodes has by the way it is built, and a trie of pages has to be told. The rest
ties locks, slots and bytes to what is there, page by page, where rules count them over the whole tree.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

from sanitree.invariants.language import (
    Element,
    Expr,
    all_of,
    count,
    iff,
    implies,
    ite,
    path_sum,
    requests,
    some,
    sum_over,
    transfers,
)
from sanitree.invariants.language import children as children_of
from sanitree.invariants.terms import Term
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.config import Pages
from sanitree.models.protocol.pages.shown import BOTH
from sanitree.models.protocol.system import Invariant, defined, invariant

Said = Callable[[Element], Expr]

_LINES = {
    "write": (w.IN_WRITE.name, w.WITH_PARENT.name, w.WRITE_COPIED.name),
    "load": (w.IN_LOAD.name, w.LOAD_WITH_PARENT.name, w.LOAD_COPIED.name),
}
"""Of each kind of transfer: the words for its pages, for being joined to the page above, and for its bytes."""


def invariants(m: Pages) -> tuple[Invariant, ...]:
    """Of the model of a configuration."""
    return tuple(invariant(said) for said in _all(m))


def lines() -> tuple[Term, ...]:
    """When a page is of one with the page above it: of its node, of its write, of its load."""
    return (
        defined(lambda n: ~n.cut),
        *(defined(lambda n, joined=joined: getattr(n, joined)) for _, joined, _ in _LINES.values()),  # type: ignore[misc]
    )


def _all(m: Pages) -> Iterator[Said]:
    yield from (absent_pages_have_nothing(m), above_is_there, top_pages_begin_nodes, nodes_do_not_fork)
    yield from (pages_of_a_node_are_alike(m), transfers_end_with_nodes(m))
    for kind in _LINES:
        yield _line(kind)
        yield _pages_of_it(kind, m)
    yield from (copies_have_their_slots(m), bytes_that_arrived_are_right(m), transfers_keep_their_copies(m))
    yield from (locks_are_counted(m, c) for c in m.components)
    if "below_zero" in m.extra:
        yield device_locks_are_not_below_zero(m)
    yield from (locked_pages_are_on_the_device, transfers_and_requests_are_few(m))
    if m.auxiliary and not m.windowed:
        yield states_are_at_ends(m)
    if m.windowed:
        yield absent_pages_are_in_no_window(m)
        yield from (reaches_stay_within_the_path, windows_in_flight_are_locked(m))


def device_locks_are_not_below_zero(m: Pages) -> Said:
    """Where locks below 0 are seen."""

    def device_locks_are_not_below_zero(n: Element) -> Expr:
        """No lock on the device was released more often than it was acquired."""
        return all_of(*(~n[c, DEVICE].below_zero for c in m.components))

    return device_locks_are_not_below_zero


def absent_pages_have_nothing(m: Pages) -> Said:
    """What is needed of pages that are not there."""

    def absent_pages_have_nothing(n: Element) -> Expr:
        """A page that is not in the tree has no copy, mark, lock or holder.

        A page that comes has none of what an earlier one of its place had.
        """
        flags = [getattr(n, x) for x in ("write_pending", "load_pending", "cut", *_LINES["write"], *_LINES["load"])]
        flags += [n[c, t].present for c in m.components for t in BOTH]
        flags += [n[c, HOST].below_zero for c in m.components]
        flags += [getattr(n[c], x) for c in m.components for x in ("being_written", "being_loaded") if m.auxiliary]
        of_all = [c for c in m.components if c is not m.windowed]
        numbers = [n.held, *(n[c].lock for c in of_all), *(n[c, HOST].locks for c in of_all)]
        numbers += [n.hits] if m.hits_to_back_up > 1 else []
        numbers += [n.write_reach, n.load_reach, n.held_reach] if m.windowed else []
        return implies(~w.there(n), all_of(*(~f for f in flags), *(x == 0 for x in numbers)))

    return absent_pages_have_nothing


def absent_pages_are_in_no_window(m: Pages) -> Said:
    """A claim of its own: how far a window reaches is measured, which not everybody can."""

    def absent_pages_are_in_no_window(n: Element) -> Expr:
        """A page that is not in the tree has no lock of a window."""
        c = m.windowed
        assert c is not None
        return implies(~w.there(n), (n[c].lock == 0) & (n[c, HOST].locks == 0))

    return absent_pages_are_in_no_window


def above_is_there(n: Element) -> Expr:
    """What is above a page that is in the tree is in the tree."""
    return implies(w.there(n), n.parent.is_root | w.there(n.parent))


def top_pages_begin_nodes(n: Element) -> Expr:
    """A page below the root begins a node: the root has no pages that it could be of."""
    return implies(w.there(n) & n.parent.is_root, n.cut)


def nodes_do_not_fork(n: Element) -> Expr:
    """Where a node goes on below a page, nothing else does: two prompts part where a node ends."""
    return implies(some(children_of(n), lambda c: ~c.cut), count(children_of(n)) <= 1)


def pages_of_a_node_are_alike(m: Pages) -> Said:
    """What is the same of all pages of a node."""

    def pages_of_a_node_are_alike(n: Element) -> Expr:
        """The pages of a node have the same copies and marks.

        A rule is judged of each page, and an action reads its node's last.
        """
        p, same = n.parent, []
        for name in ("write_pending", "in_write", "in_load", "write_copied", "load_copied"):
            same.append(iff(getattr(n, name), getattr(p, name)))
        # A load of recurrent state alone marks the page that has it.
        alone = any(not c.per_token for c in m.components)
        same.append(implies(p.load_pending, n.load_pending) if alone else iff(n.load_pending, p.load_pending))
        for c in m.components:
            if c.per_token:
                same += [iff(n[c, t].present, p[c, t].present) for t in BOTH]
                if m.auxiliary:
                    same += [iff(getattr(n[c], x), getattr(p[c], x)) for x in ("being_written", "being_loaded")]
            else:
                same += [~p[c, t].present for t in BOTH]
                same += [~p[c].being_written, ~p[c].being_loaded]
        if m.hits_to_back_up > 1:
            same.append(n.hits == p.hits)
        joined = implies(n.in_write, n.in_write_of_parent) & implies(n.in_load, n.in_load_of_parent)
        return implies(w.there(n) & ~n.cut, all_of(joined, *same))

    return pages_of_a_node_are_alike


def transfers_end_with_nodes(m: Pages) -> Said:
    """Where requests and reaches may be."""

    def transfers_end_with_nodes(n: Element) -> Expr:
        """What a request locked ends where a node ends, as it was when the request came or a split made it."""
        said = implies(n.held > 0, ~n.goes_on)
        if m.windowed:
            ends = ((n.held_reach, n.held > 0), (n.write_reach, n.write_ends), (n.load_reach, n.load_ends))
            said = all_of(said, *(implies(far > 0, where) for far, where in ends))
        return said

    return transfers_end_with_nodes


def _line(kind: str) -> Said:
    of_it, joined, copied = _LINES[kind]

    def said(n: Element) -> Expr:
        fork = count(children_of(n), lambda c: getattr(c, joined))
        above = all_of(getattr(n, of_it), ~n.parent.is_root, getattr(n.parent, of_it),
                       iff(getattr(n, copied), getattr(n.parent, copied)))  # fmt: skip
        return all_of(implies(getattr(n, joined), above), fork <= 1, implies(getattr(n, copied), getattr(n, of_it)))

    said.__name__ = f"{kind}s_are_lines"
    said.__doc__ = f"""The pages that a {kind} was submitted for form a line, which one acknowledgement ends.

    However it was split since: that is how the {kind} is found again from the page that it ends with.
    """
    return said


def _pages_of_it(kind: str, m: Pages) -> Said:
    of_it, pending = _LINES[kind][0], f"{kind}_pending"

    def said(n: Element) -> Expr:
        marked, waits = getattr(n, of_it), getattr(n, pending)
        if kind == "write":
            return iff(marked, waits) & implies(marked, n[FULL].on_device & n[FULL].on_host)
        alike = implies(waits, marked) if m.auxiliary else iff(marked, waits) & ~(marked & n.in_write)
        return alike & implies(marked, n[FULL].on_device)

    said.__name__ = f"{kind}s_mark_their_pages"
    said.__doc__ = f"""A page that waits for a {kind} is of one, and is on the device."""
    return said


def copies_have_their_slots(m: Pages) -> Said:
    """Slots and copies."""

    def copies_have_their_slots(n: Element) -> Expr:
        """A page's slot is taken exactly while its copy is there.

        no_slot_leaks counts slots over the whole pool: from a sum nothing follows about one of them.
        """
        return all_of(*(iff(n[c, t].taken, n[c, t].present) for c in m.components for t in BOTH))

    return copies_have_their_slots


def bytes_that_arrived_are_right(m: Pages) -> Said:
    """Bytes of copies in flight."""

    def bytes_that_arrived_are_right(n: Element) -> Expr:
        """Once the bytes of a transfer have arrived, the copies that it was to fill are right.

        They are unknown until the acknowledgement, which has to find them so.
        """
        found = []
        for c in m.components:
            found.append(implies(n[c].being_written & n.write_copied & n[c].on_host, n[c, HOST].right))
            found.append(implies(n[c].being_loaded & n.load_copied & n[c].on_device, n[c, DEVICE].right))
        return all_of(*found)

    return bytes_that_arrived_are_right


def transfers_keep_their_copies(m: Pages) -> Said:
    """Sources and targets."""

    def transfers_keep_their_copies(n: Element) -> Expr:
        """What a transfer copies is there on both tiers until it is acknowledged, and only one transfer copies it."""
        found = []
        for c in m.components:
            both = n[c].on_device & n[c].on_host
            found += [implies(n[c].being_written, n.in_write & both), implies(n[c].being_loaded, n.in_load & both)]
            found.append(~(n[c].being_written & n[c].being_loaded))
        return all_of(*found)

    return transfers_keep_their_copies


def locks_are_counted(m: Pages, c: Component) -> Said:
    """A component's locks and their holders."""

    def said(n: Element) -> Expr:
        device = n.held + ite(n.write_ends, 1, 0) + ite(n.load_ends, 1, 0)
        host = ite(n.load_ends, 1, 0)
        if c.backbone:
            device = device + sum_over(children_of(n), lambda k: k[c].lock)
            host = host + sum_over(children_of(n), lambda k: k[c, HOST].locks)
        elif c.per_token:
            device, host = reaching(m, n, 0, True), reaching(m, n, 0, False)
        return all_of(~n[c, HOST].below_zero, n[c].lock == device, n[c, HOST].locks == host)

    said.__name__ = f"{c.name}_locks_are_counted"
    said.__doc__ = f"""Each lock of the {c.name} component has its holder: a request, a write or a load.

    lock_has_its_holders says it of the full device copy alone.
    """
    return said


def reaching(m: Pages, n: Element, further: int, device: bool) -> Expr:
    """Holders that end at or below `n` and whose window reaches so many pages further up than `n`."""
    own = ite(n.load_reach > further, 1, 0)
    if device:
        own = own + ite(n.held_reach > further, 1, 0) + ite(n.write_reach > further, 1, 0)
    if further + 1 >= m.depth:
        return own

    def below(c: Element) -> Expr:
        return reaching(m, c, further + 1, device)

    return own + sum_over(children_of(n), _named(below, f"c{further}"))


def _named(said: Said, name: str) -> Said:
    """A function of an element under a name of its own, so that it may stand within another like it."""
    said.__signature__ = inspect.Signature([inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY)])  # type: ignore[attr-defined]
    return said


def locked_pages_are_on_the_device(n: Element) -> Expr:
    """Only what is on the device is locked there.

    A host eviction looks at device locks, and a demotion leaves none behind.
    """
    return implies(n[FULL].lock > 0, n[FULL].on_device)


def states_are_at_ends(m: Pages) -> Said:
    """Recurrent state in flight."""

    def states_are_at_ends(n: Element) -> Expr:
        """State that a node has once is copied by the transfer that ends with the node, whose lock keeps it."""
        aux = [c for c in m.auxiliary if not c.per_token]
        return all_of(*(
            implies(n[c].being_written, n.write_ends) & implies(n[c].being_loaded, n.load_ends) for c in aux
        ))  # fmt: skip

    return states_are_at_ends


def transfers_and_requests_are_few(m: Pages) -> Said:
    """Bounds of the model."""

    def transfers_and_requests_are_few(n: Element) -> Expr:
        """There are no more requests and transfers than the model allows: so no lock counts further than it can."""
        return (count(requests) <= m.requests) & (count(transfers) <= m.copies)

    return transfers_and_requests_are_few


def reaches_stay_within_the_path(n: Element) -> Expr:
    """A window that was locked is no longer than the path."""
    length = path_sum(n, lambda y: 1)
    return all_of(n.held_reach <= length, n.write_reach <= length, n.load_reach <= length)


def windows_in_flight_are_locked(m: Pages) -> Said:
    """Windows that transfers copy."""

    def windows_in_flight_are_locked(n: Element) -> Expr:
        """What a transfer copies of a window is within the reach of the lock that it took.

        Through every split: the reach is measured when the lock is taken, and given back as it was.
        """
        c = m.windowed
        assert c is not None
        written, loaded = (_within(m, n, 0, kind) for kind in _LINES)
        return implies(n[c].being_written, written) & implies(n[c].being_loaded, loaded)

    return windows_in_flight_are_locked


def _within(m: Pages, n: Element, further: int, kind: str) -> Expr:
    """The transfer that the page is of ends at or below `n`, and its lock reaches so many pages further up."""
    own = getattr(n, f"{kind}_ends") & (getattr(n, f"{kind}_reach") > further)
    if further + 1 >= m.depth:
        return own

    def below(c: Element) -> Expr:
        return getattr(c, _LINES[kind][1]) & _within(m, c, further + 1, kind)

    return own | some(children_of(n), _named(below, f"c{further}"))
