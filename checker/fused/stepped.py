"""Generates the functions that judge step rules after an operation, on what it touched.

A step rule sees a node before and after a call. Before is what the books (`ledger`) kept of
the node when it was judged last, after what they keep of it now; the two are at hand for
nodes in which they differ, and for those that came or left. Of every other node nothing
changed, and a rule is taken only if it holds of such a node whatever else the call did: that
is found out when it is compiled, by giving both moments the same values. So it is of
transfers; of a history that went wrong, what was wrong is judged again. What takes more
than that is `skipped`: slots, requests, sums over nodes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from sanitree.checker.fused.touched import KEPT
from sanitree.checker.fused.twovalued import STRUCTURAL, TwoValued
from sanitree.checker.rowwise.writer import text
from sanitree.checker.symbolic import FALSE, TRUE, E, const, neg
from sanitree.invariants.calls import Operation
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.rules import Check, Rule, checks
from sanitree.invariants.semantics import Env, Meaning, Semantics, Truth, Value
from sanitree.invariants.steps import CALL, Ghost
from sanitree.invariants.terms import At, Gather, Get, Moment, PathSum, Range, walk
from sanitree.invariants.vocabulary import FIELDS, Index, Settings, Sort
from sanitree.models.reading import Reading, inline

Judge = Callable[[Any, Any, Any, Any, Any], list[tuple[int, Any]]]
"""run(changed, transfers, call, tree before, tree after): places in `checks`, and what each does not hold of."""

_THERE = ((False, True), (True, False), (True, True))
"""A node comes, leaves, or stays."""

_IS_ROOT = FIELDS[Sort.NODE, "is_root"]
_ELEMENTS = {Sort.NODE: "n", Sort.TRANSFER: "x", Sort.TREE: "T"}


@dataclass(frozen=True, slots=True)
class OfCall:
    """What is judged of the calls of one operation.

    always: whether something is said of calls that change nothing. of_tree: reads of the tree
    what is asked of it in both moments; None where nothing is.
    """

    checks: tuple[Check, ...]
    source: str
    run: Judge
    always: bool
    of_tree: Callable[[Any], tuple[Any, ...]] | None


@dataclass(frozen=True, slots=True)
class Stepped:
    """Step rules, compiled for one kind of cache.

    skipped: checks that take more than what was touched, or what nobody reads. kept: what the
    books keep of every node, as expressions over `KEPT`. first, following: a transfer's ghosts
    when it is met, and after a call.
    """

    checks: tuple[Check, ...]
    skipped: tuple[Check, ...]
    of: Mapping[Operation, OfCall]
    kept: tuple[E, ...]
    first: Callable[[Any], tuple[int, ...]]
    following: Callable[[Any], tuple[int, ...]]


def compile_steps(
    rules: Iterable[Rule], ghosts: Sequence[Ghost], settings: Settings, reading: Reading, unsaid: Collection[str] = ()
) -> Stepped:
    """The functions for these step rules, one for each operation that some of them are about.

    unsaid: fields that this adapter's calls never tell.
    """
    wanted = checks(rules, settings)
    made = _Compiler(reading, [g for g in ghosts if g.field.owner is Sort.TRANSFER], settings, unsaid)
    takes = tuple(c for c in wanted if made.takes(c))
    about = {o: tuple(c for c in takes if o in c.rule.on) for o in Operation}
    of = {o: made.of_call(judged) for o, judged in about.items() if judged}
    return Stepped(takes, tuple(c for c in wanted if c not in takes), of, tuple(made.kept), *made.ghosts())


class _Beyond(Exception):  # noqa: N818  a way out, and no error
    """A term that takes more than what was touched."""


class _Compiler:
    def __init__(self, reading: Reading, ghosts: Sequence[Ghost], settings: Settings, unsaid: Collection[str]) -> None:
        self.reading, self.settings, self.unsaid = reading, settings, unsaid
        self.kept: dict[E, int] = {}
        self._ghosts = {g.field: (i, g) for i, g in enumerate(ghosts)}

    def takes(self, c: Check) -> bool:
        """Whether a check can be judged, and on what was touched: it holds of what stays as it was."""
        kept = dict(self.kept)
        try:
            lasting = c.rule.scope is Sort.TRANSFER and not any(isinstance(t, At) or t is CALL for t in walk(c.term))
            whole = c.rule.scope is Sort.TREE or lasting or self._no(c, _Moments(self, still=True)) == FALSE
            if whole and any(self._no(c, _Moments(self, there=there)) != FALSE for there in _THERE):
                return True
        except _Beyond:
            pass
        self.kept = kept
        return False

    def _no(self, c: Check, moments: _Moments) -> E:
        """Where a check is known not to hold."""
        if c.rule.scope not in _ELEMENTS:
            raise _Beyond
        env = {c.rule.var: _name(_ELEMENTS[c.rule.scope]), CALL: _name("C")}
        return Semantics(moments).truth(c.term, env).no

    def of_call(self, judged: Sequence[Check]) -> OfCall:
        source = ["def judge(changed, X, C, B, A):", "    found = []"]
        source += self._loop("for e, b, a in changed:", judged, Sort.NODE, "e.node")
        source += self._loop("for x in X:", judged, Sort.TRANSFER, "x")
        moments = _Moments(self)
        source += [f"    {line}" for line in self._lines(judged, Sort.TREE, "None", moments)]
        whole = "\n".join([*source, "    return found"])
        always = any(self._no(c, _Moments(self, still=True)) != FALSE for c in judged if c.rule.scope is Sort.TREE)
        return OfCall(tuple(judged), whole, _made(whole, "judge"), always, self._of_tree(moments.of_tree))

    def _loop(self, head: str, judged: Sequence[Check], scope: Sort, element: str) -> list[str]:
        """A loop over elements; nodes that came, left and stayed are told apart once for all checks."""
        if scope is not Sort.NODE:
            lines = [f"        {line}" for line in self._lines(judged, scope, element, _Moments(self))]
            return [f"    {head}", *lines] if lines else []
        body: list[str] = []
        for when, there in zip(("b is None", "a is None", "True"), _THERE, strict=True):
            lines = self._lines(judged, scope, element, _Moments(self, there=there))
            body += [f"        {'elif' if body else 'if'} {when}:", *(f"            {x}" for x in lines or ["pass"])]
        return [f"    {head}", *body]

    def _lines(self, judged: Sequence[Check], scope: Sort, element: str, moments: _Moments) -> list[str]:
        """A line for each check of elements of this sort."""
        wrong = {i: self._no(c, moments) for i, c in enumerate(judged) if c.rule.scope is scope}
        return [f"if {text(no)}: found.append(({i}, {element}))" for i, no in wrong.items() if no != FALSE]

    def _of_tree(self, wanted: Mapping[str, int]) -> Callable[[Any], tuple[Any, ...]] | None:
        body = f"    return ({''.join(f'{x}, ' for x in wanted)})"
        if not wanted:
            return None
        names = {f"_{n}": make for n, make in self.reading.prepare.items() if re.search(rf"\b{n}\b", body)}
        head = ["def of_tree(T):", *(f"    {n[1:]} = {n}(T)" for n in names)]
        made: Callable[[Any], tuple[Any, ...]] = _made("\n".join([*head, body]), "of_tree", names)
        return made

    def ghosts(self) -> tuple[Callable[[Any], tuple[int, ...]], Callable[[Any], tuple[int, ...]]]:
        """Of a transfer: what its ghosts begin with, and what they are after a call."""
        meaning, env = Semantics(_Moments(self)), {CALL: _name("C")}
        first, following = "", ""
        for _, g in self._ghosts.values():
            assert g.initial is not None, "a transfer's history is known from when it is met"
            begins = instantiate(g.initial, self.settings, {})
            at = {g.var: E("before", (_name("x"),)), **env}
            first += text(meaning.value(begins, at).it) + ", "
            following += text(self._next(g, meaning)) + ", "
        return _made(f"def first(x): return ({first})", "first"), _made(f"def next(x): return ({following})", "next")

    def _next(self, g: Ghost, meaning: Semantics[E, E]) -> E:
        return meaning.value(instantiate(g.term, self.settings, {}), {g.var: _name("x"), CALL: _name("C")}).it

    def ghost(self, get: Get) -> int:
        """The place of a ghost, of which nothing may change while nothing is heard of a transfer."""
        if get.field not in self._ghosts:
            raise _Beyond
        i, g = self._ghosts[get.field]
        if self._next(g, Semantics(_Moments(self, still=True))) != _name(f"x.before[{i}]"):
            raise _Beyond
        return i

    def place(self, get: Get) -> int:
        """Where the books keep a field of a node."""
        e = E("get", (get.field, get.component, get.tier, E("var", (KEPT,))))
        return self.kept.setdefault(e, len(self.kept))


class _Moments(TwoValued):
    """The algebra of what is at hand in a generated function.

    still: both moments are one, and nothing is heard. there: whether the node is in the tree before and after.
    """

    def __init__(self, by: _Compiler, still: bool = False, there: tuple[bool, bool] = (True, True)) -> None:
        super().__init__(by.reading)
        self.by, self.still, self.there = by, still, there
        self.of_tree: dict[str, int] = {}

    def at(self, moment: Moment, of: E) -> E:
        if of.op != "name":
            raise _Beyond
        return E("before", (of,)) if moment is Moment.BEFORE else of

    def read(self, get: Get, of: E) -> Meaning[E, E]:
        earlier, name = of.op == "before", of.args[0] if of.op == "name" else text(of.args[0])
        if name not in (*_ELEMENTS.values(), "C") or get.sort not in (Sort.BOOL, Sort.INT):
            raise _Beyond
        match get.field.owner:
            case Sort.CALL:
                said = get.field.name not in self.by.unsaid
                it, known = self._told(get), _name(f"(C.{get.field.name} is not None)") if said else FALSE
            case Sort.TREE:
                it, known = self._of_the_tree(get, earlier)
            case Sort.TRANSFER:
                it, known = self._of_transfer(get, earlier), TRUE
            case _:
                it, known = self._of_node(get, earlier)
        if get.sort is Sort.BOOL:
            return Truth(self.conj(known, it), self.conj(known, neg(it)))
        return Value(it, known)

    def _told(self, get: Get) -> E:
        if get.field.index is Index.NONE:
            return _name(f"C.{get.field.name}")
        pool = get.component.name, get.tier.value  # type: ignore[union-attr]  # instantiated: no variable left
        return _name(f"C.{get.field.name}.get({pool}, 0)")

    def _of_the_tree(self, get: Get, earlier: bool) -> tuple[E, E]:
        access = self.access(get)
        if access is None:
            return const(0), FALSE
        at = self.of_tree.setdefault(inline(access, "T"), len(self.of_tree))
        return _name(f"{'B' if earlier and not self.still else 'A'}[{at}]"), TRUE

    def _of_transfer(self, get: Get, earlier: bool) -> E:
        match get.field.name:
            case "exists":
                return _name("x.was" if earlier and not self.still else "x.here")
            case "submitted" | "acked" if not earlier:
                return const(0) if self.still else _name(f"x.{get.field.name}")
            case "ack" | "is_write":
                return _name(f"x.{get.field.name}")
            case "is_load":
                return neg(_name("x.is_write"))
        i = self.by.ghost(get) if not self.still or not earlier else self.by._ghosts[get.field][0]
        return _name(f"x.{'before' if earlier or self.still else 'after'}[{i}]")

    def _of_node(self, get: Get, earlier: bool) -> tuple[E, E]:
        if get.field.owner is not Sort.NODE:
            raise _Beyond
        exists = const(self.there[0] if earlier else self.there[1])
        if get.field.name == "exists":
            return exists, TRUE
        if get.field in STRUCTURAL:
            if get.field is not _IS_ROOT:
                raise _Beyond
        elif self.access(get) is None:
            return const(0), FALSE
        return _name(f"{'b' if earlier and not self.still else 'a'}[{self.by.place(get)}]"), exists

    # What is gathered: over transfers alone, of which those that nothing is heard of give nothing.

    def element(self, gather: Gather, env: Env[E]) -> Env[E]:
        if gather.over is not Range.TRANSFERS or _name("x") in env.values():
            raise _Beyond
        return {**env, gather.var: _name("x")}

    def any_over(self, gather: Gather, env: Env[E], body: E) -> E:
        return body if body == FALSE else _name(f"any({text(body)} for x in X)")

    def sum_over(self, gather: Gather, env: Env[E], body: E) -> E:
        return body if body == const(0) else _name(f"sum({text(body)} for x in X)")

    def matching(self, gather: Gather, env: Env[E], key: E, among: E, value: E) -> E:
        return const(0) if among == FALSE else _name(f"sum({text(among)} and {text(key)} == {text(value)} for x in X)")

    def repeated(self, gather: Gather, env: Env[E], key: E, among: E) -> NoReturn:
        raise _Beyond

    def path_sum(self, term: PathSum, node: E, env: Env[E]) -> NoReturn:
        raise _Beyond


def _name(name: str) -> E:
    return E("name", (name,))


def _made(source: str, name: str, names: Mapping[str, Any] | None = None) -> Any:
    made: dict[str, Any] = dict(names or {})
    exec(compile(source, "<step rules>", "exec"), made)
    return made[name]
