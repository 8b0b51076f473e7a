"""Every rule, one file a family. `CATALOGUE` is all of them, in the order in which reports name them."""

from collections.abc import Mapping
from types import ModuleType

from sanitree.invariants.catalogue import backup, leaf_sets, locks, lru, residency, shape, sizes, slots, transfers
from sanitree.invariants.rules import Rule


def rules_of(module: ModuleType) -> tuple[Rule, ...]:
    """The rules that a module declares, in the order in which it declares them."""
    return tuple(x for x in vars(module).values() if isinstance(x, Rule))


CATALOGUE: tuple[Rule, ...] = tuple(
    r for module in (shape, residency, backup, locks, leaf_sets, lru, sizes, slots, transfers) for r in rules_of(module)
)
BY_ID: Mapping[str, Rule] = {r.id: r for r in CATALOGUE}
