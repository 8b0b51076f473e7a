"""Conditions on many states at once, and what comes of moves, are what they are one state at a time."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from sanitree.checker.explore.evaluate import after, evaluate
from sanitree.checker.explore.transitions import Transitions
from sanitree.checker.symbolic import E, const
from tests.explore.systems import WIDE, expressions, models, system_of

pytest.importorskip("numba", reason="the explorer is the extra [explore]")

from sanitree.checker.explore import block
from sanitree.checker.explore.code import machine
from sanitree.checker.explore.native import native
from sanitree.checker.explore.results import Bounds
from sanitree.checker.explore.search import ready

CELLS = [(v, row) for v in range(4) for row in (1, 2)]
SYSTEM = system_of((1, 2, 5, WIDE), 2)
FEW = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))


def states_of(data: st.DataObject, cells: list[tuple[int, int]], tops: list[int], n: int) -> list[dict]:
    """States with small and large numbers, from one that is drawn."""
    random = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    return [
        {
            cell: int(random.choice([0, top, random.integers(0, top + 1), random.integers(0, min(top, 7) + 1)]))
            for cell, top in zip(cells, tops, strict=True)
        }
        for _ in range(n)
    ]


@FEW
@given(data=st.data())
def test_conditions(data: st.DataObject) -> None:
    conditions, numbers = expressions(CELLS)
    rests = st.builds(
        lambda a, n, b: E("=", (E("%", (a, const(n))), b)),
        numbers, st.integers(1, 9), st.integers(0, 8).map(const),
    )  # fmt: skip
    asked = data.draw(st.lists(conditions | rests, min_size=1, max_size=6))
    n = data.draw(st.integers(1, block.BLOCK))
    tops = [SYSTEM.variables[v].top for v, _ in CELLS]
    states = states_of(data, CELLS, tops, n)
    m = machine(Transitions(SYSTEM, (), (), ()), conditions=asked)
    code = native(m)
    packed = np.array([m.layout.packed(s) for s in states], np.int64)
    room, shape = block.room(m.layout.words, 0, 1), (0,) * m.layout.words
    for e, address in zip(asked, code.conditions, strict=True):
        block.asked(address, packed.ctypes.data, n, room, shape)
        bits = np.unpackbits(room.masks[: block.LANES].view(np.uint8), bitorder="little")[:n]
        assert bits.tolist() == [evaluate(e, s) for s in states], e


@FEW
@given(data=st.data())
def test_successors(data: st.DataObject) -> None:
    """In states that need not be reachable; moves that go beyond bounds are left out."""
    model = data.draw(models())
    m = machine(model)
    tops = [model.system.variables[v].top for v, _ in m.layout.places]
    run = ready(m, 0, 1, Bounds(), "cpu")
    for values in states_of(data, list(m.layout.places), tops, 5):
        news = [after(move, values) for move in model.moves]
        if any(
            new is not None and any(not 0 <= new[c] <= t for c, t in zip(m.layout.places, tops, strict=True))
            for new in news
        ):
            continue
        expected = [(i, m.layout.packed(new)) for i, new in enumerate(news) if new is not None]
        assert [(o.move, o.state) for o in run.outcomes(m.layout.packed(values))] == expected
    run.close()
