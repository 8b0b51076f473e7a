"""Small random models made of expressions, and what they come to when each state is looked at in plain Python."""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st

from sanitree.checker.explore.evaluate import evaluate, successors
from sanitree.checker.explore.results import Goal, Progress
from sanitree.checker.explore.transitions import Cell, Forbidden, Move, Transitions
from sanitree.checker.symbolic import E, const
from sanitree.invariants.terms import TRUE
from sanitree.invariants.vocabulary import FULL, Policy, Settings
from sanitree.models.protocol.system import Action, System, Variable
from sanitree.models.snapshot import Key

ACTIONS = tuple(Action(name, "Something.", TRUE, ()) for name in ("one", "two", "three", "four"))
WIDE = (1 << 31) - 1


def system_of(tops: tuple[int, ...], nodes: int) -> System:
    variables = tuple(Variable(Key(f"v{i}"), top) for i, top in enumerate(tops))
    settings = Settings(Policy.WRITE_BACK, (FULL,), frozenset(), 1)
    parents = tuple(0 if n == 0 else (n - 1) // 2 + 1 for n in range(nodes))
    return System("random", settings, parents, variables, (), {}, ACTIONS, ())


@st.composite
def models(draw: st.DrawFn) -> Transitions:
    """Of up to four words; some moves take a variable beyond its bounds."""
    tops = tuple(draw(st.lists(st.sampled_from((1, 1, 2, 5, WIDE)), min_size=1, max_size=3)))
    system = system_of(tops, draw(st.integers(1, 3)))
    cells = [(v, row) for v in range(len(tops)) for row in range(1, system.nodes + 1)]
    conditions, numbers = expressions(cells)

    def within(cell: Cell, e: E) -> E:
        top = const(tops[cell[0]])
        inside = E("and", (E("<=", (const(0), e)), E("<=", (e, top))))
        return E("if", (inside, e, const(min(1, tops[cell[0]]))))

    moves = []
    for i in range(draw(st.integers(1, 5))):
        assigned = {}
        for cell in draw(st.lists(st.sampled_from(cells), unique=True, max_size=3)):
            value = draw(numbers)
            assigned[cell] = value if draw(st.integers(0, 15)) == 0 else within(cell, value)
        moves.append(Move(ACTIONS[i % len(ACTIONS)], 1 + i % system.nodes, draw(conditions), assigned))
    rules = [Forbidden(f"rule{i}", draw(conditions)) for i in range(draw(st.integers(0, 2)))]
    return Transitions(system, tuple(moves), tuple(rules), ())


def expressions(cells: list[Cell]) -> tuple[st.SearchStrategy[E], st.SearchStrategy[E]]:
    """Conditions and numbers."""
    bits = st.sampled_from(cells).map(lambda c: E("bits", c))
    plain = st.one_of(bits, bits, st.integers(-1, 6).map(const), st.just(const(WIDE)))
    signs = st.sampled_from(("<", "<=", "="))
    compared = st.builds(lambda op, a, b: E(op, (a, b)), signs, plain, plain)

    def joined(inner: st.SearchStrategy[E]) -> st.SearchStrategy[E]:
        two = st.builds(lambda op, a, b: E(op, (a, b)), st.sampled_from(("and", "and", "or", "differ")), inner, inner)
        return two | inner.map(lambda a: E("not", (a,)))

    conditions = st.recursive(compared | st.booleans().map(const), joined, max_leaves=4)
    two = st.builds(lambda op, a, b: E(op, (a, b)), st.sampled_from("+-"), plain, plain)
    chosen = st.builds(lambda c, a, b: E("if", (c, a, b)), conditions, plain | two, plain | two)
    more = st.builds(lambda op, a, b: E(op, (a, b)), signs, two | chosen, plain)
    return conditions | more, plain | two | chosen


def judgements(model: Transitions) -> st.SearchStrategy[tuple[list[Goal], list[Progress]]]:
    cells = [(v, r) for v in range(len(model.system.variables)) for r in range(1, model.system.nodes + 1)]
    conditions, _ = expressions(cells)
    some = st.none() | st.frozensets(st.integers(0, len(model.moves) - 1))
    goals = st.lists(conditions.map(lambda e: Goal("goal", e)), max_size=3)
    progress = st.lists(st.builds(Progress, st.just("progress"), conditions, conditions, some), max_size=2)
    return st.tuples(goals, progress)


class TooLarge(Exception):
    """More states than a test wants to see."""


@dataclass
class Plain:
    """What a model comes to. edges: by state, the place of a move and the state after it."""

    model: Transitions
    depth: dict[tuple[int, ...], int]
    edges: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]]
    values: dict[tuple[int, ...], dict[Cell, int]]

    def first(self, e: E) -> int | None:
        """How many moves away the nearest state is that meets a condition."""
        return min((self.depth[s] for s, v in self.values.items() if evaluate(e, v)), default=None)

    def stuck(self, p: Progress) -> int | None:
        """How many moves away the nearest state is from which there is no way to a goal."""
        reaches = {s for s, v in self.values.items() if evaluate(p.goal, v)}
        grows = True
        while grows:
            more = {
                s
                for s, to in self.edges.items()
                if s not in reaches and any(t in reaches and (p.moves is None or i in p.moves) for i, t in to)
            }
            grows = bool(more)
            reaches |= more
        return min(
            (self.depth[s] for s, v in self.values.items() if s not in reaches and evaluate(p.source, v)), default=None
        )


def plainly(model: Transitions, most: int) -> Plain:
    """Every state, rules or not. Raises OverflowError where a variable leaves its bounds, TooLarge beyond `most`."""
    cells = [(v, r) for v in range(len(model.system.variables)) for r in range(1, model.system.nodes + 1)]
    first = dict.fromkeys(cells, 0)
    found = Plain(model, {tuple(first.values()): 0}, {}, {tuple(first.values()): first})
    todo = [tuple(first.values())]
    for state in todo:
        found.edges[state] = []
        for move, new in successors(model, found.values[state]):
            if any(not 0 <= n <= model.system.variables[v].top for (v, _), n in new.items()):
                raise OverflowError
            key = tuple(new[c] for c in cells)
            found.edges[state].append((next(i for i, m in enumerate(model.moves) if m is move), key))
            if key not in found.depth:
                if len(todo) >= most:
                    raise TooLarge
                found.depth[key] = found.depth[state] + 1
                found.values[key] = {c: new[c] for c in cells}
                todo.append(key)
    return found
