"""Terms about pages of a tree of any size, as expressions over an order of pages.

The algebra of the explorer again, with a page that stands for any in the place of a number. What is
counted along a path, over children or over the whole tree is said by what there is, where that can be
said: a count is 0 where nothing is such, two counts along one path are equal where nothing between is
such. A comparison of which no more is known is an *opaque* truth value of the pages in it. So what is
said here is true of every tree, and may leave out some of what is true.

Expressions, beside those of `symbolic`: "page" (a name) and "up" (a page) are pages; "is" (a flag and a
page), "above" (two pages, the first is above the second or the same), "same" (two pages), "some" (a page
that is bound, and a condition), "as many" (a bound page and two conditions: both are true of as many pages)
and "opaque" are conditions; "top" (a bound page, a condition, and a page: the lowest on the path to it of which
the condition is true) is a page; "number" (a page), "count of" (a
counter and a page), "children's" (the sum of a counter over children), "path" and "those" (how many a
condition is true of, on the path to a page and anywhere), and "all" are numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, reduce
from itertools import count as counting

from sanitree.checker.symbolic import FALSE, TRUE, E, choose, computed, conj, const, disj, neg
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.rules import Check
from sanitree.invariants.semantics import Algebra, Env, Meaning, Semantics, Truth, Value, is_reference
from sanitree.invariants.terms import Apply, Const, Gather, Get, Op, PathSum, Range, Term, Var
from sanitree.invariants.vocabulary import Component, Sort, Tier
from sanitree.models.protocol.system import NODE, NUMBER, Attached, Definition, System
from sanitree.models.snapshot import Key

Column = tuple[E, ...]
"""An expression for each kind of element of a group: transfers are writes and loads."""

Group = Sort | tuple[Component, Tier]

ROOT = E("page", ("root",))
ZERO, ONE = const(0), const(1)
HARD = frozenset({"path", "those", "all", "unknown"})
"""Numbers of which only some comparisons can be said."""


@dataclass(frozen=True, slots=True)
class Refs:
    """References to elements of a group, by the page that each is of."""

    group: Group
    pages: tuple[E, ...]


V = Column | Refs


def up(page: E) -> E:
    """The page above; the root's is the root."""
    return page if page is ROOT else E("up", (page,))


def same(a: E, b: E) -> E:
    """Two pages are one."""
    return TRUE if a is b else E("same", (a, b) if repr(a) <= repr(b) else (b, a))


def above(a: E, b: E) -> E:
    """A page is on the path to another, or that one itself."""
    return TRUE if a is b or a is ROOT else E("above", (a, b))


def some(page: E, such: E) -> E:
    """Some page is such."""
    return such if such in (TRUE, FALSE) else E("some", (page, such))


def each(page: E, such: E) -> E:
    """Every page is such."""
    return neg(some(page, neg(such)))


_PUT: dict[tuple[E, E], dict[E, E]] = {}


def put(e: E, page: E, other: E) -> E:
    """An expression with a page in the place of another."""
    done = _PUT.setdefault((page, other), {page: other})

    def go(x: E) -> E:
        if (found := done.get(x)) is None:
            args = tuple(go(a) if isinstance(a, E) else a for a in x.args)
            if args == x.args:
                found = x
            elif x.op == "same":
                found = same(*args)
            elif x.op == "above":
                found = above(*args)
            elif x.op in _JOINS:
                found = _JOINS[x.op](*args)
            else:
                found = E(x.op, args)
            done[x] = found
        return found

    return go(e)


_JOINS: dict[str, Callable[..., E]] = {"and": conj, "or": disj, "not": neg, "some": lambda p, e: some(p, e)}


class Relational:
    """The meanings of terms about one model, on a tree of any size."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.rows = _Rows(system)

    def page(self, name: str) -> E:
        """A page by a name of its own."""
        return E("page", (name,))

    def condition(self, term: Term, page: E, each: Var | None = None, other: E | None = None) -> E:
        """Where a term about a page, and about another that `each` stands for, is true."""
        return self.rows.meaning.truth(self._settled(term), self._at(page, each, other)).yes[0]

    def value(self, term: Term, page: E, each: Var | None = None, other: E | None = None) -> E:
        """A number that a term comes to; of a truth value, the condition."""
        if term.sort is Sort.BOOL:
            return self.condition(term, page, each, other)
        found = self.rows.meaning.value(self._settled(term), self._at(page, each, other)).it
        assert not isinstance(found, Refs)
        return found[0]

    def judged(self, check: Check) -> E:
        """That a check holds of every element that it is about."""
        sort = check.rule.scope
        term = self._settled(check.term)
        if sort is Sort.TREE:
            return self.rows.meaning.truth(term, {check.rule.var: Refs(Sort.TREE, (ROOT,))}).yes[0]
        group: Group = sort
        if sort is Sort.SLOT:
            assert check.component is not None
            assert check.tier is not None
            group = check.component, check.tier
        page, kinds = self.page("x"), self.rows.kinds(group)
        env: Env[V] = {check.rule.var: Refs(group, (page,) * kinds)}
        holds = _level(self.rows.meaning.truth(term, env).yes, (TRUE,) * kinds)[0]
        there = self.rows.there(group, page)
        return each(page, reduce(conj, (disj(neg(t), h) for t, h in zip(there, holds, strict=True))))

    def said_of_each(self, term: Term) -> E:
        """That a term is true of every page but the root."""
        page = self.page("x")
        return each(page, disj(same(page, ROOT), self.condition(term, page)))

    def _settled(self, term: Term) -> Term:
        return instantiate(term, self.system.settings, {})

    def _at(self, page: E, each: Var | None, other: E | None) -> Env[V]:
        env: dict[Var, V] = {NODE: Refs(Sort.NODE, (page,))}
        if each is not None and each is not NODE and other is not None:
            env[each] = Refs(Sort.NODE, (other,))
        return env


class _Rows(Algebra[Column, V]):
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
            made = E("page", (f"v{next(self._fresh)}",))
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
        return tuple(conj(neg(same(page, ROOT)), t if _is_truth(t) else _positive(t)) for t in self.times(group, page))

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

    def truth(self, value: bool) -> Column:
        return (const(bool(value)),)

    def conj(self, a: Column, b: Column) -> Column:
        return _zip(conj, a, b)

    def disj(self, a: Column, b: Column) -> Column:
        return _zip(disj, a, b)

    def neg(self, a: Column) -> Column:
        return tuple(map(neg, a))

    def compare(self, op: Op, a: V, b: V) -> Column:
        if isinstance(a, Refs) and isinstance(b, Refs):
            return _zip(same, a.pages, b.pages)
        assert not isinstance(a, Refs)
        assert not isinstance(b, Refs)
        return _zip(lambda x, y: compare(op, x, y), a, b)

    def arithmetic(self, op: Op, a: V, b: V) -> V:
        assert not isinstance(a, Refs)
        assert not isinstance(b, Refs)
        return _zip(lambda x, y: computed(op, x, y), a, b)

    def choose(self, c: Column, a: V, b: V) -> V:
        assert not isinstance(a, Refs)
        assert not isinstance(b, Refs)
        x, y, z = _level(c, a, b)
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
                    since = _clear(z, self._of_page(begins, z), y, page)
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
        yes = tuple(v if _is_truth(v) else _positive(v) for v in values)
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
            such = (conj(t, b) for t, b in zip(*_level(there, body), strict=True))
            found.append(reduce(disj, (some(page, s) for s in such), FALSE))
        return tuple(found)

    def sum_over(self, gather: Gather, env: Env[V], body: V) -> V:
        if not self.observed(gather):
            return body
        assert not isinstance(body, Refs)
        page, group, found = self._page(gather, env), self._group(gather), []
        for there in self._ranges(gather, env, page):
            total = ZERO
            kinds = _level(there, body)
            times = (TRUE,) if group is Sort.NODE else self.times(group, page)
            for t, b, how in zip(*kinds, _level(times, kinds[0])[0], strict=True):
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
        if such is None or not (_is_truth(times) or times is ONE):
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
        keys, chosen, exists = _level(key, among, there[0])
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
                for k, c, t in zip(*_level(key.pages, among, times), strict=True):
                    assert k is page, "elements are attached to the node that they are of"
                    number = choose(conj(c, t), ONE, ZERO) if _is_truth(t) else choose(c, t, ZERO)
                    total = computed(Op.ADD, total, put(number, page, wanted))
                found.append(total)
            return tuple(found)
        assert not isinstance(value, Refs)
        exists = self.there(group, page)
        for number in value:
            total = ZERO
            for k, c, t in zip(*_level(key, among, exists), strict=True):
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


# Comparisons.


def compare(op: Op, a: E, b: E) -> E:
    """A comparison of two numbers, as far as it can be said."""
    if op is Op.EQ:
        for x, y in ((a, b), (b, a)):
            if x.op == "if" and (y.op in ("if", "const", "number") or _pages(x)):
                c, then, otherwise = x.args
                return disj(conj(c, compare(op, then, y)), conj(neg(c), compare(op, otherwise, y)))
            if x.op == "number" and y.op == "const":
                return same(x.args[0], ROOT) if y is ZERO else FALSE if y.args[0] < 0 else _opaque(op, a, b)
        if a.op == b.op == "number":
            return same(a.args[0], b.args[0])
    if a.op == b.op == "const":
        x, y = a.args[0], b.args[0]
        return const(bool(x == y if op is Op.EQ else x < y if op is Op.LT else x <= y))
    if not _hard(a) and not _hard(b):
        return TRUE if a is b and op is not Op.LT else E({Op.EQ: "=", Op.LT: "<", Op.LE: "<="}[op], (a, b))
    parts, constant = _difference(a, b)
    limit = -constant - (op is Op.LT)  # parts <= limit, or = limit
    found = _one(op, parts, limit) or _two(op, parts, limit)
    return found if found is not None else _opaque(op, a, b)


def _one(op: Op, parts: dict[E, int], limit: int) -> E | None:
    """How many something is true of, against a number."""
    if len(parts) != 1:
        return None
    (atom, sign), *_ = parts.items()
    if atom.op not in ("path", "those") or sign not in (1, -1):
        return None
    if op is Op.EQ:
        limit *= sign
        return _none(atom) if limit == 0 else conj(neg(_none(atom)), _at_most_one(atom)) if limit == 1 else None
    if sign == 1:
        return FALSE if limit < 0 else _none(atom) if limit == 0 else _at_most_one(atom) if limit == 1 else None
    least = -limit
    if least <= 0:
        return TRUE
    return neg(_none(atom)) if least == 1 else neg(_at_most_one(atom)) if least == 2 else None


def _members(atom: E, page: E) -> E:
    """That a page is one of those that are counted."""
    such = put(atom.args[1], atom.args[0], page)
    if atom.op == "those":
        return such
    return conj(conj(above(page, atom.args[2]), neg(same(page, ROOT))), such)


def _none(atom: E) -> E:
    page = atom.args[0]
    return neg(some(page, _members(atom, page)))


def _at_most_one(atom: E) -> E:
    page, other = atom.args[0], E("page", (f"{atom.args[0].args[0]}'",))
    both = conj(_members(atom, page), _members(atom, other))
    return neg(some(page, some(other, conj(both, neg(same(page, other))))))


def _two(op: Op, parts: dict[E, int], limit: int) -> E | None:
    """Two counts against each other."""
    if len(parts) != 2 or sorted(parts.values()) != [-1, 1]:
        return None
    more = next(a for a, n in parts.items() if n == 1)
    less = next(a for a, n in parts.items() if n == -1)
    if {more.op, less.op} == {"those", "all"} and op is Op.EQ and limit == 0:
        those = more if more.op == "those" else less
        page = those.args[0]
        return each(page, disj(same(page, ROOT), those.args[1]))
    if not more.op == less.op == "path":
        return None
    if put(less.args[1], less.args[0], more.args[0]) is more.args[1]:  # of the same, on two paths
        return _on_two_paths(op, more, less, limit)
    if more.args[2] is less.args[2] and op is Op.EQ and limit == 0:
        page = more.args[0]
        a, b = _members(more, page), _members(less, page)
        return E("as many", (page, a, b))
    return None


def _on_two_paths(op: Op, more: E, less: E, limit: int) -> E | None:
    """Of pages of which one is above the other: how many there are between."""
    page, such, n, x = *more.args, less.args[2]
    unless = _opaque(op, more, less, limit)
    if op is Op.EQ and limit == 0:
        found = FALSE
        for a, b in ((x, n), (n, x)):
            found = disj(found, conj(above(a, b), _clear(page, such, a, b)))
        return disj(found, conj(conj(neg(above(x, n)), neg(above(n, x))), unless))
    if such is TRUE and op is not Op.EQ and 0 <= limit < 4:
        found, at = FALSE, n
        for _ in range(limit + 1):
            found, at = disj(found, same(at, x)), up(at)
        return disj(conj(above(x, n), found), conj(neg(above(x, n)), unless))
    return None


def _clear(page: E, such: E, a: E, b: E) -> E:
    """Below a page down to another nothing is such."""
    if such is TRUE:
        return same(a, b)
    between = conj(conj(above(a, page), neg(same(a, page))), above(page, b))
    return neg(some(page, conj(between, such)))


def _opaque(op: Op, *what: object) -> E:
    return E("opaque", (op.value, *what))


def _difference(a: E, b: E) -> tuple[dict[E, int], int]:
    parts: dict[E, int] = {}
    constant, stack = 0, [(a, 1), (b, -1)]
    while stack:
        e, n = stack.pop()
        match e.op:
            case "const":
                constant += n * int(e.args[0])
            case "+" | "-":
                stack += [(e.args[0], n), (e.args[1], n if e.op == "+" else -n)]
            case _:
                parts[e] = parts.get(e, 0) + n
    return {e: n for e, n in parts.items() if n}, constant


@cache
def _hard(e: E) -> bool:
    return e.op in HARD or (e.op in ("+", "-", "if") and any(_hard(x) for x in e.subs()))


def _pages(e: E) -> bool:
    """A choice that ends in a page's number."""
    return e.op == "number" or (e.op == "if" and any(_pages(x) for x in e.args[1:]))


def _positive(e: E) -> E:
    return compare(Op.LT, ZERO, e)


def _is_truth(e: E) -> bool:
    truths = ("and", "or", "not", "differ", "<", "<=", "=", "is", "above", "same", "some", "opaque", "as many")
    return e in (TRUE, FALSE) or e.op in truths


def _asks_parent(term: Term, key: Key) -> bool:
    from sanitree.invariants.terms import walk

    return any(isinstance(t, Get) and t.field.name == key.name for t in walk(term))


def _level(*columns: Column) -> tuple[Column, ...]:
    most = max(map(len, columns))
    return tuple(c if len(c) == most else c * most for c in columns)


def _zip(join: Callable[[E, E], E], a: Column, b: Column) -> Column:
    x, y = _level(a, b)
    return tuple(map(join, x, y))


def pages_in(e: E) -> Iterator[E]:
    """The pages that an expression is about, those that it binds left out."""
    bound: set[E] = set()
    found: dict[E, None] = {}

    def go(x: E) -> None:
        if x.op == "page":
            if x not in bound and x is not ROOT:
                found.setdefault(x)
            return
        own = x.args[0] if x.op in ("some", "path", "those", "top", "as many") else None
        fresh = own is not None and own not in bound
        if own is not None and fresh:
            bound.add(own)
        for a in x.subs():
            if a is not own:
                go(a)
        if own is not None and fresh:
            bound.discard(own)

    go(e)
    return iter(found)
