"""What operations take and give back. Counts are in slots unless said otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sanitree.invariants.vocabulary import Tier
from sanitree.models.reference.nodes import Node


@dataclass(frozen=True, slots=True)
class Refused:
    """What there was no room for: slots of a component on a tier."""

    component: str
    wanted: int
    tier: Tier


@dataclass(frozen=True, slots=True, eq=False)
class MatchResult:
    """What a prefix match found.

    device_node: where a request can start as the device stands, after device_tokens;
    slots: its full device slots, one a token. host_node, host_tokens: the same with host
    copies counted, what a load back of host_node makes of it.
    """

    device_node: Node
    device_tokens: int
    slots: Tensor
    host_node: Node
    host_tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class InsertResult:
    """node: the end of the inserted path. known: tokens that the device had already.
    left: per-node components whose state the caller keeps, because the node has one.
    backups_refused: nodes due for a backup that the host has no room for."""

    node: Node
    known: int
    left: tuple[str, ...]
    backups_refused: int

    @property
    def state_taken(self) -> bool:
        """Whether every state that was given is the tree's now."""
        return not self.left


@dataclass(frozen=True, slots=True, eq=False)
class Receipt:
    """Of one lock, for its release. extents: tokens that it covers of each component,
    counted back from the end of `node`."""

    number: int
    node: Node
    tier: Tier
    extents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EvictResult:
    """evicted: device slots freed. backed_up: nodes written to the host on the way. dropped:
    those of the device slots freed whose data is on no tier any more."""

    evicted: Mapping[str, int]
    backed_up: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class EvictHostResult:
    """evicted: host slots freed."""

    evicted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BackupResult:
    """acks: of the writes submitted. refused: what the full copies found no room for; the
    nodes above it are being written. left_out: auxiliary components without room."""

    acks: tuple[int, ...] = ()
    refused: Refused | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadBackResult:
    """loaded: device slots that are being filled; none where nothing was missing. ack: of
    the load. refused: what there was no room for; then nothing is loaded."""

    loaded: Mapping[str, int]
    ack: int | None = None
    refused: Refused | None = None


@dataclass(frozen=True, slots=True, eq=False)
class HostInsertResult:
    """node: the end of the path that is on the host. inserted: tokens that are new there.
    stopped: whether a node that is on the device alone was in the way."""

    node: Node
    inserted: int
    stopped: bool


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a transfer, for whoever follows the cache's steps."""

    what: Literal["submitted", "acked"]
    kind: Literal["write", "load"]
    ack: int
