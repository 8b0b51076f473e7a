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
from dataclasses import replace
from typing import Any

from sanitree.checker.prove import lemmas
from sanitree.checker.prove.after import After
from sanitree.checker.prove.changes import changed_alike, counts, grown, none_of
from sanitree.checker.prove.instances import Said
from sanitree.checker.prove.lemmas import Counter, H, N, Then
from sanitree.checker.prove.order import ROOT, above, differ, put, put_all, same, shaped, subs, up
from sanitree.checker.prove.results import INITIALLY, Answer, Pair
from sanitree.checker.prove.small import Small
from sanitree.checker.prove.supposed import (
    ABSENT,
    GOALS,
    LEMMA,
    PAIR,
    SECONDS,
    Formula,
    Supposed,
    as_before,
    name_all,
    tie,
)  # fmt: skip
from sanitree.checker.symbolic import FALSE, E, conj, neg
from sanitree.models.protocol.system import Action, System
from sanitree.models.snapshot import Key

Refuted = Callable[[str, str], Pair | None]
"""Of an action and a claim: the pair, where it is known to have no proof."""


class Unbounded:
    """A model on trees of any size, ready to be asked about its pairs. wanted: rules. seconds: for each question.
    refuted: asked about what is not proved soon."""

    def __init__(
        self, system: System, wanted: Iterable[str], seconds: float = SECONDS, like: Supposed | None = None,
        small: Small | None = None,
    ) -> None:  # fmt: skip
        self.system = system
        self.s = Supposed(system, wanted, seconds, like, small)
        self.stopped = False
        self.refuted: Refuted | None = None

    def another(self) -> Unbounded:
        """The same, with a z3 of its own."""
        other = Unbounded(self.system, self.s.wanted, self.s.seconds, self.s)
        other.refuted = self.refuted
        return other

    def stop(self) -> None:
        """Nothing more is asked; may be called by any thread."""
        self.stopped = True
        self.s.tree.context.interrupt()

    def initially(self) -> Iterator[Pair]:
        """For each claim, whether it holds of the first state, in which no page has anything."""
        solver, i = self.s.solver([])
        for e in lemmas.nothing_is_there(self.s.r):
            i.true(e)
        i.name(GOALS[0], near=True)
        i.name(GOALS[1], near=True)
        for name in self.s.tied:  # every number is 0: so must be what each of them counts
            ends = [neg(none_of(put(c.holders, H, GOALS[0]))) for c in self.s.counters if tie(c.key) == name]
            wrong = [conj(neg(same(GOALS[0], ROOT)), e) for e in ends]
            yield self._pair(solver, i, INITIALLY, name, wrong, GOALS[:1])
        for f in self.s.formulas:
            yield self._pair(solver, i, INITIALLY, f.name, [neg(f.holds)], GOALS)

    def kept(self, action: Action, wanted: Iterable[str] | None = None) -> Iterator[Pair]:
        """For each claim, whether the action keeps it; wanted: of some claims, and of what has to be known for those.

        What ties counters to what they count comes first.
        """
        wanted = {f.name for f in self.s.formulas} if wanted is None else {ABSENT, *wanted}
        wanted = wanted.union(*(self.s.following.get(name, ()) for name in wanted))
        then = After(self.s.r, action)
        ask = _Asking(self, action, then)
        ask.used = self._unchanged(*ask.of(1), then)
        done = {
            name: self._pair(*ask.of(1), action.name, name, self._untied(name, then), GOALS[:1]) for name in self.s.tied
        }
        yield from done.values()
        late: list[Formula] = []
        for f in sorted(self.s.formulas, key=lambda f: f.name != ABSENT):
            if self.stopped or f.name not in wanted:
                continue
            if f.name in self.s.following and f.name != ABSENT:
                late.append(f)
                continue
            yield self._known(self._direct(f, ask, done), done)
            ask.late = True
            if f.name == ABSENT and done[ABSENT].answer is Answer.PROVED:
                ask.counted = [c for c in self.s.counters if done[tie(c.key)].answer is Answer.PROVED]
        for f in reversed(late):  # each follows from what comes after it
            yield self._known(self._followed(f, action, done) or self._direct(f, ask, done), done)

    @staticmethod
    def _known(pair: Pair, done: dict[str, Pair]) -> Pair:
        done[pair.claim] = pair
        return pair

    def _direct(self, f: Formula, ask: _Asking, done: Mapping[str, Pair]) -> Pair:
        then = ask.then
        holds = then(f.holds)
        if any(done[name].answer is not Answer.PROVED for name in f.tied):
            reason = f"it is a claim about what is counted: see {', '.join(sorted(f.tied))}"
            return Pair(ask.action.name, f.name, Answer.UNKNOWN, 0.0, reason=reason)
        if holds is f.holds:
            used = ask.used if keys_of(f.holds) & then.assigned.keys() else frozenset()
            return Pair(ask.action.name, f.name, Answer.PROVED, 0.0, used | {f.name})
        pages = 2 if _two(neg(holds)) else 1
        return self._pair(*ask.of(pages), ask.action.name, f.name, [neg(holds)], GOALS[:pages])

    def _followed(self, f: Formula, action: Action, done: Mapping[str, Pair]) -> Pair | None:
        """The pair of a claim that follows from others which the action keeps, in whatever state."""
        others = self.s.following[f.name]
        if any(n not in done or done[n].answer is not Answer.PROVED for n in others):
            return None
        uses = frozenset[str]().union(*(done[n].uses for n in others))
        return Pair(action.name, f.name, Answer.PROVED, 0.0, uses)

    def _unchanged(self, solver: Any, i: Said, then: After) -> frozenset[str]:
        """Finds what means the same after as before although something in it is assigned. Returns the claims used."""
        used: frozenset[str] = frozenset()
        candidates: dict[E, E] = {}
        exists = frozenset(self.system.exists)
        for e in [self.s.r.there(GOALS[0]), *(f.holds for f in self.s.formulas), *(c.holders for c in self.s.counters)]:
            for x in subs(e):
                if not (x.op == "some" or x is self.s.r.there(GOALS[0])):
                    continue
                shape, pages = shaped(x)
                if 1 <= len(pages) <= 2:
                    candidates.setdefault(shape, put_all(x, dict(zip(pages, GOALS, strict=False))))
        for x in sorted(candidates.values(), key=lambda x: len(subs(x))):
            # What is more than a matter of which pages are there is most often meant to change.
            if (new := then(x)) is x or not then.assigned.keys() & keys_of(x) <= exists:
                continue
            if (by := self.s.excluded(solver, i, differ(new, x), effort=LEMMA)) is not None:
                then.keeps(x)
                used |= by
        return used

    def _untied(self, name: str, then: After) -> list[E]:
        """How a number may fall below 0, or a counter change as what it counts does not."""
        g = GOALS[0]
        found: list[E] = []
        counted = {c.key: c for c in self.s.counters}
        for key in (k for k in self.s.numbers if tie(k) == name):
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
            supposed = () if action == INITIALLY else None
            found = None
            if self.refuted is not None and action != INITIALLY:
                found = self.s.excluded(solver, i, way, goals, PAIR // 8, supposed)
                if found is None and (pair := self.refuted(action, name)) is not None:
                    return replace(pair, seconds=time.perf_counter() - begun)
            if found is None:
                found = self.s.excluded(solver, i, way, goals, PAIR // 2, supposed)
            hopeful = self.refuted is None and self.s.cut_short and not self.stopped
            if found is None and hopeful:  # once more from elsewhere: where z3 begins is a matter of luck
                solver.set("random_seed", 1)
                found = self.s.excluded(solver, i, way, goals, PAIR, supposed)
                solver.set("random_seed", 0)
            if found is None:
                reason = f"z3 did not prove it ({self.s.why})"
                return Pair(action, name, Answer.UNKNOWN, time.perf_counter() - begun, reason=reason)
            uses |= found
        return Pair(action, name, Answer.PROVED, time.perf_counter() - begun, frozenset(uses))


class _Asking:
    """Solvers that know of a state in which all claims hold, and that an action of N may happen there."""

    def __init__(self, u: Unbounded, action: Action, then: After) -> None:
        self.u, self.action, self.then = u, action, then
        self.used: frozenset[str] = frozenset()
        """Claims by which the action leaves some things as they were."""
        self.late, self.counted = False, list[Counter]()
        """Whether it is time to speak of the state after, and the counters that are known to count there."""
        self._made: dict[int, tuple[Any, Said]] = {}
        self._told: set[int] = set()

    def of(self, pages: int) -> tuple[Any, Said]:
        """One for questions about so many pages besides."""
        goals, r = GOALS[:pages], self.u.s.r
        if pages not in self._made:
            _, i = self._made[pages] = self.u.s.solver()
            name_all(i, (N, *goals))
            for goal in goals:
                i.down(up(goal), N)
            i.true(neg(same(N, ROOT)))
            i.true(r.possible(self.action.guard, N))
            self.then.define(i)
            self._descents(i, goals, as_before)
        if self.late and pages not in self._told:
            self._told.add(pages)
            i = self._made[pages][1]
            self._descents(i, goals, self.then)
            for c in self.counted:
                for e in lemmas.counted(c, self.then):
                    i.true(e)
        return self._made[pages]

    def _descents(self, i: Said, goals: Sequence[E], then: Then) -> None:
        for e in lemmas.going_down_ends(self.u.s.r, then):
            for page in goals:
                i.true(put(e, lemmas.X, page))


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
