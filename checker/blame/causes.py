"""What can have gone wrong in one action: a known fault, a condition that it did not ask for, an update that it forgot.

All three are edits of the page model's actions, so the one is not less precise than the other; but a fault
that is known by name is assumed before one that nobody has seen yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from sanitree.invariants.sentences import sentence
from sanitree.invariants.terms import Apply, Op, Term, make
from sanitree.models.protocol.pages import FAULTS, Pages, pages
from sanitree.models.protocol.system import Action, System
from sanitree.models.snapshot import Key


class Assumed(Enum):
    """How much a cause assumes: what comes first assumes less."""

    FAULT = "a fault known by name"
    GUARD = "a condition that was not asked for"
    UPDATE = "an update that was forgotten"


@dataclass(frozen=True, slots=True, eq=False)
class Cause:
    """name: of a fault, or what was left out of which action. what: in words. actions: as they are with it, those alone
    that it changes."""

    assumed: Assumed
    name: str
    what: str
    actions: tuple[Action, ...]


def causes(m: Pages) -> tuple[System, tuple[Cause, ...]]:
    """The model of a configuration, and all that can go wrong with it."""
    legal = pages(m)
    return legal, (*_faults(m, legal), *_guards(legal), *_updates(legal))


def _faults(m: Pages, legal: System) -> Iterator[Cause]:
    known = {a.name: a for a in legal.actions}
    for f in FAULTS.values():
        if not f.fits(m) or not f.extra <= m.extra:
            continue
        forms = (f.change(known, m), *(change(known, m) for change in f.otherwise))
        changed = tuple(dict.fromkeys(a for form in forms for a in form.values() if known.get(a.name) != a))
        if changed:
            yield Cause(Assumed.FAULT, f.name, f.what, changed)


def _guards(legal: System) -> Iterator[Cause]:
    for a in legal.actions:
        parts = conjuncts(a.guard)
        for i, part in enumerate(parts) if len(parts) > 1 else ():
            left = parts[:i] + parts[i + 1 :]
            guard = left[0] if len(left) == 1 else make(Apply, Op.AND, left)
            said = sentence(part)
            what = f"{_first(a)} It may have done so where not: {said}."
            yield Cause(Assumed.GUARD, f"{a.name} does not ask whether {said}", what, (replace(a, guard=guard),))


def _updates(legal: System) -> Iterator[Cause]:
    for a in legal.actions:
        targets = dict.fromkeys(_key(x.target) for x in a.assigns)
        for key in targets:
            left = tuple(x for x in a.assigns if _key(x.target) != key)
            yield Cause(
                Assumed.UPDATE, f"{a.name} forgets {key}", f"{_first(a)} It may have left {key} as it was.",
                (replace(a, assigns=left),),
            )  # fmt: skip


def _key(target: object) -> Key:
    return Key.of(target.field.name, target.component, target.tier)  # type: ignore[attr-defined]


def _first(a: Action) -> str:
    return a.prose.split("\n\n")[0].replace("\n", " ")


def conjuncts(t: Term) -> tuple[Term, ...]:
    """The conditions of a guard."""
    if isinstance(t, Apply) and t.op is Op.AND:
        return tuple(p for a in t.args for p in conjuncts(a))
    return (t,)
