"""The algebra over a snapshot of which some cells are symbols: what does not depend on them is plain.

The same reading as in `columns`, row by row: truths and numbers are lists over the rows in question, or single
where they are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from sanitree.checker.columns import Place, fields_of
from sanitree.checker.repair import expressions, parts
from sanitree.checker.repair.cells import IN_FLIGHT, NODES, TRANSFERS, TREE, Cell, Cells, Held
from sanitree.checker.repair.parts import Many, One, lift, spread
from sanitree.checker.repair.pools import BY_TRANSFERS, NAMED, WHO
from sanitree.checker.repair.reads import adds_up, place_of
from sanitree.checker.symbolic import E
from sanitree.invariants.rules import Check
from sanitree.invariants.semantics import Algebra, Env, Meaning, Semantics, Truth, Value, is_reference
from sanitree.invariants.terms import Gather, Get, Moment, Op, PathSum, Range, Var
from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot import Key


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """References to rows of a table, which may be symbols. Of a place that is None nothing is known."""

    place: Place | None
    index: list[One]


V = Many | Rows
Column = tuple[Place, Key]
NO_SYMBOLS: Mapping[Column, Collection[int]] = MappingProxyType({})
NO_VALUES: Mapping[Cell, int] = MappingProxyType({})


class Symbols(Algebra[Many, V]):
    """Judges checks. symbols: the rows of each column whose cells are symbols; None: every cell that may change, and
    then what is come to by a reference is where it leads now, unless the reference is in `loose`. values: cells that
    have other values than in the snapshot. whole: the same checks without any symbol.
    """

    def __init__(
        self,
        cells: Cells,
        symbols: Mapping[Column, Collection[int]] | None = NO_SYMBOLS,
        values: Mapping[Cell, int] = NO_VALUES,
        whole: Symbols | None = None,
        loose: Collection[Cell] = (),
    ) -> None:
        self.cells, self.symbols, self.values, self.whole, self.loose = cells, symbols, values, whole, loose
        self._everything: dict[Place, Rows] = {}
        self._there: dict[Place, Many] = {}
        self._limits: dict[Place, Rows] = {}
        self._meaning: Semantics[Many, V] = _Parted(self)

    @cached_property
    def changed(self) -> Mapping[Place, list[int]]:
        """The rows of each table with a cell that is a symbol or has another value."""
        found: dict[Place, set[int]] = {}
        for (place, _), rows in (self.symbols or {}).items():
            found.setdefault(place, set()).update(rows)
        for cell in self.values:
            found.setdefault(cell.place, set()).add(cell.row)
        return {place: sorted(rows) for place, rows in found.items()}

    def violated(self, check: Check, rows: Sequence[int] | None = None) -> list[One]:
        """Whether the check is known to be violated in each of these rows of its scope; in all where None."""
        place = place_of(check)
        if self.cells.rows(place) is None:
            return []
        chosen = self.all_rows(place) if rows is None else Rows(place, list(rows))
        no = spread(self._meaning.truth(check.term, {check.rule.var: chosen}).no, len(chosen.index))
        return spread(lift(parts.while_there, no, self.there(chosen)), len(no))

    def part(self, g: Gather, rows: list[int]) -> Value[Many, V]:
        """A sum over some elements of a range only."""
        place = self.place_of(g)
        self._limits[place] = Rows(place, list(rows))
        try:
            found = Semantics(self).value(g, {})
        finally:
            del self._limits[place]
        return found

    # Tables.

    def all_rows(self, place: Place) -> Rows:
        if place not in self._everything:
            self._everything[place] = Rows(place, list(range(self.cells.rows(place) or 0)))
        return self._everything[place]

    def place_of(self, g: Gather) -> Place:
        component, tier = g.pool or (None, None)
        return g.over.sort, component, tier  # type: ignore[return-value]  # instantiated: no variable left

    def over(self, g: Gather) -> Rows:
        if not self.observed(g):
            return _UNOBSERVED
        place = self.place_of(g)
        return self._limits.get(place) or self.all_rows(place)

    def there(self, rows: Rows) -> Many:
        """Whether elements exist: a slot does where somebody names it, a transfer while it is in flight."""
        place = rows.place
        if place == TRANSFERS:
            return self.column(place, IN_FLIGHT, rows.index)[0]
        if place is None or place[0] is not Sort.SLOT:
            return True
        if rows is not self._everything.get(place):
            return self._named(place, rows.index)
        if place not in self._there:
            self._there[place] = self._named(place, rows.index)
        return self._there[place]

    def _named(self, place: Place, index: list[One]) -> Many:
        observed = (name for name in NAMED if self.cells.column(place, Key(name)) is not None)
        counts = [self.named(place, name, index)[0] for name in observed]
        if not counts:
            return False
        return [parts.some([parts.compare(Op.LT, 0, n) for n in each]) for each in zip(*counts, strict=True)]

    def column(self, place: Place, key: Key, index: list[One]) -> tuple[Many, Many]:
        """A column that was observed at some rows, and whether it is known there."""
        held = self.cells.column(place, key)
        assert held is not None
        values, mask = self._values(place, key, held), held.mask
        read = self._read
        return [read(values, i) for i in index], True if mask is None else [read(mask, i) for i in index]

    def _values(self, place: Place, key: Key, held: Held) -> Sequence[One]:
        if self.symbols is None:
            return _Lazily(place, key, held)
        rows = self.symbols.get((place, key), ())
        own = [c for c in self.values if c.place == place and c.key == key]
        if not rows and not own:
            return held.values
        found: list[One] = list(held.values)
        for row in rows:
            if held.free(row):
                found[row] = E("cell", (Cell(place, row, key),))
        for c in own:
            found[c.row] = self.values[c]
        return found

    def _read(self, values: Sequence[One], index: One) -> One:
        if self.symbols is None and isinstance(index, E) and (now := self._now(index)) is not None:
            return parts.beside(index, values[now])
        return parts.at(values, index)

    def _now(self, index: E) -> int | None:
        """Where a reference leads in the snapshot; None where it may lead anywhere."""
        cells = list(expressions.cells(index))
        if any(c in self.loose for c in cells):
            return None
        return expressions.evaluate(index, {c: self.cells.value(c) for c in cells})

    # Two-valued operations.

    def literal(self, value: int) -> Many:
        return int(value)

    def truth(self, value: bool) -> Many:
        return bool(value)

    def conj(self, a: Many, b: Many) -> Many:
        return False if a is False or b is False else lift(parts.conj, a, b)

    def disj(self, a: Many, b: Many) -> Many:
        return True if a is True or b is True else lift(parts.disj, a, b)

    def neg(self, a: Many) -> Many:
        return lift(parts.neg, a)

    def compare(self, op: Op, a: V, b: V) -> Many:
        return lift(lambda x, y: parts.compare(op, x, y), self.number(a), self.number(b))

    def arithmetic(self, op: Op, a: V, b: V) -> Many:
        return lift(lambda x, y: parts.arithmetic(op, x, y), self.number(a), self.number(b))

    def choose(self, c: Many, a: V, b: V) -> Many:
        return lift(parts.choose, c, self.number(a), self.number(b))

    def number(self, v: V) -> Many:
        """A number as it is; a reference as its row, so that references compare by row."""
        return v.index if isinstance(v, Rows) else v

    # Elements.

    def at(self, moment: Moment, of: V) -> V:
        return of  # a state is after whatever led to it

    def read(self, get: Get, of: V) -> Meaning[Many, V]:
        assert isinstance(of, Rows)
        key = Key.of(get.field.name, get.component, get.tier)  # type: ignore[arg-type]  # instantiated
        found = None if of.place is None else self.field(of.place, key, of.index)
        values, known = found or ([0] * len(of.index), False)
        if get.sort is Sort.BOOL:
            return Truth(self.conj(known, values), self.conj(known, self.neg(values)))
        return Value(Rows(NODES, spread(values, len(of.index))) if is_reference(get.sort) else values, known)

    def field(self, place: Place, key: Key, index: list[One]) -> tuple[Many, Many] | None:
        """A field at some rows, and whether it is known there; None where it was not observed."""
        if place[0] is not Sort.SLOT:
            return None if self.cells.column(place, key) is None else self.column(place, key, index)
        if key.name == "number":
            numbers = self.cells.pool(place).numbers
            return [parts.at(numbers, i) for i in index], True
        if key.name == "pool_size":
            return self.field(TREE, Key.of("capacity", *place[1:]), [0] * len(index))
        name = {"owner": "in_tree", "reader_ack": "read", "writer_ack": "written"}.get(key.name, key.name)
        if self.cells.column(place, Key(name)) is None:
            return None
        times, by = self.named(place, name, index)
        if name == key.name:
            return times, True
        some = self.compare(Op.LT, 0, times)
        if key.name == "owner":
            return self.choose(some, by, 0), True
        if self.cells.column(TRANSFERS, Key("ack")) is None:
            return None
        if not self.cells.rows(TRANSFERS):
            return [-1] * len(index), True
        ack, known = self.column(TRANSFERS, Key("ack"), by)
        return self.choose(some, ack, -1), self.disj(self.neg(some), known)

    def named(self, place: Place, name: str, index: list[One]) -> tuple[list[One], list[One]]:
        """How often lists name slots, and the last row whose list does, where rules ask for it."""
        times = spread(self.column(place, Key(name), index)[0], len(index))
        if name not in WHO:
            return times, []
        by = spread(self.column(place, Key(WHO[name]), index)[0], len(index))
        if name not in BY_TRANSFERS or not self.cells.rows(TRANSFERS):
            return times, by
        alive = spread(self.column(TRANSFERS, IN_FLIGHT, by)[0], len(index))
        now = list(map(parts.choose, alive, times, [0] * len(index)))
        shared = self.cells.pool(place).shared[name]
        for i, slot in enumerate(index):
            if slot in shared:
                now[i], by[i] = self._shared(Cell(place, slot, Key(name)), shared[slot], times[i], by[i], now[i])  # type: ignore[arg-type,index]  # a slot is never a symbol
        return now, by

    def _shared(self, cell: Cell, naming: Sequence[tuple[int, int]], times: One, by: One, now: One) -> tuple[One, One]:
        """The same of a slot that several transfers name: as long as nothing is changed, each as often as it did."""
        count, who = self.cells.parts(cell)
        same = parts.conj(
            parts.compare(Op.EQ, times, self.cells.value(count)), parts.compare(Op.EQ, by, self.cells.value(who))
        )
        alive = spread(self.column(TRANSFERS, IN_FLIGHT, [row for row, _ in naming])[0], len(naming))
        last: One = naming[-1][0]
        for (row, _), is_alive in zip(naming, alive, strict=True):
            last = parts.choose(is_alive, row, last)
        total = parts.total([parts.choose(a, n, 0) for (_, n), a in zip(naming, alive, strict=True)])
        return parts.choose(same, total, now), parts.choose(same, last, by)

    def observed(self, gather: Gather) -> bool:
        place = self.place_of(gather)
        if self.cells.rows(place) is None:
            return False
        # A list that nobody observed may name slots that no other list does.
        return gather.over is not Range.SLOTS or all(
            self.field(place, Key(f.name), []) is not None for _, f in fields_of(gather)
        )

    def element(self, gather: Gather, env: Env[V]) -> Env[V]:
        if gather.over is not Range.CHILDREN:
            return {gather.var: self.over(gather)}
        # Seen from a child, everything outside is found at its parent's place.
        at, children = self._children(gather, env)
        moved: dict[Var, V] = {
            v: Rows(r.place, [r.index[i] for i in at]) for v, r in env.items() if isinstance(r, Rows)
        }
        return {**moved, gather.var: Rows(NODES, children)}

    def _children(self, g: Gather, env: Env[V]) -> tuple[list[int], list[One]]:
        """All children of the nodes in question, and of the how many-th node each is one."""
        at: list[int] = []
        found: list[One] = []
        for i, row in enumerate(self._parents(g, env)):
            own = self.cells.children.get(row, ())
            at += [i] * len(own)
            found += own
        return at, found

    def _parents(self, g: Gather, env: Env[V]) -> list[int]:
        """The nodes whose children a fold is over: a rule's own or a fold's, so never symbols."""
        assert isinstance(g.parent, Var)
        parents = env[g.parent]
        assert isinstance(parents, Rows)
        return parents.index  # type: ignore[return-value]

    # Folds. A slot that nobody names is none of the elements.

    def any_over(self, gather: Gather, env: Env[V], body: Many) -> Many:
        return False if body is False else self._fold(gather, env, lambda x: parts.some(x[0]), parts.while_there, body)

    def sum_over(self, gather: Gather, env: Env[V], body: V) -> Many:
        return self._fold(gather, env, lambda x: parts.total(x[0]), parts.counted, self.number(body))

    def repeated(self, gather: Gather, env: Env[V], key: V, among: Many) -> Many:
        return self._fold(gather, env, lambda x: parts.repeated(x[1], x[0]), parts.conj, among, self.number(key))

    def _fold(
        self,
        g: Gather,
        env: Env[V],
        fold: Callable[[list[list[One]]], One],
        only: Callable[[One, One], One],
        *each: Many,
    ) -> Many:
        """What a fold over the elements comes to, or for every parent one over its children. only: the first of what
        is said of each element, where that may not be there.
        """
        if g.over is Range.CHILDREN:
            at, children = self._children(g, env)
            found: list[list[list[One]]] = [[[] for _ in each] for _ in self._parents(g, env)]
            for i, *values in zip(at, *(spread(x, len(children)) for x in each), strict=True):
                for own, v in zip(found[i], values, strict=True):
                    own.append(v)
            return list(map(fold, found))
        rows = self.over(g)
        first, *others = (spread(x, len(rows.index)) for x in each)
        there = self.there(rows)
        return fold([first if there is True else spread(lift(only, first, there), len(first)), *others])

    def matching(self, gather: Gather, env: Env[V], key: V, among: Many, value: V) -> Many:
        rows = self.over(gather)
        count = len(rows.index)
        there = spread(lift(parts.conj, spread(among, count), self.there(rows)), count)
        return lift(parts.matching(spread(self.number(key), count), there), self.number(value))

    def path_sum(self, term: PathSum, node: V, env: Env[V]) -> Value[Many, V]:
        rows = self.all_rows(NODES)
        count = len(rows.index)
        each = Semantics(self).value(term.body, {term.var: rows})
        numbers, known = spread(self.number(each.it), count), spread(each.known, count)
        sums: list[One] = [0]
        sure: list[One] = [True]
        for row in range(1, count):
            up = self.cells.parents[row]
            sums.append(parts.arithmetic(Op.ADD, sums[up], numbers[row]))
            sure.append(parts.conj(sure[up], known[row]))
        index = self.number(node)
        return Value(lift(lambda i: self._read(sums, i), index), lift(lambda i: self._read(sure, i), index))


class _Parted(Semantics[Many, V]):
    """Sums over all elements, of which few are not as in the snapshot: what the whole came to, and those anew."""

    a: Symbols

    def _gather(self, g: Gather, env: Env[V]) -> Meaning[Many, V]:
        a = self.a
        if a.whole is None or not adds_up(g):
            return super()._gather(g, env)
        place = a.place_of(g)
        if place[0] is Sort.SLOT and TRANSFERS in a.changed:
            return super()._gather(g, env)  # what transfers name changes with them
        whole = a.whole._meaning.value(g, {})
        if whole.known is not True:
            return super()._gather(g, env)
        if not (rows := a.changed.get(place)):
            return whole
        was, now = a.whole.part(g, rows), a.part(g, rows)
        assert not isinstance(was.it, Rows)
        rest = a.arithmetic(Op.SUB, whole.it, was.it)
        return Value(a.arithmetic(Op.ADD, rest, now.it), now.known)


class _Lazily(Sequence[One]):
    """A column of symbols, each made when it is read."""

    def __init__(self, place: Place, key: Key, held: Held) -> None:
        self.place, self.key, self.held = place, key, held

    def __len__(self) -> int:
        return len(self.held.values)

    def __getitem__(self, row: Any) -> Any:
        return E("cell", (Cell(self.place, row, self.key),)) if self.held.free(row) else self.held.values[row]


_UNOBSERVED = Rows(None, [0])
