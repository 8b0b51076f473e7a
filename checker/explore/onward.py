"""What may come after a snapshot: a part of it as the first state of the page model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sanitree.checker.explore.configured import Configuration, ConfigurationError, Model, of_system
from sanitree.checker.explore.transitions import transitions
from sanitree.checker.prove.completed import NoLegalStateError, completed
from sanitree.models.protocol.pages import pages
from sanitree.models.protocol.pages.abstracted import abstracted
from sanitree.models.protocol.pages.abstraction import Abstraction, NotAStateError
from sanitree.models.protocol.pages.named import as_named, ids_of
from sanitree.models.snapshot import Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Onward:
    """A model that begins in a snapshot's state. open: how many of its numbers nobody saw, and were chosen."""

    model: Model
    abstraction: Abstraction
    open: int


def onward(s: Snapshot, rows: Sequence[int], fault: str | None, rules: tuple[str, ...], seconds: float) -> Onward:
    """Of these rows and those above them. Raises ConfigurationError where there is no such state, or no such fault."""
    try:
        a = abstracted(s, rows)
        system = pages(replace(a.model, fault=fault))
    except NotAStateError as error:
        raise ConfigurationError(str(error), error.hint) from None
    except ValueError as error:
        raise ConfigurationError(str(error), "docs/model-faults.md lists the faults, and what shows them") from None
    t = transitions(replace(system, actions=()))
    number_of = {v.key: i for i, v in enumerate(system.variables)}
    known = {(number_of[k], n): v for (k, n), v in a.known.items()}
    some = [[(number_of[k], n) for k, n in group if k in number_of] for group in a.somebody()]
    try:
        first = completed(t, known, some, seconds)
    except NoLegalStateError as error:
        hint = "`sanitree check` says what is wrong with it, `sanitree blame` where it may have come from"
        raise ConfigurationError(f"{error}: the page model has none for this part of the tree", hint) from None
    system = replace(system, first={(system.variables[i].key, n): v for (i, n), v in first.items() if v})
    c = Configuration(
        preset="pages", policy=a.model.policy, components=a.model.components, tree=a.model.parents,
        requests=a.model.requests, fault=fault, rules=rules,
    )  # fmt: skip
    made = of_system(c, system)
    named = replace(made, seen=lambda state: as_named(system, state, a, s), names=ids_of(a, s))
    return Onward(named, a, len(first) - len(known))
