"""A rule's term for one cache: components and tiers chosen, settings folded away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sanitree.invariants.terms import (
    FALSE,
    TRUE,
    Apply,
    Const,
    Each,
    Gather,
    Get,
    Known,
    Op,
    Term,
    Var,
    make,
    rebuild,
    with_parts,
)
from sanitree.invariants.vocabulary import (
    KIND,
    PAGE_SIZE,
    POLICY_IS,
    TIER_IS,
    TRAIT,
    Component,
    Setting,
    Settings,
    Tier,
)


def instantiate(term: Term, settings: Settings, bound: Mapping[object, Component | Tier]) -> Term:
    """`term` for one choice of components and tiers, with everything settled folded away.

    `bound` maps the rule's component and tier variables. The result has no Each,
    no Known and no variable of component or tier left in it.
    """

    def pick(x: Any) -> Any:
        return tuple(map(pick, x)) if isinstance(x, tuple) else bound.get(x, x)

    def change(t: Term) -> Term:
        match t:
            case Get():
                return make(Get, t.field, t.of, pick(t.component), pick(t.tier))
            case Known():
                return make(Const, _settle(t.setting, pick(t.argument), settings))
            case Gather(pool=(c, p)):
                return make(Gather, t.fold, t.over, t.var, t.where, t.body, t.parent, (pick(c), pick(p)))
            case Apply():
                return simplify(t)
        return t

    def expand(t: Term) -> Term:
        if not isinstance(t, Each):
            return t
        chosen = [c for c in settings.components if t.kind.takes(c)]
        parts = [instantiate(t.body, settings, {**bound, t.var: c}) for c in chosen]
        if len(parts) < 2:
            return parts[0] if parts else TRUE if t.join is Op.AND else FALSE
        return make(Apply, t.join, tuple(parts))

    # Each is expanded outermost first: its body still has the variable to bind.
    return rebuild(_expand_outer(term, expand), change)


def _expand_outer(term: Term, expand: Callable[[Term], Term]) -> Term:
    if isinstance(term, Each):
        return expand(term)
    if isinstance(term, Var | Const | Known):
        return term
    return with_parts(term, lambda t: _expand_outer(t, expand))


def _settle(setting: Setting, argument: Any, settings: Settings) -> bool | int:
    if setting is POLICY_IS:
        return settings.policy is argument
    if setting is TRAIT:
        return argument in settings.traits
    if setting is KIND:
        component, kind = argument
        return bool(kind.takes(component))
    if setting is TIER_IS:
        return argument[0] is argument[1]
    assert setting is PAGE_SIZE
    return settings.page_size


def simplify(t: Apply) -> Term:
    """`t` with literals among its arguments folded away."""
    a, b = t.args[0], t.args[-1]
    match t.op:
        case Op.NOT if isinstance(a, Const):
            return FALSE if a.value else TRUE
        case Op.AND | Op.OR:
            unit, zero = (TRUE, FALSE) if t.op is Op.AND else (FALSE, TRUE)
            rest = tuple(x for x in t.args if x is not unit)
            if zero in rest:
                return zero
            if len(rest) < 2:
                return rest[0] if rest else unit
            return make(Apply, t.op, rest)
        case Op.IMPLIES:
            if a is FALSE or b is TRUE:
                return TRUE
            if a is TRUE:
                return b
        case Op.ITE if isinstance(a, Const):
            return t.args[1] if a.value else t.args[2]
        case Op.ADD if isinstance(a, Const) and a.value == 0:
            return b
    return t
