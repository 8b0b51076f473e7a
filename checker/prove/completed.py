"""A state of a model of which only a part is known, completed to a legal one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import z3

from sanitree.checker.explore.results import Values
from sanitree.checker.explore.transitions import Cell, Transitions
from sanitree.checker.prove.claims import claims
from sanitree.checker.prove.connectives import is_number, number_of
from sanitree.checker.prove.words import Words


class NoLegalStateError(ValueError):
    """No legal state has the numbers that are known. known: whether z3 is sure; it may have had no time."""

    def __init__(self, sure: bool) -> None:
        super().__init__("no legal state is like that" if sure else "z3 did not find a legal state in time")
        self.sure = sure


def completed(t: Transitions, known: Mapping[Cell, int], some: Sequence[Sequence[Cell]], seconds: float) -> Values:
    """A state in which every claim of the model holds, with the numbers that are known; of the others as many 0 as can
    be, one after the other.

    some: groups of cells of which one at least is not 0. Raises NoLegalStateError.
    """
    words, system = Words(t.system), t.system
    solver = z3.SolverFor("QF_FD")
    solver.set("timeout", int(seconds * 1000))
    solver.add(*(z3.Not(words(c.wrong)) for c in claims(t)))
    cells = [(i, n) for i in range(len(system.variables)) for n in range(1, system.nodes + 1)]
    for cell in cells:
        top, at = system.variables[cell[0]].top, words.cell(cell)
        if top > 1:
            solver.add(at >= 0, at <= top)
        if cell in known:
            solver.add(is_number(at, known[cell]))
    for group in some:
        solver.add(z3.Or(*(z3.Not(is_number(words.cell(c), 0)) for c in group)))
    _must(solver)
    for cell in cells:
        if cell not in known:
            nothing = is_number(words.cell(cell), 0)
            if solver.check(nothing) == z3.sat:
                solver.add(nothing)
    _must(solver)
    model = solver.model()
    return {cell: number_of(model.eval(words.cell(cell), model_completion=True)) for cell in cells}


def _must(solver: Any) -> None:
    found = solver.check()
    if found != z3.sat:
        raise NoLegalStateError(found == z3.unsat)
