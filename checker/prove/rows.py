"""The algebra of terms about pages of a tree of any size: what each term means, in expressions over an order of pages.

That of the explorer again, with a page that stands for any in the place of a number: `order` says what expressions
there are, `counting` what becomes of comparisons of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import count as counting

from sanitree.checker.prove.counting import ONE, ZERO, clear, compare, is_truth, positive
from sanitree.checker.prove.order import ROOT, named, put, same, some, up
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
from sanitree.invariants.semantics import Env, Meaning, Semantics, Truth, Value, is_reference
from sanitree.invariants.terms import Apply, Const, Gather, Get, Op, PathSum, Range, Term, Var, walk
from sanitree.invariants.vocabulary import Component, Sort, Tier
from sanitree.models.protocol.system import NODE, NUMBER, Attached, Definition, System
from sanitree.models.snapshot import Key

Group = Sort | tuple[Component, Tier]


@dataclass(frozen=True, slots=True)
class Refs:
    """References to elements of a group, by the page that each is of."""

    group: Group
    pages: tuple[E, ...]


V = Column | Refs


class Rows(Columns[V]):
    def __init__(self, system: System) -> None:
        self.system = system
        self.meaning: Semantics[Column, V] = Semantics(self)
        self.flags = {v.key: v.top == 1 for v in system.variables}
        self.members: dict[Group, list[Attached]] = {}
        for a in system.attached:
            self.members.setdefault(a.pool or a.sort, []).append(a)
        self.definitions = {d.key: d for d in system.definitions}
        self._fresh = counting()
        self._names: dict[object, E] = {}
        self._bound: dict[tuple[object, ...], tuple[E, Env[V]]] = {}
        self._defined: dict[tuple[Key, E], E] = {}

    def fresh(self, what: object = None) -> E:
        """A page to bind. Of one fold it is always the same, so that what is said twice is one expression: a fold is
        never within itself."""
        if what is None or what not in self._names:
            made = named(f"v{next(self._fresh)}")
            if what is None:
                return made
            self._names[what] = made
        return self._names[what]

    # Elements.

    def kinds(self, group: Group) -> int:
        return 1 if group in (Sort.NODE, Sort.TREE) else len(self.members[group])

    def there(self, group: Group, page: E) -> Column:
        """For each kind of element of a group, whether a page has one."""
        if group is Sort.NODE:
            marks = (E("is", (key, page)) for key in self.system.exists)
            return (reduce(disj, marks, same(page, ROOT)),)
        return tuple(conj(neg(same(page, ROOT)), t if is_truth(t) else positive(t)) for t in self.times(group, page))

    def times(self, group: Group, page: E) -> Column:
        """How often: a condition or a number for each kind."""
        return tuple(self._of_page(a.times, page) for a in self.members[group])

    def _of_page(self, term: Term, page: E) -> E:
        said = instantiate(term, self.system.settings, {})
        env: Env[V] = {NODE: Refs(Sort.NODE, (page,))}
        if said.sort is Sort.BOOL:
            return self.meaning.truth(said, env).yes[0]
        it = self.meaning.value(said, env).it
        assert not isinstance(it, Refs)
        return it[0]

    # Two-valued operations, kind by kind.

    def literal(self, value: int) -> V:
        return (const(int(value)),)

    def compare(self, op: Op, a: V, b: V) -> Column:
        if isinstance(a, Refs) and isinstance(b, Refs):
            return zipped(same, a.pages, b.pages)
        assert not isinstance(a, Refs)
        assert not isinstance(b, Refs)
        return zipped(lambda x, y: compare(op, x, y), a, b)

    def arithmetic(self, op: Op, a: V, b: V) -> V:
        assert not isinstance(a, Refs)
        assert not isinstance(b, Refs)
        return zipped(lambda x, y: computed(op, x, y), a, b)

    def choose(self, c: Column, a: V, b: V) -> V:
        assert not isinstance(a, Refs)
        assert not isinstance(b, Refs)
        x, y, z = level(c, a, b)
        return tuple(map(choose, x, y, z))

    # Fields.

    def read(self, get: Get, of: V) -> Meaning[Column, V]:
        assert isinstance(of, Refs)
        key = Key.of(get.field.name, get.component, get.tier)  # type: ignore[arg-type]  # instantiated: no variable left
        if of.group is Sort.TREE:
            if key.name == "capacity":  # as many slots as there may be pages, how many that be
                return Value((E("all", (key.component, key.tier)),), (TRUE,))
            if key in self.system.tree:
                return self.meaning.meaning(instantiate(self.system.tree[key], self.system.settings, {}), {})
            return self._unknown(get)
        if of.group is not Sort.NODE:
            return self._attached(get, key, of)
        if key == ("parent", None, None):
            return Value(Refs(Sort.NODE, tuple(map(up, of.pages))), (TRUE,))
        if key == ("is_root", None, None):
            return self._told(get, tuple(same(p, ROOT) for p in of.pages))
        if key == NUMBER:
            return self._told(get, tuple(E("number", (p,)) for p in of.pages))
        if key in self.flags:
            op = "is" if get.sort is Sort.BOOL else "count of"
            return self._told(get, tuple(E(op, (key, p)) for p in of.pages))
        if key in self.definitions:
            return self._told(get, tuple(self._define(self.definitions[key], p) for p in of.pages))
        return self._unknown(get)

    def _define(self, d: Definition, page: E) -> E:
        """What a field comes to that follows from others. Where it asks for its parent's, what that comes to."""
        if (found := self._defined.get((d.key, page))) is None:
            truth, term = d.term.sort is Sort.BOOL, instantiate(d.term, self.system.settings, {})
            root = const(bool(d.root)) if truth else const(d.root)
            if page is ROOT:
                return root
            body = self._recursive(d, term, page) if _asks_parent(term, d.key) else self._of_page(term, page)
            at_root = same(page, ROOT)
            if truth:
                found = disj(conj(at_root, root), conj(neg(at_root), body))
            else:
                # Nothing is counted on the path to the root, and the topmost page above it is the root.
                total = body.op == "number" or (body.op == "path" and root is ZERO)
                found = body if total else choose(at_root, root, body)
            self._defined[d.key, page] = found
        return found

    def _recursive(self, d: Definition, term: Term, page: E) -> E:
        match term:
            case Apply(Op.ITE, (joined, Get(of=Get(), field=again), base)) if again.name == d.key.name:
                # What the topmost page says of those that are joined.
                y = self.fresh((d.key, "top"))
                apart = neg(self._of_page(joined, y))
                top = E("top", (y, apart, page))
                if d.term.sort is not Sort.BOOL:
                    return self._of_page(base, top)
            case Apply(Op.ITE, (begins, Const(1), Apply(Op.ADD, (Get(of=Get(), field=again), Const(1))))):
                if again.name == d.key.name:
                    # How many pages since the one at which it began.
                    y, z = self.fresh((d.key, "since")), self.fresh((d.key, "between"))
                    since = clear(z, self._of_page(begins, z), y, page)
                    return E("path", (y, since, page))
        return E("unknown", (str(d.key), page))

    def _attached(self, get: Get, key: Key, of: Refs) -> Meaning[Column, V]:
        kinds = self.members[of.group]
        if is_reference(get.sort):
            known = all(key.name in a.references for a in kinds)
            return Value(Refs(Sort.NODE, of.pages), (TRUE,)) if known else self._unknown(get)
        if any(key not in a.fields for a in kinds):
            return self._unknown(get)
        pairs = zip(kinds, of.pages if len(of.pages) == len(kinds) else of.pages * len(kinds), strict=True)
        return self._told(get, tuple(self._of_page(a.fields[key], p) for a, p in pairs))

    def _told(self, get: Get, values: Column) -> Meaning[Column, V]:
        if get.sort is not Sort.BOOL:
            return Value(values, (TRUE,))
        yes = tuple(v if is_truth(v) else positive(v) for v in values)
        return Truth(yes, self.neg(yes))

    def _unknown(self, get: Get) -> Meaning[Column, V]:
        if get.sort is Sort.BOOL:
            return Truth((FALSE,), (FALSE,))
        return Value(Refs(Sort.NODE, (ROOT,)) if is_reference(get.sort) else (ZERO,), (FALSE,))

    # Folds.

    def _group(self, gather: Gather) -> Group:
        if gather.over in (Range.NODES, Range.CHILDREN):
            return Sort.NODE
        return gather.pool if gather.pool is not None else gather.over.sort  # type: ignore[return-value]

    def observed(self, gather: Gather) -> bool:
        group = self._group(gather)
        return group is Sort.NODE or group in self.members

    def element(self, gather: Gather, env: Env[V]) -> Env[V]:
        group = self._group(gather)
        page = self.fresh(gather)
        self._bound[gather, *((v.name, id(e)) for v, e in sorted(env.items(), key=lambda x: x[0].name))] = page, env
        kinds = self.kinds(group) if self.observed(gather) else 1
        return {**env, gather.var: Refs(group, (page,) * kinds)}

    def _page(self, gather: Gather, env: Env[V]) -> E:
        return self._bound[
            gather, *((v.name, id(e)) for v, e in sorted(env.items(), key=lambda x: x[0].name))
        ][0]  # fmt: skip

    def _ranges(self, gather: Gather, env: Env[V], page: E) -> list[Column]:
        """For each element outside: for each kind, whether a page has one in the range."""
        there = self.there(self._group(gather), page)
        if gather.over is not Range.CHILDREN:
            return [there]
        assert isinstance(gather.parent, Var)
        of = env[gather.parent]
        assert isinstance(of, Refs)
        below = [conj(same(up(page), p), neg(same(page, ROOT))) for p in of.pages]
        return [tuple(conj(b, t) for t in there) for b in below]

    def any_over(self, gather: Gather, env: Env[V], body: Column) -> Column:
        if not self.observed(gather):
            return body
        page = self._page(gather, env)
        found = []
        for there in self._ranges(gather, env, page):
            such = (conj(t, b) for t, b in zip(*level(there, body), strict=True))
            found.append(reduce(disj, (some(page, s) for s in such), FALSE))
        return tuple(found)

    def sum_over(self, gather: Gather, env: Env[V], body: V) -> V:
        if not self.observed(gather):
            return body
        assert not isinstance(body, Refs)
        page, group, found = self._page(gather, env), self._group(gather), []
        for there in self._ranges(gather, env, page):
            total = ZERO
            kinds = level(there, body)
            times = (TRUE,) if group is Sort.NODE else self.times(group, page)
            for t, b, how in zip(*kinds, level(times, kinds[0])[0], strict=True):
                total = computed(Op.ADD, total, self._summed(gather, env, page, t, b, how))
            found.append(total)
        return tuple(found)

    def _summed(self, gather: Gather, env: Env[V], page: E, there: E, body: E, times: E) -> E:
        if body is ZERO:
            return ZERO
        if gather.over is Range.CHILDREN and body.op == "count of" and body.args[1] is page:
            assert isinstance(gather.parent, Var)
            of = env[gather.parent]
            assert isinstance(of, Refs)
            return E("children's", (body.args[0], of.pages[0]))
        such = TRUE if body is ONE else body.args[0] if body.op == "if" and body.args[1:] == (ONE, ZERO) else None
        if such is None or not (is_truth(times) or times is ONE):
            return E("unknown", (gather, page, there, body))
        return E("those", (page, conj(there, such)))

    def repeated(self, gather: Gather, env: Env[V], key: V, among: Column) -> Column:
        if not self.observed(gather):
            return (FALSE,)
        page, other = self._page(gather, env), self.fresh((gather, "other"))
        assert not isinstance(key, Refs)
        there = self._ranges(gather, env, page)
        assert len(there) == 1
        found = FALSE
        keys, chosen, exists = level(key, among, there[0])
        for i, k in enumerate(keys):
            for j, n in enumerate(keys):
                two = neg(same(page, other)) if i == j else TRUE
                mine, its = conj(exists[i], chosen[i]), put(conj(exists[j], chosen[j]), page, other)
                both = conj(conj(two, conj(mine, its)), compare(Op.EQ, k, put(n, page, other)))
                found = disj(found, some(page, some(other, both)))
        return (found,)

    def matching(self, gather: Gather, env: Env[V], key: V, among: Column, value: V) -> V:
        if not self.observed(gather):
            return (ZERO,)
        page, group = self._page(gather, env), self._group(gather)
        times = (TRUE,) if group is Sort.NODE else self.times(group, page)
        found = []
        if isinstance(key, Refs):
            assert isinstance(value, Refs)
            for wanted in value.pages:
                total = ZERO
                for k, c, t in zip(*level(key.pages, among, times), strict=True):
                    assert k is page, "elements are attached to the node that they are of"
                    number = choose(conj(c, t), ONE, ZERO) if is_truth(t) else choose(c, t, ZERO)
                    total = computed(Op.ADD, total, put(number, page, wanted))
                found.append(total)
            return tuple(found)
        assert not isinstance(value, Refs)
        exists = self.there(group, page)
        for number in value:
            total = ZERO
            for k, c, t in zip(*level(key, among, exists), strict=True):
                such = conj(conj(t, c), compare(Op.EQ, k, number))
                total = computed(Op.ADD, total, ZERO if such is FALSE else E("those", (page, such)))
            found.append(total)
        return tuple(found)

    def path_sum(self, term: PathSum, node: V, env: Env[V]) -> Value[Column, V]:
        assert isinstance(node, Refs)
        page = self.fresh((term.body, term.var))
        it = self.meaning.value(term.body, {term.var: Refs(Sort.NODE, (page,))}).it
        assert not isinstance(it, Refs)
        such = TRUE if it[0] is ONE else it[0].args[0] if it[0].op == "if" and it[0].args[1:] == (ONE, ZERO) else None
        if such is None and it[0].op == "if" and it[0].args[1:] == (ZERO, ONE):
            such = neg(it[0].args[0])
        if such is None:
            return Value(tuple(E("unknown", (term, p)) for p in node.pages), (TRUE,))
        return Value(tuple(E("path", (page, such, p)) for p in node.pages), (TRUE,))


def _asks_parent(term: Term, key: Key) -> bool:
    return any(isinstance(t, Get) and t.field.name == key.name for t in walk(term))
