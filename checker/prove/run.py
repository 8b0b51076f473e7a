"""A proof of a model: on trees of a given size, or of any; what is not proved is looked for on small trees."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from sanitree.checker.explore.configured import Configuration, Model, model
from sanitree.checker.prove.bounded import Induction
from sanitree.checker.prove.claims import RANGE
from sanitree.checker.prove.results import Answer, Pair, Proof
from sanitree.checker.prove.unbounded import TIED, Unbounded

SMALL = ((0, 1, 1), (0, 1, 2))
"""Trees on which counterexamples to induction are looked for, the parent of each page: a fork and a line."""

REQUESTS = 2
"""At once, in those: enough for one to go and another to stay."""

Told = Callable[[str], None]


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
    small = [Induction(_small(c, tree), seconds) for tree in SMALL]
    u = Unbounded(small[0].system, [r.rule for r in small[0].t.rules], seconds)
    auxiliary = frozenset(f.name for f in u.formulas if f.auxiliary) | {TIED}
    left_out = {name: why for name, why in u.unsaid.items() if name not in auxiliary}
    names = (*(f.name for f in u.formulas), TIED)
    wanted = _wanted(names, rules)
    pairs = [p for p in small[0].initially() if p.claim in wanted]
    idle = _idle(small)
    for a in u.system.actions:
        told(f"{a.name}, after {len(pairs)} pairs")
        open_ones: list[Pair] = []
        for p in u.kept(a):
            if p.claim in wanted:
                (pairs if p.answer is Answer.PROVED else open_ones).append(p)
        pairs += _smaller(small, a.name, open_ones)
    return Proof(
        c, "any number of pages", wanted, auxiliary, tuple(pairs), idle, time.perf_counter() - begun, left_out
    )  # fmt: skip


def _small(c: Configuration, tree: tuple[int, ...]) -> Model:
    return model(replace(c, pages=None, tree=tree, requests=REQUESTS if c.requests is None else c.requests))


def _smaller(small: Iterable[Induction], action: str, pairs: Sequence[Pair]) -> Iterator[Pair]:
    """Pairs that were not proved: with a counterexample on a small tree, where there is one."""
    left = {p.claim: p for p in pairs}
    for i in small:
        asked = [RANGE if name == TIED else name for name in left]
        for p in i.kept(action, [name for name in asked if name in i.names]):
            if p.answer is Answer.BROKEN:
                name = TIED if p.claim == RANGE else p.claim
                yield replace(p, claim=name, seconds=p.seconds + left.pop(name).seconds)
    for p in left.values():
        size = len(SMALL[0])
        yield replace(p, reason=f"{p.reason}; nor is there a counterexample of {size} pages")


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
