"""What the page model shows of a state: the fields, transfers, requests and slots that rules speak of."""

from __future__ import annotations

from collections.abc import Iterator

from sanitree.invariants.language import Element, Expr, count, ite, slots, some
from sanitree.invariants.language import children as children_of
from sanitree.invariants.terms import Const, Term, make
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component, Sort, Tier
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.config import Pages
from sanitree.models.protocol.system import Attached, Definition, Variable, defined, definition, word
from sanitree.models.snapshot import Key

BOTH = (DEVICE, HOST)


def variables(m: Pages) -> tuple[Variable, ...]:
    """What is kept of each page."""
    flags = [Key("write_pending"), Key("load_pending"), w.CUT, w.IN_WRITE, w.WITH_PARENT, w.WRITE_COPIED]
    flags += [w.IN_LOAD, w.LOAD_WITH_PARENT, w.LOAD_COPIED]
    found = [Variable(k) for k in flags]
    found.append(Variable(w.HELD, 1 if m.windowed else max(1, m.requests)))
    for c in m.components:
        for tier in BOTH:
            names = ("present", "taken", "right", *m.extra.intersection({"free_twice"}))
            found += [Variable(Key.of(name, c, tier)) for name in names]
        found.append(Variable(Key.of("lock", c, DEVICE), m.requests + m.copies))
        if "below_zero" in m.extra:
            found.append(Variable(Key.of("below_zero", c, DEVICE)))
        found.append(Variable(Key.of("locks", c, HOST), m.copies))
        found.append(Variable(Key.of("below_zero", c, HOST)))
        if m.auxiliary:
            found += [Variable(Key.of("being_written", c)), Variable(Key.of("being_loaded", c))]
    if m.hits_to_back_up > 1:
        found.append(Variable(w.HITS, m.hits_to_back_up))
    if m.windowed:
        found += [Variable(k, m.depth) for k in (w.WRITE_REACH, w.LOAD_REACH, w.HELD_REACH)]
    return tuple(found)


def definitions(m: Pages) -> tuple[Definition, ...]:
    """What follows from it."""
    found = [
        definition(Key("goes_on"), lambda n: some(children_of(n), lambda c: ~c.cut), 0),
        definition(Key("run_length"), lambda n: ite(n.cut, 1, n.parent.run_length + 1), 0),
        definition(Key("write_top"), lambda n: ite(n.in_write_of_parent, n.parent.write_top, n.number), 0),
        definition(Key("load_top"), lambda n: ite(n.in_load_of_parent, n.parent.load_top, n.number), 0),
        definition(Key("write_ends"), lambda n: n.in_write & ~some(children_of(n), lambda c: c.in_write_of_parent), 0),
        definition(Key("load_ends"), lambda n: n.in_load & ~some(children_of(n), lambda c: c.in_load_of_parent), 0),
        definition(Key("write_ack"), lambda n: ite(n.write_pending, n.write_top, -1), -1),
        definition(Key("load_ack"), lambda n: ite(n.load_pending, n.load_top, -1), -1),
    ]
    if not m.auxiliary:
        found.append(definition(Key.of("being_written", FULL), lambda n: n.in_write, 0))
        found.append(definition(Key.of("being_loaded", FULL), lambda n: n.in_load, 0))
    for c in m.components:
        found.append(_host_lock(c))
        for tier in BOTH:
            found += _bytes(c, tier)
    if m.windowed:
        found += _reaches(m.window)
    return tuple(found)


def _host_lock(c: Component) -> Definition:
    return definition(Key.of("lock", c, HOST), lambda n: ite(n[c, HOST].below_zero, -1, n[c, HOST].locks), 0)


def _bytes(c: Component, tier: Tier) -> Iterator[Definition]:
    """The bytes that a copy holds: 1 its own, 0 others. Until a transfer has written them, nobody can tell."""

    def coming(n: Element) -> Expr:
        return n[c].being_loaded & ~n.load_copied if tier is DEVICE else n[c].being_written & ~n.write_copied

    yield definition(Key.of("bytes", c, tier), lambda n: ite(n[c, tier].right | coming(n), 1, 0), 0)
    yield definition(Key.of("own_bytes", c, tier), lambda n: _one(), 0)


def _one() -> Expr:
    return Expr(make(Const, 1))


def _reaches(window: int) -> Iterator[Definition]:
    """Pages that a window of 1, 2, … pages reaches back over, in whole nodes."""
    for pages in range(1, window + 1):
        key = (
            w.REACH
            if pages == window
            else word(f"reach_of_{pages}", Sort.INT, "pages", f"reach, of a window of {pages}")
        )

        def said(n: Element, pages: int = pages) -> Expr:
            found: Expr = n.run_length
            above = n
            for length in range(1, pages):
                above = above.parent
                rest = getattr(above, f"reach_of_{pages - length}")
                found = ite(n.run_length == length, rest + length, found)
            return found

        yield definition(key, said, 0)


def _shorter(pages: int) -> Key:
    return word(f"reach_of_{pages}", Sort.INT, "pages", f"how far a lock would reach for a window of {pages}")


def attached(m: Pages) -> tuple[Attached, ...]:
    """Transfers, requests and slots."""
    true, false, one = (make(Const, x) for x in (True, False, 1))
    there = defined(w.there)
    found = [
        Attached(
            "write", Sort.TRANSFER, defined(lambda n: n.write_ends),
            {
                Key("is_write"): true, Key("is_load"): false, Key("ack"): defined(lambda n: n.write_top),
                Key("node_in_tree"): there, Key("takes_lock"): true, Key("queued"): one,
            },
            frozenset({"node"}),
        ),
        Attached(
            "load", Sort.TRANSFER, defined(lambda n: n.load_ends),
            {
                Key("is_write"): false, Key("is_load"): true, Key("ack"): defined(lambda n: n.load_top),
                Key("node_in_tree"): there, Key("takes_lock"): true, Key("queued"): one,
            },
            frozenset({"node"}),
        ),
        Attached("request", Sort.REQUEST, defined(lambda n: n.held), {Key("node_in_tree"): there}, frozenset({"node"})),
    ]  # fmt: skip
    found += [_slot(m, c, tier) for c in m.components for tier in BOTH]
    return tuple(found)


def _slot(m: Pages, c: Component, tier: Tier) -> Attached:
    """A page's copy has a slot of its own: of which slot it is, no rule asks."""
    zero, one = make(Const, 0), make(Const, 1)
    written = defined(lambda n: ite(n[c].being_written, 1, 0))
    loaded = defined(lambda n: ite(n[c].being_loaded, 1, 0))
    fields: dict[Key, Term] = {
        Key("free"): defined(lambda n: _free(m, n, c, tier)),
        Key("in_tree"): defined(lambda n: ite(n[c, tier].present, 1, 0)),
        Key("held"): zero,
        Key("read"): written if tier is DEVICE else loaded,
        Key("written"): loaded if tier is DEVICE else written,
        Key("reader_ack"): defined(lambda n: n.write_top) if tier is DEVICE else defined(lambda n: n.load_top),
        Key("writer_ack"): defined(lambda n: n.load_top) if tier is DEVICE else defined(lambda n: n.write_top),
    }
    return Attached(f"slot of {c.name} on the {tier.value}", Sort.SLOT, one, fields, frozenset({"owner"}), (c, tier))


def _free(m: Pages, n: Element, c: Component, tier: Tier) -> Expr:
    """How often the free lists name a page's slot."""
    copy = n[c, tier]
    once = ite(copy.taken, 0, 1)
    return once + ite(copy.free_twice, 1, 0) if "free_twice" in m.extra else once


def tree(m: Pages) -> dict[Key, Term]:
    """Fields of the tree. A pool has as many slots as there are pages; how many may be taken, the actions know."""
    return {Key.of("capacity", c, tier): make(Const, m.count) for c in m.components for tier in BOTH}


def taken(c: Component, tier: Tier) -> Expr:
    """Slots of a pool that are handed out."""
    return count(slots(c, tier), where=lambda s: s.free == 0)
