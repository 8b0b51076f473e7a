"""Terms as sentences, for reports and docs."""

from __future__ import annotations

from sanitree.invariants.terms import (
    TRUE,
    Apply,
    At,
    Const,
    Each,
    Fold,
    Gather,
    Get,
    Known,
    Op,
    PathSum,
    Range,
    Term,
    Var,
)
from sanitree.invariants.vocabulary import Component, Kind, Policy, Sort, Tier

_BINDING = {Op.OR: 1, Op.AND: 2, Op.IMPLIES: 0, Op.IFF: 0}


def sentence(term: Term) -> str:
    """The term in words, on one line."""
    return _say(term, 0)


def _name(x: object) -> str:
    if isinstance(x, Component):
        return x.name
    if isinstance(x, Tier | Policy | Kind):
        return str(x.value)
    return str(getattr(x, "name", x))


def _say(t: Term, outer: int) -> str:
    match t:
        case Const(value):
            return str(value).lower()
        case Var(name):
            return name
        case Known(setting, argument):
            if argument is None:
                return setting.name
            if isinstance(argument, tuple):
                kind = _name(argument[1])
                what = "the" if isinstance(argument[1], Tier) else "an" if kind[0] in "aeiou" else "a"
                return f"{_name(argument[0])} is {what} {kind}"
            return f"{setting.name.replace('_', ' ')} {_name(argument)}"
        case Get():
            return _get(t)
        case At(moment, of):
            return f"{moment.value}({_say(of, 0)})"
        case Apply():
            return _apply(t, outer)
        case Gather():
            return _gather(t, outer)
        case PathSum():
            return _bracket(f"the sum of {_say(t.body, 0)} over {t.var.name} on the path to {_say(t.node, 3)}", outer)
        case Each():
            return f"for {'every' if t.join is Op.AND else 'some'} {t.kind.value} {t.var.name}: {_say(t.body, 0)}"
    return repr(t)


def _get(t: Get) -> str:
    of = f"{_say(t.of, 3)}."
    if t.of.sort is Sort.TREE:
        of = f"{t.of.moment.value}." if isinstance(t.of, At) else ""
    parts = [p for p in (_name(t.component) if t.component else "", _name(t.tier) if t.tier else "") if p]
    index = f"[{', '.join(parts)}]" if parts else ""
    if of:
        return f"{of[:-1]}{index}.{t.field.name}"
    return f"{t.field.name}{index}"


def _apply(t: Apply, outer: int) -> str:
    if t.op is Op.NOT:
        (a,) = t.args
        if isinstance(a, Apply) and a.op is Op.EQ:
            return f"{_say(a.args[0], 3)} ≠ {_say(a.args[1], 3)}"
        return f"not {_say(a, 3)}"
    if t.op is Op.ITE:
        condition, then, otherwise = (_say(x, 0) for x in t.args)
        return f"({then} if {condition} else {otherwise})"
    if t.op is Op.IMPLIES:
        text = f"if {_say(t.args[0], 0)} then {_say(t.args[1], 0)}"
        return f"({text})" if outer > 0 else text
    if t.op in _BINDING:
        word = {Op.OR: " or ", Op.AND: " and ", Op.IFF: " exactly if "}[t.op]
        text = word.join(_say(a, _BINDING[t.op] + 1) for a in t.args)
        return f"({text})" if outer > _BINDING[t.op] else text
    if t.op in (Op.LT, Op.LE) and isinstance(t.args[0], Const):
        return f"{_say(t.args[1], 3)} {'>' if t.op is Op.LT else '≥'} {_say(t.args[0], 3)}"
    sign = {Op.EQ: "=", Op.LT: "<", Op.LE: "≤", Op.ADD: "+", Op.SUB: "-", Op.MOD: "mod"}[t.op]
    text = f" {sign} ".join(_say(a, 3) for a in t.args)
    return f"({text})" if t.op in (Op.ADD, Op.SUB, Op.MOD) and outer > 2 else text


def _gather(t: Gather, outer: int) -> str:
    over = t.over.value
    if t.over is Range.CHILDREN and t.parent is not None:
        over = f"children of {_say(t.parent, 3)}"
    if t.pool:
        over = f"slots of the {_name(t.pool[0])} {_name(t.pool[1])} pool"
    whom = f"{t.var.name} among the {over}"
    such = f" with {_say(t.where, 1)}" if t.where is not TRUE else ""
    match t.fold:
        case Fold.ALL:
            return f"(for every {whom}{such}: {_say(t.body, 0)})"
        case Fold.SOME:
            body = "" if t.body is TRUE else f": {_say(t.body, 0)}"
            return f"(there is {whom}{such}{body})"
        case Fold.COUNT:
            return _bracket(f"the number of {whom}{such}", outer)
        case Fold.SUM:
            return _bracket(f"the sum of {_say(t.body, 3)} over {whom}{such}", outer)
        case Fold.DISTINCT:
            return f"{_say(t.body, 3)} is different for each {whom}{such}"


def _bracket(text: str, outer: int) -> str:
    return f"({text})" if outer > 2 else text


def settings_sentence(when: Term) -> str:
    """A rule's `when` in words; empty where it always applies."""
    return "" if when is TRUE else sentence(when)
