"""Terms as expressions, simplified as they are built: what the code generators work on.

The three-valued reading is in `semantics`; here its pairs become plain expressions, so
that what is always known costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NoReturn, TypeVar

from sanitree.invariants.semantics import Algebra
from sanitree.invariants.terms import Op

V = TypeVar("V")


class E:
    """An expression: an operator and its arguments (expressions, or data of the operator).

    Interned: expressions that read alike are one object, so that they are compared and hashed at no cost,
    however deep, and what is said twice is compiled once.
    """

    __slots__ = ("args", "op")
    op: str
    args: tuple[Any, ...]

    def __new__(cls, op: str, args: tuple[Any, ...] = ()) -> E:
        # True == 1 in Python, so the types of data are part of what it is.
        key = (op, args, *map(type, args))
        found = _MADE.get(key)
        if found is None:
            found = super().__new__(cls)
            object.__setattr__(found, "op", op)
            object.__setattr__(found, "args", args)
            found = _MADE.setdefault(key, found)  # another thread may have made it meanwhile
        return found

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("an expression is never changed: build another")

    def __reduce__(self) -> tuple[type[E], tuple[str, tuple[Any, ...]]]:
        return E, (self.op, self.args)

    def __repr__(self) -> str:
        return f"E({self.op!r}, {self.args!r})"

    def subs(self) -> Iterator[E]:
        """The direct subexpressions."""
        return (a for a in self.args if isinstance(a, E))

    def all(self) -> Iterator[E]:
        """This expression and everything below it."""
        yield self
        for a in self.subs():
            yield from a.all()

    def parts(self) -> set[E]:
        """The same, each once."""
        found, stack = {self}, [self]
        while stack:
            new = [x for x in stack.pop().subs() if x not in found]
            found.update(new)
            stack += new
        return found


_MADE: dict[tuple[Any, ...], E] = {}


TRUE, FALSE = E("const", (True,)), E("const", (False,))


def const(value: bool | int) -> E:
    return (TRUE if value else FALSE) if isinstance(value, bool) else E("const", (value,))


def conj(a: E, b: E) -> E:
    if FALSE in (a, b):
        return FALSE
    if a == TRUE or a == b:
        return b
    if b == neg(a):
        return FALSE
    if b.op == "or" and a in b.args:
        return a
    if b.op == "and" and a in b.args:
        return b
    return a if b == TRUE else E("and", (a, b))


def disj(a: E, b: E) -> E:
    if TRUE in (a, b):
        return TRUE
    if a == FALSE or a == b:
        return b
    if b == neg(a):
        return TRUE
    if b.op == "and" and a in b.args:
        return a
    if b.op == "or" and a in b.args:
        return b
    if a.op == b.op == "and" and b.args == (neg(a.args[0]), neg(a.args[1])):
        return E("differ", (a.args[0], neg(a.args[1])))
    return a if b == FALSE else E("or", (a, b))


@cache  # each of conj, disj and neg asks for the others' negations: without it, exponential in the depth
def neg(a: E) -> E:
    """`not a`, with the negation pushed down to the comparisons, so that equal meanings look equal."""
    match a.op:
        case "const":
            return const(not a.args[0])
        case "not":
            return a.args[0]  # type: ignore[no-any-return]
        case "and":
            return disj(neg(a.args[0]), neg(a.args[1]))
        case "or":
            return conj(neg(a.args[0]), neg(a.args[1]))
        case "differ":
            return E("differ", (a.args[0], neg(a.args[1])))
        case "<":
            return E("<=", (a.args[1], a.args[0]))
        case "<=":
            return E("<", (a.args[1], a.args[0]))
    return E("not", (a,))


def choose(c: E, a: E, b: E) -> E:
    if c in (TRUE, FALSE):
        return a if c == TRUE else b
    return a if a == b else E("if", (c, a, b))


def compared(op: Op, a: E, b: E) -> E:
    """A comparison of two numbers, or of two references by row."""
    sign = {Op.EQ: "=", Op.LT: "<", Op.LE: "<="}[op]
    if a.op == b.op == "const":
        x, y = a.args[0], b.args[0]
        return const(bool(x == y if sign == "=" else x < y if sign == "<" else x <= y))
    return const(sign != "<") if a == b else E(sign, (a, b))


def computed(op: Op, a: E, b: E) -> E:
    """A sum, a difference or a remainder."""
    sign = {Op.ADD: "+", Op.SUB: "-", Op.MOD: "%"}[op]
    zero, one = const(0), const(1)
    if b == zero and sign != "%":
        return a
    if a == zero and sign == "+":
        return b
    return zero if (sign, b) == ("%", one) else E(sign, (a, b))


class Expressions(Algebra[E, V]):
    """What every algebra whose truths are expressions has in common."""

    def truth(self, value: bool) -> E:
        return const(bool(value))

    def conj(self, a: E, b: E) -> E:
        return conj(a, b)

    def disj(self, a: E, b: E) -> E:
        return disj(a, b)

    def neg(self, a: E) -> E:
        return neg(a)


Column = tuple[E, ...]
"""An expression for each element in question; of length one where it is the same for all."""


def level(*columns: Column) -> tuple[Column, ...]:
    """Columns of the length of the longest."""
    count = max(map(len, columns))
    return tuple(c if len(c) == count else c * count for c in columns)


def zipped(join: Callable[[E, E], E], a: Column, b: Column) -> Column:
    """Two columns joined element by element."""
    if len(a) != len(b):
        a, b = level(a, b)
    return tuple(map(join, a, b))


class Columns(Algebra[Column, V]):
    """The same of every algebra whose truths are columns of expressions."""

    def truth(self, value: bool) -> Column:
        return (const(bool(value)),)

    def conj(self, a: Column, b: Column) -> Column:
        return zipped(conj, a, b)

    def disj(self, a: Column, b: Column) -> Column:
        return zipped(disj, a, b)

    def neg(self, a: Column) -> Column:
        return tuple(map(neg, a))
