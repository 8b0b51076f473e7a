"""Why a cache parts from a run of the model: what the model leaves open, and the cache decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sanitree.checker.perform.perform import Performed, Run
from sanitree.invariants.vocabulary import FULL, HOST, Policy
from sanitree.models.driving.setup import Setup
from sanitree.models.engines.findings import FINDINGS
from sanitree.models.engines.store import within
from sanitree.models.snapshot import Key

_EVICTIONS = frozenset({"demote", "write_back", "drop", "evict_host", "reclaim", "save_node"})


@dataclass(frozen=True, slots=True)
class Parted:
    """A run that a cache did not do to the end. on, setup: the cache; action: the move that it did not do; did: what it
    did instead, not that move; differs: the variables that were otherwise then."""

    on: str
    setup: Setup
    action: str
    did: tuple[str, ...]
    differs: frozenset[Key]

    @staticmethod
    def of(run: Run, done: Performed, on: str, setup: Setup) -> Parted:
        """Of a run and how far it came."""
        action, page = run.moves[done.moves]
        own = run.path(page, setup.page_size)
        did = tuple(name for name, path in done.took if (name, path) != (action, own))
        return Parted(on, setup, action, did, frozenset(d.key for d in done.differences))

    @property
    def only_aux_on_host(self) -> bool:
        """All that is otherwise are host copies of window or state data."""
        return all(k.component not in (None, FULL.name) and k.tier == HOST.value for k in self.differs)

    def has(self, finding: str) -> bool:
        """It is of an engine with a known bug."""
        f = next(f for f in FINDINGS if f.id == finding)
        return self.on != "reference" and within(self.on, f.first, f.fixed)


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
        "write-back-not-awaited",
        "The [finding](findings.md) of that name: the eviction returns while its write is in flight.",
        lambda p: p.has("write-back-not-awaited") and p.setup.policy is Policy.WRITE_BACK and _evicts(p.action),
    ),
    Reason(
        "split-forgets-pending-write",
        "The [finding](findings.md) of that name: of a node that is split while it is written, one part is not marked.",
        lambda p: p.has("split-forgets-pending-write") and p.action == "split" and p.differs == {Key("write_pending")},
    ),
    Reason(
        "eviction-stalls-when-host-is-full",
        "The [finding](findings.md) of that name: what has no room on the host is not evicted either.",
        lambda p: p.has("eviction-stalls-when-host-is-full") and p.action == "drop" and not p.did,
    ),
    Reason(
        "auxiliary-data-is-left-out",
        "A write takes auxiliary data along wherever its pool has room, in the model. A cache asks before or after it "
        "has made room for the full copies.",
        lambda p: p.action in ("write_back", "submit_write") and p.only_aux_on_host,
    ),
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
            p.setup.policy is Policy.WRITE_THROUGH_SELECTIVE and (p.action == "submit_write" or "submit_write" in p.did)
        ),
    ),
    Reason(
        "auxiliary-data-is-written-again-or-not",
        "Whether an insert writes window or state data again that the host has lost is each version's own.",
        lambda p: (
            len(p.setup.components) > 1 and p.action in ("insert", "submit_write") and Key("in_write") in p.differs
        ),
    ),
    Reason(
        "a-prefetch-wants-room-for-more",
        "A prefetch takes host slots before it looks for what the tree has of them by then, or makes room first.",
        lambda p: p.action == "prefetch" and set(p.did) <= {"evict_host"},
    ),
    Reason(
        "a-match-ends-where-state-is",
        "A node is backed up that a match ends at, and a match ends where recurrent state is.",
        lambda p: p.action == "submit_write" and not p.did,
    ),
)
