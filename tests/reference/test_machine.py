"""The state machines, briefly, on every kind of cache; and every fault, found by the family that must find it."""

from __future__ import annotations

import pytest

from sanitree.models.reference import CacheError, UnifiedRadixCache
from sanitree.models.reference.faults import FAULTS, inject
from tests.reference.find_faults import find, home
from tests.reference.machine import Cell
from tests.reference.soak import cells, run
from tests.reference.workload import config

CELLS = cells()
# Each policy, set of components, page size and runner at least once.
SOME = CELLS[::7]
QUICK = ("evict_does_not_wait", "query_counts_hits", "duplicates_leak", "check_demands_backed_up_parents")


@pytest.mark.parametrize("cell", SOME, ids=str)
def test_no_rule_is_violated(cell: Cell) -> None:
    _, seen, error = run(cell, steps=25, number=1)
    assert not error
    assert seen["steps"]


@pytest.mark.slow
@pytest.mark.parametrize("cell", [c for c in CELLS if c not in SOME], ids=str)
def test_no_rule_is_violated_anywhere(cell: Cell) -> None:
    _, _, error = run(cell, steps=150, number=2)
    assert not error


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in FAULTS])
def test_a_fault_is_found_by_its_family(name: str) -> None:
    found = find(name, budget=1.0)
    assert found.expected, found


def test_a_fault_must_be_named() -> None:
    cache = UnifiedRadixCache(config())
    with pytest.raises(CacheError, match="no fault is called 'eviction_waits'"):
        inject(cache, "eviction_waits")
    with pytest.raises(CacheError, match="cannot have the fault"):
        inject(cache, "evict_does_not_wait")
    assert len(FAULTS) >= 20
    assert {home(n).fault for n in FAULTS} == set(FAULTS)
