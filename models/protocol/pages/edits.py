"""How a fault changes actions, which are data: what an action forgets, does not ask for, or does besides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sanitree.invariants.language import Element, Expr, naming
from sanitree.invariants.terms import Apply, Op, Term, make
from sanitree.models.protocol.pages.doing import Assigns
from sanitree.models.protocol.system import NODE, Action, defined

Actions = dict[str, Action]


def forgets(a: Action, *names: str) -> Action:
    """An action without its assignments to these fields."""
    return replace(a, assigns=tuple(x for x in a.assigns if x.target.field.name not in names))


def forgets_copies(a: Action, name: str, tier: object) -> Action:
    """An action without its assignments to a field of copies on one tier."""
    return replace(a, assigns=tuple(x for x in a.assigns if (x.target.field.name, x.target.tier) != (name, tier)))


def forgets_tier(a: Action, tier: object) -> Action:
    """An action without its assignments to copies on one tier."""
    return replace(a, assigns=tuple(x for x in a.assigns if x.target.tier != tier))


def asks_not(a: Action, condition: Callable[[Element], Expr]) -> Action:
    """An action whose guard does not ask for a condition, which must be a part of it."""
    left = list(_parts(a.guard))
    dropped = list(_parts(defined(condition)))
    assert all(d in left for d in dropped), "a fault drops what the guard asks for"
    return replace(a, guard=make(Apply, Op.AND, tuple(t for t in left if t not in dropped)))


def _parts(t: Term) -> tuple[Term, ...]:
    if isinstance(t, Apply) and t.op is Op.AND:
        return tuple(p for a in t.args for p in _parts(a))
    return (t,)


def besides(a: Action, more: Callable[[Element], Assigns]) -> Action:
    """An action with which more happens."""
    with naming("n"):
        return replace(a, assigns=(*a.assigns, *more(Element(NODE))))


def edit(actions: Actions, name: str, change: Callable[[Action], Action]) -> Actions:
    """The actions with one changed."""
    return {n: change(a) if n == name else a for n, a in actions.items()}
