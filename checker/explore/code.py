"""A model as text of LLVM's language: its successors, their normal form, and what is true of a state.

What a conjunction demands of single variables becomes one masked comparison a word; what
several guards share is computed once for a state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sanitree.checker.explore.transitions import Cell, Transitions
from sanitree.checker.explore.words import Layout, Place, Swap, layout, swaps
from sanitree.checker.symbolic import FALSE, TRUE, E, const

CHEAP = 12
"""An outcome of so many operations or fewer is computed whether or not its move may happen: that costs less than
a branch that is guessed wrongly."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A packed model and the text of its functions. A state is `layout.words` numbers of 64 bits.

    exchanges: what brings a state to its normal form. conditions: on states, that a search asks for.

    steps(state, out, by) -> n: the successors as rows of `out`, and the place in `model.moves` of
    each one's move in `by`; both have room for one more than there are moves. -1 - move says that
    the move would take a variable beyond its bounds.
    normal(state): brings it to its normal form. successors: steps, each in its normal form.
    violated(state): the place in `model.rules` of one that it violates, or -1.
    condition0, condition1, …(state): 1 where `conditions` holds.
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
        _steps(model, places, tops),
        _normal(places, exchanges),
        _SUCCESSORS.format(words=places.words),
        _violated(model, places, tops),
        *(_condition(e, i, places, tops) for i, e in enumerate(conditions)),
    ]
    return Machine(model, places, exchanges, tuple(conditions), "\n".join(parts))


_SUCCESSORS = """\
define i64 @successors(ptr %state, ptr %out, ptr %by) {{
entry:
  %n = call i64 @steps(ptr %state, ptr %out, ptr %by)
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %each, label %done
each:
  %i = phi i64 [ 0, %entry ], [ %next, %each ]
  %at = mul i64 %i, {words}
  %row = getelementptr i64, ptr %out, i64 %at
  call void @normal(ptr %row)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %each, label %done
done:
  ret i64 %n
}}
"""


def _steps(model: Transitions, places: Layout, tops: Mapping[Cell, int]) -> str:
    w = _Writer(places, tops)
    w.line("%count = alloca i64")
    w.line("store i64 0, ptr %count")
    for e in _shared(m.guard for m in model.moves):
        w.value(e)
    for number, m in enumerate(model.moves):
        _move(w, number, m.guard, m.assigned)
    w.line(f"ret i64 {w.new('load i64, ptr %count')}")
    return w.function("i64 @steps(ptr noalias %state, ptr noalias %out, ptr noalias %by)")


def _shared(guards: Iterable[E]) -> list[E]:
    """What several guards say, each after what it is made of; what costs nothing is left out."""
    users: Counter[E] = Counter()
    order: dict[E, None] = {}
    for guard in guards:
        mine: dict[E, None] = {}
        _collect(guard, mine)
        users.update(mine.keys())
        order.update(mine)
    return [e for e in order if users[e] > 1 and e.op not in ("const", "bits") and _literal(e) is None]


def _collect(e: E, into: dict[E, None]) -> None:
    """Everything an expression is made of, innermost first; each once."""
    stack = [(e, False)]
    while stack:
        x, opened = stack.pop()
        if opened:
            into[x] = None
        elif x not in into:
            stack.append((x, True))
            stack += [(s, False) for s in x.subs()]


def _move(w: _Writer, number: int, guard: E, assigned: Mapping[Cell, E]) -> None:
    """One move: where it may happen, its outcome goes to the end of what there is."""
    outer = dict(w.values)
    demanded, parts = w.split(guard)
    may = w.all_of(demanded)
    if parts:
        if demanded and any(w.cost(p) > CHEAP for p in parts):
            w.branch(may, f"more{number}", f"after{number}")
            may = w.all_of([w.value(p) for p in parts])
        else:
            may = w.all_of([may, *(w.value(p) for p in parts)])
    always = sum(w.cost(v) for v in assigned.values()) <= CHEAP and not any(
        w.escapes(c, v) for c, v in assigned.items()
    )
    if not always:
        w.branch(may, f"do{number}", f"after{number}")
    words, wrong = w.outcome(assigned)
    if wrong is not None:
        w.branch(wrong, f"wrong{number}", f"fine{number}")
        w.line(f"ret i64 {-1 - number}")
        w.block(f"fine{number}")
    n = w.new("load i64, ptr %count")
    row = w.new(f"mul i64 {n}, {w.places.words}")
    to = w.new(f"getelementptr i64, ptr %out, i64 {row}")
    for k, value in enumerate(words):
        w.line(f"store i64 {value}, ptr {w.new(f'getelementptr i64, ptr {to}, i64 {k}')}")
    w.line(f"store i64 {number}, ptr {w.new(f'getelementptr i64, ptr %by, i64 {n}')}")
    more = w.new(f"zext i1 {may} to i64") if always else "1"
    w.line(f"store i64 {w.new(f'add i64 {n}, {more}')}, ptr %count")
    w.jump(f"after{number}")
    w.values = outer  # what was computed on the way is not known on every way to what follows


def _normal(places: Layout, exchanges: Sequence[Swap]) -> str:
    w = _Writer(places, {})
    words = [f"%w{k}" for k in range(places.words)]
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
    for k, value in enumerate(words):
        w.line(f"store i64 {value}, ptr {w.new(f'getelementptr i64, ptr %state, i64 {k}')}")
    w.line("ret void")
    return w.function("void @normal(ptr %state) alwaysinline")


def _violated(model: Transitions, places: Layout, tops: Mapping[Cell, int]) -> str:
    w = _Writer(places, tops)
    found = "-1"
    for number, r in reversed(list(enumerate(model.rules))):
        if r.wrong != FALSE:
            found = w.new(f"select i1 {w.value(r.wrong)}, i64 {number}, i64 {found}")
    w.line(f"ret i64 {found}")
    return w.function("i64 @violated(ptr %state)")


def _condition(e: E, number: int, places: Layout, tops: Mapping[Cell, int]) -> str:
    w = _Writer(places, tops)
    w.line(f"ret i64 {w.new(f'zext i1 {w.value(e)} to i64')}")
    return w.function(f"i64 @condition{number}(ptr %state)")


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
    """One function's text. values: the names of what has been computed and is known where the text has come to."""

    def __init__(self, places: Layout, tops: Mapping[Cell, int]) -> None:
        self.places, self.tops = places, tops
        self.lines: list[str] = []
        self.values: dict[E, str] = {}
        self.costs: dict[E, int] = {}
        self.ranges: dict[E, tuple[int, int]] = {}
        self.names = 0
        for k in range(places.words):
            self.line(f"%p{k} = getelementptr i64, ptr %state, i64 {k}")
            self.line(f"%w{k} = load i64, ptr %p{k}")

    def function(self, head: str) -> str:
        return "\n".join([f"define {head} {{", "entry:", *self.lines, "}", ""])

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def new(self, text: str) -> str:
        """The name of a value."""
        name = f"%v{self.names}"
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
        return self.new(f"icmp {sign} i64 {self.new(f'and i64 %w{word}, {mask}')}, {value}")

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
            return self.bits(f"%w{p.word}", p)
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
            return self.new(f"and i64 %w{p.word}, {p.mask}")
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
            new = f"%w{k}" if not mask else self.new(f"and i64 %w{k}, {~mask}")
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

    def cost(self, e: E) -> int:
        """About how many operations an expression takes where it has to be computed."""
        if e in self.values or e.op == "const":
            return 0
        if (found := self.costs.get(e)) is None:
            found = self.costs[e] = 2 if e.op == "bits" or _literal(e) else 1 + sum(self.cost(s) for s in e.subs())
        return found


_SIGNS = {"<": "slt", "<=": "sle", "=": "eq"}


def _conjuncts(e: E) -> Iterable[E]:
    if e.op == "and":
        yield from _conjuncts(e.args[0])
        yield from _conjuncts(e.args[1])
    elif e != TRUE:
        yield e
