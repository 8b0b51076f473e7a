"""What expressions over cells depend on, and what they come to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sanitree.checker.symbolic import E


def everything(roots: Iterable[E]) -> Iterator[E]:
    """Expressions and all that they are made of, each once."""
    seen: set[E] = set()
    stack = list(roots)
    while stack:
        e = stack.pop()
        if e not in seen:
            seen.add(e)
            stack += e.subs()
            yield e


def cells(*roots: E) -> Iterator[Any]:
    """The cells that expressions read."""
    return (e.args[0] for e in everything(roots) if e.op == "cell")


def references(root: E) -> Iterator[Any]:
    """The cells by which an expression comes to other elements."""
    return cells(*(e.args[0] for e in everything([root]) if e.op == "beside"))


def evaluate(e: E, values: Mapping[Any, int]) -> int:
    """An expression where cells have values."""
    found = values_of(e, values)[e]
    assert found is not None
    return found


def grounds(e: E, values: Mapping[Any, int | None]) -> frozenset[Any]:
    """Cells which, as long as they hold what they do, keep an expression at what it comes to: at a value, or at what
    it is of the cells whose value is unknown.
    """
    known = values_of(e, values)
    found: set[Any] = set()
    seen: set[E] = set()
    stack = [e]
    while stack:
        top = stack.pop()
        if top in seen:
            continue
        seen.add(top)
        if top.op == "cell":
            found.add(top.args[0])
        else:
            stack += _because(top, known)
    return frozenset(found)


def _because(e: E, known: Mapping[E, int | None]) -> list[E]:
    """Parts of an expression that alone settle what it comes to."""
    parts = list(e.subs())
    if e.op in ("and", "or", "some"):
        settles = e.op != "and"
        one = next((x for x in parts if known[x] is not None and bool(known[x]) == settles), None)
        if one is not None:
            return [one]
    if e.op == "if" and known[parts[0]] is not None:
        return [parts[0], parts[1] if known[parts[0]] else parts[2]]
    return parts


def values_of(e: E, values: Mapping[Any, int | None]) -> dict[E, int | None]:
    """What an expression and everything in it come to; None where that depends on what is unknown."""
    done: dict[E, int | None] = {}
    stack = [e]
    while stack:
        top = stack[-1]
        if left := [x for x in top.subs() if x not in done]:
            stack += left
            continue
        stack.pop()
        x = [done[a] for a in top.subs()]
        if top.op == "cell":
            done[top] = values[top.args[0]]
        elif None not in x:
            done[top] = _evaluated(top, x)  # type: ignore[arg-type]
        elif top.op == "and":
            done[top] = False if any(v is not None and not v for v in x) else None
        elif top.op in ("or", "some"):
            done[top] = True if any(x) else None
        elif top.op == "if" and x[0] is not None:
            done[top] = x[1] if x[0] else x[2]
        else:
            done[top] = None
    return done


def _evaluated(e: E, x: list[int]) -> int:
    match e.op:
        case "const":
            return e.args[0]  # type: ignore[no-any-return]
        case "if":
            return x[1] if x[0] else x[2]
        case "and":
            return x[0] and x[1]
        case "or":
            return x[0] or x[1]
        case "not":
            return not x[0]
        case "differ":
            return bool(x[0]) != bool(x[1])
        case "<":
            return x[0] < x[1]
        case "<=":
            return x[0] <= x[1]
        case "=":
            return x[0] == x[1]
        case "+" | "sum":
            return sum(x)
        case "-":
            return x[0] - x[1]
        case "%":
            return x[0] % max(x[1], 1)
        case "some":
            return any(x)
        case "beside":
            return x[1]
        case "distinct":
            return len(set(x)) == len(x)
    raise ValueError(f"an expression has no meaning: {e.op}")
