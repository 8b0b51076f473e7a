"""Induction on trees of any size: pages are a sort of their own, and an order says which is above which.

What a tree is, as axioms: an order in which what is above a page is a line down from the root, and the page
above another covers it. Of finite trees two more things are used: going up from a page, or down along
children of one kind, one comes to an end. Counters that a claim ties to what they count are taken at that
word: what follows from counting is added as lemmas, and an action keeps the tie where it changes both alike.

Everything here is true of every finite tree, and comparisons that cannot be said are left open, so that what
is proved holds of trees of any size. What is not proved need not be wrong: see `bounded`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import z3

from sanitree.checker.prove.relational import ROOT, Refs, Relational, pages_in, put, up
from sanitree.checker.prove.results import Answer, Pair
from sanitree.checker.symbolic import FALSE, TRUE, E
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.rules import checks
from sanitree.invariants.terms import Apply, Fold, Gather, Get, Op, Range, Term
from sanitree.models.protocol.system import NODE, Action, Over, System
from sanitree.models.snapshot import Key

PAGE = z3.DeclareSort("Page")
TOP = z3.Const("root", PAGE)
LE = z3.Function("above", PAGE, PAGE, z3.BoolSort())
UP = z3.Function("up", PAGE, PAGE)
NUMBER = z3.Function("number", PAGE, z3.IntSort())

SECONDS = 2.0

POSITIVE = "numbers_are_not_negative"
"""The claim that no counter falls below 0: in a tree of any size it has no largest number."""

Field = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """A claim about any tree."""

    name: str
    holds: E
    auxiliary: bool


@dataclass(frozen=True, slots=True, eq=False)
class Counter:
    """A number of each page that counts what ends there, or, `along` its path, there and below."""

    key: Key
    along: bool
    holders: E
    """How many end at the page "h"."""


def order() -> Iterator[Any]:
    """What a tree is."""
    x, y, w = z3.Consts("x y w", PAGE)
    yield z3.ForAll([x], LE(x, x))
    yield z3.ForAll([x], LE(TOP, x))
    yield z3.ForAll([x, y], z3.Implies(z3.And(LE(x, y), LE(y, x)), x == y))
    yield z3.ForAll([x, y, w], z3.Implies(z3.And(LE(x, y), LE(y, w)), LE(x, w)))
    yield z3.ForAll([x, y, w], z3.Implies(z3.And(LE(x, w), LE(y, w)), z3.Or(LE(x, y), LE(y, x))))
    yield UP(TOP) == TOP
    yield z3.ForAll([x], z3.And(LE(UP(x), x), z3.Implies(x != TOP, UP(x) != x)), patterns=[UP(x)])
    yield z3.ForAll([x, y], z3.Implies(z3.And(LE(y, x), y != x), LE(y, UP(x))), patterns=[z3.MultiPattern(LE(y, x), UP(x))])


class State:
    """Expressions in one state of a tree: each field a function of pages. said: axioms about what was met."""

    def __init__(self, tag: str, fields: Mapping[Key, Field], sums: Mapping[Key, Any]) -> None:
        self.tag, self.fields, self.sums = tag, fields, sums
        self.said: list[Any] = []
        self._functions: dict[tuple[Any, ...], Any] = {}
        self._fresh = 0

    def page(self, e: E, bound: Mapping[E, Any]) -> Any:
        """A page as z3 has it."""
        if e is ROOT:
            return TOP
        if e.op == "up":
            return UP(self.page(e.args[0], bound))
        if e.op == "top":
            return self._top(*e.args[:2])(self.page(e.args[2], bound))
        return bound[e] if e in bound else z3.Const(e.args[0], PAGE)

    def __call__(self, e: E, bound: Mapping[E, Any] | None = None) -> Any:
        """A condition or a number."""
        bound = bound or {}
        match e.op:
            case "const":
                value = e.args[0]
                return z3.BoolVal(value) if isinstance(value, bool) else z3.IntVal(value)
            case "is" | "count of":
                return self.fields[e.args[0]](self.page(e.args[1], bound))
            case "same":
                return self.page(e.args[0], bound) == self.page(e.args[1], bound)
            case "above":
                return LE(self.page(e.args[0], bound), self.page(e.args[1], bound))
            case "number":
                return NUMBER(self.page(e.args[0], bound))
            case "children's":
                return self.sums[e.args[0]](self.page(e.args[1], bound))
            case "some":
                page = self._new(e.args[0])
                return z3.Exists([page], self(e.args[1], {**bound, e.args[0]: page}))
            case "clear":
                return self._clear(e, bound)
            case "as many":
                return self._as_many(e, bound)
            case "opaque" | "unknown" | "path" | "those" | "all":
                return self._open(e, bound, z3.BoolSort() if e.op == "opaque" else z3.IntSort())
        a = [self(x, bound) for x in e.args]
        match e.op:
            case "and":
                return z3.And(*a)
            case "or":
                return z3.Or(*a)
            case "not":
                return z3.Not(a[0])
            case "differ":
                return z3.Xor(*a)
            case "if":
                return z3.If(*a)
            case "=":
                return a[0] == a[1]
            case "<":
                return a[0] < a[1]
            case "<=":
                return a[0] <= a[1]
            case "+":
                return a[0] + a[1]
            case "-":
                return a[0] - a[1]
        raise NotImplementedError(f"z3 is not told what {e.op} means")

    def _new(self, page: E) -> Any:
        self._fresh += 1
        return z3.Const(f"{page.args[0]}{self.tag}!{self._fresh}", PAGE)

    def _named(self, *key: Any, sorts: tuple[Any, ...]) -> tuple[Any, bool]:
        """A function of this state by what it is for, and whether it is new."""
        if key in self._functions:
            return self._functions[key], False
        name = f"{key[0]}{self.tag}#{len(self._functions)}"
        made = self._functions[key] = z3.Function(name, *sorts)
        return made, True

    def _clear(self, e: E, bound: Mapping[E, Any]) -> Any:
        """Nothing such below the one page down to the other."""
        y, such, a, b = e.args
        own = E("page", ("_",))
        such = put(such, y, own)
        first, last = self.page(a, bound), self.page(b, bound)
        if set(pages_in(such)) - {own}:
            at = self._new(y)
            inside = z3.And(LE(first, at), first != at, LE(at, last), self(such, {**bound, own: at}))
            return z3.Not(z3.Exists([at], inside))
        clear, new = self._named("clear", such, sorts=(PAGE, PAGE, z3.BoolSort()))
        if new:
            x, n, at = z3.Consts("x n y", PAGE)
            inside = z3.And(LE(x, at), x != at, LE(at, n), self(such, {own: at}))
            self.said.append(z3.ForAll([x, n], clear(x, n) == z3.Not(z3.Exists([at], inside)), patterns=[clear(x, n)]))
        return clear(first, last)

    def _top(self, y: E, apart: E) -> Any:
        """The topmost page that is joined to a page, each page after it not being apart: paths are finite."""
        own = E("page", ("_",))
        apart = put(apart, y, own)
        top, new = self._named("top", apart, sorts=(PAGE, PAGE))
        if new:
            x, at = z3.Consts("x y", PAGE)
            joined = z3.Implies(z3.And(LE(top(x), at), top(x) != at, LE(at, x)), z3.Not(self(apart, {own: at})))
            ends = z3.Or(top(x) == TOP, self(apart, {own: top(x)}))
            self.said.append(z3.ForAll([x], z3.And(LE(top(x), x), ends), patterns=[top(x)]))
            self.said.append(z3.ForAll([x, at], joined, patterns=[z3.MultiPattern(top(x), LE(at, x))]))
        return top

    def _as_many(self, e: E, bound: Mapping[E, Any]) -> Any:
        """Two counts are the same: known only where one counts no more than the other does."""
        page, a, b = e.args
        found = self._open(e, bound, z3.BoolSort())
        if not any(p in bound for p in pages_in(e)):
            at = self._new(page)
            mine, its = (self(x, {**bound, page: at}) for x in (a, b))
            within = z3.Or(z3.ForAll([at], z3.Implies(mine, its)), z3.ForAll([at], z3.Implies(its, mine)))
            alike = z3.ForAll([at], mine == its)
            self.said += [z3.Implies(alike, found), z3.Implies(z3.And(found, within), alike)]
        return found

    def _open(self, e: E, bound: Mapping[E, Any], sort: Any) -> Any:
        pages = tuple(pages_in(e))
        name, _ = self._named(e.op, e, sorts=(*(PAGE for _ in pages), sort))
        return name(*(self.page(p, bound) for p in pages))

    def low(self, flag: Field, there: Field) -> Any:
        """Going down along children with a flag one comes to an end."""
        x, y = z3.Consts("x y", PAGE)
        low, new = self._named("low", str(flag(TOP)), sorts=(PAGE, PAGE))
        if new:
            inside = z3.And(LE(x, y), x != y, LE(y, low(x)))
            self.said.append(z3.ForAll([x], LE(x, low(x)), patterns=[low(x)]))
            self.said.append(z3.ForAll([x, y], z3.Implies(inside, flag(y)), patterns=[z3.MultiPattern(low(x), LE(x, y))]))
            ends = z3.Implies(z3.And(UP(y) == low(x), y != TOP, there(y)), z3.Not(flag(y)))
            self.said.append(z3.ForAll([x, y], ends, patterns=[z3.MultiPattern(low(x), UP(y))]))
        return low


def _is_open(e: E) -> bool:
    return any(x.op in ("opaque", "unknown", "as many") for x in _subs(e))


def _subs(e: E) -> Iterator[E]:
    seen, stack = set(), [e]
    while stack:
        x = stack.pop()
        if x not in seen:
            seen.add(x)
            yield x
            stack += x.subs()


class Unbounded:
    """A model on trees of any size, ready to be asked about its pairs. seconds: for each."""

    def __init__(self, system: System, wanted: Iterable[str], seconds: float = SECONDS) -> None:
        self.system, self.seconds = system, seconds
        self.r = Relational(system)
        self.unsaid: dict[str, str] = {}
        self.counters: list[Counter] = []
        self.formulas = list(self._formulas(set(wanted)))
        self.before = State("", {k: _field(k, flag, "") for k, flag in self.r.rows.flags.items()}, self._sums(""))

    def _formulas(self, wanted: set[str]) -> Iterator[Formula]:
        for c in checks(self.system.rules, self.system.settings):
            if c.name in wanted:
                yield from self._said(c.name, self.r.judged(c), False)
        for i in self.system.invariants:
            for c in self._counted(i.term):
                self.counters.append(c)
            yield from self._said(i.name, self.r.said_of_each(i.term), True)

    def _said(self, name: str, holds: E, auxiliary: bool) -> Iterator[Formula]:
        if holds is TRUE:
            return
        if any(x.op in ("opaque", "unknown") for x in _subs(holds)):
            self.unsaid[name] = "it compares numbers that are counted or measured over many pages"
            return
        yield Formula(name, holds, auxiliary)

    def _counted(self, term: Term) -> Iterator[Counter]:
        """The counters that a claim ties to what they count: itself = the sum over children + …"""
        said = instantiate(term, self.system.settings, {})
        for part in said.args if isinstance(said, Apply) and said.op is Op.AND else (said,):
            if not (isinstance(part, Apply) and part.op is Op.EQ and isinstance(part.args[0], Get)):
                continue
            get, key = part.args[0], _key(part.args[0])
            if get.of is not NODE or self.r.rows.flags.get(key, True):
                continue
            terms = _summands(part.args[1])
            along = [t for t in terms if isinstance(t, Gather)]
            if len(along) > 1 or not all(_sums_children(t, key) for t in along):
                continue
            page = E("page", ("h",))
            holders = [self.r.value(t, page) for t in terms if t not in along]
            total = holders[0]
            for h in holders[1:]:
                total = E("+", (total, h))
            yield Counter(key, bool(along), total)

    def _sums(self, tag: str) -> dict[Key, Any]:
        return {k: z3.Function(f"children's {k}{tag}", PAGE, z3.IntSort()) for k, f in self.r.rows.flags.items() if not f}

    # States.

    def _there(self, s: State) -> Field:
        def there(x: Any) -> Any:
            return z3.Or(*(s.fields[k](x) for k in self.system.exists))

        return there

    def facts(self, s: State) -> Iterator[Any]:
        """What is true in any state of any tree: fields of the root, and that going down ends."""
        for k, flag in self.r.rows.flags.items():
            value = self.system.root[k]
            yield s.fields[k](TOP) == (z3.BoolVal(bool(value)) if flag else z3.IntVal(value))
        for d in self.system.definitions:
            for key in _descents(instantiate(d.term, self.system.settings, {})):
                low = s.low(s.fields[key], self._there(s))
                marked = self._marked(s, instantiate(d.term, self.system.settings, {}))
                x = z3.Const("x", PAGE)
                # An end is looked for only where somebody asks what a marked page leads to.
                yield z3.ForAll([x], z3.Implies(marked(x), LE(x, low(x))), patterns=[marked(x)])

    def _marked(self, s: State, term: Term) -> Field:
        assert isinstance(term, Apply)
        first = term.args[0]
        assert isinstance(first, Get)
        return s.fields[_key(first)]

    def lemmas(self, s: State) -> Iterator[Any]:
        """What follows from counting, of each counter that counts what it should."""
        x, y = z3.Consts("x y", PAGE)
        h = E("page", ("h",))
        for c in self.counters:
            count, below = s.fields[c.key], s.sums[c.key]
            own = s(c.holders, {h: x})
            yield z3.ForAll([x], z3.Implies(x != TOP, z3.And(own >= 0, count(x) >= own)), patterns=[count(x)])
            if not c.along:
                yield z3.ForAll([x], z3.Implies(x != TOP, count(x) == own), patterns=[count(x)])
                continue
            yield z3.ForAll([x], z3.Implies(x != TOP, z3.And(count(x) == below(x) + own, below(x) >= 0)), patterns=[count(x)])
            ends = z3.Function(f"holder of {c.key}{s.tag}", PAGE, PAGE)
            there = z3.And(LE(x, ends(x)), ends(x) != TOP, s(c.holders, {h: ends(x)}) > 0)
            yield z3.ForAll([x], z3.Implies(z3.And(x != TOP, count(x) > 0), there), patterns=[count(x)])
            more = z3.Implies(z3.And(LE(x, y), x != TOP), count(x) >= count(y))
            yield z3.ForAll([x, y], more, patterns=[z3.MultiPattern(LE(x, y), count(x), count(y))])
            held = z3.Implies(z3.And(LE(x, y), x != TOP), count(x) >= s(c.holders, {h: y}))
            yield z3.ForAll([x, y], held, patterns=[z3.MultiPattern(LE(x, y), count(x))])

    def after(self, a: Action, tag: str) -> tuple[State, list[Any]]:
        """The state after an action of the page n, and what is said of it."""
        n, x = self.r.page("n"), self.r.page("_x")
        fields, said = dict(self.before.fields), []
        at = z3.Const("x", PAGE)
        assigned: dict[Key, Any] = {}
        for number, assign in enumerate(a.assigns):
            key = _key(assign.target)
            where = self.before(self._where(assign, n, x), {x: at})
            each, other = (None, None) if assign.over is Over.ITSELF else (assign.each, x)
            value = self.before(self.r.value(assign.value, n, each, other), {x: at})
            old = assigned.get(key, self.before.fields[key](at))
            if not z3.is_true(where) and len(str(where)) > 60:
                chosen = z3.Function(f"{a.name} {number}", PAGE, z3.BoolSort())
                said.append(z3.ForAll([at], chosen(at) == where, patterns=[chosen(at)]))
                where = chosen(at)
            assigned[key] = z3.If(where, value, old)
        for key, value in assigned.items():
            fields[key] = new = _field(key, self.r.rows.flags[key], tag)
            said.append(z3.ForAll([at], new(at) == value, patterns=[new(at)]))
            said.append(z3.ForAll([at], new(at) == value, patterns=[self.before.fields[key](at)]))
        return State(tag, fields, self._sums(tag)), said

    def _where(self, assign: Any, n: E, x: E) -> E:
        if assign.over is Over.ITSELF:
            return E("same", (x, n))
        such = self.r.condition(assign.where, n, assign.each, x)
        among = E("above", (x, n)) if assign.over is Over.PATH else E("same", (up(x), n))
        return E("and", (E("and", (among, E("not", (E("same", (x, ROOT)),)))), such)) if such is not TRUE else E(
            "and", (among, E("not", (E("same", (x, ROOT)),)))
        )  # fmt: skip

    # Pairs.

    def kept(self, action: Action) -> Iterator[Pair]:
        """For each claim, whether the action keeps it. What ties counters to what they count comes first."""
        n = z3.Const("n", PAGE)
        guard = self.before(self.r.condition(action.guard, self.r.page("n")))
        then, said = self.after(action, "'")
        begun = time.perf_counter()
        base = [*order(), n != TOP, guard, *said, *self.facts(self.before), *self.lemmas(self.before)]
        holding = {f.name: self.before(f.holds) for f in self.formulas}
        base += self._positive(self.before)
        goals = {f.name: then(f.holds) for f in self.formulas}
        facts, lemmas = list(self.facts(then)), list(self.lemmas(then))
        base += [*self.before.said, *then.said, *facts]
        solver = z3.Solver()
        solver.set("timeout", int(self.seconds * 1000), "smt.mbqi", False, "smt.core.minimize", False)
        solver.add(*base)
        marks = {}
        for name, holds in holding.items():
            marks[name] = z3.Bool(f"holds {name}")
            solver.add(z3.Implies(marks[name], holds))
        tied = z3.And(*self._tied(then))
        counted = self._pair(solver, action, POSITIVE, z3.Not(z3.And(*self._positive(then), tied)), marks, begun)
        yield counted
        first = "absent_pages_have_nothing"
        done: dict[str, Pair] = {}
        for f in sorted(self.formulas, key=lambda f: f.name != first):
            if f.name != first and counted.answer is Answer.PROVED and (
                first not in goals or done[first].answer is Answer.PROVED
            ) and lemmas:
                solver.add(*lemmas)
                lemmas = []
            begun = time.perf_counter()
            done[f.name] = self._pair(solver, action, f.name, z3.Not(goals[f.name]), marks, begun)
            yield done[f.name]

    def _positive(self, s: State) -> list[Any]:
        x = z3.Const("x", PAGE)
        return [
            z3.ForAll([x], s.fields[k](x) >= 0, patterns=[s.fields[k](x)])
            for k, flag in self.r.rows.flags.items() if not flag
        ]  # fmt: skip

    def _tied(self, then: State) -> Iterator[Any]:
        """Counters change as what they count does."""
        n, x, y = z3.Const("n", PAGE), z3.Const("x", PAGE), z3.Const("y", PAGE)
        h = E("page", ("h",))
        for c in self.counters:
            grown = then.fields[c.key](x) - self.before.fields[c.key](x)

            def more(at: Any, c: Counter = c) -> Any:
                return then(c.holders, {h: at}) - self.before(c.holders, {h: at})

            if not c.along:
                yield z3.ForAll([x], z3.Implies(x != TOP, grown == more(x)))
                continue
            yield z3.ForAll([x], z3.Implies(x != TOP, grown == z3.If(LE(x, n), more(n), 0)))
            yield z3.ForAll([y], z3.Implies(z3.And(y != TOP, y != n), more(y) == 0))

    def _pair(self, solver: Any, action: Action, name: str, wrong: Any, marks: Mapping[str, Any], begun: float) -> Pair:
        solver.push()
        solver.add(wrong)
        found = solver.check(*marks.values())
        uses: frozenset[str] = frozenset()
        if found == z3.unsat:
            core = set(map(str, solver.unsat_core()))
            uses = frozenset(n for n, m in marks.items() if str(m) in core)
        reason = "" if found == z3.unsat else f"z3: {solver.reason_unknown()}" if found == z3.unknown else "z3 sees no contradiction"
        solver.pop()
        answer = Answer.PROVED if found == z3.unsat else Answer.UNKNOWN
        return Pair(action.name, name, answer, time.perf_counter() - begun, uses, None, reason)


def _field(key: Key, flag: bool, tag: str) -> Field:
    return z3.Function(f"{key}{tag}", PAGE, z3.BoolSort() if flag else z3.IntSort())  # type: ignore[no-any-return]


def _key(get: Get) -> Key:
    return Key.of(get.field.name, get.component, get.tier)  # type: ignore[arg-type]  # instantiated


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


def _descents(term: Term) -> Iterator[Key]:
    """The flag of children of a definition of the form "so marked, and no child that is flagged"."""
    match term:
        case Apply(Op.AND, (Get(), Apply(Op.NOT, (Gather(fold=Fold.SOME, over=Range.CHILDREN) as g,)))):
            if isinstance(g.body, Get):
                yield _key(g.body)
