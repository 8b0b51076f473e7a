"""A group of ranks where an engine expects one of `torch.distributed`.

A cache asks `torch.distributed` how many ranks its group has, and calls `all_reduce` and
`barrier` on it. Those functions are wrapped, once, for the engine of this process: a
`TorchGroup` is answered by the group that it stands for, anything else goes where it went.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as distributed

from sanitree.models.ranks.gloo import Gloo
from sanitree.models.ranks.group import Group, Reduction


class OwnNames:
    """Each of several ranks in one process numbers its nodes by itself, as in a process of its own.

    An engine counts them in an attribute of their class, and what ranks tell each other
    may be made of those numbers: the digest of reclaimed copies is, from 0.5.18 on.
    """

    def __init__(self) -> None:
        self._first: int | None = None
        self._next: dict[int, int] = {}

    @contextmanager
    def around(self, rank: int) -> Iterator[None]:
        """Around what a rank does."""
        nodes = _node_class()
        if self._first is None:
            self._first = 0 if nodes is None else nodes.counter
        if nodes is not None:
            nodes.counter = self._next.get(rank, self._first)
        try:
            yield
        finally:
            if (nodes := _node_class()) is not None:
                self._next[rank] = nodes.counter


def _node_class() -> Any:
    """The class of an engine's nodes; None while none is loaded."""
    for module in ("unified_cache.unified_tree_core", "unified_radix_cache"):
        found = getattr(sys.modules.get(f"sglang.srt.mem_cache.{module}"), "UnifiedTreeNode", None)
        if found is not None:
            return found
    return None


class TorchGroup:
    """Stands where an engine expects a process group."""

    def __init__(self, group: Group) -> None:
        self.group = group

    def all_reduce(self, tensor: torch.Tensor, op: Any) -> None:
        """In place, as `torch.distributed.all_reduce`."""
        answer = self.group.reduce(_REDUCTIONS[str(op)], tensor.flatten().tolist())
        tensor.copy_(torch.tensor(answer, dtype=tensor.dtype).reshape(tensor.shape))


_REDUCTIONS: dict[str, Reduction] = {
    str(distributed.ReduceOp.MIN): "min",
    str(distributed.ReduceOp.MAX): "max",
    str(distributed.ReduceOp.SUM): "sum",
}

_ANSWERS: dict[str, Callable[..., Any]] = {
    "get_world_size": lambda g: g.group.size,
    "get_rank": lambda g: g.group.rank,
    "get_process_group_ranks": lambda g: list(range(g.group.size)),
    "barrier": lambda g: g.group.barrier(),
}
_carried = False


def of_torch(group: Group) -> Any:
    """What an engine takes for a group: a real one, or what stands for ours, which `torch.distributed` answers for
    from then on in this process."""
    if isinstance(group, Gloo):
        return group.process_group
    _carry()
    return TorchGroup(group)


def _carry() -> None:
    global _carried
    if _carried:
        return
    _carried = True
    for name, answer in _ANSWERS.items():
        setattr(distributed, name, _asked(getattr(distributed, name), answer))
    all_reduce = distributed.all_reduce

    def reduce(tensor: torch.Tensor, op: Any = distributed.ReduceOp.SUM, group: Any = None, **more: Any) -> Any:
        if not isinstance(group, TorchGroup):
            return all_reduce(tensor, op, group, **more)
        group.all_reduce(tensor, op)
        return None

    setattr(distributed, "all_reduce", reduce)  # noqa: B010  its type says it has none of ours


def _asked(function: Callable[..., Any], answer: Callable[[TorchGroup], Any]) -> Callable[..., Any]:
    def asked(group: Any = None, *args: Any, **more: Any) -> Any:
        return answer(group) if isinstance(group, TorchGroup) else function(group, *args, **more)

    return asked
