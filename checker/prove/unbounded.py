"""Induction on trees of any size.

What a tree is: an order in which the pages above a page are a line down from the root, and the page above
another covers it. Of finite trees two more things are used: going up from a page, or down along children of
one kind, one comes to an end. A counter that a claim ties to what it counts is taken at that word: what
follows from counting is said as lemmas, and the tie is kept where an action changes both alike.

All of this is true of every finite tree, and comparisons that cannot be said are left open, guards too: so
what is proved holds of trees of any size. What is not proved need not be wrong: see `bounded`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import z3

from sanitree.checker.prove.instances import Instances
from sanitree.checker.prove.relational import ROOT, Relational, above, put, same, up
from sanitree.checker.prove.results import Answer, Pair
from sanitree.checker.symbolic import TRUE, E, choose, conj, const, disj, neg
from sanitree.invariants.calls import field_named
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.rules import checks
from sanitree.invariants.terms import Apply, Fold, Gather, Get, Op, Range, Term, make
from sanitree.invariants.vocabulary import Sort
from sanitree.models.protocol.system import NODE, Action, Assign, Over, System
from sanitree.models.snapshot import Key

SECONDS = 5.0
"""For one pair, unless somebody says otherwise."""

TIED = "counters_count"
"""The claim that no counter falls below 0, and that each that is tied to what it counts stays so."""

ABSENT = "absent_pages_have_nothing"
N, H = E("page", ("n",)), E("page", ("h",))
GOALS = (E("page", ("g",)), E("page", ("g'",)))
"""The pages that a claim is wrong of."""


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """A claim about any tree."""

    name: str
    holds: E
    auxiliary: bool


@dataclass(frozen=True, slots=True, eq=False)
class Counter:
    """A number of each page that counts what ends there; `along`: there and below. holders: how many end at page H."""

    key: Key
    along: bool
    holders: E


class After:
    """Formulas about the state after an action of the page N, as formulas about the state before."""

    def __init__(self, r: Relational, a: Action) -> None:
        x = E("page", ("_x",))
        self.assigned: dict[Key, E] = {}
        self._x = x
        self._done: dict[E, E] = {}
        for assign in a.assigns:
            key = Key.of(assign.target.field.name, assign.target.component, assign.target.tier)  # type: ignore[arg-type]
            where = self._where(r, assign, x)
            each, other = (None, None) if assign.over is Over.ITSELF else (assign.each, x)
            value = r.value(assign.value, N, each, other)
            flag = (
                r.rows.flags[key]
                and assign.value.sort is assign.target.sort
                and assign.target.field.sort.name == "BOOL"
            )
            old = self.assigned.get(key, E("is" if flag else "count of", (key, x)))
            if flag:
                self.assigned[key] = disj(conj(where, value), conj(neg(where), old))
            else:
                self.assigned[key] = choose(where, value, old)

    def _where(self, r: Relational, assign: Assign, x: E) -> E:
        if assign.over is Over.ITSELF:
            return same(x, N)
        among = above(x, N) if assign.over is Over.PATH else same(up(x), N)
        return conj(conj(among, neg(same(x, ROOT))), r.condition(assign.where, N, assign.each, x))

    def __call__(self, e: E) -> E:
        if (found := self._done.get(e)) is None:
            found = self._done[e] = self._made(e)
        return found

    def _made(self, e: E) -> E:
        args = tuple(self(a) if isinstance(a, E) else a for a in e.args)
        if e.op in ("is", "count of") and e.args[0] in self.assigned:
            return put(self.assigned[e.args[0]], self._x, args[1])
        if e.op in ("children's", "opaque", "unknown", "as many"):
            return E(e.op, (*args, "after"))
        match e.op:
            case "and":
                return conj(*args)
            case "or":
                return disj(*args)
            case "not":
                return neg(args[0])
        return e if args == e.args else E(e.op, args)


class Unbounded:
    """A model on trees of any size, ready to be asked about its pairs. wanted: rules. seconds: for each pair."""

    def __init__(self, system: System, wanted: Iterable[str], seconds: float = SECONDS) -> None:
        self.system, self.seconds = system, seconds
        self.r = Relational(system)
        self.unsaid: dict[str, str] = {}
        self.counters: list[Counter] = []
        self.formulas = list(self._formulas(set(wanted)))
        self.marks = {f.name: z3.Bool(f"holds {f.name}") for f in self.formulas}
        self.base: list[Any] = []
        self.before = Instances(self.base.append)
        self._begin()

    # What is claimed.

    def _formulas(self, wanted: set[str]) -> Iterator[Formula]:
        for c in checks(self.system.rules, self.system.settings):
            if c.name in wanted:
                yield from self._said(c.name, self.r.judged(c), False)
        for i in self.system.invariants:
            rest = []
            for part in _parts(instantiate(i.term, self.system.settings, {})):
                # That a counter counts is TIED's to show: said here it would compare sums.
                if (counter := self._counted(part)) is not None:
                    self.counters.append(counter)
                else:
                    rest.append(part)
            if rest:
                said = rest[0] if len(rest) == 1 else make(Apply, Op.AND, tuple(rest))
                yield from self._said(i.name, self.r.said_of_each(said), True)

    def _said(self, name: str, holds: E, auxiliary: bool) -> Iterator[Formula]:
        if holds is TRUE:
            return
        if any(x.op in ("opaque", "unknown") for x in _subs(holds)):
            self.unsaid[name] = "it compares numbers that are counted or measured over many pages"
            return
        yield Formula(name, holds, auxiliary)

    def _counted(self, part: Term) -> Counter | None:
        """The counter that a claim ties to what it counts: itself = the sum over children + …"""
        if not (isinstance(part, Apply) and part.op is Op.EQ and isinstance(part.args[0], Get)):
            return None
        key = _key(part.args[0])
        if part.args[0].of is not NODE or self.r.rows.flags.get(key, True):
            return None
        terms = _summands(part.args[1])
        along = [t for t in terms if isinstance(t, Gather)]
        if len(along) > 1 or not all(_sums_children(t, key) for t in along):
            return None
        total: E | None = None
        for t in terms:
            if t not in along:
                number = self.r.value(t, H)
                total = number if total is None else E("+", (total, number))
        return None if total is None else Counter(key, bool(along), total)

    # What is true of any state.

    def _begin(self) -> None:
        """Everything about the state before, of the pages that any question is about."""
        core = (N, *GOALS)
        for page in core:
            self.before.name(page, 0)
        for page in core:
            self.before.name(up(page), 1)
        list(self.before.between(core))
        for goal in GOALS:
            self.before.down(up(goal), N)
        self._switches(GOALS[0], N)
        for f in self.formulas:
            self.before.suppose(f.holds, self.marks[f.name])
        self._state(self.before, lambda e: e, "")
        self.before.settle()
        for such in self._closed():
            self._all_above(such)
        self.before.settle()

    def _closed(self) -> Iterator[Callable[[E], E]]:
        """What is true of the page above a page wherever it is true of that: by the claims, which z3 is asked."""
        solver = z3.SolverFor("QF_UF")
        solver.set("timeout", int(self.seconds * 1000))
        solver.add(*self.base)
        i, g = self.before.copy(solver.add), GOALS[0]

        def there(page: E) -> E:
            return disj(*(E("is", (k, page)) for k in self.system.exists))

        def flag(key: Key) -> Callable[[E], E]:
            return lambda page: E("is", (key, page))

        for number, such in enumerate([there, *map(flag, self.system.exists)]):
            mark = z3.Bool(f"not closed {number}")
            above_g = conj(neg(same(up(g), ROOT)), neg(such(up(g))))
            i.ask(conj(neg(same(g, ROOT)), conj(such(g), above_g)), mark, ())
            i.settle()
            if solver.check(mark, *self.marks.values()) == z3.unsat:
                yield such

    def _all_above(self, such: Callable[[E], E]) -> None:
        """Then it is true of the whole path, by induction along it."""
        x = E("page", ("x",))
        supposed = z3.And(*self.marks.values())
        for page in [p for p in self.before.level if p is not ROOT]:
            off = disj(neg(above(x, page)), same(x, ROOT))
            self.before.every(x, disj(off, disj(neg(such(page)), such(x))), supposed)

    def _switches(self, a: E, b: E) -> None:
        """Where a flag is another at the end of a way down than at its beginning, it changes at a first page."""
        i = self.before
        for k, flag in self.r.rows.flags.items():
            if not flag or not self._is_truth(k):
                continue
            c = i.name(E("page", (f"switch {k}",)), 1)
            at = {p: E("is", (k, p)) for p in (a, b, c, up(c))}
            way = conj(conj(above(a, c), neg(same(a, c))), above(c, b))
            changes = conj(differ(at[c], at[a]), neg(differ(at[up(c)], at[a])))
            i.suppose(disj(neg(above(a, b)), disj(neg(differ(at[a], at[b])), conj(way, changes))))

    def _state(self, i: Instances, then: Callable[[E], E], tag: str) -> None:
        """Fields of the root, and that going down ends; then: a formula in the state meant."""
        for k, flag in self.r.rows.flags.items():
            key = E("is", (k, ROOT)) if flag and self._is_truth(k) else E("count of", (k, ROOT))
            if not tag:
                i.suppose(_equals(key, self.system.root[k]))
        self._descents(i, then, tag)

    def _is_truth(self, key: Key) -> bool:
        f = field_named(Sort.NODE, key.name)
        return f is not None and f.sort is Sort.BOOL

    def _descents(self, i: Instances, then: Callable[[E], E], tag: str) -> None:
        """Going down along children that are flagged, from a page that is asked about, one comes to the last."""
        for d in self.system.definitions:
            term = instantiate(d.term, self.system.settings, {})
            if (flag := _descent(term)) is None:
                continue
            for page in GOALS:
                low = i.name(E("page", (f"low {d.key}{tag}({page.args[0]})",)), 1)
                y = E("page", ("y",))
                i.suppose(above(page, low))
                inside = conj(conj(above(page, y), neg(same(page, y))), above(y, low))
                i.every(y, disj(neg(inside), then(E("is", (flag, y)))))
                i.suppose(disj(same(low, page), then(E("is", (flag, low)))))
                there = self.r.condition(term, low)
                going_on = next(e for e in _subs(there) if e.op == "some")
                i.suppose(neg(then(going_on)))

    def lemmas(self, i: Instances, then: Callable[[E], E], tag: str) -> None:
        """What follows from counting, of each counter that counts what it should."""
        x = E("page", ("x",))
        for c in self.counters:
            number, at_root = then(E("count of", (c.key, x))), same(x, ROOT)
            own, below = then(put(c.holders, H, x)), then(E("children's", (c.key, x)))
            if not c.along:
                i.every(x, disj(at_root, conj(_alike(number, own), E("=", (number, own)))))
                continue
            i.every(x, disj(at_root, E("=", (number, E("+", (below, own))))))
            i.every(x, E("<=", (const(0), below)))
            i.every(x, disj(at_root, disj(_no(own), _some(number))))
            for page in (*GOALS, N):
                held = i.name(E("page", (f"holder of {c.key}{tag}({page.args[0]})",)), 1)
                ends = conj(conj(above(page, held), neg(same(held, ROOT))), _some(then(put(c.holders, H, held))))
                i.suppose(disj(same(page, ROOT), disj(_no(then(E("count of", (c.key, page)))), ends)))
            for page in [p for p, level in i.level.items() if p is not ROOT]:
                of_it, its = then(E("count of", (c.key, page))), then(put(c.holders, H, page))
                over = neg(conj(above(x, page), neg(at_root)))
                i.every(x, disj(over, disj(conj(_no(of_it), _no(its)), _some(number))))

    # Pairs.

    def kept(self, action: Action) -> Iterator[Pair]:
        """For each claim, whether the action keeps it. What ties counters to what they count comes first."""
        begun = time.perf_counter()
        solver = z3.SolverFor("QF_UF")
        solver.set("timeout", int(self.seconds * 1000))
        solver.add(*self.base)
        i = self.before.copy(solver.add)
        i.suppose(neg(same(N, ROOT)))
        i.suppose(self.r.condition(action.guard, N))
        self.lemmas(i, lambda e: e, "")
        then = After(self.r, action)
        goals = {TIED: z3.Bool(f"wrong {TIED}")}
        i.ask(self._untied(then), goals[TIED], GOALS)
        for f in self.formulas:
            goals[f.name] = z3.Bool(f"wrong {f.name}")
            i.ask(neg(then(f.holds)), goals[f.name], GOALS)
        self._descents(i, then, "'")
        i.settle()
        tied = self._pair(solver, action.name, TIED, goals[TIED], begun)
        yield tied
        late: list[Any] = []
        self._late(i, then, late)
        done: dict[str, Answer] = {}
        for f in sorted(self.formulas, key=lambda f: f.name != ABSENT):
            counted = tied.answer is Answer.PROVED and done.get(ABSENT, Answer.PROVED) is Answer.PROVED
            if f.name != ABSENT and counted and late:
                solver.add(*late)
                late = []
            begun = time.perf_counter()
            pair = self._pair(solver, action.name, f.name, goals[f.name], begun)
            if pair.answer is not Answer.PROVED and counted and any(c.key in _counters(f.holds) for c in self.counters):
                pair = self._by_counting(action, then, f, pair, begun)
            done[f.name] = pair.answer
            yield pair

    def _late(self, i: Instances, then: After, late: list[Any]) -> None:
        """The lemmas of the state after, which hold once the counters are known to count there too."""
        j = i.copy(late.append)
        self.lemmas(j, then, "'")
        j.settle()

    def _by_counting(self, action: Action, then: After, f: Formula, pair: Pair, begun: float) -> Pair:
        """A claim about numbers, from nothing but what the counters of the state after count."""
        solver = z3.SolverFor("QF_UFLIA")
        solver.set("timeout", int(self.seconds * 1000))
        i = Instances(solver.add, numbers=True)
        for page in (N, GOALS[0]):
            i.name(page, 0)
        mark = z3.Bool("wrong")
        i.ask(neg(then(f.holds)), mark, GOALS)
        self.lemmas(i, then, "'")
        for c in self.counters:
            page = GOALS[0]
            i.suppose(E("<=", (const(0), then(put(c.holders, H, page)))))
        i.settle()
        if solver.check(mark) == z3.unsat:
            return Pair(action.name, f.name, Answer.PROVED, time.perf_counter() - begun, frozenset({TIED}))
        return pair

    def _untied(self, then: After) -> E:
        """Some counter falls below 0, or changes as what it counts does not."""
        g = GOALS[0]
        wrong = const(False)
        counted = {c.key: c for c in self.counters}
        for k, flag in self.r.rows.flags.items():
            if flag and self._is_truth(k):
                continue
            number = E("count of", (k, g))
            grown = _grown(then(number), number)
            wrong = disj(wrong, grown.get(None, const(False)) if k in counted else const(False))
            wrong = disj(wrong, conj(grown.get(-1, const(False)), _no(number)))
            if k not in counted:
                continue
            c = counted[k]
            of_n, of_g = (_grown(then(h), h) for h in (put(c.holders, H, N), put(c.holders, H, g)))
            if not c.along:
                wrong = disj(wrong, neg(_alike_changes(grown, of_g)))
                continue
            on_path = above(g, N)
            wrong = disj(wrong, conj(on_path, neg(_alike_changes(grown, of_n))))
            wrong = disj(wrong, conj(neg(on_path), neg(grown.get(0, const(False)))))
            wrong = disj(wrong, conj(neg(same(g, N)), neg(of_g.get(0, const(False)))))
        return conj(neg(same(g, ROOT)), wrong)

    def _pair(self, solver: Any, action: str, name: str, goal: Any, begun: float) -> Pair:
        found = solver.check(goal, *self.marks.values())
        uses: frozenset[str] = frozenset()
        if found == z3.unsat:
            core = set(map(str, solver.unsat_core()))
            uses = frozenset(n for n, m in self.marks.items() if str(m) in core)
        reason = "" if found == z3.unsat else "z3 gave up"
        if found == z3.sat:
            reason = "nothing that was said of a few pages contradicts it"
        answer = Answer.PROVED if found == z3.unsat else Answer.UNKNOWN
        self._last = Pair(action, name, answer, time.perf_counter() - begun, uses, None, reason)
        return self._last


Changes = dict[int | None, E]
"""By how much a number grows, and when; None: by nobody knows how much."""


def _grown(new: E, old: E) -> Changes:
    """How a number has changed, where it is made of counters and of conditions."""
    if new is old:
        return {0: TRUE}
    if old.op == "+":
        parts = new.args if new.op == "+" else None
        if parts is None:
            return {None: TRUE}
        return _added(_grown(parts[0], old.args[0]), _grown(parts[1], old.args[1]))
    if old.op == "if" and old.args[1:] == (const(1), const(0)):
        was = old.args[0]
        now = new.args[0] if new.op == "if" and new.args[1:] == (const(1), const(0)) else None
        if now is None:
            return {None: TRUE}
        return {1: conj(now, neg(was)), -1: conj(neg(now), was), 0: neg(differ(now, was))}
    if new.op == "if":
        found: Changes = {}
        for when, value in ((new.args[0], new.args[1]), (neg(new.args[0]), new.args[2])):
            for by, where in _grown(value, old).items():
                found[by] = disj(found.get(by, const(False)), conj(when, where))
        return found
    if new.op in ("+", "-") and new.args[1].op == "const":
        by = int(new.args[1].args[0]) * (1 if new.op == "+" else -1)
        return {(None if k is None else k + by): e for k, e in _grown(new.args[0], old).items()}
    if new is const(0):
        return {0: _no(old), None: _some(old)}
    return {None: TRUE}


def _added(a: Changes, b: Changes) -> Changes:
    found: Changes = {}
    for i, x in a.items():
        for j, y in b.items():
            by = None if i is None or j is None else i + j
            found[by] = disj(found.get(by, const(False)), conj(x, y))
    return found


def _alike_changes(a: Changes, b: Changes) -> E:
    """Two numbers have changed by as much."""
    found = const(False)
    for by, where in a.items():
        if by is not None and by in b:
            found = disj(found, conj(where, b[by]))
    return found


def _some(number: E) -> E:
    return E("<", (const(0), number))


def _no(number: E) -> E:
    return neg(_some(number))


def _alike(a: E, b: E) -> E:
    return neg(differ(_some(a), _some(b)))


@cache
def _counters(e: E) -> frozenset[Key]:
    return frozenset(x.args[0] for x in _subs(e) if x.op == "count of")


def differ(a: E, b: E) -> E:
    """One of two conditions is true, and the other is not."""
    return disj(conj(a, neg(b)), conj(neg(a), b))


def _equals(e: E, value: int) -> E:
    return (e if value else neg(e)) if e.op == "is" else E("=", (e, const(value)))


@cache
def _subs(e: E) -> Sequence[E]:
    seen: dict[E, None] = {}
    stack = [e]
    while stack:
        x = stack.pop()
        if x not in seen:
            seen[x] = None
            stack += x.subs()
    return list(seen)


def _key(get: Get) -> Key:
    return Key.of(get.field.name, get.component, get.tier)  # type: ignore[arg-type]  # instantiated


def _parts(term: Term) -> list[Term]:
    if isinstance(term, Apply) and term.op is Op.AND:
        return [t for a in term.args for t in _parts(a)]
    return [term]


def _summands(term: Term) -> list[Term]:
    if isinstance(term, Apply) and term.op is Op.ADD:
        return [t for a in term.args for t in _summands(a)]
    return [term]


def _sums_children(term: Gather, key: Key) -> bool:
    body = term.body
    return (
        term.fold is Fold.SUM and term.over is Range.CHILDREN and isinstance(body, Get)
        and body.of is term.var and _key(body) == key and term.parent is NODE
    )  # fmt: skip


def _descent(term: Term) -> Key | None:
    """The flag of children of a definition of the form "so marked, and no child that is flagged"."""
    match term:
        case Apply(Op.AND, (Get(), Apply(Op.NOT, (Gather(fold=Fold.SOME, over=Range.CHILDREN, body=Get() as flag),)))):
            return _key(flag)
    return None
