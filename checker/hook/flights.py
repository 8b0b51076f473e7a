"""Which slots the transfers of an SGLang cache controller use, from submission to acknowledgement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from sanitree.checker.hook.shadow import Clock, Shadow
from sanitree.checker.hook.wrapping import Heard, Wrapped

Kind = Literal["write", "load"]
Pools = Mapping[tuple[str, str], Shadow]
"""Shadows by the name of the component and of the tier."""

_NAMES = {"kv": "full", "swa": "swa", "mamba": "mamba"}


@dataclass(slots=True, eq=False)
class Flight:
    """A transfer that the controller has not acknowledged.

    operation: the controller's own object, until it is started. acks: the list of
    acknowledgement ids that is in the controller's queue from then on. used: what each
    pool noted, for when it lands. at: the operation that submitted it.
    """

    kind: Kind
    operation: Any
    acks: Any
    used: list[tuple[Shadow, Any]]
    at: int

    @property
    def text(self) -> str:
        """For a report."""
        way = "write to the host" if self.kind == "write" else "load to the device"
        return f"{way}, nodes {list(self.acks)}"


class Flights:
    """Follows one controller. A transfer is over when its acknowledgement has left the controller's queue."""

    def __init__(self, controller: Any, pools: Pools, clock: Clock, guard: Callable[[Heard], Heard]) -> None:
        self._controller, self._pools, self._clock, self._guard = controller, pools, clock, guard
        self._flying: list[Flight] = []

    def listen(self, wrapped: Wrapped) -> None:
        """Hears submissions."""
        calls: tuple[tuple[Kind, str, str], ...] = (
            ("write", "write", "start_writing"),
            ("load", "load", "start_loading"),
        )
        for kind, submit, start in calls:
            wrapped.hear(self._controller, submit, partial(self._submits, kind))
            wrapped.hear(self._controller, start, partial(self._starts, kind))

    def settle(self) -> int:
        """Lands what was acknowledged; returns how many that were."""
        if not self._flying:
            return 0
        c, still = self._controller, []
        queued = {id(a.node_ids) for a in (*c.ack_write_queue, *c.ack_load_queue)}
        waiting = {id(o) for o in (*c.write_queue, *c.load_queue)}
        for f in self._flying:
            if id(f.acks) in queued or id(f.operation) in waiting:
                still.append(f)
            else:
                for shadow, flown in f.used:
                    shadow.land(flown)
        landed, self._flying = len(self._flying) - len(still), still
        return landed

    def using(self, pool: str, rows: Iterable[int]) -> str:
        """The transfers in flight that use rows of a pool, in words."""
        wanted = set(rows)
        return "; ".join(
            f"{f.text}, submitted by operation {self._clock.did(f.at).serial}"
            for f in self._flying
            if any(s.shape.name == pool and s.flown(flown) & wanted for s, flown in f.used)
        )

    def _submits(self, kind: Kind, method: Heard) -> Heard:
        def submits(*args: Any, **more: Any) -> Any:
            result = method(*args, **more)
            note(kind)
            return result

        note = self._guard(self._note)
        return submits

    def _starts(self, kind: Kind, method: Heard) -> Heard:
        def starts(*args: Any, **more: Any) -> Any:
            note(kind)
            waiting = {id(o) for o in getattr(self._controller, f"{kind}_queue")}
            acks = getattr(self._controller, f"ack_{kind}_queue")
            before = len(acks)
            result = method(*args, **more)
            if len(acks) > before:
                started(waiting, acks[-1].node_ids)
            return result

        note, started = self._guard(self._note), self._guard(self._started)
        return starts

    def _started(self, waiting: set[int], acks: Any) -> None:
        for f in self._flying:
            if id(f.operation) in waiting:
                f.operation, f.acks = None, acks

    def _note(self, kind: Kind) -> None:
        """Notes the operations in the controller's queue that are new there."""
        known = {id(f.operation) for f in self._flying}
        for operation in getattr(self._controller, f"{kind}_queue"):
            if id(operation) not in known:
                at = self._clock.now(2)
                flight = Flight(kind, operation, operation.node_ids, [], at)
                self._flying.append(flight)
                for component, device, host in _spans(operation):
                    # Both ends are in the tree at once: a load's device copies, and a write's host copies.
                    for tier, slots, arrives in (("device", device, kind == "load"), ("host", host, kind == "write")):
                        shadow = self._pools.get((component, tier))
                        if shadow is not None:
                            flight.used.append((shadow, shadow.fly(slots, at)))
                            if arrives:
                                shadow.adopt(slots, 0, slots.numel(), at)


def _spans(operation: Any) -> Iterator[tuple[str, Any, Any]]:
    """What a queued operation copies: a component, and the slots on either tier."""
    if operation.device_indices.numel():
        yield "full", operation.device_indices, operation.host_indices
    for extra in getattr(operation, "pool_transfers", None) or ():
        if extra.device_indices is not None and extra.host_indices is not None:
            name = str(getattr(extra.name, "value", extra.name))
            yield _NAMES.get(name, name), extra.device_indices, extra.host_indices
