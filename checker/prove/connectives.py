"""What the operators of expressions are in z3, on any size of tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import z3


def applied(op: str, a: Sequence[Any]) -> Any:
    """An operator applied to its arguments in z3."""
    match op:
        case "and":
            return z3.And(*a)
        case "or":
            return z3.Or(*a)
        case "not":
            return z3.Not(a[0])
        case "differ":
            return z3.Xor(*a)
        case "if":
            return z3.If(*a)
        case "=":
            return a[0] == a[1]
        case "<":
            return a[0] < a[1]
        case "<=":
            return a[0] <= a[1]
        case "+":
            return a[0] + a[1]
        case "-":
            return a[0] - a[1]
        case "%":
            return a[0] % a[1]
        case "some":
            return z3.Or(*a)
        case "sum":
            return z3.Sum(*a)
        case "distinct":
            return z3.Distinct(*a)
    raise NotImplementedError(f"z3 is not told what {op} means")
