"""What is true of every finite tree and does not follow from an order of pages: what induction along paths says,
and what counting does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sanitree.checker.prove.changes import alike, none_of, some_of
from sanitree.checker.prove.counting import clear
from sanitree.checker.prove.order import ROOT, above, differ, each, named, put, same, some, subs, up
from sanitree.checker.prove.relational import Relational
from sanitree.checker.symbolic import E, conj, const, disj, neg
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.terms import Apply, Fold, Gather, Get, Op, Range, Term
from sanitree.models.protocol.system import NODE
from sanitree.models.snapshot import Key

N, H = named("n"), named("h")
"""The page that an action is of; one at which something ends that a counter counts."""

X, _Y, _Z = named("x"), named("y"), named("z")

Then = Callable[[E], E]
"""A formula in the state meant."""


@dataclass(frozen=True, slots=True, eq=False)
class Counter:
    """A number of each page that counts what ends there; `along`: there and below. holders: how many end at page H."""

    key: Key
    along: bool
    holders: E


def root_is_as_it_is(r: Relational) -> Iterator[E]:
    """Fields of the root, which no action changes."""
    for key, value in r.system.root.items():
        e = E("is" if r.is_truth(key) else "count of", (key, ROOT))
        yield (e if value else neg(e)) if e.op == "is" else E("=", (e, const(value)))


def nothing_is_there(r: Relational) -> Iterator[E]:
    """The first state, in which the root alone has anything."""
    yield from root_is_as_it_is(r)
    for key in r.rows.flags:
        if r.is_truth(key):
            yield each(X, disj(same(X, ROOT), neg(E("is", (key, X)))))
        else:
            none = conj(E("=", (E("count of", (key, X)), const(0))), E("=", (E("children's", (key, X)), const(0))))
            yield each(X, disj(same(X, ROOT), none))


def going_down_ends(r: Relational, then: Then) -> Iterator[E]:
    """Of the page X: going down flagged children one comes to a last, and the topmost stays the same."""
    tops = {d.key: r.topmost(d, X) for d in r.system.definitions}
    for d in r.system.definitions:
        term = instantiate(d.term, r.system.settings, {})
        if (flag := _descent(term)) is None:
            continue
        between = conj(conj(above(X, _Y), neg(same(X, _Y))), above(_Y, _Z))
        on_the_way = each(_Y, disj(neg(between), then(E("is", (flag, _Y)))))
        ends = disj(same(_Z, X), then(E("is", (flag, _Z))))
        going_on = next(e for e in subs(r.condition(term, _Z)) if e.op == "some")
        low = conj(conj(above(X, _Z), on_the_way), conj(ends, neg(then(going_on))))
        for top in tops.values():
            if top is not None and put(top.args[1], top.args[0], X) is neg(E("is", (flag, X))):
                low = conj(low, same(then(top), then(put(top, X, _Z))))
        yield some(_Z, low)


def closed_upward(such: Callable[[E], E]) -> E:
    """What is true of the page above wherever it is true of a page is true of the whole path."""
    off = disj(neg(above(X, _Y)), same(X, ROOT))
    return each(_Y, each(X, disj(off, disj(neg(such(_Y)), such(X)))))


def along_a_line(joined: Callable[[E], E], such: Callable[[E], E], there: Callable[[E], E]) -> E:
    """What is true of the page above wherever it is true of a page joined to that, is true of the line up from N."""
    on_it = conj(conj(above(X, N), neg(same(X, ROOT))), clear(_Y, neg(joined(_Y)), X, N))
    return each(X, disj(neg(conj(on_it, conj(there(N), such(N)))), such(X)))


def of_a_line(joined: Callable[[E], E]) -> E:
    """A line up from N goes on from a page on the path where the page above is joined to it."""
    apart = neg(joined(_Y))
    here, on = (neg(clear(_Y, apart, p, N)) for p in (X, up(X)))
    on_path = conj(above(X, N), neg(same(X, ROOT)))
    return each(X, disj(neg(on_path), neg(differ(on, disj(neg(joined(X)), here)))))


def first_change(such: Callable[[E], E], a: E, b: E) -> E:
    """Where a condition is another at the end of a way down than at its beginning, it changes at a first page."""
    way = conj(conj(above(a, _Z), neg(same(a, _Z))), above(_Z, b))
    changes = conj(differ(such(_Z), such(a)), neg(differ(such(up(_Z)), such(a))))
    return disj(neg(above(a, b)), disj(neg(differ(such(a), such(b))), some(_Z, conj(way, changes))))


def counted(c: Counter, then: Then) -> Iterator[E]:
    """What follows from counting, of a counter that counts what it should."""
    at_root = same(X, ROOT)
    number, own = then(E("count of", (c.key, X))), then(put(c.holders, H, X))
    if not c.along:
        yield each(X, disj(at_root, conj(alike(number, own), E("=", (number, own)))))
        return
    below = then(E("children's", (c.key, X)))
    yield each(X, disj(at_root, E("=", (number, E("+", (below, own))))))
    yield each(X, E("<=", (const(0), below)))
    its = then(put(c.holders, H, _Y))
    there = conj(conj(above(X, _Y), neg(same(_Y, ROOT))), some_of(its))
    yield each(X, disj(at_root, disj(none_of(number), some(_Y, there))))
    of_it = then(E("count of", (c.key, _Y)))
    under = conj(above(X, _Y), neg(at_root))
    yield each(X, each(_Y, disj(neg(under), disj(conj(none_of(of_it), none_of(its)), some_of(number)))))


def never_negative(key: Key) -> E:
    """A number is not below 0."""
    return each(X, E("<=", (const(0), E("count of", (key, X)))))


def counter_of(r: Relational, part: Term) -> Counter | None:
    """The counter that a claim ties to what it counts: itself = the sum over children + …"""
    if not (isinstance(part, Apply) and part.op is Op.EQ and isinstance(part.args[0], Get)):
        return None
    key = key_of(part.args[0])
    if part.args[0].of is not NODE or r.rows.flags.get(key, True):
        return None
    terms = _summands(part.args[1])
    along = [t for t in terms if isinstance(t, Gather)]
    if len(along) > 1 or not all(_sums_children(t, key) for t in along):
        return None
    total: E | None = None
    for t in terms:
        if t not in along:
            number = r.value(t, H)
            total = number if total is None else E("+", (total, number))
    return None if total is None else Counter(key, bool(along), total)


def key_of(get: Get) -> Key:
    """The field that a term reads."""
    return Key.of(get.field.name, get.component, get.tier)  # type: ignore[arg-type]  # instantiated


def _summands(term: Term) -> list[Term]:
    if isinstance(term, Apply) and term.op is Op.ADD:
        return [t for a in term.args for t in _summands(a)]
    return [term]


def _sums_children(term: Gather, key: Key) -> bool:
    body = term.body
    return (
        term.fold is Fold.SUM and term.over is Range.CHILDREN and isinstance(body, Get)
        and body.of is term.var and key_of(body) == key and term.parent is NODE
    )  # fmt: skip


def _descent(term: Term) -> Key | None:
    """The flag of children of a definition of the form "so marked, and no child that is flagged"."""
    match term:
        case Apply(Op.AND, (Get(), Apply(Op.NOT, (Gather(fold=Fold.SOME, over=Range.CHILDREN, body=Get() as flag),)))):
            return key_of(flag)
    return None
