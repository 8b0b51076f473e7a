"""Why a cache parts from a run of the model: what the model leaves open, and the cache decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sanitree.checker.perform.perform import Performed, Run
from sanitree.invariants.vocabulary import Policy

_EVICTIONS = frozenset({"demote", "write_back", "drop", "evict_host", "reclaim", "save_node"})


@dataclass(frozen=True, slots=True)
class Parted:
    """A run and how far a cache came in it. action: the move that it did not do; did: what it did instead."""

    policy: Policy
    action: str
    did: tuple[str, ...]

    @staticmethod
    def of(run: Run, done: Performed, policy: Policy) -> Parted:
        """Of a run that was not done to the end."""
        return Parted(policy, run.moves[done.moves][0], tuple(name for name, _ in done.took))


@dataclass(frozen=True, slots=True, eq=False)
class Reason:
    """Something that a cache decides otherwise. covers: whether that is why it parted."""

    id: str
    why: str
    covers: Callable[[Parted], bool]


def reason(p: Parted) -> Reason | None:
    """The first that explains it."""
    return next((r for r in REASONS if r.covers(p)), None)


def _evicts(name: str) -> bool:
    return name in _EVICTIONS or name.startswith("evict_")


REASONS: tuple[Reason, ...] = (
    Reason(
        "saved-besides",
        "Since 0.5.18 an eviction under write_back saves nodes on the path of what it takes, and gives up host copies "
        "of what is on the device to have room for that: one call, and several moves of the model.",
        lambda p: _evicts(p.action) and bool({"save_node", "reclaim"} & set(p.did)),
    ),
    Reason(
        "another-victim",
        "Whom an eviction takes is the cache's choice: what was used least recently, and of a component's copies those "
        "of leaves with all that the leaf has.",
        lambda p: _evicts(p.action) and any(map(_evicts, p.did)),
    ),
    Reason(
        "hits-are-counted-otherwise",
        "Under write_through_selective a node is backed up when it was hit often enough, and every version counts "
        "otherwise: matches as well, or every node on the path.",
        lambda p: (
            p.policy is Policy.WRITE_THROUGH_SELECTIVE and (p.action == "submit_write" or "submit_write" in p.did)
        ),
    ),
    Reason(
        "a-prefetch-wants-room-for-more",
        "A prefetch takes host slots before it looks for what the tree has of them by then, or makes room first.",
        lambda p: p.action == "prefetch" and set(p.did) <= {"evict_host", "prefetch"},
    ),
    Reason(
        "a-match-ends-where-state-is",
        "A node is backed up that a match ends at, and a match ends where recurrent state is.",
        lambda p: p.action == "submit_write" and not p.did,
    ),
)
