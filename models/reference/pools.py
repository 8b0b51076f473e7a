"""Memory: a buffer of slots, and which of them are free."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import Component
from sanitree.models.reference.config import CacheConfig
from sanitree.models.reference.errors import CacheError


class Pool:
    """Slots of one component on one tier.

    buffer: int64, shape [layers, slots, width]. Slots are handed out in units (pages of a
    per-token component, single slots of a per-node one), whose slots are consecutive.
    Slot numbers are int64 tensors on the CPU, whatever device the buffer is on. Nothing
    here notices a slot that is freed twice: it is then free twice, and handed out twice.
    """

    __slots__ = ("_first", "_free", "_head", "buffer", "capacity", "unit")

    def __init__(self, capacity: int, unit: int, first: int, buffer: Tensor) -> None:
        """Of `capacity` slots from `first` on; those before are padding, which nobody gets."""
        self.capacity = capacity
        self.unit = unit
        self.buffer = buffer
        self._first = first
        self.clear()

    def clear(self) -> None:
        """Frees everything."""
        # Free slots are _free[_head:]. What was freed last is handed out first.
        self._free = torch.arange(self._first, self._first + self.capacity)
        self._head = 0

    @property
    def available(self) -> int:
        """Free slots."""
        return self._free.numel() - self._head

    @property
    def free_slots(self) -> Tensor:
        """Every free slot; one that was freed twice is there twice."""
        return self._free[self._head :]

    def alloc(self, count: int) -> Tensor | None:
        """`count` slots, whole units; None where fewer are free. Raises CacheError for part of a unit."""
        if count % self.unit:
            raise CacheError(f"{count} slots are not whole units of {self.unit}")
        end = self._head + count
        if end > self._free.numel():
            return None
        slots = self._free[self._head : end].clone()
        self._head = end
        return slots

    def free(self, slots: Tensor) -> None:
        """Takes back whole units. Raises CacheError for part of one."""
        count = slots.numel()
        if count % self.unit:
            raise CacheError(f"{count} slots are not whole units of {self.unit}")
        start = self._head - count
        if start < 0:
            self._free = torch.cat([slots, self.free_slots])
            self._head = 0
            return
        self._free[start : self._head] = slots
        self._head = start


def device_pools(config: CacheConfig) -> list[Pool]:
    """A device pool for each component. Its first unit is padding, as engines keep one for tokens without a slot."""
    return [_pool(config, config.device_slots, c, device=config.device) for c in config.components]


def host_pools(config: CacheConfig) -> list[Pool]:
    """A host pool for each component, in pinned memory where the device is a GPU; none without a host tier."""
    return [_pool(config, config.host_slots, c) for c in config.components] if config.host_slots is not None else []


def _pool(config: CacheConfig, slots: Mapping[str, int], c: Component, device: str | None = None) -> Pool:
    unit = config.page_size if c.per_token else 1
    first = unit if device is not None else 0
    buffer = torch.zeros(
        (config.layers, first + slots[c.name], config.width),
        dtype=torch.int64,
        device=device or "cpu",
        pin_memory=device is None and torch.device(config.device).type == "cuda",
    )
    return Pool(slots[c.name], unit, first, buffer)
