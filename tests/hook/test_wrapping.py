"""Methods that somebody kept before they were heard."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from sanitree.checker.hook.wrapping import Wrapped


class Pool:
    def free(self, slot: int) -> int:
        return slot


class Component:
    def __init__(self, pool: Pool) -> None:
        self.give_back = pool.free


@pytest.mark.parametrize("frozen", [False, True], ids=["live", "frozen"])
def test_a_method_that_was_kept_is_heard_too(frozen: bool) -> None:
    """Also where a server has frozen all that it had; what was frozen is so again, and what was not is not."""
    pool = Pool()
    component, heard, wrapped = Component(pool), [], Wrapped()
    kept = component.give_back

    def hears(method: Callable[..., Any]) -> Callable[..., Any]:
        def free(slot: int) -> Any:
            heard.append(slot)
            return method(slot)

        return free

    gc.unfreeze()  # hunts in this process freeze what engines brought
    if frozen:
        gc.freeze()
    try:
        wrapped.hear(pool, "free", hears)
        assert wrapped.rebind(pool) == []
        assert (gc.get_freeze_count() > 0) == frozen
    finally:
        gc.unfreeze()
    assert component.give_back(3) == 3 and heard == [3]
    wrapped.undo()
    assert component.give_back is kept
    assert component.give_back(4) == 4 and heard == [3]
