"""The page model: a tiered radix tree on a fixed trie of pages, in the language of the rules.

A node is a run of pages that no cut divides. So a split is an action that sets a bit, the
page above a page never changes, and what a rule says of a node may be said of each of its
pages: all have its copies, its locks and its marks, and what a node has once its last page
has. A state of the model is the tree in which every page is a node of its own; a rule holds
of that one exactly if it holds of the tree that the cuts make, which a test shows.

`words` has what it keeps, `shown` what rules see of it, `actions` what can happen, `promises`
what can always still be done, `faults` what can be wrong with that, by the names that they
have in the reference cache.
"""

from __future__ import annotations

from dataclasses import replace

from sanitree.invariants.catalogue import CATALOGUE
from sanitree.invariants.vocabulary import DEVICE, FULL
from sanitree.models.protocol.pages import flights, releases  # noqa: F401  # they declare faults
from sanitree.models.protocol.pages.actions import actions
from sanitree.models.protocol.pages.config import Pages, binary
from sanitree.models.protocol.pages.faults import FAULTS, Fault, planted
from sanitree.models.protocol.pages.inductive import invariants, lines
from sanitree.models.protocol.pages.promises import promises
from sanitree.models.protocol.pages.shown import attached, definitions, tree, variables
from sanitree.models.protocol.system import System
from sanitree.models.snapshot import Key

__all__ = ["FAULTS", "Fault", "Pages", "binary", "pages"]


def pages(m: Pages) -> System:
    """The model of a configuration, with all rules about states that it has words for.

    Raises ValueError for a fault that is unknown, or that the configuration cannot show.
    """
    if m.fault in FAULTS:
        m = replace(m, extra=m.extra | FAULTS[m.fault].extra)
    kept = variables(m)
    root = {v.key: 0 for v in kept} | {Key.of("present", FULL, DEVICE): 1}
    root |= {Key.of("lock", c, DEVICE): 1 for c in m.components}
    system = System(
        name="pages",
        settings=m.settings,
        parents=m.parents,
        variables=kept,
        exists=tuple(v.key for v in kept if v.key.name == "present" and v.key.component == FULL.name),
        root=root,
        actions=tuple(actions(m).values()),
        rules=tuple(r for r in CATALOGUE if not r.on),
        definitions=definitions(m),
        attached=attached(m),
        tree=tree(m),
        promises=promises(m),
        invariants=invariants(m),
        lines=lines(),
    )
    return system if m.fault is None else planted(system, m)
