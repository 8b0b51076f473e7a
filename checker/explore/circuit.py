"""Conditions on 256 states at once, as text of LLVM's language: bit by bit, as a circuit.

States are turned by a quarter: a *plane* is one bit of a word, of all the states. A number is a
list of planes, the lowest first and its sign last; the sum of two is what an adder made of gates
does. So an operation does for 256 states what it costs to do for one, and nothing branches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sanitree.checker.explore.transitions import Cell
from sanitree.checker.explore.words import Layout
from sanitree.checker.symbolic import E, const

LANES = 4
"""A plane is so many numbers of 64 bits: what AVX2 does at once."""

STATES = 64 * LANES
"""States that lie in one plane each with a bit."""

PLANE = f"<{LANES} x i64>"

Gate = str | bool
"""What a wire carries: the name of a plane, or the same for every state."""


def circuit(name: str, conditions: Sequence[E], places: Layout, tops: Mapping[Cell, int]) -> str:
    """A function of the planes of states, 64 for each word, that stores a plane for each condition: where it holds."""
    c = _Circuit(places, tops)
    for number, e in enumerate(conditions):
        c.store(number, c.truth(e))
    return "\n".join(
        [f"define i64 @{name}(ptr noalias %planes, ptr noalias %masks) {{", *c.lines, "  ret i64 0", "}", ""]
    )


class _Circuit:
    """One function's text. What is said twice is computed once: expressions are interned, and nothing branches."""

    def __init__(self, places: Layout, tops: Mapping[Cell, int]) -> None:
        self.places, self.tops = places, tops
        self.lines: list[str] = []
        self.gates: dict[tuple[str, str, str], str] = {}
        self.truths: dict[E, Gate] = {}
        self.numbers: dict[E, list[Gate]] = {}
        self.names = 0

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def new(self, text: str) -> str:
        name = f"%v{self.names}"
        self.names += 1
        self.line(f"{name} = {text}")
        return name

    def store(self, number: int, g: Gate) -> None:
        value = g if isinstance(g, str) else _ALL if g else "zeroinitializer"
        at = self.new(f"getelementptr {PLANE}, ptr %masks, i64 {number}")
        self.line(f"store {PLANE} {value}, ptr {at}, align 8")

    def gate(self, op: str, a: str, b: str) -> str:
        a, b = sorted((a, b))
        if (found := self.gates.get((op, a, b))) is None:
            found = self.gates[op, a, b] = self.new(f"{op} {PLANE} {a}, {b}")
        return found

    def both(self, a: Gate, b: Gate) -> Gate:
        if isinstance(a, bool):
            return b if a else False
        if isinstance(b, bool):
            return a if b else False
        return a if a == b else self.gate("and", a, b)

    def either(self, a: Gate, b: Gate) -> Gate:
        if isinstance(a, bool):
            return True if a else b
        if isinstance(b, bool):
            return True if b else a
        return a if a == b else self.gate("or", a, b)

    def differ(self, a: Gate, b: Gate) -> Gate:
        if isinstance(a, bool):
            a, b = b, a
        if isinstance(a, bool):
            return a != b
        if isinstance(b, bool):
            return self.gate("xor", a, _ALL) if b else a
        return False if a == b else self.gate("xor", a, b)

    def no(self, a: Gate) -> Gate:
        return self.differ(a, True)

    def choose(self, c: Gate, a: Gate, b: Gate) -> Gate:
        return self.differ(b, self.both(c, self.differ(a, b)))

    def truth(self, e: E) -> Gate:
        """Where a condition holds."""
        if (found := self.truths.get(e)) is None:
            found = self.truths[e] = self._truth(e)
        return found

    def _truth(self, e: E) -> Gate:
        match e.op:
            case "const":
                return bool(e.args[0])
            case "and":
                return self.both(*map(self.truth, e.args))
            case "or":
                return self.either(*map(self.truth, e.args))
            case "differ":
                return self.differ(*map(self.truth, e.args))
            case "not":
                return self.no(self.truth(e.args[0]))
            case "=":
                a, b = map(self.number, e.args)
                differ: Gate = False
                for pair in _aligned(a, b):
                    differ = self.either(differ, self.differ(*pair))
                return self.no(differ)
            case "<":
                return self.less(*map(self.number, e.args))
            case "<=":
                return self.no(self.less(*map(self.number, reversed(e.args))))
        raise ValueError(f"not a condition: {e.op}")

    def number(self, e: E) -> list[Gate]:
        """The planes of a number, the last of which says that it is negative."""
        if (found := self.numbers.get(e)) is None:
            found = self.numbers[e] = _short(self._number(e))
        return found

    def _number(self, e: E) -> list[Gate]:
        match e.op:
            case "const":
                value = int(e.args[0])
                return [*(bool(value >> i & 1) for i in range(value.bit_length())), value < 0]
            case "bits":
                p = self.places.places[e.args]
                return [*(self.plane(p.word, p.offset + i) for i in range(p.width)), False]
            case "if":
                c, a, b = self.truth(e.args[0]), self.number(e.args[1]), self.number(e.args[2])
                return [self.choose(c, *pair) for pair in _aligned(a, b)]
            case "+":
                a, b = map(self.number, e.args)
                return self.sum(a, b)
            case "-":
                a, b = map(self.number, e.args)
                return self.sum(a, [self.no(x) for x in b], carry=True)
            case "%":
                return self.rest(self.number(e.args[0]), int(e.args[1].args[0]))
        return [self.truth(e), False]

    def plane(self, word: int, bit: int) -> str:
        key = "plane", str(word), str(bit)
        if (found := self.gates.get(key)) is None:
            at = self.new(f"getelementptr {PLANE}, ptr %planes, i64 {64 * word + bit}")
            found = self.gates[key] = self.new(f"load {PLANE}, ptr {at}, align 8")
        return found

    def sum(self, x: list[Gate], y: list[Gate], carry: Gate = False) -> list[Gate]:
        found: list[Gate] = []
        for a, b in _aligned(x, y, 1):
            one = self.differ(a, b)
            found.append(self.differ(one, carry))
            carry = self.either(self.both(a, b), self.both(one, carry))
        return found

    def less(self, x: list[Gate], y: list[Gate]) -> Gate:
        found: Gate = False
        *pairs, (negative, other) = _aligned(x, y)
        for a, b in [*pairs, (other, negative)]:  # of the signs, the one that is set is of the smaller number
            found = self.choose(self.differ(a, b), b, found)
        return found

    def rest(self, x: list[Gate], divisor: int) -> list[Gate]:
        """What is left after a division by a positive number, as in Python: never negative."""
        *bits, negative = x
        least = -(-(1 << len(bits)) // divisor) * divisor  # makes the smallest of them positive
        positive = [self.both(b, negative) for b in self.number(const(least))]
        *bits, _ = self.sum(x, positive)
        minus = self.number(const(-divisor))
        found: list[Gate] = [False]
        for bit in reversed(bits):
            found = [bit, *found]
            less = self.sum(found, minus)
            width = (divisor - 1).bit_length()
            found = [*(self.choose(less[-1], a, b) for a, b in _aligned(found, less)[:width]), False]
        return found


_ALL = f"<{', '.join(['i64 -1'] * LANES)}>"


def _aligned(x: list[Gate], y: list[Gate], more: int = 0) -> list[tuple[Gate, Gate]]:
    """The planes of two numbers side by side, as many of each: a sign is repeated."""
    width = max(len(x), len(y)) + more
    return list(zip(x + [x[-1]] * (width - len(x)), y + [y[-1]] * (width - len(y)), strict=True))


def _short(x: list[Gate]) -> list[Gate]:
    """Without the planes that only repeat the sign."""
    while len(x) > 1 and x[-1] == x[-2]:
        x = x[:-1]
    return x
