"""A model as numba source: its successors, and which rule a state violates.

What a conjunction demands of single variables becomes one masked comparison a word.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sanitree.checker.explore.transitions import Cell, Transitions
from sanitree.checker.explore.words import Layout, layout, swaps
from sanitree.checker.symbolic import FALSE, TRUE, E, const
from sanitree.models.protocol.system import System


@dataclass(frozen=True, slots=True)
class Machine:
    """The source of `Functions`: `successors(state, out, by) -> count` and `violated(state) -> rule or -1`.

    A count below 0 says that move -1 - count would take a variable beyond its top or below 0.
    state: int64, shape [words]. out: the successors, shape [moves, words]; by: the number of
    each one's move. What `violated` returns is a rule's place in `model.rules`.
    """

    model: Transitions
    layout: Layout
    source: str


def machine(t: Transitions, symmetry: bool = False) -> Machine:
    """Compiles a model to source; with `symmetry`, states that differ in the order of sibling subtrees are one."""
    system, places = t.system, layout(t.system)
    write = _Writer(places, [v.top for v in system.variables])
    moves = (write.block(m.guard, m.assigned, number) for number, m in enumerate(t.moves))
    tests = (
        f"if {write.truth(r.wrong)}:\n    return {number}\n" for number, r in enumerate(t.rules) if r.wrong != FALSE
    )
    source = _FUNCTIONS.format(
        load=write.load,
        moves=textwrap.indent("".join(moves), "    "),
        normal=_normal(system, places) if symmetry else "    pass",
        tests=textwrap.indent("".join(tests), "    "),
    )
    return Machine(t, places, source)


def _normal(system: System, places: Layout) -> str:
    """Source that brings the successors to their normal form."""
    lines = [f"    w{i} = out[r, {i}]" for i in range(places.words)]
    for swap in swaps(system, places):
        a, b, mask = swap.first, swap.second, (1 << swap.first.width) - 1
        lines.append(f"    a, b = (w{a.word} >> {a.offset}) & {mask}, (w{b.word} >> {b.offset}) & {mask}")
        lines.append("    if a > b:")
        lines.append(f"        w{a.word} ^= (a ^ b) << {a.offset}")
        lines.append(f"        w{b.word} ^= (a ^ b) << {b.offset}")
    lines += [f"    out[r, {i}] = w{i}" for i in range(places.words)]
    return "\n".join(["    for r in range(n):", *(f"    {line}" for line in lines)])


_FUNCTIONS = """\
def steps(state, out, by):
    {load}
    n = 0
{moves}
    return n


def normal(out, n):
{normal}


def successors(state, out, by):
    n = steps(state, out, by)
    normal(out, n)
    return n


def violated(state):
    {load}
{tests}
    return -1
"""


class _Writer:
    def __init__(self, places: Layout, tops: list[int]) -> None:
        self.places = places
        self.tops = tops
        self.load = "; ".join(f"w{i} = state[{i}]" for i in range(places.words))

    def block(self, guard: E, assigned: Mapping[Cell, E], number: int) -> str:
        """One move: if it may happen, its outcome."""
        lines = []
        checked = 0
        for word in range(self.places.words):
            fixed = ones = 0
            parts: list[str] = []
            for at, value in assigned.items():
                place = self.places.places[at]
                if place.word != word:
                    continue
                fixed |= place.mask
                if value.op == "const":
                    ones |= int(value.args[0]) << place.offset
                else:
                    lines.append(f"    v{checked} = {self.number(value)}\n")
                    if value.op in "+-":
                        lines.append(
                            f"    if v{checked} < 0 or v{checked} > {self.tops[at[0]]}: return -1 - {number}\n"
                        )
                    parts.append(f"(v{checked} << {place.offset})")
                    checked += 1
            new = f"w{word}"
            if fixed:
                new = " | ".join([f"(w{word} & {~fixed})", *([str(ones)] if ones else []), *parts])
            lines.append(f"    out[n, {word}] = {new}\n")
        return f"if {self.truth(guard)}:\n{''.join(lines)}    by[n] = {number}\n    n += 1\n"

    def truth(self, e: E) -> str:
        """A condition as source."""
        if e.op != "and":
            return self._part(e)
        masks, values = [0] * self.places.words, [0] * self.places.words
        parts = []
        for x in _conjuncts(e):
            literal = self._literal(x)
            if literal is None:
                parts.append(self._part(x))
            else:
                word, mask, value = literal
                if masks[word] & mask and (values[word] ^ value) & masks[word] & mask:
                    return "False"
                masks[word] |= mask
                values[word] |= value
        tests = [f"(w{i} & {m}) == {v}" for i, (m, v) in enumerate(zip(masks, values, strict=True)) if m]
        return " and ".join(f"({t})" for t in (*tests, *parts))

    def _literal(self, e: E) -> tuple[int, int, int] | None:
        """What a condition demands of one variable, as a word's mask and value; None where that is not all."""
        if e.op not in ("<", "<=", "="):
            return None
        a, b = e.args
        zero = const(0)
        if e.op == "=" and a.op == "bits" and b.op == "const":
            p = self._place(a)
            return p.word, p.mask, int(b.args[0]) << p.offset
        if e.op == "<=" and a.op == "bits" and b == zero:
            p = self._place(a)
            return p.word, p.mask, 0
        if e.op == "<" and a == zero and b.op == "bits" and (p := self._place(b)).width == 1:
            return p.word, p.mask, p.mask
        return None

    def _place(self, e: E) -> Any:
        return self.places.places[e.args[0], e.args[1]]

    def _part(self, e: E) -> str:
        match e.op:
            case "const":
                return str(bool(e.args[0]))
            case "and":
                return f"({self.truth(e)})"
            case "or":
                return f"({self._part(e.args[0])} or {self._part(e.args[1])})"
            case "not":
                return f"(not {self._part(e.args[0])})"
            case "differ":
                return f"({self._part(e.args[0])} != {self._part(e.args[1])})"
        if (literal := self._literal(e)) is not None:
            word, mask, value = literal
            return f"((w{word} & {mask}) == {value})"
        if e.op == "<" and e.args[0] == const(0) and e.args[1].op == "bits":
            p = self._place(e.args[1])
            return f"((w{p.word} & {p.mask}) != 0)"
        sign = "==" if e.op == "=" else e.op
        return f"({self.number(e.args[0])} {sign} {self.number(e.args[1])})"

    def number(self, e: E) -> str:
        """A number as source."""
        match e.op:
            case "const":
                return str(int(e.args[0]))
            case "bits":
                p = self._place(e)
                return f"((w{p.word} >> {p.offset}) & {(1 << p.width) - 1})"
            case "if":
                return f"({self.number(e.args[1])} if {self._part(e.args[0])} else {self.number(e.args[2])})"
        return f"({self.number(e.args[0])} {e.op} {self.number(e.args[1])})"


def _conjuncts(e: E) -> Iterable[E]:
    if e.op == "and":
        yield from _conjuncts(e.args[0])
        yield from _conjuncts(e.args[1])
    elif e != TRUE:
        yield e


@dataclass(frozen=True, slots=True)
class Functions:
    """A machine's functions. steps(state, out, by): successors as they are. normal(out, n): brings n of them to their
    normal form, in place. successors: both. violated(state): see `Machine`.
    """

    steps: Callable[..., int]
    normal: Callable[..., None]
    successors: Callable[..., int]
    violated: Callable[..., int]


def functions(m: Machine, decorate: Callable[[Any], Any]) -> Functions:
    """A machine's functions, each through `decorate`."""
    made: dict[str, Any] = {}
    exec(compile(m.source, f"<model {m.model.system.name}>", "exec"), made)
    for name in Functions.__slots__:
        made[name] = decorate(made[name])  # in their own globals: they call each other
    return Functions(**{name: made[name] for name in Functions.__slots__})
