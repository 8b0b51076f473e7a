"""Rules: declarations as frozen data, and what they come to for one cache.

    @rule(BACKUP, Sort.NODE, when=policy_is(*WRITE_THROUGH_FAMILY))
    def backup_is_prefix_closed(n):
        \"\"\"A backed-up node's parent is backed up.\"\"\"
        return implies(n[FULL].on_host, n.parent.is_root | n.parent[FULL].on_host)

A rule is said once; `checks` makes one check of it for each component and tier that
a cache has, with the policy, the traits and the page size folded in.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.language import Element, Expr, always, fail, naming
from sanitree.invariants.terms import FALSE, TRUE, Term, Var, free_variables, make
from sanitree.invariants.vocabulary import Component, ComponentVar, Kind, Settings, Sort, Tier, TierVar


class Family(Enum):
    """What a rule is about."""

    SHAPE = "shape"
    RESIDENCY = "residency"
    BACKUP = "backup"
    LOCKS = "locks"
    LEAF_SETS = "leaf sets"
    LRU = "lru"
    SIZES = "sizes"
    SLOTS = "slots"
    TRANSFERS = "transfers"


class Cost(Enum):
    """What an instance costs on a live tree."""

    FIELD = "a few field reads a node"
    KEY = "reads a node's key, or counts a copy's slots"
    SLOT = "touches every slot"


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """What must be true of every state, said once.

    id: stable name, as in reports. scope: what an instance is about. per: the kind
    of component it is repeated for. tiers: the tiers it is repeated for. when: a
    term over settings. prose: one sentence; note: why, and the source of the fact.
    """

    id: str
    family: Family
    scope: Sort
    per: Kind | None
    tiers: tuple[Tier, ...]
    when: Term
    cost: Cost
    prose: str
    note: str
    term: Term
    var: Var
    component: ComponentVar | None
    tier: TierVar | None
    said_at: str


@dataclass(frozen=True, slots=True)
class Check:
    """A rule for one component and tier of one cache: `term` has no setting left in it."""

    rule: Rule
    component: Component | None
    tier: Tier | None
    term: Term

    @property
    def name(self) -> str:
        """The rule's id with what it is repeated for, as in `freed_once[swa, host]`."""
        parts = [x.name if isinstance(x, Component) else x.value for x in (self.component, self.tier) if x]
        return f"{self.rule.id}[{', '.join(parts)}]" if parts else self.rule.id


_SCOPE_NAME = {Sort.NODE: "n", Sort.TREE: "t", Sort.TRANSFER: "x", Sort.REQUEST: "r", Sort.SLOT: "s"}


def rule(
    family: Family,
    scope: Sort,
    *,
    per: Kind | None = None,
    tiers: Iterable[Tier] = (),
    when: Expr = always,
    cost: Cost = Cost.FIELD,
) -> Callable[[Callable[..., Any]], Rule]:
    """Declare a rule. The function takes the scope's element, then a component if `per`, then a tier if `tiers`.

    Its name is the rule's id, its docstring's first sentence the prose, the rest
    the note. Raises SayError, with the place, for what cannot be said.
    """

    def declare(function: Callable[..., Any]) -> Rule:
        if scope not in _SCOPE_NAME:
            fail(f"a rule is about a node, tree, transfer, request or slot, not a {scope.value}")
        prose, _, note = inspect.cleandoc(function.__doc__ or "").partition("\n\n")
        if not prose:
            fail(f"{function.__name__} says nothing in words: give it a docstring")
        if scope is Sort.SLOT and not (per and tuple(tiers)):
            fail("a slot belongs to the pool of a component on a tier: say per= and tiers=")
        var = make(Var, _SCOPE_NAME[scope], scope)
        names = list(inspect.signature(function).parameters)
        if len(names) != 1 + bool(per) + bool(tuple(tiers)):
            fail(f"{function.__name__} takes the {scope.value}, then a component if per=, then a tier if tiers=")
        component = ComponentVar(names[1]) if per else None
        tier = TierVar(names[-1]) if tuple(tiers) else None
        with naming(var.name, *names[1:]):
            said = function(*(x for x in (Element(var), component, tier) if x is not None))
        if not isinstance(said, Expr) or said.term.sort is not Sort.BOOL:
            fail(f"{function.__name__} must return a truth value, not {said!r}")
        if loose := free_variables(said.term) - {var}:
            fail(f"{function.__name__} mentions {', '.join(v.name for v in loose)} outside its fold")
        if free_variables(when.term):
            fail(f"{function.__name__}: when= speaks of settings, not of the state")
        code = function.__code__
        file = "/".join(code.co_filename.split("/")[-3:])
        return Rule(
            id=function.__name__,
            family=family,
            scope=scope,
            per=per,
            tiers=tuple(tiers),
            when=when.term,
            cost=cost,
            prose=" ".join(prose.split()),
            note=" ".join(note.split()),
            term=said.term,
            var=var,
            component=component,
            tier=tier,
            said_at=f"{file}:{code.co_firstlineno}",
        )

    return declare


def checks(rules: Iterable[Rule], settings: Settings) -> tuple[Check, ...]:
    """One check for each rule, component and tier that applies under `settings`, in the order of `rules`."""
    return _checks(tuple(rules), settings)


@lru_cache(maxsize=256)  # a cache is checked again and again under the same settings
def _checks(rules: tuple[Rule, ...], settings: Settings) -> tuple[Check, ...]:
    found = []
    for r in rules:
        components: list[Component | None] = [c for c in settings.components if r.per and r.per.takes(c)] or [None]
        if r.per and components == [None]:
            continue
        for c in components:
            for tier in r.tiers or (None,):
                bound: dict[object, Component | Tier] = {}
                if r.component and c:
                    bound[r.component] = c
                if r.tier and tier:
                    bound[r.tier] = tier
                if instantiate(r.when, settings, bound) is FALSE:
                    continue
                term = instantiate(r.term, settings, bound)
                if term is not TRUE:
                    found.append(Check(r, c, tier, term))
    return tuple(found)
