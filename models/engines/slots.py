"""Where requests get their slots from, each step of it a call that can be heard."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Slots:
    """The allocators of one live engine, as the scheduler's allocation paths use them."""

    def __init__(self, allocator: Any, page_size: int, states: Any | None, host: Any | None) -> None:
        self._allocator, self._page_size, self._states, self._host = allocator, page_size, states, host
        self._full = getattr(allocator, "full_attn_allocator", None)
        self._swa = getattr(allocator, "swa_attn_allocator", None)

    def alloc(self, count: int) -> Tensor | None:
        """Device slots for `count` tokens of whole pages, or None; as `alloc_extend` without
        its Triton kernel: a request that starts on a page boundary gets whole pages."""
        if self._full is None or self._swa is None or self._page_size == 1:
            slots = self._allocator.alloc(count)
            return None if slots is None else slots.long()
        if count > min(self._full.available_size(), self._swa.available_size()):
            return None
        full, swa = self._full.alloc(count), self._swa.alloc(count)
        mapping = self._allocator.full_to_swa_index_mapping
        mapping[full] = swa.to(mapping.dtype)
        return full.long()  # type: ignore[no-any-return]

    def free(self, slots: Tensor) -> None:
        """Gives back device slots, as `release_kv_cache` does with what the tree did not take."""
        self._allocator.free(slots)

    def alloc_state(self) -> Tensor | None:
        """A slot for a recurrent state, as `MambaComponent.prepare_for_caching_req` forks one."""
        return self._states.alloc(1)  # type: ignore[union-attr, no-any-return]

    def free_state(self, state: Tensor) -> None:
        """Gives it back, as `cleanup_after_caching_req` where the tree had one."""
        self._states.free(state)  # type: ignore[union-attr]

    def alloc_host(self, count: int) -> Tensor | None:
        """Host slots for `count` tokens of whole pages, or None; as `prefetch_from_storage`."""
        return self._host.alloc(count)  # type: ignore[union-attr, no-any-return]

    def free_host(self, slots: Tensor) -> None:
        """Gives them back, as `check_prefetch_progress` and `release_aborted_request`."""
        self._host.free(slots)  # type: ignore[union-attr]


NONE = torch.empty(0, dtype=torch.int64)
"""No slots."""
