"""Generates one Python function from all the checks that apply to an adapter's live trees.

The function walks the tree once. A node is judged where it is met as a child, so that
its parent's fields are at hand in locals; what a rule needs of a node's children is
gathered in the loop over them; what it needs of all nodes, in the walk. The first
instance that is false ends it: the evidence comes from a second pass, on a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sanitree.checker.backends import FUSED, backends_of
from sanitree.checker.fused.block import Block, Reads, render
from sanitree.checker.fused.grounding import IS_ROOT, RANKS, Grounding, Place, Read
from sanitree.checker.fused.twovalued import TwoValued, variable
from sanitree.checker.symbolic import FALSE, E
from sanitree.invariants.rules import Check
from sanitree.invariants.semantics import Semantics
from sanitree.invariants.terms import Gather, Get, Range, Var, walk
from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.reading import Access, Reading, inline

IRREGULAR = -1
"""Returned where children maps and parent pointers make no tree, or an LRU list is none: no pass can judge that."""

_BETWEEN = 16
"""Nodes between two looks at the clock."""

FOLDS = ("any", "sum", "repeated", "matching")
START = {"any": "False", "sum": "0", "repeated": "False", "matching": "{}"}


@dataclass(frozen=True, slots=True)
class Fused:
    """A generated check. `run(tree)` is None where every check holds, else the place in `checks` of one that
    does not, or IRREGULAR. `skipped`: checks that one pass cannot judge, of slots for one.
    """

    checks: tuple[Check, ...]
    skipped: tuple[Check, ...]
    source: str
    run: Callable[[Any], int | None]


def compile_checks(checks: Iterable[Check], reading: Reading) -> Fused:
    """The one function that judges all `checks` on a live tree that is read as `reading` says."""
    wanted = tuple(checks)
    takes = tuple(c for c in wanted if FUSED in backends_of(c.rule))
    source, names = Writer(takes, reading).write()
    exec(compile(source, "<fused check>", "exec"), names)
    skipped = tuple(c for c in wanted if FUSED not in backends_of(c.rule))
    return Fused(takes, skipped, source, _guarded(names["check"]))


Paused = Callable[[Any], Generator[None, None, int | None]]
"""`run` of a generated check as a generator: it yields where it may pause, and returns what `run` does."""


def compile_slices(checks: Iterable[Check], reading: Reading, late: Callable[[], bool]) -> tuple[Paused, Fused]:
    """The same function as a generator, which yields where `late()` says so, asked every few nodes.

    What it returns is about one state only if the tree did not change meanwhile, and it raises
    what a field of another kind makes of it. Checks of the order of LRU lists are skipped: a
    list is walked in one go. Of the second, only `checks`, `skipped` and `source` are meant.
    """
    wanted = tuple(checks)
    takes = tuple(c for c in wanted if FUSED in backends_of(c.rule) and not of_lists(c))
    source, names = Writer(takes, reading, sliced=True).write()
    names["late"] = late
    exec(compile(source, "<fused check>", "exec"), names)
    return names["check"], Fused(takes, tuple(c for c in wanted if c not in takes), source, lambda tree: None)


def of_lists(c: Check) -> bool:
    """Whether a check is about the order of LRU lists, which a walk of a whole list alone can tell."""
    return any(isinstance(t, Get) and t.field.name in RANKS for t in walk(c.term))


def _guarded(check: Callable[[Any], int | None]) -> Callable[[Any], int | None]:
    """A tree whose fields are not even of their kind is irregular: no corruption may end in a traceback."""

    def run(tree: Any) -> int | None:
        try:
            return check(tree)
        except (AttributeError, TypeError, KeyError, IndexError, ValueError):
            return IRREGULAR

    return run


@dataclass(frozen=True, slots=True)
class GatheredFold:
    """A fold gathered while walking, in the variable `name`."""

    name: str
    op: str
    gather: Gather
    parts: tuple[E, ...]

    @property
    def deep(self) -> bool:
        return any(looks_down(p) for p in self.parts)


class Writer:
    """Writes the whole pass; `touched` writes one that goes from node to node."""

    def __init__(self, checks: Sequence[Check], reading: Reading, sliced: bool = False) -> None:
        self.sliced = sliced
        meaning: Semantics[E, E] = Semantics(TwoValued(reading))
        self.reading = reading
        self.reads = Reads()
        self.block = self.reads.block
        # A check that can never be known to be false leaves nothing to generate.
        self.rules = [
            (i, c.rule.scope, c.rule.var, no)
            for i, c in enumerate(checks)
            if (no := meaning.truth(c.term, {c.rule.var: variable(c.rule.var)}).no) != FALSE
        ]
        names: dict[E, str] = {}
        self.folds = list(self._folds(names))
        self.grounding = Grounding(reading, names)
        self.locks = frozenset(self._locks())

    def _locks(self) -> Iterator[Access]:
        for *_, no in self.rules:
            for e in no.all():
                if e.op == "get" and e.args[0] is FIELDS[Sort.NODE, "lock"]:
                    where = self.reading.fields[e.args[0]](e.args[1], e.args[2])
                    assert where is not None
                    yield where

    def _folds(self, names: dict[E, str]) -> Iterator[GatheredFold]:
        for *_, no in self.rules:
            for e in no.all():
                if e.op in FOLDS:
                    key = E(e.op, e.args[:3]) if e.op == "matching" else e
                    if key not in names:
                        names[key] = f"g{len(names)}"
                        yield GatheredFold(names[key], e.op, e.args[0], key.args[1:])

    def write(self) -> tuple[str, dict[str, Any]]:
        top, pop, child = self.block(), self.block(), self.block()
        over = {r: [f for f in self.folds if f.gather.over is r] for r in Range}
        nodes = [(i, var, no) for i, scope, var, no in self.rules if scope is Sort.NODE]
        flat = [x for x in nodes if not looks_down(x[2])]
        deep = [x for x in nodes if looks_down(x[2])]
        flat_folds = [f for f in over[Range.NODES] if not f.deep]
        deep_folds = [f for f in over[Range.NODES] if f.deep]

        for f in self.folds:
            if f.gather.over is not Range.CHILDREN:
                top.say(f"{f.name} = {START[f.op]}")
                if f.op == "repeated":
                    top.say(f"{f.name}_seen = set()")
        top.say("root = " + self.reading.root)
        for r, name in ((Range.TRANSFERS, "transfers"), (Range.REQUESTS, "requests")):
            if over[r]:
                record = self.block()
                for f in over[r]:
                    self._gather(record, f, Place("record", {f.gather.var: "x"}))
                top.nest(f"for x in {name}:", record, local="x")
        if self.reading.linked is not None and self._mentions(RANKS):
            top.nest("if not linked(T):", self.block(f"return {IRREGULAR}"))
        top.say("p = root")
        top.nest(f"if {inline(self.reading.parent, 'p')} is not None:", self.block(f"return {IRREGULAR}"))
        root = self.block()
        self._judge(root, flat, flat_folds, "root", "p")
        top.nest("", root, local="p")

        for f in over[Range.CHILDREN]:
            pop.say(f"{f.name} = {START[f.op]}")
            if f.op == "repeated":
                pop.say(f"{f.name}_seen = set()")
        self._judge(child, flat, flat_folds, "child", "n")
        for f in over[Range.CHILDREN]:
            self._gather(child, f, Place("child", {f.gather.var: "n", **outside(f)}))
        leaf = self.block()
        self._judge(leaf, deep, deep_folds, "leaf", "n")
        push = self.block("push((n,))")
        child.nest(f"if {child.token(self.reading.children, 'n')}:", push)
        if leaf.lines:
            child.nest("else:", leaf)
        loop = "for e, n in {}.items():" if child.mentions("e") else "for n in {}.values():"
        # Before anything else is read of a child: where it is the root, its fields are not a child's.
        own = self.block()
        if self.sliced:
            top.say("ticks = 0")
            own.say("ticks += 1")
            own.nest(f"if ticks % {_BETWEEN} == 0 and late():", self.block("yield"))
        own.nest(f"if {inline(self.reading.parent, 'n')} is not p:", self.block(f"return {IRREGULAR}"))
        pop.nest(loop.format(inline(self.reading.children, "p")), own.then(child, local="n"))
        self._judge(pop, deep, deep_folds, "inner", "p")

        # What a parent is asked for goes with it: when its turn comes, its fields may have left the caches.
        # Not in slices: so many tuples that stay have the collector run, for longer than a slice may take.
        carried = () if self.sliced else pop.needs("p")
        push.lines = [f"push({_with(push, 'n', carried)})"]
        pop.given = tuple(self.reads.local(Read(a, "p")) for a in carried)
        top.say(f"stack = [{_with(top, 'root', carried)}]")
        top.say("pop, push = stack.pop, stack.append")
        taken = f"{', '.join(('p', *pop.given))} = pop()"
        top.nest("while stack:", self.block(taken).then(pop, local="p"))
        self._records(top)
        self._judge(top, self._of(Sort.TREE), (), "tree", "T")
        top.say("return None")
        return render(top, self.reading)

    def found(self, i: int, name: str) -> str:
        """The statement for where check `i` does not hold of the element that is called `name`."""
        return f"return {i}"

    def _mentions(self, names: Sequence[str]) -> bool:
        return any(e.op == "get" and e.args[0].name in names for *_, no in self.rules for e in no.all())

    def _of(self, wanted: Sort) -> list[tuple[int, Var, E]]:
        return [(i, var, no) for i, scope, var, no in self.rules if scope is wanted]

    def _records(self, top: Block) -> None:
        for scope, name in ((Sort.TRANSFER, "transfers"), (Sort.REQUEST, "requests")):
            if rules := self._of(scope):
                record = self.block()
                self._judge(record, rules, (), "record", "x")
                top.nest(f"for x in {name}:", record, local="x")

    def _judge(
        self, block: Block, rules: Iterable[tuple[int, Var, E]], folds: Iterable[GatheredFold], at: str, name: str
    ) -> None:
        places = [Place(at, {}, idle) for idle in ((False, True) if name == "n" else (False,))]
        written = [self.block() for _ in places]
        for place, into in zip(places, written, strict=True):
            for i, var, no in rules:
                into.when(self.grounding.ground(no, replace(place, names={var: name})), self.found(i, name))
            for f in folds:
                self._gather(into, f, replace(place, names={f.gather.var: name}))
        if len(written) == 2 and (locks := written[0].used(self.locks, name)):
            # Most nodes have no lock, and then most of what is said of locks is settled.
            block.nest(f"if {' or '.join(locks)}:", written[0])
            block.nest("else:", written[1])
        else:
            block.lines.extend(written[0].lines)

    def _gather(self, block: Block, f: GatheredFold, place: Place) -> None:
        first, *rest = (self.grounding.ground(p, place) for p in f.parts)
        match f.op:
            case "any":
                block.when(first, f"{f.name} = True")
            case "sum":
                block.add(f.name, first)
            case "matching":
                key = block.text(first)
                block.when(rest[0], f"{f.name}[{key}] = {f.name}.get({key}, 0) + 1")
            case "repeated":
                key = block.text(first)
                block.when(rest[0], f"if {key} in {f.name}_seen: {f.name} = True", f"{f.name}_seen.add({key})")


def _with(block: Block, name: str, carried: Iterable[Access]) -> str:
    """A node's name and what goes with it."""
    known = {IS_ROOT: str(name == "root")}
    together = ", ".join([name, *(known.get(a) or block.token(a, name) for a in carried)])
    return f"({together})" if carried else together


def looks_down(e: E) -> bool:
    return any(x.op in FOLDS and x.args[0].over is Range.CHILDREN for x in e.all())


def outside(f: GatheredFold) -> dict[Var, str]:
    """Variables outside a fold over children are the parent's, as seen from the child."""
    return {x.args[0]: "p" for part in f.parts for x in part.all() if x.op == "var" and x.args[0] is not f.gather.var}
