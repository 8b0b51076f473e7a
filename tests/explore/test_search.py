"""Every way to search finds what a plain look at each state finds: states, depths, deadlocks, goals, progress."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings

from sanitree.checker.explore import run
from sanitree.checker.explore.evaluate import evaluate, successors
from sanitree.checker.explore.results import Bounds, Goal, Progress, Searched, Sofar, Trace
from sanitree.checker.explore.search import search
from sanitree.checker.explore.transitions import Move, Transitions, transitions
from sanitree.checker.symbolic import E, const
from sanitree.invariants.vocabulary import Policy
from sanitree.models.protocol import heap
from sanitree.models.protocol.system import Variable
from sanitree.models.snapshot import Key
from tests.explore.systems import ACTIONS, WIDE, Plain, TooLarge, judgements, models, plainly, system_of

pytest.importorskip("numba", reason="the explorer is the extra [explore]")

MOST = 400
WAYS = [("cpu", 1), ("cpu", 3), ("torch", 1)]


def is_run(model: Transitions, trace: Trace) -> bool:
    """Whether each state follows from the one before by the move that is named."""
    steps = zip(trace.states, trace.moves, trace.states[1:], strict=False)
    return not any(trace.states[0].values()) and all(
        any(m is move and new == later for m, new in successors(model, state)) for state, move, later in steps
    )


@pytest.mark.parametrize(("device", "cores"), WAYS)
@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_models(device: str, cores: int, data: st.DataObject) -> None:
    model = data.draw(models())
    try:
        plain = plainly(model, MOST)
    except TooLarge:
        assume(False)
    except OverflowError:
        with pytest.raises(OverflowError, match="beyond its bounds"):
            search(replace(model, rules=()), cores=cores, device=device)
        return
    goals, progress = data.draw(judgements(model))
    agrees(plain, search(replace(model, rules=()), cores=cores, device=device, goals=goals, progress=progress))
    for goal, reached in zip(goals, search(model, cores=cores, device=device, goals=goals).goals, strict=True):
        assert reached.depth is None or reached.depth == plain.first(goal.condition)
    first = {r.rule: plain.first(r.wrong) for r in model.rules}
    nearest = min((n for n in first.values() if n is not None), default=None)
    violation = search(model, cores=cores, device=device).violation
    assert (None if violation is None else len(violation.trace.moves)) == nearest
    if violation is not None:
        assert first[violation.rule] == nearest
        assert is_run(model, violation.trace)


def agrees(plain: Plain, found: Searched) -> None:
    depths = Counter(plain.depth.values())
    assert found.levels == tuple(depths[i] for i in range(len(depths)))
    assert (found.states, found.expanded, found.complete) == (len(plain.depth), len(plain.depth), True)
    assert found.transitions == sum(map(len, plain.edges.values()))
    fired = Counter(plain.model.moves[i].action.name for to in plain.edges.values() for i, _ in to)
    assert found.fired == {a.name: fired[a.name] for a in ACTIONS}
    dead = [s for s, to in plain.edges.items() if not to]
    assert found.dead == len(dead)
    assert (found.deadlock is not None) == bool(dead)
    if found.deadlock is not None:
        assert len(found.deadlock.moves) == min(plain.depth[s] for s in dead)
        assert is_run(plain.model, found.deadlock)
        assert not list(successors(plain.model, found.deadlock.states[-1]))


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data(), way=st.sampled_from(WAYS))
def test_goals_and_progress(data: st.DataObject, way: tuple[str, int]) -> None:
    model = replace(data.draw(models()), rules=())
    try:
        plain = plainly(model, MOST)
    except (TooLarge, OverflowError):
        assume(False)
    goals, progress = data.draw(judgements(model))
    found = search(model, cores=way[1], device=way[0], goals=goals, progress=progress)
    for goal, reached in zip(goals, found.goals, strict=True):
        assert reached.depth == plain.first(goal.condition)
        if reached.trace is not None:
            assert is_run(model, reached.trace)
            assert evaluate(goal.condition, reached.trace.states[-1])
    for p, told in zip(progress, found.progress, strict=True):
        expected = plain.stuck(p)
        assert told.holds == (expected is None)
        assert told.sources == sum(evaluate(p.source, v) for v in plain.values.values())
        assert (None if told.stuck is None else len(told.stuck.moves)) == expected
        if told.stuck is not None:
            assert is_run(model, told.stuck)


def counter(top: int = 5) -> Transitions:
    """One number that goes up to 4 by ones, back to 0 from 3, and no further from 4."""
    n = E("bits", (0, 1))
    up = Move(ACTIONS[0], 1, E("<", (n, const(4))), {(0, 1): E("+", (n, const(1)))})
    back = Move(ACTIONS[1], 1, E("=", (n, const(3))), {(0, 1): const(0)})
    return Transitions(system_of((top,), 1), (up, back), (), ())


def at(value: int) -> E:
    return E("=", (E("bits", (0, 1)), const(value)))


@pytest.mark.parametrize(("device", "cores"), WAYS)
def test_what_is_said_of_a_small_one(device: str, cores: int) -> None:
    progress = [
        Progress("back to 0 from 3", at(3), at(0)),
        Progress("back to 0 from anywhere", const(True), at(0)),
        Progress("back without going back", at(3), at(0), frozenset({0})),
        Progress("from where nothing is", at(5), at(0)),
    ]
    found = search(
        counter(), cores=cores, device=device, goals=[Goal("three", at(3)), Goal("five", at(5))], progress=progress
    )
    assert (found.states, found.transitions, found.dead, found.depth) == (5, 5, 1, 4)
    assert found.deadlock is not None
    assert [s[0, 1] for s in found.deadlock.states] == [0, 1, 2, 3, 4]
    assert [g.depth for g in found.goals] == [3, None]
    assert [p.holds for p in found.progress] == [True, False, False, True]
    assert [p.sources for p in found.progress] == [1, 5, 1, 0]
    assert [len(p.stuck.moves) for p in found.progress if p.stuck] == [4, 3]
    assert found.unfired == ("three", "four")


@pytest.mark.parametrize(("device", "cores"), WAYS)
def test_where_not_everything_was_seen_nothing_is_said_of_progress(device: str, cores: int) -> None:
    found = search(
        transitions(heap.heap(Policy.WRITE_THROUGH, 5)), Bounds(states=100), cores=cores, device=device,
        progress=[Progress("anything", const(True), const(True))],
    )  # fmt: skip
    assert (found.complete, found.progress[0].holds, found.unfired) == (False, None, ())
    assert 0 < found.expanded < found.states


@pytest.mark.parametrize(("policy", "nodes"), [(Policy.WRITE_BACK, 3), (Policy.WRITE_THROUGH, 5)])
@pytest.mark.parametrize("device", ["torch", "cuda"])
def test_tensors_find_the_same_states(policy: Policy, nodes: int, device: str) -> None:
    """Each of them, and the same mirror image of each."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    model = transitions(heap.heap(policy, nodes))
    assert states_of(model, device, 1) == states_of(model, "cpu", 1) == states_of(model, "cpu", 2)
    folded = states_of(model, device, 1, symmetry=True)
    assert folded == states_of(model, "cpu", 2, symmetry=True)
    assert len(folded) < len(states_of(model, "cpu", 1))


def states_of(model: Transitions, device: str, cores: int, symmetry: bool = False) -> set[tuple[int, ...]]:
    from sanitree.checker.explore.code import machine
    from sanitree.checker.explore.found import At
    from sanitree.checker.explore.search import ready

    run = ready(machine(model, symmetry), 0, cores, Bounds(), device)
    run.to_the_end(None)
    found = {run.state(At(0, p, i)) for p, count in enumerate(run.owned) for i in range(count)}
    run.close()
    assert len(found) == run.states
    return found


@pytest.mark.parametrize(("device", "nodes"), [("cpu", 5), ("torch", 3)])
def test_subtrees_in_several_words_are_folded_as_those_in_one(device: str, nodes: int) -> None:
    """A variable that nothing changes takes room and no part."""
    system = heap.heap(Policy.WRITE_BACK, 5)
    wide = replace(
        system, variables=(*system.variables, Variable(Key("room"), WIDE)), root={**system.root, Key("room"): 0}
    )
    narrow, spread = (search(transitions(s), symmetry=True, device=device) for s in (system, wide))
    assert (narrow.states, narrow.transitions, narrow.levels) == (spread.states, spread.transitions, spread.levels)
    assert search(transitions(system)).states > narrow.states


def test_a_search_ends_alike_when_it_is_done_again() -> None:
    strict = heap.heap(Policy.WRITE_THROUGH, 7)
    goals = [Goal("locked twice", E("=", (E("bits", (3, 7)), const(2))))]
    first, again = (search(transitions(strict), cores=2, goals=goals).goals[0].trace for _ in range(2))
    assert first is not None
    assert again is not None
    assert ([m.node for m in first.moves], first.states) == ([m.node for m in again.moves], again.states)


def test_it_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_TOLD_EVERY", 0.0)
    told: list[Sofar] = []
    search(transitions(heap.heap(Policy.WRITE_BACK, 8)), cores=1, told=told.append)
    assert told
    assert [t.states for t in told] == sorted(t.states for t in told)
    assert all(0 <= t.queue <= t.states for t in told)


def test_the_mirror_image_of_a_violation_is_none_the_less_a_run() -> None:
    model = transitions(heap.heap(Policy.WRITE_BACK, 7))
    locked = E("=", (E("bits", (3, 7)), const(2)))
    found = search(model, symmetry=True, goals=[Goal("lock", locked)]).goals[0]
    assert found.trace is None or is_run(model, found.trace)
