"""Terms about the elements of a model, as expressions over its variables: one for each element.

The algebra of columns again, with expressions in the place of numbers: `parent` picks, a
fold over children gathers by parent, what is defined is put in the place of its name, and
what is fixed folds away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import combinations

from sanitree.checker.explore.arithmetic import compare, is_set, number_of
from sanitree.checker.symbolic import (
    FALSE,
    TRUE,
    Column,
    Columns,
    E,
    choose,
    computed,
    conj,
    const,
    disj,
    level,
    neg,
    zipped,
)
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.rules import Check
from sanitree.invariants.semantics import Env, Meaning, Semantics, Truth, Value, is_reference
from sanitree.invariants.terms import Gather, Get, Op, PathSum, Range, Term, Var
from sanitree.invariants.vocabulary import Component, Sort, Tier
from sanitree.models.protocol.system import NODE, NUMBER, Attached, System
from sanitree.models.snapshot import Key

Group = Sort | tuple[Component, Tier]
"""Elements that a fold ranges over or a rule is about: all of a sort, or the slots of one pool."""


@dataclass(frozen=True, slots=True)
class Rows:
    """References to elements of a group: which each is; of length one where they are the same."""

    group: Group
    rows: tuple[int, ...]


V = Column | Rows


def bits(variable: int, row: int) -> E:
    """The number that a variable of a node has in a state."""
    return E("bits", (variable, row))


class UnsaidError(ValueError):
    """The model has no words for a part of a term."""


class Ground:
    """The meanings of terms about one model's elements."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._rows = _Rows(system)

    def top(self, e: E) -> int:
        """The largest number that a variable takes."""
        return self._rows.top(e)

    def condition(self, term: Term, node: int, each: Var | None = None, row: int = 0) -> E:
        """Where a term about a node, and about another that `each` stands for, is true.

        Raises UnsaidError where the model does not say.
        """
        return _said(self._rows.meaning.truth(self._settled(term), self._at(node, each, row)).yes[0])

    def value(self, term: Term, node: int, each: Var | None = None, row: int = 0) -> E:
        """A number that a term about a node comes to; a truth value is 1 or 0. Raises UnsaidError."""
        if term.sort is Sort.BOOL:
            return number_of(self.condition(term, node, each, row), self.top)
        found = self._rows.meaning.value(self._settled(term), self._at(node, each, row)).it
        assert not isinstance(found, Rows)
        return _said(found[0])

    def judged(self, check: Check) -> list[tuple[E, E]]:
        """For each element that a check is about: that it is there, and that the check holds of it.

        Raises UnsaidError for a check that the model does not have all words for.
        """
        return [(there, _said(holds)) for there, holds in self.about(check)]

    def about(self, check: Check) -> list[tuple[E, E]]:
        """The same, with "unknown" (a group, a field, an element) in the place of what the model has no words for."""
        group = self._rows.group_of(check)
        there = self._rows.there(group)
        env: Env[V] = {check.rule.var: Rows(group, tuple(range(len(there))))}
        holds = level(self._rows.meaning.truth(self._settled(check.term), env).yes, there)[0]
        return list(zip(there, holds, strict=True))

    def exists(self) -> Column:
        """For each node, whether it is there; the root always is."""
        return self._rows.there(Sort.NODE)

    def _settled(self, term: Term) -> Term:
        return self._rows.settled(term)

    def _at(self, node: int, each: Var | None = None, row: int = 0) -> Env[V]:
        one = self._rows.one
        return {NODE: one[node]} if each is None else {NODE: one[node], each: one[row]}


class _Rows(Columns[V]):
    def __init__(self, system: System) -> None:
        self.system = system
        self.meaning: Semantics[Column, V] = Semantics(self)
        self.number_of = {v.key: i for i, v in enumerate(system.variables)}
        self.up = (0, *system.parents)
        # The same objects each time: by them a meaning is remembered.
        self.one = tuple(Rows(Sort.NODE, (node,)) for node in range(len(self.up)))
        groups: dict[Group, list[tuple[Attached, int]]] = {}
        for a in system.attached:
            of_it = groups.setdefault(a.pool or a.sort, [])
            of_it += [(a, node) for node in range(1, system.nodes + 1)]
        self.members = groups
        self.definitions = {d.key: d for d in system.definitions}
        self.defined: dict[Key, list[E]] = {}
        self._there: dict[Group, Column] = {}
        self._settled: dict[Term, Term] = {}
        for d in system.definitions:
            self._define(d.key)

    def top(self, e: E) -> int:
        return int(self.system.variables[e.args[0]].top)

    def settled(self, term: Term) -> Term:
        """A term with the model's settings folded away."""
        if term not in self._settled:
            self._settled[term] = instantiate(term, self.system.settings, {})
        return self._settled[term]

    def at_node(self, term: Term, node: int) -> E:
        """What a term about a node says of one: a condition, or a number."""
        said, env = self.settled(term), {NODE: self.one[node]}
        if said.sort is Sort.BOOL:
            return self.meaning.truth(said, env).yes[0]
        it = self.meaning.value(said, env).it
        assert not isinstance(it, Rows)
        return it[0]

    def _define(self, key: Key) -> None:
        d = self.definitions[key]
        truth = self.settled(d.term).sort is Sort.BOOL
        found = self.defined[key] = [const(bool(d.root)) if truth else const(d.root)]
        for node in range(1, self.system.nodes + 1):
            found.append(self.at_node(d.term, node))

    def group_of(self, check: Check) -> Group:
        """What a check is about. Raises UnsaidError where the model has none of it."""
        sort = check.rule.scope
        if sort is Sort.SLOT:
            assert check.component is not None
            assert check.tier is not None
            return self._known((check.component, check.tier))
        return self._known(sort)

    def _known(self, group: Group) -> Group:
        if group not in (Sort.NODE, Sort.TREE) and group not in self.members:
            name = group.value if isinstance(group, Sort) else f"slot of {group[0].name} on the {group[1].value}"
            raise UnsaidError(f"the model {self.system.name} has no {name}")
        return group

    def there(self, group: Group) -> Column:
        """For each element of a group, whether it is there."""
        if group not in self._there:
            self._there[group] = tuple(is_set(t) for t in self._times(group))
        return self._there[group]

    def _times(self, group: Group) -> Column:
        """How often each element of a group is there."""
        if group is Sort.TREE:
            return (const(1),)
        if group is Sort.NODE:
            places = [self.number_of[key] for key in self.system.exists]
            some = [reduce(disj, (is_set(bits(i, row)) for i in places)) for row in range(1, len(self.up))]
            return (const(1), *(number_of(c, self.top) for c in some))
        found = []
        for a, node in self.members[group]:
            e = self.at_node(a.times, node)
            found.append(number_of(e, self.top) if self.settled(a.times).sort is Sort.BOOL else e)
        return tuple(found)

    # Two-valued operations, element by element.

    def literal(self, value: int) -> V:
        return (const(int(value)),)

    def compare(self, op: Op, a: V, b: V) -> Column:
        return zipped(lambda x, y: compare(op, x, y, self.top), _numbers(a), _numbers(b))

    def arithmetic(self, op: Op, a: V, b: V) -> V:
        return zipped(lambda x, y: computed(op, x, y), _numbers(a), _numbers(b))

    def choose(self, c: Column, a: V, b: V) -> V:
        if isinstance(a, Rows) or isinstance(b, Rows):
            raise NotImplementedError("a choice between nodes depends on the state: the explorer knows fixed ones only")
        x, y, z = level(c, a, b)
        return tuple(map(self._chosen, x, y, z))

    def _chosen(self, c: E, a: E, b: E) -> E:
        if b == const(0) and self._is_flag(a):
            return number_of(conj(c, is_set(a)), self.top)
        if (a, b) == (const(0), const(1)):
            return number_of(neg(c), self.top)
        return choose(c, a, b)

    def _is_flag(self, e: E) -> bool:
        """Whether a number is 1 or 0 by what it is."""
        return (
            e == const(1)
            or (e.op == "bits" and self.top(e) == 1)
            or (e.op == "if" and e.args[1:] == (const(1), const(0)))
        )

    def read(self, get: Get, of: V) -> Meaning[Column, V]:
        assert isinstance(of, Rows)
        key = Key.of(get.field.name, get.component, get.tier)  # type: ignore[arg-type]  # instantiated: no variable left
        if of.group is Sort.TREE:
            return self._of_the_tree(get, key, of)
        if of.group is not Sort.NODE:
            return self._attached(get, key, of)
        if key == ("parent", None, None):
            return Value(Rows(Sort.NODE, tuple(self.up[row] for row in of.rows)), (TRUE,))
        if key == ("is_root", None, None):
            return self._told(get, tuple(const(int(row == 0)) for row in of.rows))
        if key == NUMBER:
            return self._told(get, tuple(map(const, of.rows)))
        if key in self.number_of:
            number, root = self.number_of[key], self.system.root
            return self._told(get, tuple(const(root[key]) if row == 0 else bits(number, row) for row in of.rows))
        if key in self.defined:
            return self._told(get, tuple(self.defined[key][row] for row in of.rows))
        return self._unknown(get, key, of)

    def _of_the_tree(self, get: Get, key: Key, of: Rows) -> Meaning[Column, V]:
        if key not in self.system.tree:
            return self._unknown(get, key, of)
        return self.meaning.meaning(self.settled(self.system.tree[key]), {})

    def _attached(self, get: Get, key: Key, of: Rows) -> Meaning[Column, V]:
        members = self.members[of.group]
        if is_reference(get.sort):
            known = all(key.name in members[row][0].references for row in of.rows)
            nodes = tuple(members[row][1] for row in of.rows)
            return Value(Rows(Sort.NODE, nodes), (TRUE,)) if known else self._unknown(get, key, of)
        said = [(members[row][0].fields.get(key), members[row][1]) for row in of.rows]
        if any(term is None for term, _ in said):
            return self._unknown(get, key, of)
        return self._told(get, tuple(self.at_node(term, node) for term, node in said if term is not None))

    def _told(self, get: Get, values: Column) -> Meaning[Column, V]:
        if get.sort is not Sort.BOOL:
            return Value(values, (TRUE,))
        yes = tuple(v if self._is_truth(v) else is_set(v) for v in values)
        return Truth(yes, self.neg(yes))

    @staticmethod
    def _is_truth(e: E) -> bool:
        return e in (TRUE, FALSE) or e.op in ("and", "or", "not", "differ", "<", "<=", "=")

    def _unknown(self, get: Get, key: Key, of: Rows) -> Meaning[Column, V]:
        """Stands for what the model has no words for, of each element apart, until it turns out to matter."""
        if is_reference(get.sort):
            raise UnsaidError(f"the model {self.system.name} has no {get.field.name}")
        each = tuple(E("unknown", (of.group, key, row)) for row in of.rows)
        return Truth(each, self.neg(each)) if get.sort is Sort.BOOL else Value(each, (TRUE,))

    # Folds.

    def _group(self, gather: Gather) -> Group:
        if gather.over in (Range.NODES, Range.CHILDREN):
            return Sort.NODE
        return self._known(gather.pool if gather.pool is not None else gather.over.sort)  # type: ignore[arg-type]

    def observed(self, gather: Gather) -> bool:
        return True

    def element(self, gather: Gather, env: Env[V]) -> Env[V]:
        group = self._group(gather)
        every = Rows(group, tuple(range(len(self.there(group)))))
        if gather.over is not Range.CHILDREN:
            return {gather.var: every}
        # Seen from the child's row, everything outside is found at its parent's.
        moved: dict[Var, V] = {}
        for v, of in env.items():
            assert isinstance(of, Rows)
            moved[v] = of if len(of.rows) == 1 else Rows(of.group, tuple(of.rows[up] for up in self.up))
        return {**moved, gather.var: every}

    def any_over(self, gather: Gather, env: Env[V], body: Column) -> Column:
        return self._gathered(gather, env, self.conj(body, self.there(self._group(gather))), disj, FALSE)

    def sum_over(self, gather: Gather, env: Env[V], body: V) -> V:
        numbers, times = level(_numbers(body), self._times(self._group(gather)))
        each = tuple(self._repeated(t, e) for t, e in zip(times, numbers, strict=True))
        return self._gathered(gather, env, each, lambda a, b: computed(Op.ADD, a, b), const(0))

    def _repeated(self, times: E, number: E) -> E:
        """A number as often as something is there."""
        if number == const(1) or times == const(0):
            return times
        if times.op == "bits" and self.top(times) > 1:
            parts = (self._chosen(E("<", (const(k), times)), number, const(0)) for k in range(self.top(times)))
            return reduce(lambda a, b: computed(Op.ADD, a, b), parts)
        return self._chosen(is_set(times), number, const(0))

    def _gathered(self, gather: Gather, env: Env[V], each: Column, join: Callable[[E, E], E], nothing: E) -> Column:
        each = level(each, self.there(self._group(gather)))[0]
        if gather.over is not Range.CHILDREN:
            return (reduce(join, each, nothing),)
        found = [nothing] * len(each)
        for row in range(1, len(each)):
            found[self.up[row]] = join(found[self.up[row]], each[row])
        assert isinstance(gather.parent, Var)
        of = env[gather.parent]
        assert isinstance(of, Rows)
        return tuple(found[row] for row in of.rows)

    def repeated(self, gather: Gather, env: Env[V], key: V, among: Column) -> Column:
        keys, chosen, there = level(_numbers(key), among, self.there(self._group(gather)))
        twice = [FALSE] * len(there)
        for a, b in combinations(range(len(there)), 2):
            if gather.over is Range.CHILDREN and (self.up[a] != self.up[b] or 0 in (a, b)):
                continue
            both = conj(conj(there[a], chosen[a]), conj(there[b], chosen[b]))
            twice[b] = disj(twice[b], conj(both, compare(Op.EQ, keys[a], keys[b], self.top)))
        return self._gathered(gather, env, tuple(twice), disj, FALSE)

    def matching(self, gather: Gather, env: Env[V], key: V, among: Column, value: V) -> V:
        times = self._times(self._group(gather))
        keys, chosen, counts = level(_numbers(key), among, times)
        found = []
        for wanted in _numbers(value):
            total = const(0)
            for k, c, t in zip(keys, chosen, counts, strict=True):
                same = conj(c, compare(Op.EQ, k, wanted, self.top))
                total = computed(Op.ADD, total, self._repeated(t, self._chosen(same, const(1), const(0))))
            found.append(total)
        return tuple(found)

    def path_sum(self, term: PathSum, node: V, env: Env[V]) -> Value[Column, V]:
        assert isinstance(node, Rows)
        every = Rows(Sort.NODE, tuple(range(len(self.up))))
        each = self.meaning.value(term.body, {term.var: every})
        numbers, known = level(_numbers(each.it), each.known, self.there(Sort.NODE))[:2]
        total, sure = [const(0)], [TRUE]
        for row in range(1, len(self.up)):
            total.append(computed(Op.ADD, total[self.up[row]], numbers[row]))
            sure.append(conj(sure[self.up[row]], known[row]))
        return Value(tuple(total[row] for row in node.rows), tuple(sure[row] for row in node.rows))


def _said(e: E) -> E:
    """An expression as it is. Raises UnsaidError where what is unknown is a part of it."""
    seen, stack = {e}, [e]
    while stack:
        part = stack.pop()
        if part.op == "unknown":
            raise UnsaidError(f"it has no {part.args[1]}")
        new = [p for p in part.subs() if p not in seen]
        seen.update(new)
        stack += new
    return e


def _numbers(v: V) -> Column:
    return tuple(map(const, v.rows)) if isinstance(v, Rows) else v
