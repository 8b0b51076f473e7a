"""What is supposed of a state of a tree of any size, and what follows from it: that z3 is asked once for all actions.

Claims are supposed under marks of their own, so that z3 says which of them it used. From them follows, by induction
along paths and lines, what it could not find itself; and most rules follow from a few claims, in whatever state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import z3

from sanitree.checker.prove import lemmas
from sanitree.checker.prove.asking import asked
from sanitree.checker.prove.changes import none_of
from sanitree.checker.prove.instances import Said
from sanitree.checker.prove.lemmas import Counter, H
from sanitree.checker.prove.order import ROOT, above, named, put, same, subs, up
from sanitree.checker.prove.relational import Relational
from sanitree.checker.prove.small import Small
from sanitree.checker.prove.tree import Tree
from sanitree.checker.symbolic import TRUE, E, conj, disj, neg
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.rules import checks
from sanitree.invariants.terms import Apply, Op, Term, make
from sanitree.models.protocol.system import System
from sanitree.models.snapshot import Key

SECONDS = 20.0
"""For one pair, unless somebody says otherwise."""

TIED = "counters_count"
"""The claim, for each component, that no number falls below 0, and that a counter counts what it is tied to."""

ABSENT = "absent_pages_have_nothing"
LEMMA, PAIR = 500_000, 4_000_000
"""What z3 may do for a question, in steps of its own: so that what is proved does not hang on time. Of the pairs that
were proved with full attention none took more than a quarter to a half of it."""

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


class Supposed:
    """The claims about a model, and all that follows from them. wanted: rules. seconds: for each question.

    like: what has found the same before; this one then has a z3 of its own. small: where is seen what does not follow.
    """

    def __init__(
        self, system: System, wanted: Iterable[str], seconds: float = SECONDS, like: Supposed | None = None,
        small: Small | None = None,
    ) -> None:  # fmt: skip
        self.small = small
        self.system, self.wanted, self.seconds = system, tuple(wanted), seconds
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

    def solver(self, base: Sequence[Any] | None = None) -> tuple[Any, Said]:
        """A z3 that knows all that, or what it is given instead, and what it was told."""
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
            for e in lemmas.counted(c, as_before):
                i.true(e, self.marks[tie(c.key)])
        for term in self.system.lines:
            i.true(lemmas.of_a_line(self.r.conditioned(term)))

    def _begin(self) -> None:
        """Finds what follows from the claims: by induction along paths and lines, and of one another."""
        self._general()
        closed = list(self._closed())
        self._found(closed)
        if closed:  # first of all that what is above a page that is there is there
            self._found([(e, by | closed[0][1]) for e, by in self._along_lines()])
        self.following = self._follow()

    def _again(self, other: Supposed) -> None:
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

    def _steps(self, such: Such, solver: Any, i: Said, joined: Such | None = None) -> frozenset[str] | None:
        """The claims by which the page above is such where a page is; joined: to that, and there. None where none."""
        g = GOALS[0]
        wrong = conj(conj(neg(same(g, ROOT)), neg(same(up(g), ROOT))), conj(such(g), neg(such(up(g)))))
        return self.excluded(solver, i, wrong if joined is None else conj(wrong, conj(joined(g), self.r.there(g))))

    def excluded(
        self,
        solver: Any,
        i: Said,
        wrong: E,
        goals: Sequence[E] = (),
        effort: int = LEMMA,
        supposed: Iterable[Any] | None = None,
    ) -> frozenset[str] | None:
        """The claims of the state before that exclude something; None where z3 finds none.

        goals: the first pages that it speaks of. supposed: marks of the claims that are, all unless told.
        """
        solver.push()
        Said(self.tree, solver.add, i).ask(wrong, goals)
        solver.set("rlimit", effort)
        found = asked(solver, self.marks.values() if supposed is None else supposed)
        self.why = "" if found == z3.unsat else solver.reason_unknown()
        core = {str(x).removeprefix("holds ") for x in solver.unsat_core()} if found == z3.unsat else set()
        solver.pop()
        if found != z3.unsat:
            return None
        claims = set(core - self.lemmas.keys()).union(*(self.lemmas[n] for n in core & self.lemmas.keys()))
        # What is not there is left out of every sum.
        return frozenset(claims | {ABSENT} if claims & set(self.tied) else claims)

    @property
    def cut_short(self) -> bool:
        """Whether the last question was given up, and not found to be open with all that is said."""
        return "incomplete" not in self.why

    def _closed(self) -> Iterator[tuple[E, frozenset[str]]]:
        """What is true of the page above a page wherever it is true of that: by the claims, which z3 is asked."""
        solver, i = self.solver()
        i.name(GOALS[0], near=True)
        i.name(up(GOALS[0]))
        for such in (self.r.there, *map(flag, self.system.exists)):
            if (by := self._steps(such, solver, i)) is not None:
                yield lemmas.closed_upward(such), by
            elif such == self.r.there:
                return

    def _along_lines(self) -> Iterator[tuple[E, frozenset[str]]]:
        """The same along what is joined, of each flag and of its contrary, and of a counter that is 0."""
        solver, i = self.solver()
        g, h = GOALS[0], H
        i.name(g, near=True)
        i.name(up(g), near=True)
        candidates: list[tuple[Such, Key, int]] = []
        for key in self.r.rows.flags:
            if self.r.is_truth(key):
                candidates += [(flag(key), key, 1), (no_flag(key), key, 0)]
        for c in self.counters:
            such = zero(c.key)
            candidates.append((such, c.key, 0))
            if c.along:
                h = named(f"h {c.key}")
                ends = conj(conj(above(up(g), h), neg(same(h, ROOT))), neg(none_of(put(c.holders, H, h))))
                i.name(h, near=True)
                i.down(up(g), h)
                i.true(disj(such(up(g)), ends), self.marks[tie(c.key)])
        for term in self.system.lines:
            joined = self.r.conditioned(term)
            for such, key, value in candidates:
                if self.small is not None and self.small.steps(key, value, term):
                    continue
                if (by := self._steps(such, solver, i, joined)) is not None:
                    yield lemmas.along_a_line(joined, such, self.r.there), by

    def _follow(self) -> dict[str, frozenset[str]]:
        """The rules that follow from claims which do not follow from them."""
        solver, i = self.solver()
        name_all(i, GOALS)
        for e in lemmas.going_down_ends(self.r, as_before):
            for page in GOALS:
                i.true(put(e, lemmas.X, page))
        found: dict[str, frozenset[str]] = {}
        for f in (f for f in self.formulas if not f.auxiliary):
            without = {*found, f.name}
            if self.small is not None and self.small.without(f.name, without):
                continue
            kept = [
                m for n, m in self.marks.items() if n not in without and not without & self.lemmas.get(n, frozenset())
            ]
            if (by := self.excluded(solver, i, neg(f.holds), GOALS, LEMMA, kept)) is not None:
                found[f.name] = by
        return found


def name_all(i: Said, core: Sequence[E]) -> None:
    """Names the pages of a question, those above them, and those on the way from one to another."""
    for page in core:
        i.name(page, near=True)
        i.name(up(page), near=True)
    i.between(core)


def tie(key: Key) -> str:
    """The claim about what a number counts."""
    return TIED if key.component is None else f"{TIED}[{key.component}]"


Such = Callable[[E], E]
"""Something that a page may be."""


def flag(key: Key) -> Such:
    """It has a flag."""
    return lambda page: E("is", (key, page))


def no_flag(key: Key) -> Such:
    """It has not."""
    return lambda page: neg(E("is", (key, page)))


def zero(key: Key) -> Such:
    """A number of it is 0."""
    return lambda page: none_of(E("count of", (key, page)))


def as_before(e: E) -> E:
    """A formula about the state before."""
    return e


def _parts(term: Term) -> list[Term]:
    if isinstance(term, Apply) and term.op is Op.AND:
        return [t for a in term.args for t in _parts(a)]
    return [term]
