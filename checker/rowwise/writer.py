"""Writes a generated function from terms: the algebra whose values are expressions over lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sanitree.checker.columns import Place, fields_of
from sanitree.checker.rowwise.program import EXISTS, TOLD, Input, Kind, Program, Seen, kind_of
from sanitree.checker.symbolic import FALSE, TRUE, E, Expressions, choose, compared, computed, conj, const, neg
from sanitree.invariants.semantics import Env, Meaning, Semantics, Truth, Value, is_reference
from sanitree.invariants.steps import CALL
from sanitree.invariants.terms import Gather, Get, Moment, Op, PathSum, Range, Var
from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot import Key

NODES: Place = (Sort.NODE, None, None)


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference: the row `index` of a table, in the state of a moment. Of a place that is None nothing is known."""

    place: Place | None
    moment: Moment
    index: E


V = E | Ref
_ROW = E("name", ("i",))


class Writer(Expressions[V]):
    """Writes one program: folds first, each once, then the loops that use them. Every loop's row is called `i`."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.asked: dict[tuple[Moment, Place], dict[Key, Kind]] = {}
        self.folds: dict[object, str] = {}
        self.body: list[str] = []
        self.meaning: Semantics[E, V] = Semantics(self)

    def program(self) -> Program:
        arguments, head = [], []
        for at, columns in self.asked.items():
            arguments.append(self.length(*at))
            for key, kind in columns.items():
                if kind in (Kind.NO_TABLE, Kind.ABSENT):
                    continue
                name = self.name(*at, key)
                arguments.append(name)
                if kind is Kind.MASKED:
                    head.append(f"    {name}, {name}k = {name}")
        source = "\n".join([f"def program({', '.join(arguments)}):", *head, *self.body]) + "\n"
        made: dict[str, Any] = {}
        exec(compile(source, "<rules, row by row>", "exec"), made)
        inputs = (Input(*at, tuple(columns.items())) for at, columns in self.asked.items())
        return Program(tuple(inputs), source, made["program"])

    # Tables.

    def env(self, var: Var, place: Place, moment: Moment = Moment.AFTER) -> Env[V]:
        here: dict[Var, V] = {var: Ref(place, moment, _ROW)}
        if self.seen.told is not None:
            here[CALL] = Ref(TOLD, Moment.AFTER, const(0))
        return here

    def length(self, moment: Moment, place: Place) -> str:
        """The name of a table's length."""
        self.asked.setdefault((moment, place), {})
        return f"n{list(self.asked).index((moment, place))}"

    def name(self, moment: Moment, place: Place, key: Key) -> str:
        """The name of a column's list."""
        table = self.asked[moment, place]
        return f"c{list(self.asked).index((moment, place))}_{list(table).index(key)}"

    def ask(self, moment: Moment, place: Place, key: Key) -> Kind:
        table = self.asked.setdefault((moment, place), {})
        if key not in table:
            table[key] = kind_of(self.seen.table(moment, place), key)
        return table[key]

    def has_table(self, moment: Moment, place: Place) -> bool:
        return self.ask(moment, place, EXISTS) is not Kind.NO_TABLE

    def column(self, moment: Moment, place: Place, key: Key, index: E) -> tuple[E, E]:
        """A column at a row, and whether it is known there."""
        kind, name = self.ask(moment, place, key), self.name(moment, place, key)
        value = E("item", (name, index))
        if kind is Kind.KNOWN:
            return value, TRUE
        if kind is Kind.THERE:
            return value, self.column(moment, place, EXISTS, index)[0]
        return value, E("item", (f"{name}k", index))

    # Two-valued operations.

    def literal(self, value: int) -> V:
        return const(int(value))

    def number(self, v: V) -> E:
        """A number as it is; a reference as its row, so that references compare by row."""
        return v.index if isinstance(v, Ref) else v

    def compare(self, op: Op, a: V, b: V) -> E:
        return compared(op, self.number(a), self.number(b))

    def arithmetic(self, op: Op, a: V, b: V) -> V:
        return computed(op, self.number(a), self.number(b))

    def choose(self, c: E, a: V, b: V) -> V:
        chosen = choose(c, self.number(a), self.number(b))
        return Ref(a.place, a.moment, chosen) if isinstance(a, Ref) else chosen

    # Elements.

    def at(self, moment: Moment, of: V) -> V:
        assert isinstance(of, Ref)
        return Ref(of.place, moment if self.seen.before is not None else of.moment, of.index)

    def read(self, get: Get, of: V) -> Meaning[E, V]:
        assert isinstance(of, Ref)
        key = Key.of(get.field.name, get.component, get.tier)  # type: ignore[arg-type]  # instantiated: no variable left
        if of.place is None or self.ask(of.moment, of.place, key) in (Kind.ABSENT, Kind.NO_TABLE):
            if get.sort is Sort.BOOL:
                return Truth(FALSE, FALSE)
            nothing = const(0)
            return Value(Ref(NODES, of.moment, nothing) if is_reference(get.sort) else nothing, FALSE)
        it, known = self.column(of.moment, of.place, key, of.index)
        if get.sort is Sort.BOOL:
            return Truth(conj(known, it), conj(known, neg(it)))
        return Value(Ref(NODES, of.moment, it) if is_reference(get.sort) else it, known)

    def place_of(self, g: Gather) -> Place:
        component, tier = g.pool or (None, None)
        return g.over.sort, component, tier  # type: ignore[return-value]

    def observed(self, gather: Gather) -> bool:
        place = self.place_of(gather)
        if not self.has_table(Moment.AFTER, place):
            return False
        if gather.over is not Range.SLOTS:
            return True
        # A list that nobody observed may name slots that no other list does.
        return all(self.ask(m, place, Key(f.name)) is not Kind.ABSENT for m, f in fields_of(gather))

    def element(self, gather: Gather, env: Env[V]) -> Env[V]:
        place = self.place_of(gather) if self.observed(gather) else None
        row = Ref(place, Moment.AFTER, _ROW)
        if gather.over is not Range.CHILDREN:
            return {gather.var: row}
        # Seen from the child's row, everything outside is found at its parent's.
        up = self.parent()
        moved: dict[Var, V] = {
            v: Ref(r.place, r.moment, up) if isinstance(r, Ref) and r.index == _ROW else r for v, r in env.items()
        }
        return {**moved, gather.var: row}

    def parent(self) -> E:
        return self.column(Moment.AFTER, NODES, Key("parent"), _ROW)[0]

    # Folds: loops of their own, ahead of the loop that uses their results.

    def any_over(self, gather: Gather, env: Env[V], body: E) -> E:
        if body == FALSE or not self.observed(gather):
            return body
        if gather.over is Range.CHILDREN:
            return self.fold(gather, env, "[False] * {n}", body, "{f}[{up}] = True")
        return self.fold(gather, env, "False", body, "{f} = True; break")

    def sum_over(self, gather: Gather, env: Env[V], body: V) -> V:
        each = self.number(body)
        if each == const(0) or not self.observed(gather):
            return each
        if gather.over is Range.CHILDREN:
            return self.fold(gather, env, "[0] * {n}", TRUE, "{f}[{up}] += " + text(each))
        return self.fold(gather, env, "0", TRUE, "{f} += " + text(each))

    def repeated(self, gather: Gather, env: Env[V], key: V, among: E) -> E:
        if among == FALSE or not self.observed(gather):
            return FALSE
        k = text(self.number(key))
        if gather.over is Range.CHILDREN:
            start, action = "[False] * {n}; {f}s = set()", "{f}[{up}] |= ({up}, k) in {f}s; {f}s.add(({up}, k))"
        else:
            start, action = "False; {f}s = set()", "{f} |= k in {f}s; {f}s.add(k)"
        return self.fold(gather, env, start, among, f"k = {k}; {action}")

    def matching(self, gather: Gather, env: Env[V], key: V, among: E, value: V) -> V:
        if among == FALSE or not self.observed(gather):
            return const(0)
        k = text(self.number(key))
        counts = self.fold(gather, env, "dict()", among, f"k = {k}; {{f}}[k] = {{f}}.get(k, 0) + 1")
        return E("lookup", (counts, self.number(value)))

    def path_sum(self, term: PathSum, node: V, env: Env[V]) -> Value[E, V]:
        assert isinstance(node, Ref)
        each = Semantics(self).value(term.body, {term.var: Ref(NODES, node.moment, _ROW)})

        def along(item: E) -> E:
            name = self.loop(NODES, "[0] * {n}", 1, TRUE, "{f}[i] = {f}[{up}] + " + text(item))
            return E("item", (name, node.index))

        known = TRUE if each.known == TRUE else compared(Op.EQ, along(neg(each.known)), const(0))
        return Value(along(self.number(each.it)), known)

    def fold(self, g: Gather, env: Env[V], start: str, when: E, action: str) -> E:
        """What a fold comes to: one result, or one for every parent."""
        if g.over is not Range.CHILDREN:
            return E("name", (self.loop(self.place_of(g), start, 0, when, action),))
        assert isinstance(g.parent, Var)
        parent = env[g.parent]
        assert isinstance(parent, Ref)
        return E("item", (self.loop(NODES, start, 1, when, action), parent.index))

    def loop(self, place: Place, start: str, first: int, when: E, action: str) -> str:
        """The name that a loop over a table, from its row `first` on, leaves its result in; equal loops are made once.

        In what is said, {f} is that name, {n} the length of the table, {up} the row's parent.
        """
        key = (place, start, first, when, action)
        if key not in self.folds:
            words = {"f": f"f{len(self.folds)}", "n": self.length(Moment.AFTER, place)}
            if "{up}" in action:
                words["up"] = text(self.parent())
            self.folds[key] = words["f"]
            self.body += [
                f"    {words['f']} = {start.format(**words)}",
                f"    for i in range({first}, {words['n']}):",
                f"        if {text(when)}: {action.format(**words)}",
            ]
        return self.folds[key]


def text(e: E) -> str:
    """An expression as Python."""
    match e.op:
        case "const":
            return repr(e.args[0])
        case "name":
            return str(e.args[0])
        case "item":
            return f"{e.args[0]}[{text(e.args[1])}]"
        case "lookup":
            return f"{text(e.args[0])}.get({text(e.args[1])}, 0)"
        case "not":
            return f"(not {text(e.args[0])})"
        case "if":
            c, a, b = (text(x) for x in e.args)
            return f"({a} if {c} else {b})"
        case "%":
            return f"({text(e.args[0])} % max({text(e.args[1])}, 1))"
    sign = {"=": "==", "differ": "!="}.get(e.op, e.op)
    return f"({text(e.args[0])} {sign} {text(e.args[1])})"
