"""z3 is asked, some things being supposed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import z3


def asked(solver: Any, supposed: Iterable[Any]) -> Any:
    """What a solver says where some truth values are true.

    Of a hundred of them z3's wrapper would look at each, which takes longer than most answers.
    """
    marks = [x.as_ast() for x in supposed]
    array = (z3.Ast * len(marks))(*marks)
    return z3.CheckSatResult(z3.Z3_solver_check_assumptions(solver.ctx.ref(), solver.solver, len(marks), array))
