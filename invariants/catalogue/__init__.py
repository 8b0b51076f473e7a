"""Every rule, one file a family, in the order in which reports name them.

`RULES` are all of them, `CATALOGUE` those about a state, `STEP_RULES` those about a call and the states on
either side of it, `GHOSTS` what the checker keeps from call to call for them.
"""

from collections.abc import Mapping
from types import ModuleType

from sanitree.invariants.catalogue import (
    backup,
    content,
    leaf_sets,
    locks,
    lru,
    progress,
    purity,
    residency,
    shape,
    sizes,
    slots,
    transfers,
)
from sanitree.invariants.rules import Rule
from sanitree.invariants.steps import Ghost

_FAMILIES = (shape, residency, backup, locks, leaf_sets, lru, sizes, slots, transfers, content, progress, purity)


def rules_of(module: ModuleType) -> tuple[Rule, ...]:
    """The rules that a module declares, in the order in which it declares them."""
    return tuple(x for x in vars(module).values() if isinstance(x, Rule))


RULES: tuple[Rule, ...] = tuple(r for module in _FAMILIES for r in rules_of(module))
CATALOGUE: tuple[Rule, ...] = tuple(r for r in RULES if not r.on)
STEP_RULES: tuple[Rule, ...] = tuple(r for r in RULES if r.on)
GHOSTS: tuple[Ghost, ...] = tuple(x for m in _FAMILIES for x in vars(m).values() if isinstance(x, Ghost))
BY_ID: Mapping[str, Rule] = {r.id: r for r in RULES}
