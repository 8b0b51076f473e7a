"""Generates the function that judges what an operation touched, and keeps every sum by what each node gives to it.

It is made of the same blocks as the whole pass (`codegen`), so no rule is written twice: a
node's own rules with its parent at hand, what it gives to folds over children and over all
nodes, rules about its children, and at last those about the tree and the records. Where
the pass returns at the first instance that is false, this one notes all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sanitree.checker.backends import FUSED, backends_of
from sanitree.checker.fused.block import Block, render
from sanitree.checker.fused.codegen import FOLDS, START, GatheredFold, Writer, looks_down, of_lists, outside
from sanitree.checker.fused.grounding import IS_ROOT, Place
from sanitree.checker.symbolic import FALSE, TRUE, E, conj, disj, neg
from sanitree.invariants.rules import Check
from sanitree.invariants.terms import Range, Var, make
from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.reading import Access, Reading, inline

Shift = Callable[[Any, dict[Any, int], tuple[Any, ...], tuple[Any, ...]], None]
"""Moves sums by what an element gives now less what it gave before: `shift(sums, keyed, before, now)`."""

KEYED = ("repeated", "matching")
"""Sums to which an element gives a key, in a tuple, or nothing: ()."""

KEPT = make(Var, "n", Sort.NODE)
"""The node of which the books keep fields from one operation to the next."""

_RECORDS = (Range.TRANSFERS, Range.REQUESTS)


@dataclass(frozen=True, slots=True)
class Touched:
    """A generated check for `Ledger`.

    run(T, ledger): judges `ledger.batch`, and returns what does not hold of the tree and the
    records: a place in `checks`, and a transfer, a request or None. of_children, of_nodes:
    the kinds of the sums that a node gives to its parent and to the tree. skipped: checks
    that take more than what was touched. child, parent, first_page: how to read these of a node.
    to_parent, to_tree: move such sums, as `shifter` says.
    """

    checks: tuple[Check, ...]
    skipped: tuple[Check, ...]
    source: str
    run: Callable[[Any, Any], list[tuple[int, Any]]]
    of_children: tuple[str, ...]
    of_nodes: tuple[str, ...]
    children: Callable[[Any], Any]
    parent: Callable[[Any], Any]
    first_page: Callable[[Any], Any]
    root: Callable[[Any], Any]
    to_parent: Shift
    to_tree: Shift


def compile_touched(checks: Iterable[Check], reading: Reading, kept: Sequence[E] = ()) -> Touched:
    """The function for all of `checks` that can be judged where something changed.

    kept: what the books keep of each node besides, as expressions over `KEPT`.
    """
    wanted = tuple(checks)
    takes = tuple(c for c in wanted if FUSED in backends_of(c.rule) and not of_lists(c))
    generator = _FromNodeToNode(takes, reading, kept)
    takes = tuple(c for i, c in enumerate(takes) if i not in generator.too_deep)
    if generator.too_deep:
        generator = _FromNodeToNode(takes, reading, kept)
    source, names = generator.write()
    exec(compile(source, "<touched>", "exec"), names)
    page = reading.fields[FIELDS[Sort.NODE, "first_page"]](None, None)
    assert page is not None, "every adapter reads where a child belongs"
    return Touched(
        takes,
        tuple(c for c in wanted if c not in takes),
        source,
        names["check"],
        tuple(f.op for f in generator.of_children),
        tuple(f.op for f in generator.of_nodes),
        _reads(inline(reading.children, "n")),
        _reads(inline(reading.parent, "n")),
        _reads(inline(page, "n")),
        _reads(reading.root, "T"),
        shifter([f.op for f in generator.of_children]),
        shifter([f.op for f in generator.of_nodes]),
    )


def _reads(expression: str, of: str = "n") -> Callable[[Any], Any]:
    made: Callable[[Any], Any] = eval(f"lambda {of}: {expression}")  # an adapter's own template
    return made


class _FromNodeToNode(Writer):
    """too_deep: checks that gather over all nodes what is gathered over children: not kept here."""

    def __init__(self, checks: tuple[Check, ...], reading: Reading, kept: Sequence[E]) -> None:
        super().__init__(checks, reading)
        self.kept = kept
        self.of_children = [f for f in self.folds if f.gather.over is Range.CHILDREN]
        self.of_nodes = [f for f in self.folds if f.gather.over is Range.NODES]
        self.too_deep = {i for i, *_, no in self.rules if any(_in_two_ranges(e) for e in no.all())}

    def found(self, i: int, name: str) -> str:
        return f"bad |= {1 << i}" if name in ("n", "p") else f"found.append(({i}, {'x' if name == 'x' else None}))"

    def write(self) -> tuple[str, dict[str, Any]]:
        top, loop, up = self.block(), self.block(), self.block()
        nodes = [(i, var, no) for i, scope, var, no in self.rules if scope is Sort.NODE]
        flat = [x for x in nodes if not looks_down(x[2])]
        deep = [x for x in nodes if looks_down(x[2])]
        top.say("root = " + self.reading.root)
        self._of_records(top)

        root, child = self.block(), self.block()
        self._flat(root, flat, self.of_nodes, "root", "p")
        self._flat(child, flat, self.of_nodes, "child", "n")
        for f in self.of_children:
            self._gather(child, f, Place("child", {f.gather.var: "n", **outside(f)}))
        # What children are asked of a parent: where it changes, they are judged again.
        asked = [a for a in child.needs("p") if a != IS_ROOT]
        every = _all(f.name for f in self.of_nodes)
        own = {"p": "()", "n": _all(f.name for f in self.of_children)}
        for block, place, name in ((root, "root", "p"), (child, "child", "n")):
            kept = _all(block.text(self.grounding.ground(e, Place(place, {KEPT: name}))) for e in self.kept)
            block.say(f"put(r, bad, open, {own[name]}, {every}, {_tokens(block, name, asked)}, {kept})")
        for line in ("n = r.node", "bad = 0", "open = False"):
            loop.say(line)
        for f in (*self.of_children, *self.of_nodes):
            loop.say(f"{f.name} = {'()' if f.op in KEYED else '0'}")
        first, other = self.block("p = n"), self.block("p = r.up.node", "e = r.edge")
        loop.nest("if r.up is None:", first.then(root, "p"))
        loop.nest("else:", other.then(self.block().then(child, "n"), "p"))
        top.say("put = L.put")
        top.nest("for r in L.batch:", loop)

        for line in ("p = r.node", "k = r.kids", "bad = 0"):
            up.say(line)
        for at, f in enumerate(self.of_children):
            up.say(f"{f.name} = k[{at}]" + (" > 0" if f.op in ("any", "repeated") else ""))
        inner = self.block()
        self._judge(inner, deep, (), "inner", "p")
        inner.say("put(r, bad)")
        top.say("put = L.put_deep")
        top.nest("for r in L.deep():", up.then(inner, "p"))

        for at, f in enumerate(self.of_nodes):
            top.say(f"{f.name} = L.sums[{at}]" + (" > 0" if f.op in ("any", "repeated") else ""))
        records = self.block("found = []")
        self._records(records)
        records.say("L.of_records = found")
        top.nest("if L.renewed or L.stale:", records)
        top.say("found = list(L.of_records)")
        self._judge(top, self._of(Sort.TREE), (), "tree", "T")
        top.say("return found")
        return render(top, self.reading, given="L")

    def _of_records(self, top: Block) -> None:
        """What is gathered over transfers and requests; anew, where they are others than before."""
        top.say("transfers, requests = L.transfers, L.requests")
        folds = [f for f in self.folds if f.gather.over in _RECORDS]
        if not folds:
            return
        anew, names = self.block(), _all(f.name for f in folds)
        for f in folds:
            anew.say(f"{f.name} = {START[f.op]}")
            if f.op == "repeated":
                anew.say(f"{f.name}_seen = set()")
        for over, name in ((Range.TRANSFERS, "transfers"), (Range.REQUESTS, "requests")):
            record = self.block()
            for f in folds:
                if f.gather.over is over:
                    super()._gather(record, f, Place("record", {f.gather.var: "x"}))
            anew.nest(f"for x in {name}:", record, local="x")
        anew.say(f"L.gathered = {names}")
        top.nest("if L.renewed:", anew)
        top.nest("else:", self.block(f"{names} = L.gathered"))

    def _flat(
        self,
        block: Block,
        rules: list[tuple[int, Any, E]],
        folds: Iterable[GatheredFold],
        at: str,
        name: str,
    ) -> None:
        self._judge(block, rules, folds, at, name)
        for _, var, no in rules:
            if any(_of_records(e) for e in no.all()):
                # As bad as records could make it: only then must the node be looked at when records change.
                block.when(self.grounding.ground(_worst(no, True), Place(at, {var: name})), "open = True")

    def _gather(self, block: Block, f: GatheredFold, place: Place) -> None:
        """What the node gives to a sum: an amount, or a key."""
        first, *rest = (self.grounding.ground(p, place) for p in f.parts)
        match f.op:
            case "any":
                block.when(first, f"{f.name} = 1")
            case "sum":
                block.add(f.name, first)
            case _:
                block.when(rest[0], f"{f.name} = ({block.text(first)},)")


def _all(names: Iterable[str]) -> str:
    return "(" + "".join(f"{name}, " for name in names) + ")"


def _tokens(block: Block, name: str, accesses: Iterable[Access]) -> str:
    return _all(block.token(a, name) for a in accesses)


def _of_records(e: E) -> bool:
    return e.op in FOLDS and e.args[0].over in _RECORDS


def _in_two_ranges(e: E) -> bool:
    return e.op in FOLDS and e.args[0].over is Range.NODES and any(looks_down(p) for p in e.subs())


def _worst(e: E, wanted: bool) -> E:
    """An expression with what depends on records replaced by what makes it `wanted`."""
    match e.op:
        case "and" | "or":
            return (conj if e.op == "and" else disj)(*(_worst(x, wanted) for x in e.args))
        case "not":
            return neg(_worst(e.args[0], not wanted))
    if any(_of_records(x) for x in e.all()):
        return TRUE if wanted else FALSE
    return e


def shifter(kinds: Sequence[str]) -> Shift:
    """The function for sums of these kinds, written out: it is called for most nodes that are judged."""
    lines = ["def shift(sums, keyed, before, now):"]
    if kinds:
        for name in ("before", "now"):
            lines.append(f"    {''.join(f'{name}{at}, ' for at in range(len(kinds)))}= {name}")
    for at, kind in enumerate(kinds):
        move = f"sums[{at}] += now{at} - before{at}"
        if kind in KEYED:
            move = f"{kind}(sums, keyed, {at}, before{at}, now{at})"
        lines.append(f"    if before{at} != now{at}: {move}")
    names: dict[str, Any] = {"matching": _matching, "repeated": _repeated}
    exec("\n".join([*lines, "    return None"]), names)
    shift: Shift = names["shift"]
    return shift


def _matching(sums: list[Any], _: dict[Any, int], at: int, before: tuple[Any, ...], now: tuple[Any, ...]) -> None:
    """How many give each key."""
    for given, sign in ((before, -1), (now, 1)):
        if given:
            _count(sums[at], given[0], sign)


def _repeated(sums: list[Any], keyed: dict[Any, int], at: int, before: tuple[Any, ...], now: tuple[Any, ...]) -> None:
    """How many give a key that another one has already given."""
    for given, sign in ((before, -1), (now, 1)):
        if given:
            times = _count(keyed, (at, given[0]), sign)
            sums[at] += sign * (max(times, times - sign) > 1)


def _count(times: dict[Any, int], key: Any, by: int) -> int:
    now = times.get(key, 0) + by
    if now:
        times[key] = now
    else:
        del times[key]
    return now


def folds_of(kinds: Iterable[str]) -> Iterator[Any]:
    """The sums of these kinds, of nothing."""
    return ({} if kind == "matching" else 0 for kind in kinds)
