"""The reference cache doing what the page model does, one decision a call; and what both look like then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import DEVICE, HOST, Component, Policy, Tier
from sanitree.models.protocol.pages import Pages
from sanitree.models.reference import ByHand, CacheConfig, Node, Receipt, Transfer, UnifiedRadixCache, content
from sanitree.models.reference.eviction import Tally
from sanitree.models.reference.observe import subject
from sanitree.models.reference.transfers import Lane
from sanitree.models.snapshot import Key, Snapshot
from tests.explore.walking import Step

TIERS = (DEVICE, HOST)
NEVER = 1_000_000


class Stepwise(UnifiedRadixCache):
    """Evicts when it is told to, and not to make room: in the model that is an action before the one that needs it."""

    def alloc(self, component: str, count: int) -> Tensor | None:
        return self.pool(component, DEVICE).alloc(count)

    def alloc_host(self, component: str, count: int) -> Tensor | None:
        return self.pool(component, HOST).alloc(count)


class Followed:
    """A cache with torch pools of just the model's capacities, whose tokens are the numbers of pages.

    Besides these, each pool has slots that are set aside for what a caller brings and the tree has already: an insert
    gives them back at once.
    """

    def __init__(self, m: Pages) -> None:
        self.m = m
        slots = {tier: {c.name: m.capacity(c, tier) + m.count for c in m.components} for tier in TIERS}
        config = CacheConfig(
            policy=m.policy, components=m.components, device_slots=slots[DEVICE], host_slots=slots[HOST],
            window=m.window, hits_to_back_up=NEVER,
        )  # fmt: skip
        self.runner = ByHand()
        self.cache = Stepwise(config, self.runner)
        self.places = {c: i for i, c in enumerate(m.components)}
        self.aside = {(c, tier): self._given(c, tier, m.count) for c in m.components for tier in TIERS}
        self.receipts: dict[int, list[Receipt]] = {}

    # What it looks like.

    def seen(self) -> Seen:
        return seen(subject(self.cache, content=True).snapshot(None), self.taken, hits_of(self.m))

    def taken(self, c: Component, tier: Tier) -> int:
        """Slots that are handed out, but for those that are set aside."""
        pool = self.cache.pool(c.name, tier)
        return pool.capacity - pool.available - self.m.count

    def room(self, c: Component, tier: Tier, more: int) -> bool:
        return self.cache.pool(c.name, tier).available >= more

    def prompt(self, page: int) -> list[int]:
        """The pages that lead to one, as tokens."""
        found = []
        while page:
            found.append(page)
            page = self.m.parents[page - 1]
        return found[::-1]

    def nodes(self) -> dict[int, Node]:
        """Every node but the root, by its last page."""
        return {n.key[-1]: n for n in self.cache.subtree(self.cache.root)[1:]}

    def holders(self) -> dict[int, Node]:
        """The node that each page is of."""
        return {page: n for n in self.nodes().values() for page in n.key}

    # Doing.

    def do(self, name: str, page: int) -> list[Step]:
        """What a step of the model is here, and the steps that it came to: of acknowledgements there may be several."""
        component = next((c for c in self.m.auxiliary if name.endswith(f"_{c.name}")), None)
        if component is not None:
            node, i = self.nodes()[page], self.places[component]
            if name.startswith("evict_copy_"):
                self.cache.evict_copy(node, i, self._tally())
            else:
                self.cache.drop_host(node, i, self._nothing())
            return [(name, page)]
        if name in ("ack_write", "ack_load"):
            return self._acknowledged(name)
        doing: dict[str, Callable[[int], None]] = {
            "split": self.split, "insert": self.insert, "acquire": self.acquire, "release": self.release,
            "demote": self.evict_leaf, "write_back": self.evict_leaf, "drop": self.evict_leaf,
            "evict_host": self.evict_host, "prefetch": self.prefetch, "submit_write": self.submit_write,
            "submit_load": self.submit_load, "copy_write": lambda n: self.copy("write", n),
            "copy_load": lambda n: self.copy("load", n),
        }  # fmt: skip
        doing[name](page)
        return [(name, page)]

    def split(self, page: int) -> None:
        self.cache.match_prefix(self.prompt(page))

    def insert(self, page: int) -> None:
        self.cache.insert(self.prompt(page), self._brought(page, DEVICE, self.lacking))
        self._set_aside()

    def prefetch(self, page: int) -> None:
        self.cache.insert_host(self.prompt(page), self._brought(page, HOST, self.nowhere))
        self._set_aside()

    def acquire(self, page: int) -> None:
        self.receipts.setdefault(page, []).append(self.cache.inc_lock_ref(self.nodes()[page]))

    def release(self, page: int) -> None:
        self.cache.dec_lock_ref(self.receipts[page].pop())

    def evict_leaf(self, page: int) -> None:
        self.cache.evict_leaf(self.nodes()[page], self._tally())

    def evict_host(self, page: int) -> None:
        self.cache.remove(self.nodes()[page], self._nothing())

    def submit_write(self, page: int) -> None:
        assert self.cache.write_backup(self.nodes()[page]).refused is None

    def submit_load(self, page: int) -> None:
        assert self.cache.load_back(self.nodes()[page]).refused is None

    def copy(self, kind: str, page: int) -> None:
        here = [(x.kind, x.node.key[-1]) for x in self.runner.pending]
        self.runner.run(here.index((kind, page)))

    def _acknowledged(self, name: str) -> list[Step]:
        """They come in the order of submission, and one that has not arrived holds up the others."""
        write = name == "ack_write"
        lane = self.cache.writes if write else self.cache.loads
        done: list[Step] = []
        for x in _queued(lane):
            if not x.done:
                break
            done.append((name, x.node.key[-1]))
        taken = self.cache.writing_check() if write else self.cache.loading_check()
        assert taken == len(done)
        return done

    def _tally(self) -> Tally:
        return Tally(self._nothing())

    def _nothing(self) -> list[int]:
        return [0] * len(self.m.components)

    def _given(self, c: Component, tier: Tier, count: int) -> Tensor:
        slots = self.cache.pool(c.name, tier).alloc(count)
        assert slots is not None, f"no {count} slots of {c.name} on the {tier.value}"
        return slots

    def _brought(self, page: int, tier: Tier, wanted: Callable[[int, Component], list[int]]) -> dict[str, Tensor]:
        """Slots with the bytes of a prompt: new ones for what the tree will take, set aside ones for what it has."""
        tokens, found = self.prompt(page), {}
        for c in self.m.components:
            new = wanted(page, c)
            fresh = self._given(c, tier, len(new)).tolist()
            if c.per_token:
                old = self.aside[c, tier].tolist()
                slots = torch.tensor([fresh.pop() if t in new else old.pop() for t in tokens])
                self.aside[c, tier] = torch.tensor(old, dtype=torch.int64)
            elif not new:
                continue
            else:
                slots = torch.tensor(fresh)
            content.fill(self.cache, c.name, tokens, 0 if c.per_token else len(tokens) - 1, slots, tier)
            found[c.name] = slots
        return found

    def _set_aside(self) -> None:
        for (c, tier), old in self.aside.items():
            self.aside[c, tier] = torch.cat([old, self._given(c, tier, self.m.count - len(old))])

    # What it would do, and what it would not.

    def lacking(self, page: int, c: Component) -> list[int]:
        """Of a prompt, the pages of which an insert brings a device copy of a component."""
        holders, i = self.holders(), self.places[c]
        asked = self.prompt(page) if c.per_token else [page]
        node = holders.get(page)
        if not c.per_token:
            return [] if node is not None and node.key[-1] == page and node.data[i].device is not None else asked
        return [p for p in asked if p not in holders or holders[p].data[i].device is None]

    def nowhere(self, page: int, c: Component) -> list[int]:
        """Of a prompt, the pages of which a prefetch brings a host copy that the tree takes."""
        holders, i = self.holders(), self.places[c]
        if not c.per_token:
            data = holders[page].data[i] if page in holders else None
            return [page] if data is None or (data.device is None and data.host is None) else []
        missing = [p for p in self.prompt(page) if p not in holders]
        if c.backbone:
            return missing
        return [
            p
            for p in self.prompt(page)
            if p in missing or (holders[p].data[i].device is None and holders[p].data[i].host is None)
        ]

    def offered(self, loading: frozenset[int]) -> set[Step]:
        """Every step that may be done now, from the cache's own sets, lists and answers; within the model's bounds.

        loading: pages that a load in flight spans: the model has one of a page at a time.
        """
        found: set[Step] = set()
        for part in (self._of_prompts(), self._of_leaves(), self._of_copies(), self._of_nodes(loading)):
            found.update(part)
        return found

    def _of_prompts(self) -> Iterator[Step]:
        holders = self.holders()
        for page in range(1, self.m.count + 1):
            path = [holders[p] for p in self.prompt(page) if p in holders]
            if path and path[-1].key[-1] not in self.prompt(page):
                if page in holders:
                    yield "split", page
                continue
            lacking = {c: len(self.lacking(page, c)) for c in self.m.components}
            counts = self.m.hits_to_back_up > 1 and page in holders and holders[page].hits < self.m.hits_to_back_up
            if (any(lacking.values()) or counts) and all(self.room(c, DEVICE, k) for c, k in lacking.items()):
                yield "insert", page
            missing = [p for p in self.prompt(page) if p not in holders]
            asked = {c: len(self.nowhere(page, c)) if c.per_token else 1 for c in self.m.components}
            fits = all(self.room(c, HOST, k) for c, k in asked.items())
            if missing and fits and all(map(self.cache.can_extend_host, path)):
                yield "prefetch", page

    def _of_leaves(self) -> Iterator[Step]:
        cache = self.cache
        for node in cache.device_leaves:
            page, size = node.key[-1], len(node.key)
            full, fits = self.m.components[0], self.room(self.m.components[0], HOST, size)
            assert full.backbone
            if self.m.policy is Policy.WRITE_BACK and (node.data[0].host is not None or fits):
                yield "write_back", page
            elif self.m.policy is not Policy.WRITE_BACK and node.data[0].host is not None:
                yield "demote", page
            elif cache.can_drop(node) and (self.m.writes_through or not cache.host_leaves):
                yield "drop", page
        for node in cache.host_leaves:
            yield "evict_host", node.key[-1]

    def _of_copies(self) -> Iterator[Step]:
        cache = self.cache
        for c in self.m.auxiliary:
            i = self.places[c]
            for node in cache.lru[i]:
                if not node.data[i].lock and node not in cache.device_leaves:
                    yield f"evict_copy_{c.name}", node.key[-1]
            for node in cache.host_lru[i]:
                if node not in cache.host_leaves:
                    yield f"evict_host_copy_{c.name}", node.key[-1]
        for lane, kind in ((cache.writes, "write"), (cache.loads, "load")):
            for x in lane.flying.values():
                yield f"{'ack' if x.done else 'copy'}_{kind}", x.node.key[-1]

    def _of_nodes(self, loading: frozenset[int]) -> Iterator[Step]:
        cache, m = self.cache, self.m
        flying = len(cache.writes.flying) + len(cache.loads.flying)
        held = sum(map(len, self.receipts.values()))
        for page, node in self.nodes().items():
            mine = len(self.receipts.get(page, ()))
            if mine:
                yield "release", page
            found = cache.match_prefix(self.prompt(page))
            if found.device_node is node and held < m.requests and not (m.windowed and mine):
                yield "acquire", page
            if flying == m.copies:
                continue
            if m.writes_through and self._may_write(node):
                yield "submit_write", page
            missing = cache.missing(node)
            spans = self.prompt(page) if m.windowed else [page]
            if found.host_node is node and any(missing) and node.load_ack is None and loading.isdisjoint(spans):
                wanted = [sum(p.size(n) for n in ns) for p, ns in zip(cache.parts, missing, strict=True)]
                if all(self.room(c, DEVICE, k) for c, k in zip(m.components, wanted, strict=True)):
                    yield "submit_load", page

    def _may_write(self, node: Node) -> bool:
        if node.data[0].device is None or not self.cache.can_back_up(node) or self.cache.unbacked_ancestors(node):
            return False
        if self.m.hits_to_back_up > 1 and node.hits < self.m.hits_to_back_up:
            return False
        fits = []
        for i, c in enumerate(self.m.components):
            device = node.data[i].device
            if device is not None and node.data[i].host is None:
                fits.append(self.room(c, HOST, device.numel()))
                if c.backbone and not fits[0]:
                    return False
        return any(fits)


def _queued(lane: Lane) -> list[Transfer]:
    return [lane.flying[ack] for ack in lane.queue]


# What both look like.


@dataclass(frozen=True)
class Seen:
    """A tree without the names that are its own: nodes by their tokens, slots by the page whose copy is in them."""

    nodes: dict[tuple[int, ...], dict[str, object]]
    transfers: Counter[tuple[object, ...]]
    requests: Counter[tuple[int, ...]]
    taken: dict[str, int]


Taken = Callable[[Component, Tier], int]


def hits_of(m: Pages) -> int | None:
    """How many hits the model tells apart."""
    return m.hits_to_back_up if m.hits_to_back_up > 1 else None


def seen(s: Snapshot, taken: Taken, hits: int | None = None) -> Seen:
    """taken: slots of a pool that are handed out. hits: as many as are told apart; None where nobody asks."""
    components = s.settings.components
    columns, keys = s.nodes.columns, s.nodes.lists[Key("key")]
    paths: list[tuple[int, ...]] = []
    for row, parent in enumerate(columns[Key("parent")].listed):
        paths.append((*(paths[parent] if row else ()), *keys[row].tolist()))
    nodes: dict[tuple[int, ...], dict[str, object]] = {}
    owners: dict[tuple[Component, Tier, int], int] = {}
    for row, path in enumerate(paths[1:], 1):
        told: dict[str, object] = {"above": paths[columns[Key("parent")].listed[row]]}
        for name in ("write_pending", "load_pending"):
            told[name] = bool(columns[Key(name)].listed[row])
        if hits is not None:
            told["hits"] = min(hits, columns[Key("hits")].listed[row])
        for c in components:
            for tier in TIERS:
                told[f"{c.name} {tier.value}"] = _copy(s, c, tier, row)
                slots = s.nodes.lists[Key.of("holds", c, tier)][row].tolist()
                pages = path[-len(slots) :] if slots else ()
                owners |= {(c, tier, slot): page for slot, page in zip(slots, pages, strict=True)}
        nodes[path] = told
    transfers = Counter(_transfer(s, row, paths, owners) for row in range(len(s.transfers.ids)))
    at = s.requests.columns[Key("node")].listed
    assert all(s.requests.columns[Key("node_in_tree")].listed)
    pools = {f"{c.name} {tier.value}": taken(c, tier) for c in components for tier in TIERS}
    return Seen(nodes, transfers, Counter(paths[row] for row in at), pools)


def _copy(s: Snapshot, c: Component, tier: Tier, row: int) -> tuple[object, ...]:
    """Whether there is one, its slots, its locks, and whether its bytes are right; None where nobody can tell."""
    columns = s.nodes.columns
    there, tokens, lock = (columns[Key.of(name, c, tier)].listed[row] for name in ("present", "tokens", "lock"))
    held, own = (columns[Key.of(name, c, tier)] for name in ("bytes", "own_bytes"))
    known = held.mask is None or held.mask[row]
    right = bool(there) and known and held.listed[row] == own.listed[row]
    return bool(there), tokens, lock, right if there and known else None


def _transfer(
    s: Snapshot, row: int, paths: list[tuple[int, ...]], owners: dict[tuple[Component, Tier, int], int]
) -> tuple[object, ...]:
    x, nodes = s.transfers.columns, s.nodes.columns
    write = bool(x[Key("is_write")].listed[row])
    mark = nodes[Key("write_ack" if write else "load_ack")].listed
    ack = x[Key("ack")].listed[row]
    moved = tuple(
        frozenset(owners.get((c, tier, slot), 0) for slot in s.transfers.lists[Key.of(name, c, tier)][row].tolist())
        for c in s.settings.components
        for tier in TIERS
        for name in ("reads", "writes")
    )
    told = tuple(x[Key(name)].listed[row] for name in ("node_in_tree", "takes_lock", "queued"))
    waiting = frozenset(path for path, a in zip(paths, mark, strict=True) if a == ack and path)
    return (write, paths[x[Key("node")].listed[row]], *map(int, told), moved, waiting)
