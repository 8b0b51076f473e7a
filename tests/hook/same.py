"""Two shadows of one pool, the one in numpy and the one that never reads back, given the same random operations."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sanitree.checker.hook.device import ShadowOnDevice
from sanitree.checker.hook.faults import Fault
from sanitree.checker.hook.shadow import Clock, PoolShape, Shadow


class Unread(torch.Tensor):
    """Indices on a device whose reading back would wait for it: here, an error."""

    def _no(self, *args: Any, **more: Any) -> Any:
        raise AssertionError("an operation read indices back from the device")

    item = tolist = cpu = numpy = nonzero = __bool__ = __int__ = __float__ = __index__ = __len__ = _no  # type: ignore[assignment]
    __contains__ = __iter__ = __array__ = _no  # type: ignore[assignment]


@dataclass(frozen=True)
class Found:
    """What a fault says, but the stacks' lines and how late it was told."""

    rule: str
    operation: int
    slots: tuple[tuple[int, str, int], ...]
    count: int

    @classmethod
    def of(cls, fault: Fault) -> Found:
        slots = tuple((s.number, s.state, s.since.serial) for s in fault.slots)
        return cls(fault.rule.name, fault.operation.serial, slots, fault.count)


class Pair:
    """The same operations on both."""

    def __init__(self, size: int, unit: int, padded: bool, device: str = "cpu", unread: bool = True) -> None:
        shape = PoolShape("full device", size, unit, padded)
        self.told: tuple[list[Fault], list[Fault]] = ([], [])
        self.clocks = (Clock(), Clock())
        self.numpy = Shadow(shape, self.clocks[0], self.told[0].append)
        self.device = ShadowOnDevice(shape, self.clocks[1], self.told[1].append, device)
        self._place, self._unread = device, unread

    def slots(self, numbers: list[int]) -> tuple[Tensor, Tensor]:
        plain = torch.tensor(numbers, dtype=torch.int64)
        there = plain.to(self._place)
        return plain, there.as_subclass(Unread) if self._unread else there

    def do(self, name: str, numbers: list[int], *more: int) -> None:
        for shadow, clock, slots in zip((self.numpy, self.device), self.clocks, self.slots(numbers), strict=True):
            getattr(shadow, name)(slots, *more, clock.now())

    def fly(self, numbers: list[int]) -> tuple[Any, Any]:
        pairs = zip((self.numpy, self.device), self.clocks, self.slots(numbers), strict=True)
        return tuple(shadow.fly(slots, clock.now()) for shadow, clock, slots in pairs)  # type: ignore[return-value]

    def land(self, flown: tuple[Any, Any]) -> None:
        self.numpy.land(flown[0])
        self.device.land(flown[1])

    def found(self) -> tuple[list[Found], list[Found]]:
        self.device.settle()
        self.device.settle()
        ways = ([Found.of(f) for f in told] for told in self.told)
        first, second = (sorted(way, key=lambda f: (f.operation, f.rule)) for way in ways)
        return first, second


def random_work(pair: Pair, size: int, unit: int, steps: int, seed: int) -> None:
    """Operations on whole rows, most of them legal and some not."""
    draw = random.Random(seed)
    flying: list[tuple[Any, Any]] = []
    free, held = list(range(1, size)), []

    def indices(rows: list[int]) -> list[int]:
        return [row * unit + i for row in rows for i in range(unit)]

    for _ in range(steps):
        op = draw.choice(("take", "give", "tree", "use", "fly", "land", "wrong"))
        if op == "take" and free:
            rows = [free.pop() for _ in range(min(len(free), draw.randrange(1, 4)))]
            held += rows
            pair.do("take", indices(rows))
        elif op == "give" and held:
            rows = [held.pop(draw.randrange(len(held))) for _ in range(min(len(held), draw.randrange(1, 4)))]
            free += rows
            pair.do("give", indices(rows))
        elif op == "tree" and held:
            rows = draw.sample(held, min(len(held), 3))
            pair.do("offer", indices(rows), 0, unit * len(rows))
            pair.do("adopt", indices(rows), 0, unit * len(rows))
        elif op == "use" and held:
            pair.do("use", indices(draw.sample(held, min(len(held), 5))))
        elif op == "fly" and held:
            flying.append(pair.fly(indices(draw.sample(held, 1))))
        elif op == "land" and flying:
            pair.land(flying.pop(draw.randrange(len(flying))))
        elif op == "wrong":
            rows = [draw.randrange(1, size) for _ in range(draw.randrange(1, 4))]
            pair.do(draw.choice(("take", "give", "use")), indices(rows))
