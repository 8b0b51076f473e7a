"""Random legal caches: what a live engine may look like between two operations.

A cache is made in the order in which an engine comes by one: a tree, copies that the
policy allows, transfers and requests with the locks that they hold, and last what
follows from all this: leaf sets, LRU lists, counters, free lists. No rule is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from random import Random

from hypothesis import strategies as st

from sanitree.invariants.catalogue import CATALOGUE
from sanitree.invariants.rules import Check, checks
from sanitree.invariants.vocabulary import (
    DEVICE,
    FULL,
    HOST,
    MAMBA,
    SWA,
    WRITE_THROUGH_FAMILY,
    Component,
    Policy,
    Settings,
    Sort,
    Tier,
)
from sanitree.models.engines.traits import of_version
from sanitree.models.snapshot import Origin, Snapshot
from tests.drafts import Draft, Sheet

VERSIONS = tuple(f"0.5.{i}" for i in range(12, 24))
COMPONENT_SETS = ((FULL,), (FULL, SWA), (FULL, MAMBA), (FULL, SWA, MAMBA))
SHAPES = ("mixed", "mixed", "mixed", "chain", "fan", "empty")
_HASH = (1 << 63) - 1


@dataclass(frozen=True)
class Plan:
    """What kind of cache to make."""

    version: str
    policy: Policy
    components: tuple[Component, ...]
    page_size: int
    tiered: bool
    maps: bool
    bytes: bool
    threshold: bool
    shape: str
    size: int

    @property
    def settings(self) -> Settings:
        extra = {"tiered"} if self.tiered else set()
        if self.maps and SWA in self.components:
            extra.add("maps_full_to_swa")
        if self.bytes:
            extra.add("reads_bytes")
        if self.threshold:
            extra.add("own_threshold")
        return Settings(self.policy, self.components, of_version(self.version) | extra, self.page_size)


PLANS = len(VERSIONS) * len(Policy) * len(COMPONENT_SETS)
"""How many kinds of engine the seeds go through: seeds that differ by a multiple have the same settings."""


def plan_of(seed: int) -> Plan:
    """Any kind of engine, those where most can happen more often; and any shape of tree."""
    rng = Random(seed)
    shape = rng.choice(SHAPES) if rng.random() < 0.7 else "mixed"
    size = {"empty": 0, "chain": rng.randint(1, 9), "fan": rng.randint(2, 20)}.get(shape, rng.randint(1, 14))
    kind = seed * 61 % PLANS  # neighbours differ in everything
    rng = Random(kind)
    return Plan(
        version=VERSIONS[kind // 12],
        policy=list(Policy)[kind % 3],
        components=COMPONENT_SETS[kind // 3 % 4],
        page_size=rng.choice((1, 4)),
        tiered=rng.random() < 0.88,
        maps=rng.random() < 0.8,
        bytes=rng.random() < 0.5,
        threshold=rng.random() < 0.15,
        shape=shape,
        size=size,
    )


def plans() -> st.SearchStrategy[Plan]:
    """Kinds of caches that shrink towards few nodes and plain engines."""
    return st.builds(
        Plan,
        version=st.sampled_from(VERSIONS),
        policy=st.sampled_from(Policy),
        components=st.sampled_from(COMPONENT_SETS),
        page_size=st.sampled_from((1, 4)),
        tiered=st.booleans(),
        maps=st.booleans(),
        bytes=st.booleans(),
        threshold=st.booleans(),
        shape=st.sampled_from(("mixed", "chain", "fan")),
        size=st.integers(0, 12),
    )


def drafts() -> st.SearchStrategy[Draft]:
    """Legal caches, to change."""
    return st.builds(lambda plan, seed: draft(seed, plan), plans(), st.integers(0, 2**32))


@lru_cache(maxsize=4096)
def _kept(seed: int) -> Draft:
    return draft(seed)


def legal(seed: int) -> Draft:
    """The legal cache of a seed, always a fresh copy."""
    return _kept(seed).copy()


def snapshot(seed: int) -> Snapshot:
    """The snapshot of the legal cache of a seed."""
    return legal(seed).snapshot()


def draft(seed: int, plan: Plan | None = None) -> Draft:
    """A legal cache; the same for the same seed and plan."""
    return _Maker(Random(seed), plan or plan_of(seed)).make()


class _Maker:
    def __init__(self, rng: Random, plan: Plan) -> None:
        self.rng, self.plan, self.s = rng, plan, plan.settings
        self.through = plan.policy in WRITE_THROUGH_FAMILY
        self.aux = [c for c in plan.components if c is not FULL]
        self.d = Draft(
            Origin("sglang", plan.version, "python", "2026-01-01T00:00:00+00:00"), self.s,
            *(Sheet.blank(sort, self.s) for sort in (Sort.TREE, Sort.NODE, Sort.TRANSFER, Sort.REQUEST)),
        )  # fmt: skip
        self.flying: set[int] = set()

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def make(self) -> Draft:
        d = self.d
        d.tree.add(0)
        self.tree()
        self.copies()
        if self.plan.tiered:
            self.writes()
            self.loads()
            self.host_locks()
        self.requests()
        self.registers()
        settle(d, self.rng)
        self.pools()
        return d

    # The tree.

    def tree(self) -> None:
        n, rng = self.d.nodes, self.rng
        numbers = rng.sample(range(1, 4 * (self.plan.size + 2)), self.plan.size + 1)
        token = rng.randint(1, 50)
        page = self.plan.page_size
        for row, number in enumerate(numbers):
            n.add(number)
            if row == 0:
                parent = 0
            elif self.plan.shape == "chain":
                parent = row - 1
            elif self.plan.shape == "fan":
                parent = 0 if self.chance(0.8) else rng.randrange(row)
            else:
                parent = rng.randrange(row) if self.chance(0.6) else row - 1
            n("parent")[row] = n("parent_link")[row] = parent
            n("is_root")[row] = row == 0
            n("has_parent_link")[row] = row > 0
            n("references")[row] = int(row > 0)
            n("readable")[row] = True
            tokens = [token + i for i in range(page * rng.choice((1, 1, 2, 3)))] if row else []
            token += len(tokens)
            n.of("key")[row] = tokens
            n("key_len")[row] = len(tokens)
            if row:
                first = tokens[0] if page == 1 else hash(tuple(tokens[:page])) & _HASH
                n("first_page")[row] = n("edge")[row] = first
            else:
                n("edge")[0] = rng.choice((0, hash("no edge") & _HASH))  # no map holds the root
            n("hits")[row] = rng.choice((0, 0, 1, 2, 7))
            n("write_ack")[row] = n("load_ack")[row] = -1
        for c in self.s.components:
            n("lock", c, DEVICE)[0] = 1
        n("present", FULL, DEVICE)[0] = True

    # Copies.

    def copies(self) -> None:
        d = self.d
        outlives = "aux_host_outlives_full" in self.s.traits and not self.through
        keen = self.rng.choice((0.3, 0.6, 0.9))
        for row in d.rows():
            up = d.nodes("parent")[row]
            device = d.has(up, FULL)  # the root's counts as being there
            host = False
            if self.plan.tiered:
                may_host = not self.through or up == 0 or d.has(up, FULL, HOST)
                if not device:
                    host = True  # the parent lives on the host alone, so under write_through it is backed up
                elif may_host and self.chance(keen):
                    host = True
                    device = self.chance(0.6)
            self.put(row, FULL, DEVICE, device)
            self.put(row, FULL, HOST, host)
            # Where there are no full slots there is nothing to mirror; and full data is not asked.
            d.nodes("mirrors_full", FULL)[row] = self.chance(0.5)
            for c in self.aux:
                self.put(row, c, DEVICE, device and self.chance(0.6))
                d.nodes("mirrors_full", c)[row] = d.has(row, FULL) or self.chance(0.5)
                if self.plan.tiered:
                    self.put(row, c, HOST, (host or (outlives and device)) and self.chance(0.5))

    def put(self, row: int, c: Component, t: Tier, there: bool) -> None:
        own = (7919 * row + 31 * len(c.name)) & _HASH
        self.d.nodes("bytes", c, t)[row] = self.d.nodes("own_bytes", c, t)[row] = own
        self.d.nodes("present", c, t)[row] = there
        self.d.nodes("tokens", c, t)[row] = (self.d.nodes("key_len")[row] if c.per_token else 1) if there else 0

    # Transfers and requests. What they copy is said as nodes here, and as slots once there are slots.

    def writes(self) -> None:
        d, rng = self.d, self.rng
        window = "async_window_backup" in self.s.traits and SWA in self.s.components
        self.copying: list[list[tuple[int, Component]]] = []
        if not (self.through or window):
            return
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            able = [
                r for r in d.rows() if r not in self.flying and d.has(r, FULL)
                and (d.has(r, FULL, HOST) or not self.through)
            ]  # fmt: skip
            if not able:
                return
            row = rng.choice(able)
            published = [row]
            # After splits, and where a window is backed up, one acknowledgement publishes several nodes of the path.
            while self.chance(0.65) and d.nodes("parent")[published[-1]] in able:
                published.append(d.nodes("parent")[published[-1]])
            copied = []
            for r in published:
                d.nodes("write_pending")[r], d.nodes("write_ack")[r] = True, d.nodes.ids[row]
                for c in self.s.components:
                    if d.has(r, c) and d.has(r, c, HOST) and self.chance(0.9 if c is FULL else 0.45):
                        copied.append((r, c))
            self.flying.update(published)
            self.submit(row, copied, is_write=True, published=len(published))

    def loads(self) -> None:
        d, rng = self.d, self.rng
        marks = "marks_pending_loads" in self.s.traits and not self.through
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            able = [r for r in d.rows() if r not in self.flying and d.has(r, FULL) and d.has(r, FULL, HOST)]
            if not able:
                return
            row = rng.choice(able)
            loaded = [row]
            while self.chance(0.6) and d.nodes("parent")[loaded[-1]] in able:
                loaded.append(d.nodes("parent")[loaded[-1]])
            copied = []
            for r in loaded:
                if marks:
                    d.nodes("load_pending")[r], d.nodes("load_ack")[r] = True, d.nodes.ids[row]
                copied.append((r, FULL))
                copied += [(r, c) for c in self.aux if d.has(r, c) and d.has(r, c, HOST) and self.chance(0.7)]
            self.flying.update(loaded)
            self.submit(row, copied, is_write=False)
            if self.chance(0.7) and "host_lock_delists" in self.s.traits:
                d.nodes("lock", FULL, HOST)[row] += 1
        # A node whose full data is being written may have auxiliary data loaded back: acks are counted apart.
        x = d.transfers
        for i, write in enumerate(list(x("is_write"))):
            row = x("node")[i]
            free = [c for c in self.aux if d.has(row, c) and d.has(row, c, HOST) and (row, c) not in self.copying[i]]
            if write and free:
                self.submit(row, [(row, c) for c in free], is_write=False)

    def submit(self, row: int, copied: list[tuple[int, Component]], *, is_write: bool, published: int = 1) -> None:
        x = self.d.transfers
        x.add(
            len(x), is_write=is_write, is_load=not is_write, ack=self.d.nodes.ids[row], node=row, node_in_tree=True,
            takes_lock=True, published=published, queued=1,
        )  # fmt: skip
        self.copying.append(copied)
        acquire(self.d, row, aux=self.chance(0.8))

    def host_locks(self) -> None:
        d = self.d
        if "host_lock_delists" not in self.s.traits:
            return
        for c in self.s.components:
            for row in d.rows():
                tombstone = c is not FULL and "locked_tombstones" in self.s.traits
                if (d.has(row, c, HOST) or tombstone) and self.chance(0.15):
                    d.nodes("lock", c, HOST)[row] += self.rng.choice((1, 1, 2))
        if not self.through and "table_of_nodes" in self.s.traits and self.chance(0.2):
            d.nodes("lock", FULL, HOST)[0] += 1

    def requests(self) -> None:
        d, rng = self.d, self.rng
        self.held: list[dict[tuple[Component, Tier], int]] = []
        anywhere = "locked_tombstones" in self.s.traits
        for i in range(rng.choice((0, 1, 1, 2, 3))):
            able = [r for r in range(len(d.nodes)) if d.has(r, FULL) or anywhere]
            row = rng.choice(able)
            length = sum(d.nodes("key_len")[r] for r in d.path(row))
            d.requests.add(10 * i + 3, node=row, node_in_tree=True, prefix_len=length)
            acquire(d, row, aux=self.chance(0.7))
            finished = self.chance(0.2)
            own: dict[tuple[Component, Tier], int] = {}
            for c in self.s.components:
                own[c, DEVICE] = 0 if finished else rng.randint(0, 5) if c.per_token else rng.randint(1, 3)
                own[c, HOST] = rng.randint(1, 3) if self.plan.tiered and self.chance(0.2) else 0
            self.held.append(own)

    def registers(self) -> None:
        """Registered duplicates that need not be: stale ones, and under write_through any while a load is in flight."""
        d = self.d
        if "tracks_host_duplicates" in self.s.traits:
            for row in d.rows():
                both = d.has(row, FULL) and d.has(row, FULL, HOST)
                d.nodes("in_host_duplicates")[row] = self.chance(0.5 if both else 0.15)

    # Pools.

    def pools(self) -> None:
        for c in self.s.components:
            self.pool(c, DEVICE)
            self.pool(c, HOST)

    def pool(self, c: Component, t: Tier) -> None:
        d, rng = self.d, self.rng
        page = self.plan.page_size if c.per_token else 1
        wanted = [d.nodes("tokens", c, t)[r] if r else 0 for r in range(len(d.nodes))]
        held = [own[c, t] for own in self.held]
        paged = [-(-w // page) for w in [*wanted, *held]]
        pages = list(range(int(t is DEVICE), sum(paged) + rng.randint(1, 6) + int(t is DEVICE)))
        if t is HOST and not self.plan.tiered:
            pages = []
        rng.shuffle(pages)
        all_slots = {p: [p * page + i for i in range(page)] for p in pages}

        def take(count: int) -> list[int]:
            return [slot for _ in range(-(-count // page)) for slot in all_slots.pop(pages.pop())]

        spare: list[int] = []
        for row, count in enumerate(wanted):
            slots = take(count)
            # Tokens outside the window may have no slot of their own.
            lost = rng.randint(1, count) if c is SWA and t is DEVICE and count and self.chance(0.15) else 0
            spare += slots[:lost]
            d.nodes.of("holds", c, t)[row] = slots[lost:]
        for row, count in enumerate(held):
            slots = take(count)
            spare += slots[count:]
            d.requests.of("holds", c, t)[row] = slots[:count]
            path = d.path(d.requests("node")[row]) if c is FULL and t is DEVICE else []
            d.requests.of("uses", c, t)[row] = [s for r in path for s in d.nodes.of("holds", c, t)[r]]
        free = [*spare, *(slot for p in pages for slot in all_slots[p])]
        rng.shuffle(free)
        d.tree.of("free", c, t)[0] = free
        d.tree("available", c, t)[0] = len(free)
        d.tree("capacity", c, t)[0] = len(free) + sum(held) + sum(map(len, d.nodes.of("holds", c, t)))
        x = d.transfers
        for i in range(len(x)):
            slots = [s for r, of in self.copying[i] if of is c for s in d.nodes.of("holds", c, t)[r]]
            x.of("reads" if x("is_write")[i] is (t is DEVICE) else "writes", c, t)[i] = slots
            if x("is_write")[i] is (t is DEVICE):
                x("tokens", c)[i] = len(slots)


WINDOW = 5
"""Tokens that the sliding window covers: what an acquire locks of it."""


def acquire(d: Draft, row: int, *, aux: bool = True, times: int = 1) -> None:
    """A path lock from `row` upwards; of auxiliary data its window, and the state at the path's end."""
    tombstones = "locked_tombstones" in d.settings.traits
    for r in d.path(row):
        d.nodes("lock", FULL, DEVICE)[r] += times
    if not aux:
        return
    for c in d.settings.components:
        if c is SWA:
            covered = 0
            for r in d.path(row):
                if covered >= WINDOW:
                    break
                if d.has(r, c) or tombstones:
                    d.nodes("lock", c, DEVICE)[r] += times
                    covered += d.nodes("key_len")[r]
        elif c is MAMBA and row and (d.has(row, c) or tombstones):
            d.nodes("lock", c, DEVICE)[row] += times


def settle(d: Draft, rng: Random | None = None) -> None:
    """Makes right everything that follows from copies and locks: leaf sets, lists, registers, counters.

    LRU lists keep their order, and new members are put at a random place, or at the end.
    """
    n, traits = d.nodes, d.settings.traits
    parents = {p for r, p in enumerate(n("parent")) if r}
    device_parents = {n("parent")[r] for r in d.rows() if d.has(r, FULL)}

    def unlocked(row: int, t: Tier) -> bool:
        return all(n("lock", c, t)[row] == 0 for c in d.settings.components)

    for r in range(len(n)):
        n("in_device_leaves")[r] = r > 0 and d.has(r, FULL) and unlocked(r, DEVICE) and r not in device_parents
        free = unlocked(r, HOST) and ("host_leaf_unlocked" not in traits or unlocked(r, DEVICE))
        n("in_host_leaves")[r] = r > 0 and not d.has(r, FULL) and d.has(r, FULL, HOST) and free and r not in parents
    if "tracks_host_duplicates" in traits:
        # Only write_back marks what is being loaded; elsewhere a load in flight leaves the register open.
        unmarked = d.settings.policy in WRITE_THROUGH_FAMILY and any(d.transfers("is_load"))
        for r in d.rows():
            moving = n("write_pending")[r] or n("load_pending")[r] or unmarked
            if d.has(r, FULL) and d.has(r, FULL, HOST) and not moving:
                n("in_host_duplicates")[r] = True
    for c in d.settings.components:
        for t in Tier:
            _settle_list(d, c, t, rng)
        sizes = {True: 0, False: 0}
        for r in d.rows():
            sizes[n("lock", c, DEVICE)[r] > 0] += n("tokens", c, DEVICE)[r]
        d.tree("protected_size", c)[0], d.tree("evictable_size", c)[0] = sizes[True], sizes[False]
    for name in ("device_leaves", "host_leaves", "host_duplicates"):
        d.tree(name)[0] = sum(n(f"in_{name}"))
    d.tree("registered_nodes")[0] = len(n)


def _settle_list(d: Draft, c: Component, t: Tier, rng: Random | None) -> None:
    n = d.nodes
    ranks = n("lru_rank", c, t)
    before = [r for r in sorted(d.rows(), key=lambda r: ranks[r]) if n("in_lru", c, t)[r]]
    members = set() if c is FULL else {r for r in d.rows() if d.has(r, c, t) and (t is DEVICE or not d.has(r, c))}
    if t is HOST and "host_lock_delists" in d.settings.traits:
        barred = {r for r in members if n("lock", c, HOST)[r] > 0}
        members -= {r for r in barred if r not in before and (rng is None or rng.random() < 0.6)}
    order = [r for r in before if r in members]
    for r in sorted(members - set(order)):
        order.insert(rng.randint(0, len(order)) if rng else len(order), r)
    enlist(d, c, t, order)


def enlist(d: Draft, c: Component, t: Tier, order: list[int]) -> None:
    """Makes an LRU list of just these nodes, in this order."""
    n = d.nodes
    for name, value in (("in_lru", False), ("lru_rank", -1), ("lru_prev_rank", -2)):
        n(name, c, t)[:] = [value] * len(n)
    for rank, r in enumerate(order):
        n("in_lru", c, t)[r], n("lru_rank", c, t)[r], n("lru_prev_rank", c, t)[r] = True, rank, rank - 1
    d.tree("lru_size", c, t)[0] = d.tree("lru_length", c, t)[0] = len(order)


@cache
def checks_of(s: Settings) -> tuple[Check, ...]:
    """Every check of the catalogue that applies."""
    return tuple(checks(CATALOGUE, s))
