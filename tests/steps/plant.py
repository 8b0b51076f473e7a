"""Plants a fault in legal steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

from sanitree.invariants.calls import Operation
from sanitree.invariants.catalogue import BY_ID, STEP_RULES
from sanitree.invariants.rules import Check, checks
from sanitree.invariants.vocabulary import Component, Settings, Tier
from tests.legal import plan_of
from tests.steps.stage import Stage, stage

Plant = Callable[[Stage, Random, Component | None, Tier | None], "set[int] | None"]


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a step of a legal cache.

    plant: changes the stage for one component and tier of the rule, and returns where the rule
    must report it, exactly: ids, slot numbers for a rule about slots, {0} for the tree; None where
    this stage has no place for the fault. on: the operations that it is planted in. also: other step
    rules that must report it too, where they apply. may: rules that may. No other rule may.
    """

    rule: str
    plant: Plant
    on: tuple[Operation, ...]
    also: tuple[str, ...]
    may: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.plant.__name__


FAULTS: list[Fault] = []


def fault(
    rule: str,
    *,
    on: Iterable[Operation] = (),
    but: Iterable[Operation] = (),
    also: tuple[str, ...] = (),
    may: tuple[str, ...] = (),
) -> Callable[[Plant], Plant]:
    """Declares the decorated function to be a fault of a rule, on all its operations or on these, but on those."""

    def declare(plant: Plant) -> Plant:
        there = BY_ID[rule].on if rule in BY_ID else ()
        FAULTS.append(Fault(rule, plant, tuple(o for o in tuple(on) or there if o not in but), also, may))
        return plant

    return declare


@dataclass(frozen=True)
class Planted:
    """A fault in a step: what check must report it, and where."""

    fault: Fault
    seed: int
    stage: Stage
    check: Check
    at: set[int]


@cache
def checks_of(s: Settings, operation: Operation) -> tuple[Check, ...]:
    """Every check of a step rule that applies."""
    return checks((r for r in STEP_RULES if operation in r.on), s)


def planted(fault: Fault, seeds: Iterable[int], operation: Operation | None = None) -> Iterator[Planted]:
    """The fault on the cache of each seed that has a place for it, in a call of an operation or of any of its own."""
    for seed in seeds:
        rng = Random(f"{fault.name} {seed}")
        chosen = operation or rng.choice(fault.on)
        able = [c for c in checks_of(plan_of(seed).settings, chosen) if c.rule.id == fault.rule]
        rng.shuffle(able)
        for check in able:
            s = stage(seed, chosen)
            at = fault.plant(s, rng, check.component, check.tier)
            if at:
                yield Planted(fault, seed, s, check, at)
                break
