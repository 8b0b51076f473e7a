"""What the ranks of one server must do alike: rules about several caches, which no rule about one can say.

Each rank has a tree of its own and no rank sees another's: what they know of each other is
what collective calls tell. So after the same operations they must have decided the same,
whenever each one's copies landed. The language of the rules speaks of one snapshot, or of
two of one cache; these are said in words, and compare what two ranks did in one operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from sanitree.checker.hunt.both import Places, differences
from sanitree.checker.hunt.fingerprint import places
from sanitree.invariants.calls import Operation
from sanitree.models.ranks.group import Collective
from sanitree.models.snapshot import Key, Snapshot
from sanitree.models.step import Call


@dataclass(frozen=True, slots=True)
class Heard:
    """A call on one rank's cache. acked: transfers that it took the acknowledgements of, told by how many
    acknowledgements of their kind (writes, loads) had been taken by then, and whose each is."""

    call: Call
    acked: tuple[tuple[bool, int], ...]


@dataclass(frozen=True, slots=True)
class Did:
    """What one rank did in one operation.

    said: its result. collectives: in order; stranded: it was left waiting in the last.
    calls: on its cache. state: after it; used: when each node was last used, by id; both
    None where the operation leaves them as they were.
    """

    said: str
    collectives: tuple[Collective, ...] = ()
    stranded: bool = False
    calls: tuple[Heard, ...] = ()
    state: Snapshot | None = None
    used: Mapping[int, float] | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """A rule about two ranks. differs: what they did differently, in words for both; None where nothing is.

    note: why it must hold.
    """

    id: str
    prose: str
    note: str
    differs: Callable[[Did, Did], tuple[str, str] | None]


def _collectives(a: Did, b: Did) -> tuple[str, str] | None:
    if a.collectives == b.collectives and not a.stranded and not b.stranded:
        return None
    told = []
    for did in (a, b):
        names = ", ".join(map(str, did.collectives)) or "none"
        told.append(f"{names}{', and waits there' if did.stranded else ''}")
    return told[0], told[1]


def _acks(a: Did, b: Did) -> tuple[str, str] | None:
    ours, theirs = (tuple(x for h in did.calls for x in h.acked) for did in (a, b))
    return None if ours == theirs else (_transfers(ours), _transfers(theirs))


def _transfers(acked: Sequence[tuple[bool, int]]) -> str:
    return ", ".join(f"{'write' if w else 'load'} {n}" for w, n in acked) or "none"


def _decisions(a: Did, b: Did) -> tuple[str, str] | None:
    if a.said != b.said:
        return a.said or "nothing", b.said or "nothing"
    # When a copy runs is nobody's decision.
    ours, theirs = ([h.call for h in did.calls if h.call.operation is not Operation.COPY] for did in (a, b))
    for x, y in zip_longest(ours, theirs):
        if x is None or y is None or _decided(x) != _decided(y):
            return str(x or "no call"), str(y or "no call")
    return None


def _decided(c: Call) -> tuple[object, ...]:
    """What a call came to, without the names in it."""
    submitted = None if c.submitted is None else tuple(is_write for is_write, _ in c.submitted)
    evicted, dropped = (None if x is None else {k: v for k, v in x.items() if v} for x in (c.evicted, c.dropped))
    return c.operation, evicted, dropped, c.refused, submitted


def _trees(a: Did, b: Did) -> tuple[str, str] | None:
    if a.state is None or b.state is None:
        return None
    for name, ours, theirs in differences(a.state, b.state, _places):
        return f"{name} {ours}", str(theirs)
    if a.used is not None and b.used is not None:
        ours, theirs = _order_of_use(a.state, a.used), _order_of_use(b.state, b.used)
        if ours != theirs:
            return f"order of use {ours}", str(theirs)
    return None


def _places(s: Snapshot) -> Places:
    """The nodes by the tokens that lead to them; where a cache does not tell all of them, by their age."""
    keys, lengths = s.nodes.lists.get(Key("key")), s.nodes.columns[Key("key_len")].listed
    if keys is not None and keys.lengths.tolist() == list(lengths):
        return places(s)
    order = sorted(range(len(s.nodes)), key=s.nodes.ids.tolist().__getitem__)
    age = {row: i for i, row in enumerate(order)}
    parent = s.nodes.columns[Key("parent")].listed
    return [((age[parent[row]], lengths[row]), row) for row in order]


def _order_of_use(s: Snapshot, used: Mapping[int, float]) -> list[int]:
    """For each node, those by the tokens that lead to them, how many others were used before it."""
    ids = s.nodes.ids.tolist()
    times = [used.get(ids[row], -1.0) for _, row in _places(s) if row]  # nothing takes the root
    rank = {t: i for i, t in enumerate(sorted(set(times)))}
    return [rank[t] for t in times]


AGREEMENT: Final = (
    Agreement(
        "same_collectives",
        "In each operation all ranks make the same collective calls.",
        "A rank that makes one more waits for the others forever, or takes their next call for the answer to its own.",
        _collectives,
    ),
    Agreement(
        "same_acks",
        "In each operation all ranks take the acknowledgements of the same transfers.",
        "An acknowledgement releases locks and lets go of slots: a rank that takes one sooner evicts what the others "
        "cannot.",
        _acks,
    ),
    Agreement(
        "same_decisions",
        "Each operation, and each call on the cache in it, comes to the same on all ranks.",
        "The ranks compute one batch together: they must find the same prefix of it cached, and have room for the "
        "same requests.",
        _decisions,
    ),
    Agreement(
        "same_tree",
        "After each operation all ranks have the same tree: nodes, copies, locks, marks, lists, sizes, and the order "
        "in which they were used.",
        "What they decide next follows from it. Names of nodes and numbers of slots are each rank's own.",
        _trees,
    ),
)
"""In the order in which they are told: what comes first leads to what comes after."""


def disagreements(did: Sequence[Did]) -> dict[str, str]:
    """The rules that some rank and the first break, and how. Where some were left waiting, nothing else is asked."""
    found: dict[str, str] = {}
    rules = AGREEMENT[:1] if any(d.stranded for d in did) else AGREEMENT
    for rule in rules:
        for rank, other in enumerate(did[1:], 1):
            if (words := rule.differs(did[0], other)) is not None:
                found[rule.id] = f"{rule.id}: rank 0 {words[0]}; rank {rank} {words[1]}"
                break
    return found
