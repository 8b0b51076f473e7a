"""A model run as it reads: states are dicts, terms are evaluated one by one. Nothing is shared with the explorer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.rules import Rule, checks
from sanitree.invariants.terms import Apply, Const, Fold, Gather, Get, Op, PathSum, Range, Term, Var
from sanitree.models.protocol.system import NODE, Action, System
from sanitree.models.snapshot import Key

State = dict[tuple[Key, int], int]


@dataclass(frozen=True)
class World:
    system: System
    state: State

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

    def field(self, key: Key, node: int) -> int:
        return self.system.root[key] if node == 0 else self.state[key, node]

    def range(self, g: Gather, env: dict[Var, int]) -> list[int]:
        every = [n for n in range(self.system.nodes + 1) if self.there(n)]
        if g.over is Range.NODES:
            return every
        assert g.over is Range.CHILDREN
        assert isinstance(g.parent, Var)
        return [n for n in every if n and self.parent(n) == env[g.parent]]

    def of(self, t: Term, env: dict[Var, int]) -> int:
        match t:
            case Const(value):
                return int(value)
            case Var():
                return env[t]
            case Get(field, of, c, tier):
                node = self.of(of, env)
                if field.name == "parent":
                    return self.parent(node)
                if field.name == "is_root":
                    return int(node == 0)
                return self.field(Key.of(field.name, c, tier), node)  # type: ignore[arg-type]
            case Apply(op, args):
                return self.applied(op, args, env)
            case PathSum(node, var, body):
                return sum(self.of(body, {var: n}) for n in self.path(self.of(node, env)))
            case Gather():
                chosen = [n for n in self.range(t, env) if self.of(t.where, {**env, t.var: n})]
                each = [self.of(t.body, {**env, t.var: n}) for n in chosen]
                folds = {Fold.SOME: lambda: any(each), Fold.ALL: lambda: all(each), Fold.COUNT: lambda: len(chosen)}
                return int(folds.get(t.fold, lambda: sum(each))())
        raise AssertionError(t)

    def applied(self, op: Op, args: tuple[Term, ...], env: dict[Var, int]) -> int:
        if op is Op.ITE:
            return self.of(args[1] if self.of(args[0], env) else args[2], env)
        x = [self.of(a, env) for a in args]
        meanings = {
            Op.NOT: lambda: not x[0], Op.AND: lambda: all(x), Op.OR: lambda: any(x), Op.IFF: lambda: x[0] == x[1],
            Op.IMPLIES: lambda: not x[0] or x[1], Op.EQ: lambda: x[0] == x[1], Op.LT: lambda: x[0] < x[1],
            Op.LE: lambda: x[0] <= x[1], Op.ADD: lambda: x[0] + x[1], Op.SUB: lambda: x[0] - x[1],
        }  # fmt: skip
        return int(meanings[op]())

    def after(self, a: Action, node: int) -> State:
        new = dict(self.state)
        for x in a.assigns:
            t = x.target
            for n in self.system.reached(x.over, node):
                env = {NODE: node, x.each: n}
                if self.of(x.where, env):
                    new[Key.of(t.field.name, t.component, t.tier), n] = self.of(x.value, env)  # type: ignore[arg-type]
        return new

    def successors(self) -> Iterator[State]:
        for a in self.system.actions:
            for node in range(1, self.system.nodes + 1):
                if self.of(a.guard, {NODE: node}):
                    yield self.after(a, node)


def violated(rules: tuple[Rule, ...], world: World) -> set[str]:
    found = set()
    for c in checks(rules, world.system.settings):
        term = instantiate(c.term, world.system.settings, {})
        for node in range(world.system.nodes + 1):
            if world.there(node) and not world.of(term, {c.rule.var: node}):
                found.add(c.name)
    return found


def explored(system: System) -> tuple[int, int, dict[str, int]]:
    """States, transitions, and for each rule that is violated the depth at which it first is."""
    first: State = {(v.key, n): 0 for v in system.variables for n in range(1, system.nodes + 1)}
    seen = {tuple(first.items())}
    level, depth, transitions = [first], 0, 0
    found: dict[str, int] = {}
    while level:
        later: list[State] = []
        for state in level:
            world = World(system, state)
            for rule in violated(system.rules, world):
                found.setdefault(rule, depth)
            for new in world.successors():
                transitions += 1
                if (key := tuple(new.items())) not in seen:
                    seen.add(key)
                    later.append(new)
        level, depth = later, depth + 1
    return len(seen), transitions, found
