"""A proof of a model: on trees of a given size, or of any; what is not proved is looked for on small trees."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property

import z3

from sanitree.checker.cores import cores
from sanitree.checker.explore.configured import Configuration, Model, model
from sanitree.checker.prove.bounded import Induction
from sanitree.checker.prove.claims import BELOW, RANGE
from sanitree.checker.prove.results import Answer, Pair, Proof
from sanitree.checker.prove.small import Small
from sanitree.checker.prove.supposed import TIED
from sanitree.checker.prove.unbounded import Refuted, Unbounded
from sanitree.models.protocol.system import Action

SMALL = ((0, 1, 1), (0, 1, 2))
"""Trees on which counterexamples to induction are looked for, the parent of each page: a fork and a line."""

REQUESTS = 2
"""At once, in those: enough for one to go and another to stay."""

BOUNDS = "transfers_and_requests_are_few"
"""What bounds the model itself: of trees of any size it is no claim, and nothing hangs on it."""

Told = Callable[[str], None]

_MAIN = threading.RLock()
"""Held by whoever uses z3's own context, which small trees share: two threads in one context end the process."""


class NoSuchClaimError(ValueError):
    """A rule that is not among what is proved. known: the names of those that are."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(name)
        self.known = known


def of_size(c: Configuration, seconds: float, rules: Sequence[str], told: Told) -> Proof:
    """Induction on the trees that the configuration has pages for. Raises NoSuchClaimError, ConfigurationError."""
    begun = time.perf_counter()
    i = Induction(model(c), seconds)
    wanted = _wanted(i.names, rules)
    pairs = [p for p in i.initially() if p.claim in wanted]
    idle = _idle((i,))
    for a in i.system.actions:
        told(f"{a.name}, after {len(pairs)} pairs")
        pairs += i.kept(a.name, wanted)
    auxiliary = frozenset(x.name for x in i.claims if x.auxiliary) | {RANGE}
    return Proof(c, f"{i.system.nodes} pages", wanted, auxiliary, tuple(pairs), idle, time.perf_counter() - begun)


def of_any_size(c: Configuration, seconds: float, rules: Sequence[str], told: Told) -> Proof:
    """Induction on trees of any size. Raises NoSuchClaimError, ConfigurationError."""
    begun = time.perf_counter()
    z3.Z3_enable_concurrent_dec_ref(z3.main_ctx().ref())  # Python's collector gives terms back from any thread
    first = _small(c, SMALL[0])
    small = [Induction(first, seconds), *(Induction(_small(c, tree), seconds) for tree in SMALL[1:])]
    u = Unbounded(first.system, [r.rule for r in first.transitions.rules], seconds, small=Small(small))
    if lost := [name for name in u.s.unsaid if name != BOUNDS]:
        u.refuted = _Refuting(u, lambda: (Induction(_small(c, tree), seconds, lost) for tree in SMALL))
    auxiliary = frozenset(f.name for f in u.s.formulas if f.auxiliary).union(u.s.tied)
    left_out = {name: why for name, why in u.s.unsaid.items() if name not in auxiliary}
    wanted = _wanted((*(f.name for f in u.s.formulas), *u.s.tied), rules)
    with _Threads(u) as threads:
        initial, proving = threads.prove(wanted)
        with _MAIN:
            idle = _idle(small)
        pairs = [p for p in initial.result() if p.claim in wanted]
        for a, proved in proving:
            told(f"{a.name}, after {len(pairs)} pairs")
            found = [p for p in proved.result() if p.claim in wanted]
            pairs += [p for p in found if p.answer is Answer.PROVED]
            with _MAIN:
                pairs += _smaller(small, a.name, [p for p in found if p.answer is not Answer.PROVED], u.refuted)
    return Proof(
        c, "any number of pages", wanted, auxiliary, tuple(pairs), idle, time.perf_counter() - begun, left_out
    )  # fmt: skip


class _Refuting:
    """Small trees of which no more is supposed than of trees of any size.

    A pair that one of them breaks has no proof.
    """

    def __init__(self, u: Unbounded, small: Callable[[], Iterator[Induction]]) -> None:
        self._made = small
        self._names = {name: [BELOW] for name in u.s.tied}
        for f in u.s.formulas:
            for name in f.tied:
                self._names[name].append(f.name)

    @cached_property
    def _small(self) -> list[Induction]:
        return list(self._made())

    def __call__(self, action: str, claim: str) -> Pair | None:
        with _MAIN:
            for i in self._small:
                names = [n for n in self._names.get(claim, [claim]) if n == BELOW or n in i.names]
                for p in i.kept(action, names):
                    if p.answer is Answer.BROKEN:
                        return replace(p, claim=claim, answer=Answer.UNKNOWN, reason=_LOST)
        return None


_LOST = "it hangs on what cannot be said of trees of any size: a small tree breaks it in which all else holds"

Proved = Future[list[Pair]]


class _Threads:
    """As many as there are cores, each with a z3 of its own, for which Python waits without holding up the others."""

    def __init__(self, u: Unbounded) -> None:
        self._spare, self._all = [u], [u]
        self._mine = threading.local()
        self._pool = ThreadPoolExecutor(cores())

    def __enter__(self) -> _Threads:
        return self

    def __exit__(self, *error: object) -> None:
        for u in self._all if any(error) else ():
            u.stop()
        self._pool.shutdown(cancel_futures=True)

    def prove(self, wanted: Sequence[str]) -> tuple[Proved, list[tuple[Action, Proved]]]:
        """The first state and all actions, each with what will be known of its pairs; the longest are begun first."""
        actions = self._all[0].system.actions
        initial = self._pool.submit(lambda: list(self._own().initially()))
        begun = {a.name: self._pool.submit(self._kept, a, wanted) for a in sorted(actions, key=_work, reverse=True)}
        return initial, [(a, begun[a.name]) for a in actions]

    def _kept(self, a: Action, wanted: Sequence[str]) -> list[Pair]:
        return list(self._own().kept(a, wanted))

    def _own(self) -> Unbounded:
        """That of this thread: no other may ask its z3 meanwhile."""
        if not hasattr(self._mine, "u"):
            try:
                self._mine.u = self._spare.pop()
            except IndexError:
                self._mine.u = self._all[0].another()
                self._all.append(self._mine.u)
        own: Unbounded = self._mine.u
        return own


def _work(a: Action) -> int:
    return len(a.assigns)


def _small(c: Configuration, tree: tuple[int, ...]) -> Model:
    return model(replace(c, pages=None, tree=tree, requests=REQUESTS if c.requests is None else c.requests))


def _smaller(small: Iterable[Induction], action: str, pairs: Sequence[Pair], refuted: Refuted | None) -> Iterator[Pair]:
    """Pairs that were not proved: with a counterexample on a small tree, where there is one."""
    left = {p.claim: p for p in pairs}
    for i in small:
        asked = dict.fromkeys(RANGE if name.startswith(TIED) else name for name in left)
        for p in i.kept(action, [name for name in asked if name in i.names]):
            if p.answer is Answer.BROKEN:
                names = [n for n in left if n.startswith(TIED)] if p.claim == RANGE else [p.claim]
                for name in names:
                    yield replace(p, claim=name, seconds=p.seconds + left.pop(name).seconds)
    for p in left.values():
        if p.counterexample is None and refuted is not None and (found := refuted(action, p.claim)) is not None:
            p = replace(found, seconds=p.seconds)
        size = len(SMALL[0])
        yield p if p.counterexample else replace(p, reason=f"{p.reason}; nor is there a counterexample of {size} pages")


def _idle(inductions: Iterable[Induction]) -> tuple[str, ...]:
    """Actions that no state allows in which every claim holds, as far as the solver knows."""
    inductions = list(inductions)
    actions = dict.fromkeys(a.name for i in inductions for a in i.system.actions)
    return tuple(a for a in actions if not any(i.possible(a) for i in inductions))


def _wanted(names: Sequence[str], rules: Sequence[str]) -> tuple[str, ...]:
    """The claims that are asked for: by name, or by the name of the rule that they are of; all where none are."""
    for r in rules:
        if not any(n == r or n.startswith(f"{r}[") for n in names):
            raise NoSuchClaimError(r, names)
    return tuple(n for n in names if not rules or any(n == r or n.startswith(f"{r}[") for r in rules))
