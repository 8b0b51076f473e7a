"""A model run as it reads: states are dicts, terms are evaluated one by one. Nothing is shared with the explorer.

What the model does not say is None, and decides nothing: a rule is violated where it is known to be false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.rules import Check, checks
from sanitree.invariants.terms import Apply, Const, Fold, Gather, Get, Op, PathSum, Range, Term, Var, free_variables
from sanitree.invariants.vocabulary import Sort
from sanitree.models.protocol.system import NODE, NUMBER, Action, Attached, System
from sanitree.models.snapshot import Key

State = dict[tuple[Key, int], int]
Element = int | tuple[int, int]
"""A node by its number; a transfer, request or slot by its place among what is attached, and its node."""
Known = int | None
Env = dict[Var, Element]


@cache
def free(t: Term) -> tuple[Var, ...]:
    return tuple(sorted(free_variables(t), key=lambda v: v.name))


class Model:
    """A system with what is the same in every state: its terms with the settings folded away, and what is judged."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.checks: list[Check] = list(checks(system.rules, system.settings))
        self.definitions = {d.key: d for d in system.definitions}
        self._settled: dict[Term, Term] = {}

    def settled(self, t: Term) -> Term:
        if t not in self._settled:
            self._settled[t] = instantiate(t, self.system.settings, {})
        return self._settled[t]

    def first(self) -> State:
        return {(v.key, n): 0 for v in self.system.variables for n in range(1, self.system.nodes + 1)}


@dataclass
class World:
    model: Model
    state: State
    known: dict[tuple[object, ...], Known] = field(default_factory=dict)

    @property
    def system(self) -> System:
        return self.model.system

    def settled(self, t: Term) -> Term:
        return self.model.settled(t)

    def parent(self, node: int) -> int:
        return self.system.parents[node - 1] if node else 0

    def there(self, node: int) -> bool:
        return node == 0 or any(self.state[key, node] for key in self.system.exists)

    def path(self, node: int) -> list[int]:
        found = []
        while node:
            found.append(node)
            node = self.parent(node)
        return found

    # Fields.

    def field(self, get: Get, env: Env) -> Element | Known:
        of = self.of(get.of, env)
        if of is None:
            return None
        key = Key.of(get.field.name, get.component, get.tier)  # type: ignore[arg-type]  # instantiated
        if isinstance(of, tuple):
            return self.attached(self.system.attached[of[0]], of[1], get, key)
        if get.field.owner is Sort.TREE:
            return self.of(self.settled(self.system.tree[key]), {}) if key in self.system.tree else None
        if key == Key("parent"):
            return self.parent(of)
        if key == Key("is_root"):
            return int(of == 0)
        if key == NUMBER:
            return of
        if (key, 1) in self.state:
            return self.system.root[key] if of == 0 else self.state[key, of]
        return self.defined(key, of)

    def defined(self, key: Key, node: int) -> Known:
        said = self.model.definitions.get(key)
        if said is None:
            return None
        return int(said.root) if node == 0 else self.of(self.settled(said.term), {NODE: node})

    def attached(self, a: Attached, node: int, get: Get, key: Key) -> Known:
        if get.sort is Sort.NODE:
            return node if key.name in a.references else None
        return self.of(self.settled(a.fields[key]), {NODE: node}) if key in a.fields else None

    # Ranges.

    def elements(self, sort: Sort, pool: object = None) -> list[Element] | None:
        """Each as often as it is there; None where the model has nothing of the kind."""
        if sort is Sort.TREE:
            return [0]
        if sort is Sort.NODE:
            return [n for n in range(self.system.nodes + 1) if self.there(n)]
        of_it = [(i, a) for i, a in enumerate(self.system.attached) if a.sort is sort and a.pool == pool]
        if not of_it:
            return None
        found: list[Element] = []
        for i, a in of_it:
            for node in range(1, self.system.nodes + 1):
                found += [(i, node)] * (self.of(self.settled(a.times), {NODE: node}) or 0)
        return found

    def range(self, g: Gather, env: Env) -> list[Element] | None:
        every = self.elements(g.over.sort, g.pool)
        if g.over is not Range.CHILDREN:
            return every
        assert g.parent is not None
        above = self.of(g.parent, env)
        return [n for n in every or () if isinstance(n, int) and n and self.parent(n) == above]

    # Terms.

    def of(self, t: Term, env: Env) -> Known:
        match t:
            case Const(value):
                return int(value)
            case Var():
                return env[t]  # type: ignore[return-value]  # of an element that is no node nobody asks for a number
        at = (t, *(env[v] for v in free(t)))
        if at not in self.known:
            self.known[at] = self.evaluated(t, env)
        return self.known[at]

    def evaluated(self, t: Term, env: Env) -> Known:
        match t:
            case Get():
                return self.field(t, env)  # type: ignore[return-value]
            case Apply(op, args):
                return self.applied(op, args, env)
            case PathSum(node, var, body):
                at = self.of(node, env)
                return None if at is None else total([self.of(body, {var: n}) for n in self.path(at)])
            case Gather():
                return self.gathered(t, env)
        raise AssertionError(t)

    def gathered(self, g: Gather, env: Env) -> Known:
        every = self.range(g, env)
        if every is None:
            return None
        inner = [{**env, g.var: x} for x in every]
        chosen = [(self.of(g.where, e), e) for e in inner]
        match g.fold:
            case Fold.COUNT:
                return total([w for w, _ in chosen])
            case Fold.SUM:
                return total([0 if w == 0 else None if w is None else self.of(g.body, e) for w, e in chosen])
            case Fold.SOME:
                return negated(conjunction([negated(conjunction([w, self.of(g.body, e)])) for w, e in chosen]))
            case Fold.ALL:
                return conjunction([negated(conjunction([w, negated(self.of(g.body, e))])) for w, e in chosen])
        assert g.fold is Fold.DISTINCT
        keys = [self.of(g.body, e) if w else None for w, e in chosen if w != 0]
        sure = [k for k in keys if k is not None]
        if len(set(sure)) < len(sure):
            return 0
        return 1 if len(sure) == len(keys) else None

    def applied(self, op: Op, args: tuple[Term, ...], env: Env) -> Known:
        if op is Op.ITE:
            condition = self.of(args[0], env)
            return None if condition is None else self.of(args[1] if condition else args[2], env)
        x = [self.of(a, env) for a in args]
        match op:
            case Op.NOT:
                return negated(x[0])
            case Op.AND:
                return conjunction(x)
            case Op.OR:
                return negated(conjunction(list(map(negated, x))))
            case Op.IMPLIES:
                return negated(conjunction([x[0], negated(x[1])]))
        if x[0] is None or x[1] is None:
            return None
        a, b = x[0], x[1]
        meanings: dict[Op, Callable[[], int]] = {
            Op.IFF: lambda: a == b, Op.EQ: lambda: a == b, Op.LT: lambda: a < b, Op.LE: lambda: a <= b,
            Op.ADD: lambda: a + b, Op.SUB: lambda: a - b, Op.MOD: lambda: a % b,
        }  # fmt: skip
        return int(meanings[op]())

    # Steps.

    def after(self, a: Action, node: int) -> State:
        new = dict(self.state)
        for x in a.assigns:
            t = x.target
            for n in self.system.reached(x.over, node):
                env: Env = {NODE: node, x.each: n}
                if self.of(self.settled(x.where), env):
                    value = self.of(self.settled(x.value), env)
                    assert value is not None
                    new[Key.of(t.field.name, t.component, t.tier), n] = value  # type: ignore[arg-type]
        return new

    def successors(self) -> Iterator[tuple[str, int, State]]:
        for a in self.system.actions:
            for node in range(1, self.system.nodes + 1):
                if self.of(self.settled(a.guard), {NODE: node}):
                    yield a.name, node, self.after(a, node)

    def violated(self) -> set[str]:
        found = set()
        for c in self.model.checks:
            pool = (c.component, c.tier) if c.rule.scope is Sort.SLOT else None
            for x in self.elements(c.rule.scope, pool) or ():
                if self.of(c.term, {c.rule.var: x}) == 0:
                    found.add(c.name)
        return found


def negated(x: Known) -> Known:
    return None if x is None else 1 - x


def conjunction(xs: list[Known]) -> Known:
    return 0 if 0 in xs else None if None in xs else 1


def total(xs: list[Known]) -> Known:
    sure = [x for x in xs if x is not None]
    return sum(sure) if len(sure) == len(xs) else None


def explored(system: System) -> tuple[int, int, dict[str, int]]:
    """States, transitions, and for each rule that is violated the depth at which it first is."""
    model = Model(system)
    first = model.first()
    seen = {tuple(first.values())}
    level, depth, transitions = [first], 0, 0
    found: dict[str, int] = {}
    while level:
        later: list[State] = []
        for state in level:
            world = World(model, state)
            for rule in world.violated():
                found.setdefault(rule, depth)
            for _, _, new in world.successors():
                transitions += 1
                if (key := tuple(new.values())) not in seen:
                    seen.add(key)
                    later.append(new)
        level, depth = later, depth + 1
    return len(seen), transitions, found
