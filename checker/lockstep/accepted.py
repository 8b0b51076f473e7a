"""Where the model and a cache are known to part, and why that is accepted: data, counted whenever it is met.

The model was made of the semantics of the reference cache and of what SGLang's versions have in common; what one does
besides is here, with what in the engine does it. What an entry accepts is as narrow as can be said: an operation, the
variables that differ, and in which direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sanitree.checker.lockstep.follow import Followed, Position
from sanitree.checker.lockstep.search import Difference
from sanitree.checker.lockstep.shown import Path
from sanitree.invariants.calls import Operation
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Policy, Settings, Tier
from sanitree.models.engines.store import within
from sanitree.models.protocol.pages import words as w
from sanitree.models.snapshot import Key, Origin

_COPY = frozenset({"present", "taken", "right"})


@dataclass(frozen=True, slots=True, eq=False)
class Met:
    """A call after which model and cache differed, and where the model was before and after it. places: of each
    variable in what is seen of a page."""

    settings: Settings
    followed: Followed
    before: Position
    after: Position
    places: Mapping[Key, int]

    @property
    def operation(self) -> Operation:
        return self.followed.call.operation

    def had(self, path: Path, component: str, tier: Tier) -> bool:
        """A page had a copy before the call."""
        row = self.before.seen.pages.get(path)
        return row is not None and bool(row[self.places[Key("present", component, tier.value)]])

    def auxiliary(self, d: Difference) -> bool:
        """The difference is of window or state data."""
        return any(c.name == d.key.component and not c.backbone for c in self.settings.components)

    def above_a_tombstone(self, d: Difference) -> bool:
        """Of the page or of one below, on the device, the device has no copy of the component."""
        below = (p for p in self.before.seen.pages if p[: len(d.path)] == d.path and self.had(p, FULL.name, DEVICE))
        return any(not self.had(p, d.key.component or "", DEVICE) for p in below)

    def of_a_leaf(self, path: Path) -> bool:
        """The page is of a node below which nothing is on the device after the call."""
        cut, present = self.places[w.CUT], self.places[Key.of("present", FULL, DEVICE)]
        below = (row for p, row in self.after.seen.pages.items() if len(p) > len(path) and p[: len(path)] == path)
        return not any(row[cut] and row[present] for row in below)

    def spans_nodes(self, path: Path, at: Position) -> bool:
        """A write of several nodes is in flight that a page is on the way to."""
        joined, cut = self.places[w.WITH_PARENT], self.places[w.CUT]
        return any(p[: len(path)] == path and row[joined] and row[cut] for p, row in at.seen.pages.items())

    def fetching(self) -> bool:
        """Somebody holds host slots that are no page's, as a prefetch does."""
        taken, place = self.before.seen.taken.get((FULL, HOST), 0), self.places[Key.of("taken", FULL, HOST)]
        return taken > sum(row[place] or 0 for row in self.before.seen.pages.values())

    def windowed(self, d: Difference) -> bool:
        """The difference is of window data."""
        return any(c.name == d.key.component and c.per_token and not c.backbone for c in self.settings.components)


@dataclass(frozen=True, slots=True, eq=False)
class Accepted:
    """A known difference. first, until: the versions of SGLang that have it; any cache where first is "".

    covers: whether it explains one variable that differs.
    """

    id: str
    why: str
    covers: Callable[[Met, Difference], bool]
    first: str = ""
    until: str | None = None

    def applies(self, origin: Origin) -> bool:
        """Whether a cache may have it."""
        return not self.first or (origin.engine == "sglang" and within(origin.version, self.first, self.until))


def explained(met: Met, origin: Origin) -> tuple[Accepted, ...] | None:
    """Those that together explain all that differs; None where something is left."""
    fit = [a for a in ACCEPTED if a.applies(origin)]
    found: dict[str, Accepted] = {}
    for d in met.followed.differences:
        mine = next((a for a in fit if a.covers(met, d)), None)
        if mine is None:
            return None
        found[mine.id] = mine
    return tuple(found.values())


# What each covers.


def _less_window(met: Met, d: Difference) -> bool:
    mine = met.operation is Operation.INSERT and met.windowed(d) and d.key.tier == DEVICE.value
    return mine and d.key.name in _COPY and (d.model, d.live) == (1, 0)


_OF_LOADS = _COPY | {"load_pending", "in_load", "in_load_of_parent", "being_loaded", "load_copied", "load_reach"}
_LOCKS = {"lock", "locks", "below_zero"}
_OF_LOADS_ALONE = _OF_LOADS - _COPY
_TRANSFERS = {Operation.LOAD_BACK, Operation.POLL_LOADS, Operation.COPY}
_SPLITTING = {Operation.MATCH, Operation.INSERT}
"""Calls that may show more of which page a load is of."""


def _shared_loads(met: Met, d: Difference) -> bool:
    of_it = d.key.name in _LOCKS or (d.key.name in _OF_LOADS and d.key.tier != HOST.value)
    mine = met.operation in _TRANSFERS and of_it
    shows = met.operation in _SPLITTING and d.key.name in _OF_LOADS_ALONE
    return (mine or shows) and any(load[:1] == d.path[:1] for load in met.before.crossing | met.after.crossing)


_EVICTING = (Operation.EVICT, Operation.ALLOCATE, Operation.LOAD_BACK)
"""Calls that may have to wait for writes."""
_LOCKING = {Operation.ACQUIRE, Operation.RELEASE}
_HELD = {"lock", "held", "held_reach"}


def _shared_request(met: Met, d: Difference) -> bool:
    shared = _on_the_way(d.path, met.before.shared | met.after.shared)
    taken = met.operation in _EVICTING and met.windowed(d) and d.key.name in _COPY and (d.model, d.live) == (1, 0)
    return shared and (taken or (met.operation in _LOCKING and d.key.name in _HELD))


def _old_lock(met: Met, d: Difference) -> bool:
    ends = met.operation in {*_LOCKING, Operation.POLL_WRITES, Operation.POLL_LOADS}
    of_it = (d.key.name == "lock" and met.windowed(d)) or d.key.name in ("held_reach", "write_reach", "load_reach")
    return ends and of_it and _on_the_way(d.path, met.before.old)


def _on_the_way(path: Path, ends: Iterable[Path]) -> bool:
    return any(path == end[: len(path)] for end in ends)


def _state_alone(met: Met, d: Difference) -> bool:
    per_node = any(not c.per_token for c in met.settings.components)
    of_it = d.key.name in ("load_pending", "in_load", "in_load_of_parent", "load_copied")
    full = Key("being_loaded", FULL.name)
    row = met.after.seen.pages.get(d.path)
    of_it = of_it and _on_the_way(d.path, (*met.before.seen.loads, *met.after.seen.loads))
    return met.operation in _SPLITTING and per_node and of_it and row is not None and not row[met.places[full]]


def _below_device(met: Met, d: Difference) -> bool:
    of_host = d.key.name == "cut" or (d.key.name in _COPY and d.key.tier == HOST.value)
    above = (d.path[:n] for n in range(1, len(d.path) + 1))
    below = any(met.had(x, FULL.name, DEVICE) and not met.had(x, FULL.name, HOST) for x in above)
    return (
        met.operation is Operation.PREFETCH and of_host and (met.auxiliary(d) or below) and (d.model, d.live) == (0, 1)
    )


def _dropped_beside_a_fetch(met: Met, d: Difference) -> bool:
    mine = met.operation in _EVICTING and met.settings.policy is Policy.WRITE_BACK and met.fetching()
    goes = d.key.name == "cut" or (d.key.name in _COPY and d.key.tier == DEVICE.value)
    return mine and goes and (d.model, d.live) == (1, None) and not met.had(d.path, FULL.name, HOST)


def _no_state_lock(met: Met, d: Difference) -> bool:
    polled = met.operation in (Operation.INSERT, Operation.BACK_UP, Operation.POLL_WRITES)
    backs_up = met.settings.policy is not Policy.WRITE_BACK
    per_node = any(c.name == d.key.component and not c.per_token for c in met.settings.components)
    return polled and backs_up and per_node and d.key.name == "lock"


def _tombstone_unlocked(met: Met, d: Difference) -> bool:
    mine = met.operation in (Operation.INSERT, Operation.BACK_UP, Operation.POLL_WRITES)
    if not (mine and met.windowed(d) and d.key.name == "lock"):
        return False
    acked = met.operation is Operation.POLL_WRITES and d.model < (d.live or 0)
    return met.above_a_tombstone(d) or (acked and _on_the_way(d.path, met.before.gaps))


def _backed_up_while_loading(met: Met, d: Difference) -> bool:
    mine = met.operation in (Operation.INSERT, Operation.BACK_UP) and _on_the_way(d.path, met.before.seen.loads)
    names = _COPY | {"write_pending", "in_write", "in_write_of_parent", "being_written", "lock", "write_reach"}
    return mine and d.key.name in names


_OF_WRITES = {"write_pending", "in_write", "in_write_of_parent", "being_written", "lock", "write_reach", "write_copied"}


def _written_at_insert(met: Met, d: Difference) -> bool:
    window = any(c.per_token and not c.backbone for c in met.settings.components)
    mine = met.operation in (Operation.INSERT, Operation.COPY, Operation.POLL_WRITES, *_EVICTING)
    new = d.key.component == FULL.name and met.operation not in _EVICTING and (d.model, d.live) == (0, 1)
    above = new and _on_the_way(d.path, (*met.before.seen.writes, *met.after.seen.writes))
    of_host = d.key.tier == HOST.value and d.key.name in _COPY and (met.windowed(d) or above)
    goes = met.windowed(d) and d.key.tier == DEVICE.value and d.key.name in _COPY and (d.model, d.live) == (1, 0)
    unlocked = met.operation in _EVICTING and goes and _on_the_way(d.path, met.before.seen.writes)
    of_it = d.key.name in _OF_WRITES or of_host or unlocked
    return mine and window and met.settings.policy is Policy.WRITE_BACK and of_it


def _taken_along(met: Met, d: Difference) -> bool:
    """Of a write in flight that spans several nodes, where the model has one for each."""
    mine = met.operation in (Operation.INSERT, Operation.BACK_UP, Operation.COPY, Operation.POLL_WRITES)
    of_it = d.key.name in _OF_WRITES or (d.key.tier == HOST.value and d.key.name in _COPY and met.windowed(d))
    through = met.settings.policy is not Policy.WRITE_BACK
    return mine and through and of_it and any(met.spans_nodes(d.path, x) for x in (met.before, met.after))


_WRITING = {Operation.EVICT, Operation.ALLOCATE, Operation.INSERT, Operation.BACK_UP, Operation.LOAD_BACK}


def _left_out(met: Met, d: Difference) -> bool:
    of_host = d.key.name == "being_written" or (d.key.name in _COPY and d.key.tier == HOST.value)
    return met.operation in _WRITING and met.auxiliary(d) and of_host and (d.model, d.live) == (1, 0)


def _leaf_stays(met: Met, d: Difference) -> bool:
    mine = met.operation in (Operation.EVICT, Operation.ALLOCATE) and met.settings.policy is Policy.WRITE_BACK
    goes = met.auxiliary(d) and d.key.name in _COPY and d.key.tier == DEVICE.value and (d.model, d.live) == (1, 0)
    return mine and goes and met.of_a_leaf(d.path)


ACCEPTED: tuple[Accepted, ...] = (
    Accepted(
        "insert-brings-less-window",
        "An insert of the model brings all window data that the path lacks. A caller has it of the last pages alone: "
        "what is out of its window it has freed, and the tree takes a tombstone. Nor does it ask for room for that.",
        _less_window,
    ),
    Accepted(
        "loads-share-a-window",
        "With a window, loads of the model that are in flight have no page of their paths in common: it keeps one "
        "load a page. Caches load two prompts whose windows share pages at one time.",
        _shared_loads,
    ),
    Accepted(
        "state-loads-alone",
        "A load of recurrent state alone is, in the model, of all pages of the node. When a cache splits that node, "
        "the state stays with the lower part, and nothing is loaded of the upper.",
        _state_alone,
    ),
    Accepted(
        "requests-share-a-node",
        "With a window, the model has one request a node: it keeps how far one lock reaches. Caches have any number, "
        "and may evict what the model takes for locked.",
        _shared_request,
    ),
    Accepted(
        "lock-was-there-before",
        "How far a lock reaches up a window is not seen. Of one that was there before the model began to follow, it "
        "takes as much as one would reach now.",
        _old_lock,
    ),
    Accepted(
        "prefetch-below-the-device",
        "A prefetch of the model goes on below nodes that are all on the host, and brings something new of full "
        "attention. A cache's goes on below what came to the device alone while it fetched, gives that its host copy "
        "(from 0.5.17 on), and completes auxiliary data.",
        _below_device,
    ),
    Accepted(
        "prefetch-locks-where-it-goes-on",
        "A prefetch of the model is one action. SGLang's locks the host node that it goes on from until it is done: an "
        "eviction under write_back that finds no other room drops what it would have written.",
        _dropped_beside_a_fetch,
        first="0.5.13",
    ),
    Accepted(
        "backup-locks-no-state",
        "A backup of the model locks the node's recurrent state. UnifiedRadixCache does so only where the state was "
        "there before the insert that backs up; the state that this insert brings is not locked.",
        _no_state_lock,
        first="0.5.12",
    ),
    Accepted(
        "write-locks-no-tombstone",
        "A write of the model locks a window's pages as a request does. UnifiedRadixCache passes over nodes whose "
        "window data is gone, and goes on above them. When that is back before the write is acknowledged, the model "
        "unlocks what was never locked.",
        _tombstone_unlocked,
        first="0.5.12",
    ),
    Accepted(
        "auxiliary-data-is-left-out",
        "A write of the model takes auxiliary data along wherever its pool has room. A cache asks for that room "
        "before or after it has made some for the full copies, as its version has it, and leaves out what had none.",
        _left_out,
    ),
    Accepted(
        "leaf-loses-auxiliary-data-alone",
        "An eviction of auxiliary data takes a leaf of the model off the device with all that it has. Where the host "
        "has no room for it, SGLang since 0.5.17 takes the auxiliary copy alone, and the leaf stays.",
        _leaf_stays,
        first="0.5.17",
    ),
    Accepted(
        "window-written-at-an-insert",
        "Under write_back the model writes when it evicts. From 0.5.20 to 0.5.22 an insert over a node that is on the "
        "host writes the window data that the host lacks, with all of the nodes above that are not on the host, and "
        "has it acknowledged, as under write_through. An eviction waits for such a write, and may take what it locked.",
        _written_at_insert,
        first="0.5.20",
        until="0.5.23",
    ),
    Accepted(
        "write-takes-its-window-along",
        "A write of the model is of one node. From 0.5.20 on a write of a node takes along the window data that nodes "
        "above it lack on the host, as one transfer with one lock.",
        _taken_along,
        first="0.5.20",
    ),
    Accepted(
        "backed-up-while-it-loads",
        "A backup of the model waits until a load of the node is acknowledged. SGLang does not mark what loads, but "
        "under write_back, and backs up.",
        _backed_up_while_loading,
        first="0.5.12",
    ),
)

BY_ID: Mapping[str, Accepted] = {a.id: a for a in ACCEPTED}

__all__ = ["ACCEPTED", "BY_ID", "Accepted", "Met", "explained"]
