"""Which actions of the page model one call of a cache may consist of, in the order in which it does them.

The model has a decision an action; a call takes several: it makes room, then takes slots, then submits. Between
the calls of a scheduler everything may happen, within a call only this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sanitree.invariants.calls import Operation

_HOST = ("evict_host", "evict_host_copy", "reclaim")
_DEVICE = ("demote", "write_back", "save_node", "drop", "evict_copy", *_HOST)

STAGES: Mapping[Operation, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        Operation.MATCH: (("split",),),
        # SGLang backs up a node that it hits on the way before it takes what is new, and what is new after that.
        # A new leaf that is longer than a window is split there, so that less of it is locked.
        Operation.INSERT: (
            ("split", *_HOST, "submit_write"),
            ("insert", "insert_again"),
            ("split", *_HOST, "submit_write"),
        ),
        Operation.ALLOCATE: (_DEVICE,),
        Operation.ACQUIRE: (("acquire",),),
        Operation.RELEASE: (("release",),),
        Operation.EVICT: (_DEVICE,),
        Operation.EVICT_HOST: (_HOST,),
        Operation.BACK_UP: ((*_HOST, "submit_write"),),
        Operation.POLL_WRITES: (("ack_write",),),
        Operation.LOAD_BACK: (_DEVICE, ("submit_load",)),
        Operation.POLL_LOADS: (("ack_load",),),
        Operation.PREFETCH: (("split",), _HOST, ("prefetch",)),
        Operation.COPY: (),
    }
)
"""Of each call its stages; each may come to any number of these actions, of any component."""

AT_ANY_TIME = ("copy_write", "copy_load")
"""Bytes arrive when they like, during any call."""


def stages_of(operation: Operation, action: str) -> tuple[int, ...]:
    """The stages of a call in which it may do an action."""
    stages = STAGES.get(operation, ())
    return tuple(i for i, names in enumerate(stages) if any(_is(action, name) for name in names))


def one_call(actions: Sequence[str], operations: Sequence[Operation] = tuple(STAGES)) -> bool:
    """Whether some call of these may do just these actions, in this order."""
    return any(_in_order(operation, actions) for operation in operations)


def _in_order(operation: Operation, actions: Sequence[str]) -> bool:
    at = 0
    for action in actions:
        if action in AT_ANY_TIME:
            continue
        later = [stage for stage in stages_of(operation, action) if stage >= at]
        if not later:
            return False
        at = later[0]
    return True


def _is(action: str, name: str) -> bool:
    """`evict_copy_swa` is an `evict_copy`."""
    return action == name or (action.startswith(f"{name}_") and name in ("evict_copy", "evict_host_copy"))
