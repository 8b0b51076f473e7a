"""Operations on what may be plain or an expression: what is plain is computed at once, the rest is left to a solver.

Where there is a list, there is an element for each of some rows; what is no list is the same for all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

from sanitree.checker import symbolic
from sanitree.checker.symbolic import E, const
from sanitree.invariants.terms import Op

One = bool | int | E
Many = list[Any] | bool | int | E


def lift(f: Callable[..., Any], *xs: Many) -> Many:
    """An operation for each row, or once where all arguments are the same for all rows."""
    lengths = [len(x) for x in xs if type(x) is list]
    if not lengths:
        return f(*xs)  # type: ignore[no-any-return]
    return list(map(f, *(x if type(x) is list else repeat(x, lengths[0]) for x in xs)))


def spread(x: Many, rows: int) -> list[Any]:
    """One for each row."""
    return x if type(x) is list else [x] * rows


def conj(a: One, b: One) -> One:
    if a is True or b is False:
        return b
    if b is True or a is False:
        return a
    return plain(symbolic.conj(expression(a), expression(b)))


def disj(a: One, b: One) -> One:
    if a is False or b is True:
        return b
    if b is False or a is True:
        return a
    return plain(symbolic.disj(expression(a), expression(b)))


def neg(a: One) -> One:
    return plain(symbolic.neg(a)) if isinstance(a, E) else not a


def compare(op: Op, a: One, b: One) -> One:
    if isinstance(a, E) or isinstance(b, E):
        return plain(symbolic.compared(op, expression(a), expression(b)))
    return a == b if op is Op.EQ else a < b if op is Op.LT else a <= b


def arithmetic(op: Op, a: One, b: One) -> One:
    if isinstance(a, E) or isinstance(b, E):
        return plain(symbolic.computed(op, expression(a), expression(b)))
    return a + b if op is Op.ADD else a - b if op is Op.SUB else a % max(b, 1)


def choose(c: One, a: One, b: One) -> One:
    if isinstance(c, E):
        return plain(symbolic.choose(c, expression(a), expression(b)))
    return a if c else b


def expression(x: One) -> E:
    return x if isinstance(x, E) else const(x)


def plain(e: E) -> One:
    return e.args[0] if e.op == "const" else e


def some(xs: Sequence[One]) -> One:
    """Whether one of them is true."""
    if any(x is True for x in xs):
        return True
    found = tuple(dict.fromkeys(x for x in xs if isinstance(x, E)))
    return False if not found else found[0] if len(found) == 1 else E("some", found)


def total(xs: Sequence[One]) -> One:
    """The sum."""
    fixed = sum(x for x in xs if not isinstance(x, E))
    found = [x for x in xs if isinstance(x, E)]
    if not found:
        return fixed
    parts = (*found, const(fixed)) if fixed else tuple(found)
    return parts[0] if len(parts) == 1 else E("sum", parts)


def repeated(keys: Sequence[One], among: Sequence[One]) -> One:
    """Whether two of those that `among` is true of have the same key."""
    there = [(k, a) for k, a in zip(keys, among, strict=True) if a is not False]
    sure = [k for k, a in there if a is True and not isinstance(k, E)]
    if len(set(sure)) < len(sure):
        return True
    if len(sure) == len(there) or len(there) < 2:
        return False
    # One that may not be among them has a key that nothing else has while it is not.
    found = tuple(expression(choose(a, k, NOWHERE - i)) for i, (k, a) in enumerate(there))
    return E("not", (E("distinct", found),))


NOWHERE = -(1 << 65)
"""Below every number that a snapshot can hold."""


def matching(keys: Sequence[One], among: Sequence[One]) -> Callable[[One], One]:
    """For a value how many of those that `among` is true of have it as their key."""
    sure: Counter[One] = Counter()
    unsure = []
    for k, a in zip(keys, among, strict=True):
        if a is True and not isinstance(k, E):
            sure[k] += 1
        elif a is not False:
            unsure.append((k, a))

    def of(value: One) -> One:
        counted = [choose(conj(a, compare(Op.EQ, k, value)), 1, 0) for k, a in unsure]
        if not isinstance(value, E):
            return total([sure[value], *counted])
        return total([*(choose(compare(Op.EQ, value, k), n, 0) for k, n in sure.items()), *counted])

    return of


def at(values: Sequence[One], index: One) -> One:
    """The value at an index, which is one of theirs; a choice by halves where it is an expression."""
    if not isinstance(index, E):
        return values[index]

    def among(low: int, high: int) -> One:
        if high - low == 1:
            return values[low]
        middle = (low + high) // 2
        return choose(compare(Op.LT, index, middle), among(low, middle), among(middle, high))

    return among(0, len(values))


def while_there(a: One, there: One) -> One:
    """`a` of an element that is there. What implies that somebody names a slot need not say so."""
    if isinstance(a, E) and isinstance(there, E) and _implies(a, there):
        return a
    return conj(a, there)


def counted(number: One, there: One) -> One:
    """A number of an element that is there, else 0. How often a slot is named is 0 where nobody names it."""
    if isinstance(number, E) and isinstance(there, E):
        if number.op == "if" and number.args[1:] == (const(1), const(0)):
            return choose(while_there(number.args[0], there), 1, 0)
        if _implies(expression(compare(Op.LT, 0, number)), there):
            return number
    return choose(there, number, 0)


def _implies(a: E, there: E) -> bool:
    """Whether it is plain that an element of which `a` is true is there."""
    if a.op == "and":
        return any(_implies(x, there) for x in a.subs())
    if a.op in ("or", "some"):
        return all(_implies(x, there) for x in a.subs())
    return a is there or (there.op == "some" and a in there.args)


def beside(reference: E, value: One) -> E:
    """A value that was come to by a reference, for who asks what an expression depends on."""
    return E("beside", (reference, expression(value)))
