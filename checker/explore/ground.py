"""Terms about the nodes of a model, as expressions over its variables: one for each node.

The algebra of columns again, with expressions in the place of numbers: `parent` picks, a
fold over children gathers by parent, and what is fixed folds away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from sanitree.checker.symbolic import FALSE, TRUE, E, choose, compared, computed, conj, const, disj, neg
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.semantics import Algebra, Env, Meaning, Semantics, Truth, Value, is_reference
from sanitree.invariants.terms import Gather, Get, Op, PathSum, Range, Term, Var
from sanitree.invariants.vocabulary import Sort
from sanitree.models.protocol.system import System
from sanitree.models.snapshot import Key

Column = tuple[E, ...]
"""An expression for each node, the root first; of length one where it is the same for all."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """References to nodes: which row each is; of length one where they are the same."""

    rows: tuple[int, ...]


V = Column | Nodes


def bits(variable: int, row: int) -> E:
    """The number that a variable of a node has in a state."""
    return E("bits", (variable, row))


class Ground:
    """The meanings of terms about one model's nodes."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._meaning: Semantics[Column, V] = Semantics(_Rows(system))

    def truth(self, term: Term, var: Var) -> tuple[Column, Column]:
        """For each node, the root first: where a term about it is known to be true, and where to be false."""
        found = self._meaning.truth(self._settled(term), self._env(var))
        return self._each(found.yes), self._each(found.no)

    def value(self, term: Term, var: Var) -> Column:
        """For each node: a number that a term about it comes to. Raises ValueError where the model does not say."""
        if term.sort is Sort.BOOL:
            yes, no = self.truth(term, var)
            if any(neg(a) != b for a, b in zip(yes, no, strict=True)):
                raise ValueError(f"the model {self.system.name} has no variable for a part of a value that it assigns")
            return tuple(choose(y, const(1), const(0)) for y in yes)
        found = self._meaning.value(self._settled(term), self._env(var))
        if found.known != (TRUE,) and any(k != TRUE for k in self._each(found.known)):
            raise ValueError(f"the model {self.system.name} has no variable for a part of a value that it assigns")
        assert not isinstance(found.it, Nodes)
        return self._each(found.it)

    def exists(self) -> Column:
        """For each node, whether it is there."""
        return _exists(self.system)

    def _settled(self, term: Term) -> Term:
        return instantiate(term, self.system.settings, {})

    def _env(self, var: Var) -> Env[V]:
        return {var: Nodes(tuple(range(self.system.nodes + 1)))}

    def _each(self, c: Column) -> Column:
        return c if len(c) > 1 else c * (self.system.nodes + 1)


def _exists(system: System) -> Column:
    places = [i for i, v in enumerate(system.variables) if v.key in system.exists]
    there = [reduce(disj, (_is_set(bits(i, row)) for i in places), FALSE) for row in range(1, system.nodes + 1)]
    return (TRUE, *there)


def _is_set(e: E) -> E:
    return E("<", (const(0), e))


class _Rows(Algebra[Column, V]):
    def __init__(self, system: System) -> None:
        self.system = system
        self.number_of = {v.key: i for i, v in enumerate(system.variables)}
        self.up = (0, *system.parents)
        self.there = _exists(system)

    # Two-valued operations, node by node.

    def literal(self, value: int) -> V:
        return (const(int(value)),)

    def truth(self, value: bool) -> Column:
        return (const(bool(value)),)

    def conj(self, a: Column, b: Column) -> Column:
        return _zip(conj, a, b)

    def disj(self, a: Column, b: Column) -> Column:
        return _zip(disj, a, b)

    def neg(self, a: Column) -> Column:
        return tuple(map(neg, a))

    def compare(self, op: Op, a: V, b: V) -> Column:
        return _zip(lambda x, y: _compared(op, x, y), _numbers(a), _numbers(b))

    def arithmetic(self, op: Op, a: V, b: V) -> V:
        return _zip(lambda x, y: computed(op, x, y), _numbers(a), _numbers(b))

    def choose(self, c: Column, a: V, b: V) -> V:
        if isinstance(a, Nodes) or isinstance(b, Nodes):
            raise NotImplementedError("a choice between nodes depends on the state: the explorer knows fixed ones only")
        x, y, z = _level(c, a, b)
        return tuple(map(choose, x, y, z))

    # Nodes.

    def read(self, get: Get, of: V) -> Meaning[Column, V]:
        assert isinstance(of, Nodes)
        if get.field.name == "parent":
            return Value(Nodes(tuple(self.up[row] for row in of.rows)), (TRUE,))
        if get.field.name == "is_root":
            yes = tuple(const(row == 0) for row in of.rows)
            return Truth(yes, self.neg(yes))
        key = Key.of(get.field.name, get.component, get.tier)  # type: ignore[arg-type]  # instantiated: no variable left
        number = self.number_of.get(key) if get.field.owner is Sort.NODE else None
        if number is None:
            if get.sort is Sort.BOOL:
                return Truth((FALSE,), (FALSE,))
            return Value(Nodes((0,)) if is_reference(get.sort) else (const(0),), (FALSE,))
        values = tuple(const(self.system.root[key]) if row == 0 else bits(number, row) for row in of.rows)
        if get.sort is Sort.BOOL:
            yes = tuple(const(bool(v.args[0])) if v.op == "const" else _is_set(v) for v in values)
            return Truth(yes, self.neg(yes))
        return Value(values, (TRUE,))

    def observed(self, gather: Gather) -> bool:
        return gather.over in (Range.NODES, Range.CHILDREN)

    def element(self, gather: Gather, env: Env[V]) -> Env[V]:
        every = Nodes(tuple(range(len(self.up)))) if self.observed(gather) else Nodes((0,))
        if gather.over is not Range.CHILDREN:
            return {gather.var: every}
        # Seen from the child's row, everything outside is found at its parent's.
        moved: dict[Var, V] = {}
        for v, of in env.items():
            assert isinstance(of, Nodes)
            moved[v] = of if len(of.rows) == 1 else Nodes(tuple(of.rows[up] for up in self.up))
        return {**moved, gather.var: every}

    def any_over(self, gather: Gather, env: Env[V], body: Column) -> Column:
        if not self.observed(gather):
            return body
        return self._gathered(gather, self.conj(body, self.there), disj, FALSE)

    def sum_over(self, gather: Gather, env: Env[V], body: V) -> V:
        if not self.observed(gather):
            return body
        each = self.choose(self.there, body, (const(0),))
        assert not isinstance(each, Nodes)
        return self._gathered(gather, each, lambda a, b: computed(Op.ADD, a, b), const(0))

    def _gathered(self, gather: Gather, each: Column, join: Callable[[E, E], E], nothing: E) -> Column:
        each = _level(each, self.there)[0]
        if gather.over is not Range.CHILDREN:
            return (reduce(join, each, nothing),)
        found = [nothing] * len(each)
        for row in range(1, len(each)):
            found[self.up[row]] = join(found[self.up[row]], each[row])
        return tuple(found)

    def repeated(self, gather: Gather, env: Env[V], key: V, among: Column) -> Column:
        raise NotImplementedError("the explorer cannot say `distinct` yet")

    def matching(self, gather: Gather, env: Env[V], key: V, among: Column, value: V) -> V:
        raise NotImplementedError("the explorer cannot count elements by a value yet")

    def path_sum(self, term: PathSum, node: V, env: Env[V]) -> Value[Column, V]:
        assert isinstance(node, Nodes)
        every = Nodes(tuple(range(len(self.up))))
        each = Semantics(self).value(term.body, {term.var: every})
        numbers, known = _level(_numbers(each.it), each.known, self.there)[:2]
        total, sure = [const(0)], [TRUE]
        for row in range(1, len(self.up)):
            total.append(computed(Op.ADD, total[self.up[row]], numbers[row]))
            sure.append(conj(sure[self.up[row]], known[row]))
        return Value(tuple(total[row] for row in node.rows), tuple(sure[row] for row in node.rows))


def _compared(op: Op, a: E, b: E) -> E:
    """As `compared`; that a sum of what is never negative is 0 is said of each part."""
    if op is Op.EQ and b == const(0):
        if a.op == "+" and _not_negative(a):
            return conj(_compared(op, a.args[0], b), _compared(op, a.args[1], b))
        if a.op == "if" and a.args[1:] == (const(0), const(1)):
            return a.args[0]  # type: ignore[no-any-return]
    return compared(op, a, b)


def _not_negative(e: E) -> bool:
    match e.op:
        case "bits":
            return True
        case "const":
            return bool(e.args[0] >= 0)
        case "+":
            return all(map(_not_negative, e.args))
        case "if":
            return all(map(_not_negative, e.args[1:]))
    return False


def _numbers(v: V) -> Column:
    return tuple(map(const, v.rows)) if isinstance(v, Nodes) else v


def _level(*columns: Column) -> tuple[Column, ...]:
    """Columns of the length of the longest."""
    count = max(map(len, columns))
    return tuple(c if len(c) == count else c * count for c in columns)


def _zip(join: Callable[[E, E], E], a: Column, b: Column) -> Column:
    if len(a) == len(b):
        return tuple(map(join, a, b))
    x, y = _level(a, b)
    return tuple(map(join, x, y))
