"""A model as text of LLVM's language: where its moves may happen, what comes of them, and what is true of states.

Conditions are looked at for 256 states at once (`circuit`). What comes of a move is computed only
for the states in which it happens, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sanitree.checker.explore.circuit import circuit
from sanitree.checker.explore.transitions import Cell, Transitions
from sanitree.checker.explore.words import Layout, Place, Swap, layout, swaps
from sanitree.checker.symbolic import TRUE, E, const


@dataclass(frozen=True, slots=True)
class Machine:
    """A packed model and the text of its functions. A state is `layout.words` numbers of 64 bits.

    exchanges: what brings a state to its normal form. conditions: on states, that a search asks for.

    may(planes, masks): where the guard of each move holds, of 256 states; see `circuit`.
    wrong(planes, masks): where each of `model.rules` is violated.
    condition0, condition1, …(planes, masks): where each of `conditions` holds.
    done(states, rows, ends, out): successors as rows of `out`: for each move, those of the states
    at the `rows` up to its end in `ends`. Returns 0, or -1 - move for a move that would
    take a variable beyond its bounds.
    normal(states, n, changed): brings n states to their normal forms; 1 where it was another, else 0.
    """

    model: Transitions
    layout: Layout
    exchanges: tuple[Swap, ...]
    conditions: tuple[E, ...]
    text: str


def machine(model: Transitions, symmetry: bool = False, conditions: Sequence[E] = ()) -> Machine:
    """Writes a model's functions; with `symmetry`, states that differ in the order of sibling subtrees are one."""
    places = layout(model.system)
    tops = {at: model.system.variables[at[0]].top for at in places.places}
    exchanges = tuple(swaps(model.system, places)) if symmetry else ()
    parts = [
        circuit("may", [m.guard for m in model.moves], places, tops),
        circuit("wrong", [r.wrong for r in model.rules], places, tops),
        *(circuit(f"condition{i}", [e], places, tops) for i, e in enumerate(conditions)),
        _done(model, places, tops),
        _normal(places, exchanges),
    ]
    return Machine(model, places, exchanges, tuple(conditions), "\n".join(parts))


def _done(model: Transitions, places: Layout, tops: Mapping[Cell, int]) -> str:
    lines = [
        "define i64 @done(ptr noalias %states, ptr noalias %rows, ptr noalias %ends, ptr noalias %out) {",
        "start:",
    ]
    lines += ["  br label %move0"]
    begin = "0"
    for place, m in enumerate(model.moves):
        w = _Writer(places, tops, f"m{place}.")
        _move(w, place, begin, m.assigned)
        lines += w.lines
        begin = f"%end{place}"
    return "\n".join([*lines, f"move{len(model.moves)}:", "  ret i64 0", "}", ""])


def _move(w: _Writer, place: int, begin: str, assigned: Mapping[Cell, E]) -> None:
    """One move: the outcome for each state that is named."""
    size = 8 * w.places.words
    w.block(f"move{place}")
    w.line(f"%to{place} = getelementptr i64, ptr %ends, i64 {place}")
    w.line(f"%end{place} = load i64, ptr %to{place}")
    w.branch(w.new(f"icmp slt i64 {begin}, %end{place}"), f"each{place}", f"move{place + 1}")
    w.line(f"%i{place} = phi i64 [ {begin}, %move{place} ], [ %next{place}, %fine{place} ]")
    row = w.new(f"load i64, ptr {w.new(f'getelementptr i64, ptr %rows, i64 %i{place}')}")
    w.load(w.new(f"getelementptr i8, ptr %states, i64 {w.new(f'mul i64 {row}, {size}')}"))
    words, wrong = w.outcome(assigned)
    if wrong is None:
        w.jump(f"fine{place}")
    else:
        w.branch(wrong, f"wrong{place}", f"fine{place}")
        w.line(f"ret i64 {-1 - place}")
        w.block(f"fine{place}")
    w.store(words, w.new(f"getelementptr i8, ptr %out, i64 {w.new(f'mul i64 %i{place}, {size}')}"))
    w.line(f"%next{place} = add i64 %i{place}, 1")
    more = w.new(f"icmp slt i64 %next{place}, %end{place}")
    w.line(f"br i1 {more}, label %each{place}, label %move{place + 1}")


def _normal(places: Layout, exchanges: Sequence[Swap]) -> str:
    w = _Writer(places, {}, "")
    w.line("%some = icmp sgt i64 %n, 0")
    w.line("br i1 %some, label %each, label %done")
    w.block("each")
    w.line("%i = phi i64 [ 0, %start ], [ %next, %each ]")
    state = w.new(f"getelementptr i8, ptr %states, i64 {w.new(f'mul i64 %i, {8 * places.words}')}")
    w.load(state)
    words, changed = list(w.words), "0"
    for swap in exchanges:
        pairs = [(w.bits(words[a.word], a), w.bits(words[b.word], b)) for a, b in swap.parts]
        wrong, equal = "false", "true"
        for x, y in pairs:
            larger = w.new(f"icmp ugt i64 {x}, {y}")
            wrong = w.new(f"or i1 {wrong}, {w.new(f'and i1 {equal}, {larger}')}")
            equal = w.new(f"and i1 {equal}, {w.new(f'icmp eq i64 {x}, {y}')}")
        for (a, b), (x, y) in zip(swap.parts, pairs, strict=True):
            change = w.new(f"select i1 {wrong}, i64 {w.new(f'xor i64 {x}, {y}')}, i64 0")
            for p in (a, b):
                words[p.word] = w.new(f"xor i64 {words[p.word]}, {w.new(f'shl i64 {change}, {p.offset}')}")
    w.store(words, state)
    for before, after in zip(w.words, words, strict=True):
        changed = w.new(f"or i64 {changed}, {w.new(f'xor i64 {before}, {after}')}")
    one = w.new(f"zext i1 {w.new(f'icmp ne i64 {changed}, 0')} to i64")
    w.line(f"store i64 {one}, ptr {w.new('getelementptr i64, ptr %changed, i64 %i')}")
    w.line("%next = add i64 %i, 1")
    w.line("%more = icmp slt i64 %next, %n")
    w.line("br i1 %more, label %each, label %done")
    head = "define i64 @normal(ptr noalias %states, i64 %n, ptr noalias %changed, i64 %unused) {"
    return "\n".join([head, "start:", *w.lines, "done:", "  ret i64 0", "}", ""])


_TRUTHS = frozenset({"and", "or", "not", "differ", "<", "<=", "="})


def _literal(e: E) -> tuple[Cell, int, bool] | None:
    """What a condition asks of one cell: that it is a number, or that it is not. None where it asks something else."""
    if e.op not in ("<", "<=", "="):
        return None
    a, b = e.args
    zero = const(0)
    if e.op == "=" and b.op == "bits":
        a, b = b, a
    if e.op == "=" and a.op == "bits" and b.op == "const":
        return a.args, int(b.args[0]), True
    if e.op == "<=" and a.op == "bits" and b == zero:
        return a.args, 0, True
    return (b.args, 0, False) if e.op == "<" and a == zero and b.op == "bits" else None


class _Writer:
    """Text that computes what becomes of one state. values: the names of what has been computed."""

    def __init__(self, places: Layout, tops: Mapping[Cell, int], prefix: str) -> None:
        self.places, self.tops, self.prefix = places, tops, prefix
        self.words: list[str] = []
        self.lines: list[str] = []
        self.values: dict[E, str] = {}
        self.ranges: dict[E, tuple[int, int]] = {}
        self.names = 0

    def load(self, state: str) -> None:
        """The words of a state."""
        self.words = [
            self.new(f"load i64, ptr {self.new(f'getelementptr i64, ptr {state}, i64 {k}')}")
            for k in range(self.places.words)
        ]

    def store(self, words: Sequence[str], state: str) -> None:
        for k, value in enumerate(words):
            self.line(f"store i64 {value}, ptr {self.new(f'getelementptr i64, ptr {state}, i64 {k}')}")

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def new(self, text: str) -> str:
        """The name of a value."""
        name = f"%{self.prefix}v{self.names}"
        self.names += 1
        self.line(f"{name} = {text}")
        return name

    def block(self, label: str) -> None:
        self.lines.append(f"{label}:")

    def jump(self, label: str) -> None:
        self.line(f"br label %{label}")
        self.block(label)

    def branch(self, condition: str, then: str, otherwise: str) -> None:
        """Goes on in `then`."""
        self.line(f"br i1 {condition}, label %{then}, label %{otherwise}")
        self.block(then)

    def all_of(self, truths: Sequence[str]) -> str:
        found = "true"
        for t in truths:
            found = t if found == "true" else self.new(f"and i1 {found}, {t}")
        return found

    def split(self, e: E) -> tuple[list[str], list[E]]:
        """A conjunction's demands on single cells, as a comparison for each word, and its other parts."""
        demands: dict[int, tuple[int, int]] = {}
        parts: list[E] = []
        for x in _conjuncts(e):
            literal = None if x in self.values else self._demand(x)
            if literal is None:
                parts.append(x)
                continue
            word, mask, value = literal
            m, v = demands.get(word, (0, 0))
            if m & mask and (v ^ value) & m & mask:
                return ["false"], []
            demands[word] = m | mask, v | value
        return [self._masked(k, m, v) for k, (m, v) in demands.items()], parts

    def _demand(self, e: E) -> tuple[int, int, int] | None:
        """What a condition demands of one cell, as a word's mask and value; None where that is not all."""
        if (literal := _literal(e)) is None:
            return None
        cell, value, is_it = literal
        p = self.places.places[cell]
        if not is_it:
            return (p.word, p.mask, p.mask) if p.width == 1 else None
        return (p.word, p.mask, value << p.offset) if 0 <= value >> p.width < 1 else None

    def _masked(self, word: int, mask: int, value: int, sign: str = "eq") -> str:
        return self.new(f"icmp {sign} i64 {self.new(f'and i64 {self.words[word]}, {mask}')}, {value}")

    def value(self, e: E) -> str:
        """An expression's name: an i1 for a condition, an i64 for a number."""
        if (found := self.values.get(e)) is None:
            found = self.values[e] = self._value(e)
        return found

    def _value(self, e: E) -> str:
        if e.op == "const":
            it = e.args[0]
            return str(it).lower() if isinstance(it, bool) else str(it)
        if e.op == "bits":
            p = self.places.places[e.args]
            return self.bits(self.words[p.word], p)
        if (literal := _literal(e)) is not None:
            cell, value, is_it = literal
            p = self.places.places[cell]
            if value < 0 or value >> p.width:
                return "false"
            return self._masked(p.word, p.mask, value << p.offset, "eq" if is_it else "ne")
        if e.op == "and":
            demanded, parts = self.split(e)
            return self.all_of([*demanded, *(self.value(p) for p in parts)])
        if e.op == "if":
            c, a, b = e.args
            return self.new(f"select i1 {self.value(c)}, i64 {self.number(a)}, i64 {self.number(b)}")
        if e.op in ("or", "differ"):
            a, b = (self.value(x) for x in e.args)
            return self.new(f"{'or' if e.op == 'or' else 'xor'} i1 {a}, {b}")
        if e.op == "not":
            return self.new(f"xor i1 {self.value(e.args[0])}, true")
        a, b = (self.number(x) for x in e.args)
        if e.op == "%":  # of a positive number, as in Python
            rest = self.new(f"srem i64 {a}, {b}")
            return self.new(f"srem i64 {self.new(f'add i64 {rest}, {b}')}, {b}")
        if e.op in "+-":
            return self.new(f"{'add' if e.op == '+' else 'sub'} i64 {a}, {b}")
        return self.new(f"icmp {_SIGNS[e.op]} i64 {a}, {b}")

    def number(self, e: E) -> str:
        """The same, of a truth value 1 or 0."""
        if e.op == "const":
            return str(int(e.args[0]))
        return self.new(f"zext i1 {self.value(e)} to i64") if e.op in _TRUTHS else self.value(e)

    def bits(self, word: str, p: Place) -> str:
        return self.new(f"and i64 {self.new(f'lshr i64 {word}, {p.offset}')}, {(1 << p.width) - 1}")

    def placed(self, e: E, p: Place) -> str:
        """A number where a cell of that place has it."""
        if e.op == "const":
            return str(int(e.args[0]) << p.offset)
        if e.op == "bits" and self.places.places[e.args] == p:
            return self.new(f"and i64 {self.words[p.word]}, {p.mask}")
        if e.op == "if":
            c, a, b = e.args
            return self.new(f"select i1 {self.value(c)}, i64 {self.placed(a, p)}, i64 {self.placed(b, p)}")
        return self.new(f"shl i64 {self.number(e)}, {p.offset}")

    def outcome(self, assigned: Mapping[Cell, E]) -> tuple[list[str], str | None]:
        """The words of a state after an assignment, and whether a variable goes beyond its bounds, where one might."""
        fixed, ones = [0] * self.places.words, [0] * self.places.words
        parts: list[list[str]] = [[] for _ in fixed]
        wrong: str | None = None
        for cell, value in assigned.items():
            if value.op == "bits" and value.args == cell:
                continue
            p = self.places.places[cell]
            fixed[p.word] |= p.mask
            if self.escapes(cell, value):
                beyond = self.new(f"icmp ugt i64 {self.number(value)}, {self.tops[cell]}")
                wrong = beyond if wrong is None else self.new(f"or i1 {wrong}, {beyond}")
            if value.op == "const":
                ones[p.word] |= int(value.args[0]) << p.offset
            else:
                parts[p.word].append(self.placed(value, p))
        words = []
        for k, (mask, one, more) in enumerate(zip(fixed, ones, parts, strict=True)):
            new = self.words[k] if not mask else self.new(f"and i64 {self.words[k]}, {~mask}")
            for part in [str(one)] * bool(one) + more:
                new = self.new(f"or i64 {new}, {part}")
            words.append(new)
        return words, wrong

    def escapes(self, cell: Cell, value: E) -> bool:
        """Whether a number might be beyond the bounds of a cell, for all that is known."""
        low, high = self.range(value)
        return low < 0 or high > self.tops[cell]

    def range(self, e: E) -> tuple[int, int]:
        """Between which numbers an expression is."""
        if (found := self.ranges.get(e)) is None:
            found = self.ranges[e] = self._range(e)
        return found

    def _range(self, e: E) -> tuple[int, int]:
        if e.op == "const":
            return int(e.args[0]), int(e.args[0])
        if e.op == "bits":
            return 0, self.tops[e.args]
        if e.op in _TRUTHS:
            return 0, 1
        if e.op == "%":
            return 0, int(e.args[1].args[0]) - 1
        (a, b), (c, d) = (self.range(x) for x in e.args[-2:])
        if e.op == "if":
            return min(a, c), max(b, d)
        return (a + c, b + d) if e.op == "+" else (a - d, b - c)


_SIGNS = {"<": "slt", "<=": "sle", "=": "eq"}


def _conjuncts(e: E) -> Iterable[E]:
    if e.op == "and":
        yield from _conjuncts(e.args[0])
        yield from _conjuncts(e.args[1])
    elif e != TRUE:
        yield e
