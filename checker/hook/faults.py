"""What the slot sanitizer finds, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Rule(Enum):
    """What may not be done to a slot. The name is the rule's id; the value says what is wrong."""

    slot_is_freed_once = "a slot was freed that is free already"
    freed_slot_is_not_used = "a slot is used that is free"
    tree_slot_is_freed_by_the_tree = "a slot was freed by somebody else while the tree holds it"
    slot_in_flight_is_not_freed = "a slot was freed while a transfer in flight reads or writes it"
    slot_is_handed_out_once = "the allocator handed out a slot that somebody holds"
    slot_in_flight_is_not_handed_out = "the allocator handed out a slot that a transfer in flight reads or writes"
    slot_has_one_owner = "the tree was given a slot, as new, that it holds already"
    tree_holds_what_it_counts = "the tree says that it holds another number of slots than it took and did not free"
    idle_slots_have_owners = "nothing runs, and a slot is neither free nor in the tree"
    slot_exists = "a slot was named that the pool does not have"


@dataclass(frozen=True, slots=True)
class Did:
    """An operation on a slot: its number among all that were heard (0: before that), and its stack, outermost first."""

    serial: int
    stack: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot (or page, where the pool is paged) as it was when it was misused, and what had put it there."""

    number: int
    state: str
    since: Did


@dataclass(frozen=True, slots=True)
class Fault:
    """One operation that broke one rule.

    count: how many slots it concerns, of which `slots` has the first. flight: the transfer
    that uses them, in words. lag: operations that were heard between it and this report,
    0 where the verdict is not read asynchronously.
    """

    rule: Rule
    pool: str
    operation: Did
    slots: tuple[Slot, ...]
    count: int
    flight: str = ""
    detail: str = ""
    lag: int = 0

    @property
    def place(self) -> tuple[str, str, str]:
        """Equal for what is worth one line in a log: the same rule, broken in the same pool from the same line."""
        return self.rule.name, self.pool, self.operation.stack[-1] if self.operation.stack else ""

    def __str__(self) -> str:
        numbers = [s.number for s in self.slots]
        more = f" and {self.count - len(numbers)} more" if self.count > len(numbers) else ""
        lines = [f"{self.rule.name}: {self.rule.value}"]
        if numbers:
            lines.append(f"  {self.pool} slots {numbers}{more}, {self.slots[0].state} before")
        else:
            lines.append(f"  {self.pool} slots")
        lines += [f"  {x}" for x in (self.detail, self.flight) if x]
        late = f", told {self.lag} operations later" if self.lag else ""
        lines += [f"  operation {self.operation.serial}{late}:", *_indented(self.operation.stack)]
        if self.slots and self.slots[0].since.serial:
            since = self.slots[0].since
            lines += [f"  {self.slots[0].state} since operation {since.serial}:", *_indented(since.stack)]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """As a dump has it."""
        return {
            "rule": self.rule.name,
            "text": self.rule.value,
            "pool": self.pool,
            "operation": {"number": self.operation.serial, "stack": list(self.operation.stack)},
            "slots": [
                {"slot": s.number, "state": s.state, "since": s.since.serial, "stack": list(s.since.stack)}
                for s in self.slots
            ],
            "count": self.count,
            "flight": self.flight,
            "detail": self.detail,
            "lag": self.lag,
        }


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule about the tree that an operation broke, or one about its calls.

    check: the rule's name, with its component. text: what it says. operation: the cache's
    method. did: its call. nodes: ids of the first nodes of which it is false, of a rule about
    the tree where it was not so before; none where it is about the whole tree. count: of how
    many elements that is so. of_call: whether the rule is about calls.
    """

    check: str
    text: str
    operation: str
    did: Did
    nodes: tuple[int, ...]
    count: int
    of_call: bool = False

    @property
    def place(self) -> tuple[str, str, str]:
        """Equal for what is worth one line in a log, as `Fault.place`."""
        return self.check, self.operation, self.did.stack[-1] if self.did.stack else ""

    def __str__(self) -> str:
        text = self.text.partition("\n\n")[0].replace("\n", " ")
        lines = [f"{self.check}: {'not so of this call' if self.of_call else 'no longer so'}: {text}"]
        if self.nodes:
            more = f" and {self.count - len(self.nodes)} more" if self.count > len(self.nodes) else ""
            lines.append(f"  nodes {list(self.nodes)}{more}")
        lines += [f"  broken by {self.operation or 'something between operations'}, called from:"]
        return "\n".join([*lines, *_indented(self.did.stack)])

    def to_json(self) -> dict[str, Any]:
        """As a dump has it."""
        return {
            "rule": self.check,
            "text": self.text,
            "operation": {"name": self.operation, "number": self.did.serial, "stack": list(self.did.stack)},
            "nodes": list(self.nodes),
            "count": self.count,
        }


class CallBroken(AssertionError):  # noqa: N818  reads as what happened
    """A call that breaks a rule about calls; raised when it has returned."""

    def __init__(self, broken: Broken) -> None:
        self.broken = broken
        super().__init__(str(broken))


class SlotMisused(AssertionError):  # noqa: N818  reads as what happened
    """An operation that breaks a rule about slots; raised before it is done where that is possible."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))


def _indented(stack: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in stack]
