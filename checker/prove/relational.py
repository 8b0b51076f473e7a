"""What claims and actions say of a tree of any size, as expressions over an order of pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from sanitree.checker.prove.order import ROOT, each, named, same, subs
from sanitree.checker.prove.rows import Group, Refs, Rows, V
from sanitree.checker.symbolic import TRUE, E, conj, disj, level, neg
from sanitree.invariants.calls import field_named
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.rules import Check
from sanitree.invariants.semantics import Env
from sanitree.invariants.terms import Term, Var
from sanitree.invariants.vocabulary import Sort
from sanitree.models.protocol.system import NODE, Definition, System
from sanitree.models.snapshot import Key


class Relational:
    """The meanings of terms about one model, on a tree of any size."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.rows = Rows(system)

    def condition(self, term: Term, page: E, each: Var | None = None, other: E | None = None) -> E:
        """Where a term about a page, and about another that `each` stands for, is true."""
        return self.rows.meaning.truth(self._settled(term), self._at(page, each, other)).yes[0]

    def conditioned(self, term: Term) -> Callable[[E], E]:
        """The same, of a page that is still to be said."""
        return lambda page: self.condition(term, page)

    def possible(self, term: Term, page: E) -> E:
        """Where a term about a page is not known to be false."""
        return neg(self.rows.meaning.truth(self._settled(term), self._at(page, None, None)).no[0])

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
        page, kinds = named("x"), self.rows.kinds(group)
        env: Env[V] = {check.rule.var: Refs(group, (page,) * kinds)}
        holds = level(self.rows.meaning.truth(term, env).yes, (TRUE,) * kinds)[0]
        there = self.rows.there(group, page)
        return each(page, reduce(conj, (disj(neg(t), h) for t, h in zip(there, holds, strict=True))))

    def said_of_each(self, term: Term) -> E:
        """That a term is true of every page but the root."""
        page = named("x")
        return each(page, disj(same(page, ROOT), self.condition(term, page)))

    def there(self, page: E) -> E:
        """A page is in the tree; the root is."""
        return self.rows.there(Sort.NODE, page)[0]

    def topmost(self, d: Definition, page: E) -> E | None:
        """The topmost page of those joined that a field names; None of a field that names none."""
        found = self.rows._define(d, page)
        return next((x for x in subs(found) if x.op == "top"), None)

    def is_truth(self, key: Key) -> bool:
        """Whether a field that the model keeps is a truth value, and no number."""
        f = field_named(Sort.NODE, key.name)
        return f is not None and f.sort is Sort.BOOL

    def _settled(self, term: Term) -> Term:
        return instantiate(term, self.system.settings, {})

    def _at(self, page: E, each: Var | None, other: E | None) -> Env[V]:
        env: dict[Var, V] = {NODE: Refs(Sort.NODE, (page,))}
        if each is not None and each is not NODE and other is not None:
            env[each] = Refs(Sort.NODE, (other,))
        return env
