"""Plants a fault in legal caches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from sanitree.invariants.rules import Check
from tests.drafts import Draft
from tests.legal import checks_of, legal, plan_of
from tests.planted.tools import Fault


@dataclass(frozen=True)
class Planted:
    """A fault in a cache: what check must report it, and where."""

    fault: Fault
    seed: int
    draft: Draft
    check: Check
    at: set[int]


def planted(fault: Fault, seeds: Iterable[int], *, every: bool = False) -> Iterator[Planted]:
    """The fault in the cache of each seed that has a place for it: for one component and tier, or for every one."""
    for seed in seeds:
        rng = Random(f"{fault.name} {seed}")
        able = [c for c in checks_of(plan_of(seed).settings) if c.rule.id == fault.rule]
        rng.shuffle(able)
        for check in able:
            draft = legal(seed)
            at = fault.plant(draft, rng, check.component, check.tier)
            if at:
                yield Planted(fault, seed, draft, check, at)
                if not every:
                    break
