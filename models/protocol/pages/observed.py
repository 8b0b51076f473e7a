"""A state of the page model as a snapshot: the tree that its cuts make, as an observer of a live one would see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import torch
from torch import Tensor

from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component, Settings, Tier
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.system import System
from sanitree.models.snapshot import Column, Key, Lists, Origin, Snapshot, Table, validate

TIERS = (DEVICE, HOST)

Values = Mapping[tuple[int, int], int]


@dataclass(frozen=True)
class Page:
    """What the model keeps of one page."""

    number: int
    parent: int
    kept: Mapping[Key, int]

    def has(self, name: str, c: Component | None = None, tier: Tier | None = None) -> bool:
        """A flag of the page."""
        return bool(self.kept.get(Key.of(name, c, tier), 0))

    @property
    def there(self) -> bool:
        """It is cached somewhere."""
        return self.has("present", FULL, DEVICE) or self.has("present", FULL, HOST)


def snapshot(system: System, values: Values) -> Snapshot:
    """The nodes under the number of their last page, their tokens the numbers of their pages; slots likewise.

    A device slot has the number of the page whose copy is in it, a host slot one less: a device pool begins with
    padding. A transfer carries the number of its topmost page, by which the model tells transfers apart.
    """
    number_of = {v.key: i for i, v in enumerate(system.variables)}
    pages = {
        n: Page(n, system.parents[n - 1], {key: values[i, n] for key, i in number_of.items()})
        for n in range(1, system.nodes + 1)
    }
    runs = _runs(pages)
    settings = system.settings
    rows = {run[-1].number: row for row, run in enumerate(runs, 1)}
    made = Snapshot(
        Origin("the model pages", version("sanitree"), "model"),
        settings,
        tree=_tree(pages, settings),
        nodes=_nodes(pages, runs, settings),
        transfers=_transfers(pages, rows, settings),
        requests=_requests(pages, rows, settings),
    )
    validate(made)
    return made


def _runs(pages: Mapping[int, Page]) -> list[list[Page]]:
    """The nodes, each as its pages from the top, parents first."""
    found: list[list[Page]] = []
    of: dict[int, list[Page]] = {}
    for page in pages.values():
        if not page.there:
            continue
        run = of.get(page.parent)
        if page.has("cut") or run is None:
            run = []
            found.append(run)
        run.append(page)
        of[page.number] = run
    return found


def slot_of(page: int, tier: Tier) -> int:
    """The slot that a page's copy is in."""
    return page if tier is DEVICE else page - 1


def _tree(pages: Mapping[int, Page], settings: Settings) -> Table:
    columns: dict[Key, Column] = {}
    lists: dict[Key, Lists] = {}
    for c in settings.components:
        for tier in TIERS:
            free = [slot_of(p.number, tier) for p in pages.values() for _ in range(_free(p, c, tier))]
            columns[Key.of("capacity", c, tier)] = Column.of([len(pages)], int)
            columns[Key.of("available", c, tier)] = Column.of([len(free)], int)
            lists[Key.of("free", c, tier)] = Lists.of([free])
    return Table(_ids([0]), columns, lists)


def _free(page: Page, c: Component, tier: Tier) -> int:
    """How often the free lists name the slot of a page."""
    return (not page.has("taken", c, tier)) + page.has("free_twice", c, tier)


def _nodes(pages: Mapping[int, Page], runs: list[list[Page]], settings: Settings) -> Table:
    row_of = {page.number: row for row, run in enumerate(runs, 1) for page in run}
    tails = [run[-1] for run in runs]

    def told(of: Callable[[Page], int], root: int) -> Column:
        return Column.of([root, *map(of, tails)], int)

    def flag(name: str) -> Column:
        return Column.of([False, *(t.has(name) for t in tails)], bool)

    columns = {
        Key("parent"): Column.of([0, *(row_of.get(run[0].parent, 0) for run in runs)], int),
        Key("is_root"): Column.of([True, *(False for _ in runs)], bool),
        Key("key_len"): Column.of([0, *map(len, runs)], int),
        Key("write_pending"): flag("write_pending"),
        Key("load_pending"): flag("load_pending"),
        Key("write_ack"): told(lambda t: _mark(pages, t, "write_pending", w.WITH_PARENT), -1),
        Key("load_ack"): told(lambda t: _mark(pages, t, "load_pending", w.LOAD_WITH_PARENT), -1),
    }
    if w.HITS in next(iter(pages.values())).kept:
        columns[w.HITS] = told(lambda t: t.kept[w.HITS], 0)
    lists = {Key("key"): Lists.of([[], *([p.number for p in run] for run in runs)])}
    for c in settings.components:
        for tier in TIERS:
            copies = [_copy(run, c, tier) for run in runs]
            mark = c.backbone and tier is DEVICE
            columns[Key.of("present", c, tier)] = Column.of([mark, *(bool(k) for k in copies)], bool)
            columns[Key.of("tokens", c, tier)] = Column.of([0, *map(len, copies)], int)
            columns[Key.of("lock", c, tier)] = told(_lock_of(c, tier), int(tier is DEVICE))
            lists[Key.of("holds", c, tier)] = Lists.of([[], *([slot_of(p.number, tier) for p in k] for k in copies)])
            columns |= _bytes(copies, c, tier)
    return Table(_ids([0, *(t.number for t in tails)]), columns, lists)


def _copy(run: list[Page], c: Component, tier: Tier) -> list[Page]:
    """The pages of a node that have a copy."""
    return [p for p in run if p.has("present", c, tier)]


def _lock_of(c: Component, tier: Tier) -> Callable[[Page], int]:
    def lock(page: Page) -> int:
        if page.has("below_zero", c, tier):
            return -1
        return page.kept[Key.of("lock" if tier is DEVICE else "locks", c, tier)]

    return lock


def _bytes(copies: list[list[Page]], c: Component, tier: Tier) -> dict[Key, Column]:
    """1 for its own bytes, 0 for others; unknown without a copy, and until a transfer has written it."""
    coming, arrived = ("being_loaded", "load_copied") if tier is DEVICE else ("being_written", "write_copied")
    known = [True, *(bool(k) and not any(_part_of(p, coming, c) and not p.has(arrived) for p in k) for k in copies)]
    held = [0, *(int(all(p.has("right", c, tier) for p in k)) for k in copies)]
    own = [0, *(1 for _ in copies)]
    return {
        Key.of("bytes", c, tier): Column.of(held, int, known),
        Key.of("own_bytes", c, tier): Column.of(own, int, known),
    }


def _part_of(page: Page, name: str, c: Component) -> bool:
    """A transfer copies the page's copy; in a cache of one component that is what it does for its pages."""
    if Key.of(name, c) in page.kept:
        return page.has(name, c)
    return page.has("in_write" if name == "being_written" else "in_load")


def _mark(pages: Mapping[int, Page], page: Page, name: str, joined: Key) -> int:
    """The acknowledgement that a marked page waits for."""
    return _top(pages, page, joined).number if page.has(name) else -1


def _top(pages: Mapping[int, Page], page: Page, joined: Key) -> Page:
    while page.has(joined.name):
        page = pages[page.parent]
    return page


def _transfers(pages: Mapping[int, Page], rows: Mapping[int, int], settings: Settings) -> Table:
    found = [(p, True) for p in _ends(pages, "in_write", w.WITH_PARENT)]
    found += [(p, False) for p in _ends(pages, "in_load", w.LOAD_WITH_PARENT)]
    columns = {
        Key("is_write"): Column.of([write for _, write in found], bool),
        Key("is_load"): Column.of([not write for _, write in found], bool),
        Key("ack"): Column.of([_top(pages, p, _joined(write)).number for p, write in found], int),
        Key("node"): Column.of([rows.get(p.number, 0) for p, _ in found], int),
        Key("node_in_tree"): Column.of([p.number in rows for p, _ in found], bool),
        Key("takes_lock"): Column.of([True for _ in found], bool),
        Key("queued"): Column.of([1 for _ in found], int),
    }
    lists: dict[Key, Lists] = {}
    for c in settings.components:
        for tier in TIERS:
            reads = [_copied(pages, p, write, c, tier) if write is (tier is DEVICE) else [] for p, write in found]
            writes = [_copied(pages, p, write, c, tier) if write is not (tier is DEVICE) else [] for p, write in found]
            lists[Key.of("reads", c, tier)] = Lists.of(reads)
            lists[Key.of("writes", c, tier)] = Lists.of(writes)
    return Table(_ids([p.number if write else len(pages) + p.number for p, write in found]), columns, lists)


def _joined(write: bool) -> Key:
    return w.WITH_PARENT if write else w.LOAD_WITH_PARENT


def _ends(pages: Mapping[int, Page], flag: str, joined: Key) -> Iterable[Page]:
    """The pages that transfers of a kind were submitted for."""
    below = {p.parent for p in pages.values() if p.has(joined.name) and p.there}
    return [p for p in pages.values() if p.has(flag) and p.number not in below]


def _copied(pages: Mapping[int, Page], end: Page, write: bool, c: Component, tier: Tier) -> list[int]:
    """The slots of a component that a transfer reads or writes on a tier."""
    found, page = [], end
    while True:
        if _part_of(page, "being_written" if write else "being_loaded", c):
            found.append(slot_of(page.number, tier))
        if not page.has(_joined(write).name):
            return found
        page = pages[page.parent]


def _requests(pages: Mapping[int, Page], rows: Mapping[int, int], settings: Settings) -> Table:
    held = [p for p in pages.values() for _ in range(p.kept[w.HELD])]
    columns = {
        Key("node"): Column.of([rows.get(p.number, 0) for p in held], int),
        Key("node_in_tree"): Column.of([p.number in rows for p in held], bool),
    }
    nothing = Lists.of([[] for _ in held])
    lists = {Key.of("holds", c, tier): nothing for c in settings.components for tier in TIERS}
    return Table(_ids(range(len(held))), columns, lists)


def _ids(numbers: Iterable[int]) -> Tensor:
    return torch.tensor([*numbers], dtype=torch.int64)
