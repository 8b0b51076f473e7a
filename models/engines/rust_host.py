"""The host copies of auxiliary data in a Rust core, pieced together from what its own plans would copy.

Where the data is not on the device, the core says whether it is on the host. Where it is, a
backup of the node would copy what the host lacks. A load back would read the slots of what is
on the host alone. The core makes such plans without acting on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import Component
from sanitree.models.engines import store
from sanitree.models.engines.rust_listing import Listing
from sanitree.models.engines.view import NUMBER, View

_NOTHING = torch.zeros(0, dtype=torch.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Copies:
    """A component's host copies by row. on: whether there is one, None where unknown.
    slots: where it lies, None where there is none or that is unknown."""

    on: list[bool | None]
    slots: list[Tensor | None]

    def presence(self) -> tuple[Tensor, Tensor]:
        """Values, and which are known."""
        return torch.tensor([bool(x) for x in self.on]), torch.tensor([x is not None for x in self.on])

    def lengths(self) -> tuple[Tensor, Tensor]:
        """Slots that each copy occupies, and which are known."""
        values = torch.tensor([0 if s is None else len(s) for s in self.slots])
        return values, torch.tensor([self._settled(row) for row in range(len(self.on))])

    def all_slots(self) -> list[Tensor] | None:
        """The slots of each row, if all are known."""
        if not all(map(self._settled, range(len(self.on)))):
            return None
        return [_NOTHING if s is None else s for s in self.slots]

    def _settled(self, row: int) -> bool:
        return self.on[row] is False or self.slots[row] is not None


def auxiliary(
    v: View, core: Any, seen: Listing, device: Mapping[str, Sequence[Tensor | None]], full: Copies
) -> dict[str, Copies]:
    """The host copies of each auxiliary component. Without a host tier there are none."""
    kinds = [c for c in v.settings.components if not c.backbone]
    found = {c.name: Copies([False] * len(seen.ids), [None] * len(seen.ids)) for c in kinds}
    if v.controller is None:
        return found
    on_device = device["full"]
    writes = getattr(v.cache, "ongoing_write_through", None) or {}
    pending = {node for entry in writes.values() for node in entry.publish_node_ids}
    for c in kinds:
        # From 0.5.20 a backup takes the window above the node along, up to one that is being written.
        passes_over = pending if c.name == "swa" and store.at_least(v.version, "0.5.20") else set()
        for row, node in enumerate(seen.ids[1:], 1):
            if device[c.name][row] is None:
                found[c.name].on[row] = core.component_has_host_value_only(node, NUMBER[c.name])
            elif on_device[row] is None:
                found[c.name].on[row] = None  # data without full data: no plan would tell
            else:
                found[c.name].on[row] = _on_host(core, c, node, passes_over)
    _fill_slots(core, seen, device, full, found)
    return found


def _on_host(core: Any, c: Component, node: int, passes_over: set[int]) -> bool | None:
    """Whether the host, too, has what a node has on the device: a backup would not copy it."""
    for _, _, _, nodes, _, _ in core.build_backup_spec(node)[1].get(NUMBER[c.name], ()):
        if nodes is None or node in nodes:  # None: the node alone
            return False
    return None if node in passes_over else True


def _fill_slots(
    core: Any,
    seen: Listing,
    device: Mapping[str, Sequence[Tensor | None]],
    full: Copies,
    found: Mapping[str, Copies],
) -> None:
    """Reads the slots of the data that is on the host alone from the plans of load backs.

    A plan covers a path: a node's part is what is left of it when its ancestors' are known.
    """
    by_number = {NUMBER[name]: copies for name, copies in found.items()}
    loadable = [True] * len(seen.ids)
    for row, node in enumerate(seen.ids[1:], 1):
        # The core panics on the way up from a node that is nowhere.
        here = device["full"][row] is not None
        loadable[row] = here or (full.on[row] is True and loadable[seen.parents[row]])
        alone = any(copies.on[row] and device[name][row] is None for name, copies in found.items())
        if not alone or not loadable[row]:
            continue
        try:
            plan = core.build_load_back_spec(node)[1]
        except AssertionError:  # a hole in the window above: no load back ends here
            continue
        for number, transfers in plan.items():
            for _, slots, _, nodes, _, _ in transfers:
                _take(by_number[number], seen, slots.to(torch.int64), nodes or [])


def _take(copies: Copies, seen: Listing, slots: Tensor, nodes: Sequence[int]) -> None:
    rows = [seen.row[i] for i in nodes if i in seen.row]
    new = [row for row in rows if copies.slots[row] is None]
    if len(new) != 1 or len(rows) < len(nodes):
        return
    before = rows.index(new[0])
    start = sum(len(s) for row in rows[:before] if (s := copies.slots[row]) is not None)
    after = sum(len(s) for row in rows[before + 1 :] if (s := copies.slots[row]) is not None)
    copies.slots[new[0]] = slots[start : len(slots) - after]
