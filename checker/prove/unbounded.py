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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import z3

from sanitree.checker.prove import lemmas
from sanitree.checker.prove.after import After, N
from sanitree.checker.prove.changes import changed_alike, counts, grown, none_of
from sanitree.checker.prove.instances import Said
from sanitree.checker.prove.lemmas import Counter, H, Then
from sanitree.checker.prove.order import ROOT, above, differ, named, put, put_all, same, shaped, subs, up
from sanitree.checker.prove.relational import Relational
from sanitree.checker.prove.results import INITIALLY, Answer, Pair
from sanitree.checker.prove.tree import Tree
from sanitree.checker.symbolic import FALSE, TRUE, E, conj, disj, neg
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.rules import checks
from sanitree.invariants.terms import Apply, Op, Term, make
from sanitree.models.protocol.system import Action, System
from sanitree.models.snapshot import Key

SECONDS = 5.0
"""For one pair, unless somebody says otherwise."""

TIED = "counters_count"
"""The claim, for each component, that no number falls below 0, and that a counter counts what it is tied to."""

ABSENT = "absent_pages_have_nothing"
_STEP, _FOLLOWING, _UNCHANGED, _PAIR = 100_000, 400_000, 500_000, 4_000_000
"""What z3 may do for a question, in steps of its own: so that what is proved does not hang on time. Of those that were
proved with full attention none took more than a quarter to a half of it."""

_OPTIONS = {"auto_config": False, "mbqi": False, "relevancy": 2, "qi.eager_threshold": 100.0}
GOALS = (named("g"), named("g'"))
"""The pages that a claim is wrong of."""


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """A claim about any tree. tied: the claims to which it leaves that its counters count."""

    name: str
    holds: E
    auxiliary: bool
    tied: frozenset[str] = frozenset()


class Unbounded:
    """A model on trees of any size, ready to be asked about its pairs. wanted: rules. seconds: for each pair."""

    def __init__(
        self, system: System, wanted: Iterable[str], seconds: float = SECONDS, like: Unbounded | None = None
    ) -> None:
        self.system, self.wanted, self.seconds = system, tuple(wanted), seconds
        self.stopped = False
        self.r = Relational(system)
        self.unsaid: dict[str, str] = {}
        self.counters: list[Counter] = []
        self.formulas = list(self._formulas(set(self.wanted)))
        self.tree = Tree()
        self.numbers = [k for k in self.r.rows.flags if not self.r.is_truth(k)]
        self.tied = tuple(dict.fromkeys(map(tie, self.numbers)))
        names = (*(f.name for f in self.formulas), *self.tied)
        self.marks = {name: self.tree.mark(f"holds {name}") for name in names}
        self.found: list[tuple[E, frozenset[str]]] = []
        self.following: dict[str, frozenset[str]] = {}
        self.lemmas: dict[str, frozenset[str]] = {}
        """What was found to follow from claims, by a name: from which of them."""
        self.base: list[Any] = []
        self.before = Said(self.tree, self.base.append)
        if like is None:
            self._begin()
        else:
            self._again(like)

    def another(self) -> Unbounded:
        """The same, with a z3 of its own."""
        return Unbounded(self.system, self.wanted, self.seconds, like=self)

    def stop(self) -> None:
        """Nothing more is asked; may be called by any thread."""
        self.stopped = True
        self.tree.context.interrupt()

    def _solver(self, base: Sequence[Any] | None = None) -> tuple[Any, Said]:
        solver = z3.SimpleSolver(self.tree.context)
        for name, value in _OPTIONS.items():
            solver.set(name, value)
        solver.set("timeout", int(self.seconds * 1000))
        if base is None:
            solver.add(*self.base)
        return solver, Said(self.tree, solver.add, self.before if base is None else None)

    # What is claimed.

    def _formulas(self, wanted: set[str]) -> Iterator[Formula]:
        for c in checks(self.system.rules, self.system.settings):
            if c.name in wanted:
                yield from self._said(c.name, self.r.judged(c), False)
        for i in self.system.invariants:
            rest, tied = [], set()
            for part in _parts(instantiate(i.term, self.system.settings, {})):
                # That a counter counts is TIED's to show: said here it would compare sums.
                if (counter := lemmas.counter_of(self.r, part)) is not None:
                    self.counters.append(counter)
                    tied.add(tie(counter.key))
                else:
                    rest.append(part)
            if rest:
                said = rest[0] if len(rest) == 1 else make(Apply, Op.AND, tuple(rest))
                yield from self._said(i.name, self.r.said_of_each(said), True, frozenset(tied))

    def _said(self, name: str, holds: E, auxiliary: bool, tied: frozenset[str] = frozenset()) -> Iterator[Formula]:
        if holds is TRUE:
            return
        within = subs(holds)
        if any(x.op in ("opaque", "unknown") for x in within):
            self.unsaid[name] = "it compares numbers that are counted or measured over many pages"
            return
        yield Formula(name, holds, auxiliary, tied)

    # What is true of any state.

    def _general(self) -> None:
        """Everything about the state before, of any pages."""
        i = self.before
        for f in self.formulas:
            i.true(f.holds, self.marks[f.name])
        for e in lemmas.root_is_as_it_is(self.r):
            i.true(e)
        for key in self.numbers:
            i.true(lemmas.never_negative(key), self.marks[tie(key)])
        for c in self.counters:
            for e in lemmas.counted(c, _as_before):
                i.true(e, self.marks[tie(c.key)])
        for term in self.system.lines:
            i.true(lemmas.of_a_line(lambda p, t=term: self.r.condition(t, p)))  # type: ignore[misc]

    def _begin(self) -> None:
        """Finds what follows from the claims: by induction along paths and lines, and of one another."""
        self._general()
        closed = list(self._closed())
        self._found(closed)
        if closed:  # first of all that what is above a page that is there is there
            self._found([(e, by | closed[0][1]) for e, by in self._along_lines()])
        self.following = self._follow()

    def _again(self, other: Unbounded) -> None:
        """The same as another has found."""
        self._general()
        self._found(other.found)
        self.following = other.following

    def _found(self, lemmas: Sequence[tuple[E, frozenset[str]]]) -> None:
        """Lemmas are supposed of the state before from now on."""
        self.found += lemmas
        for e, claims in lemmas:
            name = f"lemma {len(self.lemmas)}"
            self.lemmas[name], self.marks[name] = claims, self.tree.mark(f"holds {name}")
            self.before.true(e, self.marks[name])

    def _there(self, page: E) -> E:
        return self.r.there(page)

    def _flag(self, key: Key) -> Callable[[E], E]:
        return lambda page: E("is", (key, page))

    def _steps(self, wrong: Callable[[E, E], E], solver: Any, i: Said) -> frozenset[str] | None:
        """The claims by which something cannot be of a page and the one above; None where none are known."""
        g = GOALS[0]
        below_root = conj(neg(same(g, ROOT)), neg(same(up(g), ROOT)))
        return self._excluded(solver, i, conj(below_root, wrong(g, up(g))))

    def _excluded(
        self,
        solver: Any,
        i: Said,
        wrong: E,
        goals: Sequence[E] = (),
        effort: int = _STEP,
        supposed: Iterable[Any] | None = None,
    ) -> frozenset[str] | None:
        """The claims of the state before that exclude something; None where z3 finds none.

        goals: the first pages that it speaks of. supposed: marks of the claims that are, all unless told.
        """
        solver.push()
        Said(self.tree, solver.add, i).ask(wrong, goals)
        solver.set("rlimit", effort)
        found = solver.check(*(self.marks.values() if supposed is None else supposed))
        self.why = "" if found == z3.unsat else solver.reason_unknown()
        core = {str(x).removeprefix("holds ") for x in solver.unsat_core()} if found == z3.unsat else set()
        solver.pop()
        if found != z3.unsat:
            return None
        claims = set(core - self.lemmas.keys()).union(*(self.lemmas[n] for n in core & self.lemmas.keys()))
        # What is not there is left out of every sum.
        return frozenset(claims | {ABSENT} if claims & set(self.tied) else claims)

    def _closed(self) -> Iterator[tuple[E, frozenset[str]]]:
        """What is true of the page above a page wherever it is true of that: by the claims, which z3 is asked."""
        solver, i = self._solver()
        i.name(GOALS[0], near=True)
        i.name(up(GOALS[0]))
        for such in (self._there, *map(self._flag, self.system.exists)):
            by = self._steps(lambda p, q, s=such: conj(s(p), neg(s(q))), solver, i)  # type: ignore[misc]
            if by is not None:
                yield lemmas.closed_upward(such), by
            elif such == self._there:
                return

    def _along_lines(self) -> Iterator[tuple[E, frozenset[str]]]:
        """The same along what is joined, of each flag and of its contrary, and of a counter that is 0."""
        solver, i = self._solver()
        g, h = GOALS[0], H
        i.name(g, near=True)
        i.name(up(g), near=True)
        candidates: list[Callable[[E], E]] = []
        for key in self.r.rows.flags:
            if self.r.is_truth(key):
                candidates += [self._flag(key), lambda p, k=key: neg(E("is", (k, p)))]  # type: ignore[misc]
        for c in self.counters:
            zero = lambda p, k=c.key: none_of(E("count of", (k, p)))  # type: ignore[misc]  # noqa: E731
            candidates.append(zero)
            if c.along:
                h = named(f"h {c.key}")
                ends = conj(conj(above(up(g), h), neg(same(h, ROOT))), neg(none_of(put(c.holders, H, h))))
                i.name(h, near=True)
                i.down(up(g), h)
                i.true(disj(zero(up(g)), ends), self.marks[tie(c.key)])
        for term in self.system.lines:
            joined = lambda p, t=term: self.r.condition(t, p)  # type: ignore[misc]  # noqa: E731
            for such in candidates:
                wrong = lambda p, q, s=such, j=joined: conj(conj(j(p), self._there(p)), conj(s(p), neg(s(q))))  # type: ignore[misc] # noqa: E731
                if (by := self._steps(wrong, solver, i)) is not None:
                    yield lemmas.along_a_line(joined, such, self._there), by

    # Pairs.

    def initially(self) -> Iterator[Pair]:
        """For each claim, whether it holds of the first state, in which no page has anything."""
        solver, i = self._solver([])
        for e in lemmas.nothing_is_there(self.r):
            i.true(e)
        i.name(GOALS[0], near=True)
        i.name(GOALS[1], near=True)
        for name in self.tied:  # every number is 0: so must be what each of them counts
            ends = [neg(none_of(put(c.holders, H, GOALS[0]))) for c in self.counters if tie(c.key) == name]
            wrong = [conj(neg(same(GOALS[0], ROOT)), e) for e in ends]
            yield self._pair(solver, i, INITIALLY, name, wrong, GOALS[:1])
        for f in self.formulas:
            yield self._pair(solver, i, INITIALLY, f.name, [neg(f.holds)], GOALS)

    def kept(self, action: Action) -> Iterator[Pair]:
        """For each claim, whether the action keeps it. What ties counters to what they count comes first."""
        then = After(self.r, action)
        ask = _Asking(self, action, then)
        self._unchanged(*ask.of(1), then)
        done = {
            name: self._pair(*ask.of(1), action.name, name, self._untied(name, then), GOALS[:1]) for name in self.tied
        }
        yield from done.values()
        late: list[Formula] = []
        for f in sorted(self.formulas, key=lambda f: f.name != ABSENT):
            if self.stopped:
                return
            if f.name in self.following and f.name != ABSENT:
                late.append(f)
                continue
            yield self._known(self._direct(f, ask, done), done)
            if f.name == ABSENT and done[ABSENT].answer is Answer.PROVED:
                ask.counted = [c for c in self.counters if done[tie(c.key)].answer is Answer.PROVED]
        for f in reversed(late):  # each follows from what comes after it
            yield self._known(self._followed(f, action, done) or self._direct(f, ask, done), done)

    @staticmethod
    def _known(pair: Pair, done: dict[str, Pair]) -> Pair:
        done[pair.claim] = pair
        return pair

    def _direct(self, f: Formula, ask: _Asking, done: Mapping[str, Pair]) -> Pair:
        holds = ask.then(f.holds)
        if any(done[name].answer is not Answer.PROVED for name in f.tied):
            reason = f"it is a claim about what is counted: see {', '.join(sorted(f.tied))}"
            return Pair(ask.action.name, f.name, Answer.UNKNOWN, 0.0, reason=reason)
        if holds is f.holds:
            return Pair(ask.action.name, f.name, Answer.PROVED, 0.0, frozenset((f.name,)))
        pages = 2 if _two(neg(holds)) else 1
        return self._pair(*ask.of(pages), ask.action.name, f.name, [neg(holds)], GOALS[:pages])

    def _followed(self, f: Formula, action: Action, done: Mapping[str, Pair]) -> Pair | None:
        """The pair of a claim that follows from others which the action keeps, in whatever state."""
        others = self.following[f.name]
        if any(n not in done or done[n].answer is not Answer.PROVED for n in others):
            return None
        uses = frozenset[str]().union(*(done[n].uses for n in others))
        return Pair(action.name, f.name, Answer.PROVED, 0.0, uses)

    def _follow(self) -> dict[str, frozenset[str]]:
        """The rules that follow from claims which do not follow from them."""
        solver, i = self._solver()
        _name(i, GOALS)
        for e in lemmas.going_down_ends(self.r, _as_before):
            for page in GOALS:
                i.true(put(e, lemmas.X, page))
        found: dict[str, frozenset[str]] = {}
        for f in (f for f in self.formulas if not f.auxiliary):
            without = {*found, f.name}
            kept = [
                m for n, m in self.marks.items() if n not in without and not without & self.lemmas.get(n, frozenset())
            ]
            if (by := self._excluded(solver, i, neg(f.holds), GOALS, _FOLLOWING, kept)) is not None:
                found[f.name] = by
        return found

    def _unchanged(self, solver: Any, i: Said, then: After) -> None:
        """Finds what means the same after as before although something in it is assigned."""
        candidates: dict[E, E] = {}
        exists = frozenset(self.system.exists)
        for e in [self._there(GOALS[0]), *(f.holds for f in self.formulas), *(c.holders for c in self.counters)]:
            for x in subs(e):
                if not (x.op == "some" or x is self._there(GOALS[0])):
                    continue
                shape, pages = shaped(x)
                if 1 <= len(pages) <= 2:
                    candidates.setdefault(shape, put_all(x, dict(zip(pages, GOALS, strict=False))))
        for x in sorted(candidates.values(), key=lambda x: len(subs(x))):
            # What is more than a matter of which pages are there is most often meant to change.
            if (new := then(x)) is not x and then.assigned.keys() & keys_of(x) <= exists:
                if self._excluded(solver, i, differ(new, x), effort=_UNCHANGED) is not None:
                    then.keeps(x)

    def _untied(self, name: str, then: After) -> list[E]:
        """How a number may fall below 0, or a counter change as what it counts does not."""
        g = GOALS[0]
        found: list[E] = []
        counted = {c.key: c for c in self.counters}
        for key in (k for k in self.numbers if tie(k) == name):
            number, c = E("count of", (key, g)), counted.get(key)
            by = grown(then.number(number), number)
            for k, when in by.items():
                if k is None and not (c is None and counts(then.number(number))):
                    found.append(when)
                elif k is not None and k < 0:
                    found.append(conj(when, none_of(number)) if k == -1 else when)
            if c is None:
                continue
            of_n, of_g = (grown(then.number(h), h) for h in (put(c.holders, H, N), put(c.holders, H, g)))
            if not c.along:
                found.append(neg(changed_alike(by, of_g)))
                continue
            found.append(conj(above(g, N), neg(changed_alike(by, of_n))))
            found.append(conj(neg(above(g, N)), neg(by.get(0, FALSE))))
            found.append(conj(neg(same(g, N)), neg(of_g.get(0, FALSE))))
        return [conj(neg(same(g, ROOT)), wrong) for wrong in found if wrong is not FALSE]

    def _pair(
        self, solver: Any, i: Said, action: str, name: str, wrong: Sequence[E], goals: Sequence[E],
    ) -> Pair:  # fmt: skip
        """What z3 says of a pair: `wrong` are the ways in which the claim may be broken."""
        begun = time.perf_counter()
        uses: set[str] = set()
        for way in wrong:
            found = self._excluded(solver, i, way, goals, _PAIR, () if action == INITIALLY else None)
            if found is None:
                reason = f"z3 did not prove it ({self.why})"
                return Pair(action, name, Answer.UNKNOWN, time.perf_counter() - begun, reason=reason)
            uses |= found
        return Pair(action, name, Answer.PROVED, time.perf_counter() - begun, frozenset(uses))


class _Asking:
    """Solvers that know of a state in which all claims hold, and that an action of N may happen there."""

    def __init__(self, u: Unbounded, action: Action, then: After) -> None:
        self.u, self.action, self.then = u, action, then
        self.counted: list[Counter] = []
        """Counters that are known to count in the state after."""
        self._made: dict[int, tuple[Any, Said]] = {}
        self._told: set[int] = set()

    def of(self, pages: int) -> tuple[Any, Said]:
        """One for questions about so many pages besides."""
        goals = GOALS[:pages]
        if pages not in self._made:
            solver, i = self._made[pages] = self.u._solver()
            _name(i, (N, *goals))
            for goal in goals:
                i.down(up(goal), N)
            i.true(neg(same(N, ROOT)))
            i.true(self.u.r.condition(self.action.guard, N))
            self.then.define(i)
            self._descents(i, goals, _as_before)
        elif self.counted and pages not in self._told:
            self._told.add(pages)
            self._descents(self._made[pages][1], goals, self.then)
            for c in self.counted:
                for e in lemmas.counted(c, self.then):
                    self._made[pages][1].true(e)
        return self._made[pages]

    def _descents(self, i: Said, goals: Sequence[E], then: Then) -> None:
        for e in lemmas.going_down_ends(self.u.r, then):
            for page in goals:
                i.true(put(e, lemmas.X, page))


def _name(i: Said, core: Sequence[E]) -> None:
    """Names the pages of a question, those above them, and those on the way from one to another."""
    for page in core:
        i.name(page, near=True)
        i.name(up(page), near=True)
    i.between(core)


def tie(key: Key) -> str:
    """The claim about what a number counts."""
    return TIED if key.component is None else f"{TIED}[{key.component}]"


def keys_of(e: E) -> frozenset[Key]:
    """The fields that an expression reads."""
    return frozenset(x.args[0] for x in subs(e) if x.op in ("is", "count of", "children's"))


def _two(wrong: E) -> bool:
    """A claim is wrong of two pages."""
    if wrong.op == "and":
        return any(map(_two, wrong.args))
    return wrong.op == "some" and any(x.op == "some" for x in _parts_of(wrong.args[1]))


def _parts_of(e: E) -> list[E]:
    return [x for a in e.args for x in _parts_of(a)] if e.op == "and" else [e]


def _as_before(e: E) -> E:
    return e


def _parts(term: Term) -> list[Term]:
    if isinstance(term, Apply) and term.op is Op.AND:
        return [t for a in term.args for t in _parts(a)]
    return [term]
