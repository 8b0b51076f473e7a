"""A model's actions as Python functions over a trie of any size: grounded in no tree, so that one serves every state.

What `explore` compiles has a fixed tree and is searched by the million; a live cache grows its own. The terms are the
same. Truth values are 1 and 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.terms import Apply, Const, Fold, Gather, Get, Op, PathSum, Range, Term, Var, rebuild
from sanitree.invariants.vocabulary import Component, Sort, Tier
from sanitree.models.protocol.system import NODE, NUMBER, Action, Attached, Over, System
from sanitree.models.snapshot import Key

Pool = tuple[Component, Tier]
Row = list[int]
"""The variables of one page, in the system's order."""


@dataclass(frozen=True, eq=False)
class Trie:
    """Pages 0, 1, 2, …, each after the one above it; 0 is the root. others: slots of each pool that no page has, in
    pages: what requests and prefetches hold."""

    up: tuple[int, ...]
    others: Mapping[Pool, int]

    @cached_property
    def below(self) -> list[list[int]]:
        """The pages right below each."""
        found: list[list[int]] = [[] for _ in self.up]
        for page, above in enumerate(self.up[1:], 1):
            found[above].append(page)
        return found

    @cached_property
    def path(self) -> list[list[int]]:
        """Each page with those above it, the root left out."""
        found: list[list[int]] = [[]]
        for page, above in enumerate(self.up[1:], 1):
            found.append([page, *found[above]])
        return found


@dataclass(eq=False, slots=True)
class State:
    """A row for each page of a trie. known: what was worked out of it."""

    trie: Trie
    rows: list[Row]
    known: dict[tuple[str, int], int] = field(default_factory=dict)

    def after(self, changes: Changes) -> State:
        """The state in which these variables have changed."""
        rows = list(self.rows)
        fresh: set[int] = set()
        for (page, variable), value in changes.items():
            if page not in fresh:
                fresh.add(page)
                rows[page] = list(rows[page])
            rows[page][variable] = value
        return State(self.trie, rows)


Changes = dict[tuple[int, int], int]
"""Values for variables, by page and place in its row."""


@dataclass(frozen=True, slots=True, eq=False)
class Doing:
    """An action: whether a page's may happen, and what it changes."""

    action: Action
    allowed: Callable[[State, int], bool]
    changes: Callable[[State, int], Changes]


@dataclass(frozen=True, slots=True, eq=False)
class Programs:
    """A system's actions by name, and what follows from a state, by key."""

    actions: Mapping[str, Doing]
    defined: Mapping[Key, Callable[[State, int], int]]


def programs(system: System) -> Programs:
    """What a system says, as functions of a state and a page."""
    return _Writer(system).done()


class _Writer:
    def __init__(self, system: System) -> None:
        self.system = system
        self.place = {v.key: i for i, v in enumerate(system.variables)}
        self.defined = {d.key: f"d{i}" for i, d in enumerate(system.definitions)}
        self.lines: list[str] = []
        self.names = (f"x{i}" for i in count())

    def done(self) -> Programs:
        for d in self.system.definitions:
            self._definition(d.key, d.term, int(d.root))
        for i, a in enumerate(self.system.actions):
            self._allowed(i, a)
            self._changes(i, a)
        space: dict[str, object] = {"POOLS": [a.pool for a in self.system.attached]}
        exec(compile("\n".join(self.lines), f"<the actions of {self.system.name}>", "exec"), space)
        actions = {
            a.name: Doing(a, space[f"allowed{i}"], space[f"changes{i}"])  # type: ignore[arg-type]
            for i, a in enumerate(self.system.actions)
        }
        return Programs(actions, {key: space[name] for key, name in self.defined.items()})  # type: ignore[misc]

    # Functions.

    def _head(self, name: str) -> None:
        self.lines += [f"def {name}(S, n):", "    V = S.rows; U = S.trie.up; B = S.trie.below; P = S.trie.path"]

    def _definition(self, key: Key, term: Term, root: int) -> None:
        name = self.defined[key]
        self._head(name)
        self.lines += [
            f"    if not n: return {root}",
            f"    at = ('{name}', n); found = S.known.get(at)",
            f"    if found is None: found = S.known[at] = int({self._of(term, {NODE: 'n'})})",
            "    return found",
        ]

    def _allowed(self, i: int, a: Action) -> None:
        self._head(f"allowed{i}")
        self.lines.append(f"    return {self._of(a.guard, {NODE: 'n'})}")

    def _changes(self, i: int, a: Action) -> None:
        self._head(f"changes{i}")
        self.lines.append("    C = {}")
        for x in a.assigns:
            t = x.target
            place = self.place[Key.of(t.field.name, t.component, t.tier)]  # type: ignore[arg-type]  # instantiated
            each = next(self.names)
            env = {NODE: "n", x.each: each} if x.over is not Over.ITSELF else {NODE: each}
            pages = {Over.ITSELF: "(n,)", Over.PATH: "P[n]", Over.CHILDREN: "B[n]"}[x.over]
            self.lines += [
                f"    for {each} in {pages}:",
                f"        if {self._of(x.where, env)}: C[{each}, {place}] = int({self._of(x.value, env)})",
            ]
        self.lines.append("    return C")

    # Terms.

    def _of(self, term: Term, env: Mapping[Var, str]) -> str:
        return self._said(instantiate(term, self.system.settings, {}), env)

    def _said(self, t: Term, env: Mapping[Var, str]) -> str:
        match t:
            case Const(value):
                return str(int(value))
            case Var():
                return env[t]
            case Get():
                return self._get(t, env)
            case Apply(op, args):
                return self._apply(op, [self._said(a, env) for a in args])
            case PathSum(node, var, body):
                x = next(self.names)
                return f"sum({self._said(body, {**env, var: x})} for {x} in P[{self._said(node, env)}])"
            case Gather():
                return self._gather(t, env)
        raise NotImplementedError(f"no action of a model has had a {type(t).__name__} so far")

    def _get(self, t: Get, env: Mapping[Var, str]) -> str:
        of, key = self._said(t.of, env), Key.of(t.field.name, t.component, t.tier)  # type: ignore[arg-type]
        if key == Key("parent"):
            return f"U[{of}]"
        if key == Key("is_root"):
            return f"({of} == 0)"
        if key == NUMBER:
            return of
        if key in self.place:
            return f"V[{of}][{self.place[key]}]"
        return f"{self.defined[key]}(S, {of})"

    @staticmethod
    def _apply(op: Op, x: list[str]) -> str:
        match op:
            case Op.NOT:
                return f"(not {x[0]})"
            case Op.AND | Op.OR:
                return f"({f' {op.value} '.join(x)})"
            case Op.IMPLIES:
                return f"(not {x[0]} or {x[1]})"
            case Op.IFF:
                return f"(bool({x[0]}) == bool({x[1]}))"
            case Op.ITE:
                return f"({x[1]} if {x[0]} else {x[2]})"
        sign = {Op.EQ: "==", Op.LT: "<", Op.LE: "<=", Op.ADD: "+", Op.SUB: "-", Op.MOD: "%"}[op]
        return f"({x[0]} {sign} {x[1]})"

    def _gather(self, g: Gather, env: Mapping[Var, str]) -> str:
        if g.over in (Range.NODES, Range.CHILDREN):
            x = next(self.names)
            inner = {**env, g.var: x}
            pages = "range(len(V))" if g.over is Range.NODES else f"B[{self._said(g.parent, env)}]"  # type: ignore[arg-type]
            there = " or ".join(f"V[{x}][{self.place[key]}]" for key in self.system.exists)
            root = f"not {x} or " if g.over is Range.NODES else ""
            where, body = self._said(g.where, inner), self._said(g.body, inner)
            if g.fold is Fold.SOME:
                return f"any({where} and {body} for {x} in {pages} if {root}{there})"
            if g.fold is Fold.COUNT:
                return f"sum(1 for {x} in {pages} if ({root}{there}) and {where})"
        elif g.fold is Fold.COUNT:
            return f"({' + '.join(self._counted(g))})"
        raise NotImplementedError(f"no action of a model has had {g.fold.value} over {g.over.value} so far")

    def _counted(self, g: Gather) -> Iterator[str]:
        """How many of what pages have are such, and of slots, how many others have."""
        for i, a in enumerate(self.system.attached):
            if a.sort is g.over.sort and a.pool == g.pool:
                x = next(self.names)
                such = self._of(_told_of(g.where, g.var, a), {NODE: x})
                yield f"sum({self._of(a.times, {NODE: x})} for {x} in range(1, len(V)) if {such})"
                if a.sort is Sort.SLOT:
                    yield f"S.trie.others[POOLS[{i}]]"


def _told_of(term: Term, var: Var, a: Attached) -> Term:
    """What a term says of something attached, as a term about the page that has it."""

    def told(t: Term) -> Term:
        if isinstance(t, Get) and t.of is var:
            return a.fields[Key.of(t.field.name, t.component, t.tier)]  # type: ignore[arg-type]  # instantiated
        return t

    return rebuild(term, told)
