"""What is left out because another way leads there: nothing that is counted, and no state."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sanitree.checker.explore.batch import normalized
from sanitree.checker.explore.code import machine
from sanitree.checker.explore.diamonds import left_out
from sanitree.checker.explore.search import search
from sanitree.checker.explore.transitions import Move, Transitions, transitions
from sanitree.checker.symbolic import E, const
from sanitree.invariants.vocabulary import Policy
from sanitree.models.protocol.heap import heap
from tests.explore.systems import ACTIONS, plainly, system_of

pytest.importorskip("numba", reason="the explorer is the extra [explore]")


def cell(row: int) -> E:
    return E("bits", (0, row))


def up(row: int, guard: E | None = None, value: E | None = None) -> Move:
    """Sets one row's bit, where it is not set."""
    return Move(ACTIONS[0], row, guard or E("=", (cell(row), const(0))), {(0, row): value or const(1)})


def model(*moves: Move) -> Transitions:
    return Transitions(system_of((1,), 3), moves, (), ())


def test_of_moves_that_are_apart_the_later_is_left_out() -> None:
    assert left_out(model(up(1), up(2), up(3))) == [0b110, 0b100, 0]


@pytest.mark.parametrize(
    "other",
    [
        up(1, value=const(0)),  # changes the same
        up(2, guard=cell(1)),  # its guard reads what the first changes
        up(2, value=cell(1)),  # its outcome does
        up(2, guard=E("=", (cell(1), const(1)))),
    ],
)
def test_what_touches_is_not_left_out(other: Move) -> None:
    assert left_out(model(up(1), other)) == [0, 0]
    assert left_out(model(other, up(1))) == [0, 0]


def test_a_cell_that_stays_as_it_is_is_not_changed() -> None:
    stays = Move(ACTIONS[1], 2, E("=", (cell(2), const(0))), {(0, 1): cell(1), (0, 2): const(1)})
    assert left_out(model(up(1), stays)) == [0b10, 0]


def test_with_symmetry_only_moves_of_later_actions_are_left_out() -> None:
    first, second = up(1), replace(up(2), action=ACTIONS[1])
    assert left_out(model(first, up(3), second), symmetry=True) == [0b100, 0b100, 0]
    assert left_out(model(first, up(3), second)) == [0b110, 0b100, 0]


@pytest.mark.parametrize("policy", [Policy.WRITE_BACK, Policy.WRITE_THROUGH])
@pytest.mark.parametrize("nodes", [3, 5])
def test_with_symmetry_every_class_of_mirror_images_is_seen(policy: Policy, nodes: int) -> None:
    """And all that can happen in each: as many states and transitions as when nothing is left out."""
    system = transitions(heap(policy, nodes))
    plain = plainly(system, 20_000)
    m = machine(system, symmetry=True)
    cells = [(v, row) for v in range(len(system.system.variables)) for row in range(1, nodes + 1)]
    words = [m.layout.packed(dict(zip(cells, state, strict=True))) for state in plain.depth]
    forms = normalized(m, torch.tensor(words)).tolist()
    moves = {tuple(form): len(to) for form, to in zip(forms, plain.edges.values(), strict=True)}
    found = search(system, symmetry=True)
    assert (found.states, found.transitions) == (len(moves), sum(moves.values()))


@pytest.mark.parametrize("cores", [1, 2])
def test_a_cube_is_seen_whole(cores: int) -> None:
    """Each of its 8 states, and each of its 12 edges counted."""
    cube = model(up(1), up(2), up(3))
    found = search(cube, cores=cores)
    assert (found.states, found.transitions, found.levels) == (8, 12, (1, 3, 3, 1))


def test_leaving_out_moves_that_touch_loses_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the counts of every other test would show if moves were taken to be apart that are not."""
    from sanitree.checker.explore import run

    three = transitions(heap(Policy.WRITE_BACK, 3))
    expected = len(plainly(three, 10_000).depth)
    assert search(three, cores=1).states == expected
    all_later = [(1 << len(three.moves)) - (2 << a) for a in range(len(three.moves))]
    monkeypatch.setattr(run, "left_out", lambda *_: all_later)
    assert search(three, cores=1).states < expected


def test_the_order_of_moves_says_nothing_of_what_is_found() -> None:
    one = transitions(heap(Policy.WRITE_THROUGH, 5))
    other = replace(one, moves=one.moves[::-1])
    first, second = search(one), search(other)
    assert (first.states, first.transitions, first.levels) == (second.states, second.transitions, second.levels)
    assert first.fired == second.fired
