"""Rules: declarations as frozen data, and what they come to for one cache.

    @rule(BACKUP, Sort.NODE, when=policy_is(*WRITE_THROUGH_FAMILY))
    def backup_is_prefix_closed(n):
        \"\"\"A backed-up node's parent is backed up.\"\"\"
        return implies(n[FULL].on_host, n.parent.is_root | n.parent[FULL].on_host)

A rule is said once; `checks` makes one check of it for each component and tier that
a cache has, with the policy, the traits and the page size folded in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from sanitree.invariants.calls import Operation
from sanitree.invariants.declare import Declared, declared
from sanitree.invariants.instantiate import instantiate
from sanitree.invariants.language import Expr, always, fail
from sanitree.invariants.steps import CALL, check_step, of_steps_alone
from sanitree.invariants.terms import FALSE, TRUE, Term, Var, free_variables
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
    CONTENT = "content"
    PROGRESS = "progress"
    PURITY = "purity"


class Cost(Enum):
    """What an instance costs on a live tree."""

    FIELD = "a few field reads a node"
    KEY = "reads a node's key, or counts a copy's slots"
    SLOT = "touches every slot"
    BYTES = "reads the bytes of every copy"


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """What must be true of every state, or of every step, said once.

    id: stable name, as in reports. scope: what an instance is about. per: the kind
    of component it is repeated for. tiers: the tiers it is repeated for. when: a
    term over settings. prose: one sentence; note: why, and the source of the fact.
    on: the operations whose calls a step rule is about; empty for a rule about states.
    of: the component that a plug-in brought it with; caches without it are not judged.
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
    on: tuple[Operation, ...] = ()
    of: Component | None = None


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


def rule(
    family: Family,
    scope: Sort,
    *,
    per: Kind | None = None,
    tiers: Iterable[Tier] = (),
    when: Expr = always,
    cost: Cost = Cost.FIELD,
) -> Callable[[Callable[..., Any]], Rule]:
    """Declare a rule about every state. The function takes the scope's element, then a component if `per`, then a
    tier if `tiers`.

    Its name is the rule's id, its docstring's first sentence the prose, the rest
    the note. Raises SayError, with the place, for what cannot be said.
    """

    def declare(function: Callable[..., Any]) -> Rule:
        said = declared(function, scope, Sort.BOOL, per, tiers, [CALL])
        if loose := sorted(set(of_steps_alone(said.term))):
            fail(f"{said.name} speaks of {', '.join(loose)}: only a step has that, declare it with @step")
        return _rule(said, family, scope, per, tiers, when, cost, ())

    return declare


def step(
    family: Family,
    scope: Sort,
    *,
    on: Iterable[Operation],
    per: Kind | None = None,
    tiers: Iterable[Tier] = (),
    when: Expr = always,
    cost: Cost = Cost.FIELD,
) -> Callable[[Callable[..., Any]], Rule]:
    """Declare a rule about every call of the operations in `on`; see `steps` for what it may say. The rest is as
    in `rule`.
    """

    def declare(function: Callable[..., Any]) -> Rule:
        said = declared(function, scope, Sort.BOOL, per, tiers, [CALL])
        check_step(said.name, said.term)
        if not any(True for _ in of_steps_alone(said.term)):
            fail(f"{said.name} speaks of one state: declare it with @rule")
        if not (operations := tuple(on)):
            fail(f"{said.name} is about no operation: name them in on=")
        return _rule(said, family, scope, per, tiers, when, cost, operations)

    return declare


def _rule(
    said: Declared,
    family: Family,
    scope: Sort,
    per: Kind | None,
    tiers: Iterable[Tier],
    when: Expr,
    cost: Cost,
    on: tuple[Operation, ...],
) -> Rule:
    if free_variables(when.term):
        fail(f"{said.name}: when= speaks of settings, not of the state")
    return Rule(
        id=said.name,
        family=family,
        scope=scope,
        per=per,
        tiers=tuple(tiers),
        when=when.term,
        cost=cost,
        prose=said.prose,
        note=said.note,
        term=said.term,
        var=said.var,
        component=said.component,
        tier=said.tier,
        said_at=said.said_at,
        on=on,
    )


def checks(rules: Iterable[Rule], settings: Settings) -> tuple[Check, ...]:
    """One check for each rule, component and tier that applies under `settings`, in the order of `rules`."""
    return _checks(tuple(rules), settings)


@lru_cache(maxsize=256)  # a cache is checked again and again under the same settings
def _checks(rules: tuple[Rule, ...], settings: Settings) -> tuple[Check, ...]:
    found = []
    for r in rules:
        components: list[Component | None] = [c for c in settings.components if r.per and r.per.takes(c)] or [None]
        if (r.per and components == [None]) or (r.of and r.of not in settings.components):
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
