"""A snapshot as a state of the page model, as far as it shows one: what `observed` does, the other way round.

A node is a run of pages that are alike, so a long one is shown by as many as are asked for. Of a large
tree a part is taken: nodes with everything above them. What is left out is taken off the counts that it
has a share in, the locks of a parent and the room in a pool. What no observer sees (whether the bytes of
a copy in flight have arrived, how far a window was locked) is left open.

Below each node, and below the root, is a page more that is not in the tree: what may have been there, or
come there. Locks, marks and slots that nothing in the tree accounts for may be its.

Hits are left open too: a cache backs up whatever it is told to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component, Tier
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.abstraction import BOTH, OF_SLOTS, Abstraction, Cell, NotAStateError
from sanitree.models.protocol.pages.config import Pages
from sanitree.models.protocol.pages.shown import variables
from sanitree.models.protocol.pages.strays import arriving, is_write, own_slots, references, strays
from sanitree.models.snapshot import Key, Snapshot

UNMARKED = frozenset({"sglang"})
"""Engines that lock the host copies of a load otherwise than the model, or not, as their version has it, and mark its
nodes in some versions and under some policies alone."""


def abstracted(s: Snapshot, rows: Collection[int], *, longest: int = 2, window: int = 2, more: int = 1) -> Abstraction:
    """Nodes of a snapshot, by their rows, as a state of the page model.

    rows: the rows above them are added. longest: pages that a node is shown by at most. window: pages that
    sliding-window attention looks back. more: requests and copies that there may be besides those that are seen.
    Raises NotAStateError for what has no pages.
    """
    if s.settings.components[:1] != (FULL,):
        raise NotAStateError("full attention is not the first of its components", "the page model needs it")
    shown = sorted({above for row in rows for above in s.path_to(row)})
    _Part.check(s, shown)
    return _Part(s, shown, longest, window, more).done()


class _Part:
    """What is worked out on the way."""

    @staticmethod
    def check(s: Snapshot, rows: Iterable[int]) -> None:
        for key in (Key.of("present", FULL, DEVICE), Key.of("present", FULL, HOST), Key("key_len")):
            column = s.nodes.columns.get(key)
            if column is None or (column.mask is not None and not all(column.mask[r] for r in rows)):
                raise NotAStateError(f"{key} was not observed of every node", "take a snapshot that has it")

    def __init__(self, s: Snapshot, rows: Sequence[int], longest: int, window: int, more: int) -> None:
        self.s, self.rows, self.longest, self.window, self.more = s, rows, longest, window, more
        self.parents: list[int] = []
        self.pages_of: dict[int, tuple[int, ...]] = {}
        self.spare: list[int] = []
        self.left_out: list[str] = []
        self.known: dict[Cell, int] = {}
        self.components = s.settings.components
        self.page_size = s.settings.page_size
        self.children: dict[int, list[int]] = {}
        for row, above in enumerate(s.nodes.columns[Key("parent")].listed[1:], 1):
            self.children.setdefault(int(above), []).append(row)

    def done(self) -> Abstraction:
        self._lay_out()
        self.strays = strays(self.s)
        flights = [(row, write) for write in (True, False) for row in self._flights(write)]
        self.model = Pages(
            policy=self.s.settings.policy, components=self.components, parents=tuple(self.parents),
            requests=self._requests() + self.more, copies=max(1, len(flights) + self.more), window=self.window,
            rooms=self._rooms(), extra=self._extra(),
        )  # fmt: skip
        self._nodes()
        for kind in ("write", "load"):
            self._transfers(kind)
        if self.s.origin.engine in UNMARKED:
            self._unmarked_loads()
        self._spares()
        self._one_request_a_node()
        keys = {v.key: v.top for v in variables(self.model)}
        for (key, page), value in list(self.known.items()):
            if key not in keys:
                del self.known[key, page]
            elif not 0 <= value <= keys[key]:
                self.left_out.append(f"{key} is {value}, which the model does not count to")
                del self.known[key, page]
        return Abstraction(
            self.model, self.known, self.pages_of, tuple(self.spare), self.strays, tuple(dict.fromkeys(self.left_out))
        )

    # The tree.

    def _page(self, parent: int) -> int:
        self.parents.append(parent)
        return len(self.parents)

    def _lay_out(self) -> None:
        """Pages for the nodes, and then one more below each and below the root."""
        parent = self.s.nodes.columns[Key("parent")].listed
        lengths = self.s.nodes.columns[Key("key_len")].listed
        for row in self.rows:
            above = self.pages_of[parent[row]][-1] if parent[row] else 0
            length = max(1, lengths[row] // self.page_size)
            pages = []
            for _ in range(min(length, self.longest)):
                above = self._page(above)
                pages.append(above)
            self.pages_of[row] = tuple(pages)
            if length > self.longest:
                self.left_out.append(f"long nodes are shown by {self.longest} pages")
        left = len(self.s.nodes) - 1 - len(self.rows)
        if left:
            self.left_out.append(f"{left} other node{'s' * (left > 1)}")
        self.spare = [self._page(0), *(self._page(pages[-1]) for pages in self.pages_of.values())]

    def _requests(self) -> int:
        """Requests on nodes that are shown, and on none."""
        held = [n for n in self._held().values() if n is not None]
        if len(held) < len(self.rows):  # nobody listed the requests: there are as many as locks tell
            locks = [self._lock_of(row, FULL, DEVICE) or 0 for row in self.rows]
            return max([0, *locks])
        return sum(held) + self.strays["requests"]

    def _held(self) -> dict[int, int | None]:
        """How many requests have locked each row that is shown; None where nobody listed them."""
        if self.s.requests is None:
            return dict.fromkeys(self.rows)
        found = dict.fromkeys(self.rows, 0)
        for row, there in references(self.s.requests):
            if there and row in found:
                found[row] += 1
        return dict(found)

    def _extra(self) -> frozenset[str]:
        """Words for what only a fault leaves, where it is seen."""
        found = {"free_twice"} if any(n for what, n in self.strays.items() if what.endswith(" twice")) else set()
        if any((self._lock_of(row, c, DEVICE) or 0) < 0 for row in self.rows for c in self.components):
            found.add("below_zero")
        return frozenset(found)

    # Nodes.

    def _column(self, key: Key, row: int) -> int | None:
        """What a column says of a node; None where nobody knows."""
        column = self.s.nodes.columns.get(key)
        if column is None or (column.mask is not None and not column.mask[row]):
            return None
        return int(column.listed[row])

    def _tell(self, key: Key, page: int, value: int | bool | None) -> None:
        if value is not None:
            self.known[key, page] = int(value)

    def _nodes(self) -> None:
        held = self._held()
        for row, pages in self.pages_of.items():
            for page in pages:
                last = page == pages[-1]
                self._tell(w.CUT, page, page == pages[0])
                self._tell(Key("write_pending"), page, self._column(Key("write_pending"), row))
                self._tell(Key("load_pending"), page, self._column(Key("load_pending"), row))
                self._tell(w.HELD, page, held[row] if last else 0)
                self._tell(w.HELD_REACH, page, None if last and held[row] != 0 else 0)
                for c in self.components:
                    here = c.per_token or last
                    for tier in BOTH:
                        self._copy(row, page, c, tier, here)
                        self._lock(row, page, c, tier, here)

    def _unmarked_loads(self) -> None:
        """Leaves open what the model marks of a load, and an engine may not."""
        for (key, page), value in list(self.known.items()):
            if key == w.IN_LOAD and value:
                self.known.pop((Key("load_pending"), page), None)

    def _one_request_a_node(self) -> None:
        """With a window the model tells requests apart by their node: of several on one node it shows one.

        How often their windows are locked is left open.
        """
        c = self.model.windowed
        if c is None:
            return
        for row, pages in self.pages_of.items():
            more = self.known.get((w.HELD, pages[-1]), 0) - 1
            if more <= 0:
                continue
            self.known[w.HELD, pages[-1]] = 1
            self.left_out.append(f"of {more + 1} requests on one node, {more}")
            for page in (p for above in self.s.path_to(row) for p in self.pages_of[above]):
                if (Key.of("lock", FULL, DEVICE), page) in self.known:
                    self.known[Key.of("lock", FULL, DEVICE), page] -= more
                self.known.pop((Key.of("lock", c, DEVICE), page), None)

    def _copy(self, row: int, page: int, c: Component, tier: Tier, here: bool) -> None:
        present = self._column(Key.of("present", c, tier), row) if here else 0
        self._tell(Key.of("present", c, tier), page, present)
        self._tell(Key.of("free_twice", c, tier), page, 0)
        if not present:
            if present is not None:
                self._tell(Key.of("right", c, tier), page, 0)
                if not self.strays[f"{c.name} {tier.value}"]:  # else it may be what became of its copy
                    self._tell(Key.of("taken", c, tier), page, 0)
            return
        taken = own_slots(self.s, row, c, tier)
        self._tell(Key.of("taken", c, tier), page, taken)
        held, own = (self._column(Key.of(name, c, tier), row) for name in ("bytes", "own_bytes"))
        # Of a slot that is somebody else's, anybody may have written the bytes.
        known = taken is not False and held is not None and own is not None
        by_chance = held == own and arriving(self.s, row, c, tier)  # left there from a life before, perhaps
        self._tell(Key.of("right", c, tier), page, held == own if known and not by_chance else None)

    def _lock(self, row: int, page: int, c: Component, tier: Tier, here: bool) -> None:
        lock = self._lock_of(row, c, tier) if here else 0
        if tier is HOST and self.s.origin.engine in UNMARKED:
            lock = None  # a load's, or a prefetch's, which the model does at once
        if lock is not None:
            # Whose window reaches up here from what is not shown, nobody says.
            window = c.per_token and not c.backbone and lock > 0
            if not (window and any(child not in self.pages_of for child in self.children.get(row, ()))):
                self._tell(Key.of("lock" if tier is DEVICE else "locks", c, tier), page, max(lock, 0))
            self._tell(Key.of("below_zero", c, tier), page, lock < 0)

    def _lock_of(self, row: int, c: Component, tier: Tier) -> int | None:
        """A node's locks, less those of children that are not shown."""
        lock = self._column(Key.of("lock", c, tier), row)
        return lock - self._of_others(row, c, tier) if lock is not None and c.backbone else lock

    def _of_others(self, row: int, c: Component, tier: Tier) -> int:
        """Locks of a path that come from below it, from what is not shown."""
        found = 0
        for child in self.children.get(row, ()):
            if child in self.pages_of:
                found += self._of_others(child, c, tier)
            else:
                # What fell below 0 there says nothing of who holds it.
                found += max(0, self._column(Key.of("lock", c, tier), child) or 0)
        return found

    # Transfers.

    def _flights(self, write: bool) -> list[int]:
        """Rows of the transfers of a kind of which something is shown."""
        found = []
        for i, (row, there) in enumerate(references(self.s.transfers)):
            if is_write(self.s, i) is write and (not there or row in self.pages_of or self._moved(i)):
                found.append(i)
        return found

    def _moved(self, i: int) -> set[int]:
        """Rows with slots that a transfer reads or writes, or that wait for it.

        Those on the path to its node, where that is in the tree: slots that were freed may be another's by now.
        """
        node, there = references(self.s.transfers)[i]
        rows = set(self.s.path_to(node)).intersection(self.rows) if there else self.rows
        return {row for row in rows if any(self._copies(i, row, c) for c in self.components) or self._waits(i, row)}

    def _spanned(self, i: int, node: int, there: bool) -> set[int]:
        """Rows that a transfer was submitted for: those with something of it, its node, and what is between."""
        moved = self._moved(i) | ({node} if there else set())
        if not there:
            return moved
        path = self.s.path_to(node)
        top = next(k for k, row in enumerate(path) if row in moved)
        return moved | set(path[top:])

    def _waits(self, i: int, row: int) -> bool:
        assert self.s.transfers is not None
        ack = self.s.transfers.columns.get(Key("ack"))
        name = "write_ack" if is_write(self.s, i) else "load_ack"
        pending = self._column(Key(name.replace("ack", "pending")), row)
        return ack is not None and bool(pending) and self._column(Key(name), row) == ack.listed[i]

    def _copies(self, i: int, row: int, c: Component) -> bool:
        """Whether a transfer copies a node's copy of a component: it reads or writes its slots."""
        assert self.s.transfers is not None
        for name, tier in (("reads", DEVICE), ("writes", HOST), ("reads", HOST), ("writes", DEVICE)):
            used = self.s.transfers.lists.get(Key.of(name, c, tier))
            held = self.s.nodes.lists.get(Key.of("holds", c, tier))
            if used is not None and held is not None and not set(used.each[i]).isdisjoint(held.each[row]):
                return True
        return False

    def _transfers(self, kind: str) -> None:
        of_it, with_parent, copied = {
            "write": (w.IN_WRITE, w.WITH_PARENT, w.WRITE_COPIED),
            "load": (w.IN_LOAD, w.LOAD_WITH_PARENT, w.LOAD_COPIED),
        }[kind]  # fmt: skip
        parent = self.s.nodes.columns[Key("parent")].listed
        if self.s.transfers is None:
            return
        flights = self._flights(kind == "write")
        nodes = references(self.s.transfers)
        rows = {i: self._spanned(i, *nodes[i]) for i in flights}
        # A window may reach further up than what the load found to bring: nothing shows how far.
        hidden = self.model.windowed is not None and kind == "load"
        unseen = {above for i in flights if hidden and nodes[i][1] for above in self.s.path_to(nodes[i][0])}
        for row, pages in self.pages_of.items():
            mine = {i for i, of in rows.items() if row in of}
            joined = any(parent[row] in rows[i] for i in mine)
            if row in unseen and not joined:
                if mine:
                    self._tell(of_it, pages[0], 1)
                for page in pages[1:] if mine else ():
                    self._tell(of_it, page, 1)
                    self._tell(with_parent, page, 1)
                continue
            for page in pages:
                self._tell(of_it, page, bool(mine))
                self._tell(with_parent, page, bool(mine) and (page != pages[0] or joined))
                if not mine:
                    self._tell(copied, page, 0)
                for c in self.components:
                    here = (c.per_token or page == pages[-1]) and any(self._copies(i, row, c) for i in mine)
                    target = Key.of("bytes", c, HOST if kind == "write" else DEVICE)
                    if here and self._column(target, row) is not None:
                        self._tell(copied, page, 1)  # nobody sees bytes that have not arrived
                    self._tell(Key.of(f"being_{'written' if kind == 'write' else 'loaded'}", c), page, here)
                ends = page == pages[-1] and any(nodes[i] == (row, True) for i in mine)
                if not ends:
                    self._tell(w.WRITE_REACH if kind == "write" else w.LOAD_REACH, page, 0)

    # What nobody accounts for.

    def _spares(self) -> None:
        """A page that is not there has no copy, and where nothing strays nothing at all."""
        for page in self.spare:
            for c in self.components:
                for tier in BOTH:
                    self._tell(Key.of("present", c, tier), page, 0)
                    self._tell(Key.of("right", c, tier), page, 0)
                    for what, name in OF_SLOTS.items():
                        if not self.strays[f"{c.name} {tier.value}{what}"]:
                            self._tell(Key.of(name, c, tier), page, 0)
            if not (self.strays["requests"] or self.strays["writes"] or self.strays["loads"]):
                for v in variables(self.model):
                    if v.key.name not in OF_SLOTS.values():
                        self._tell(v.key, page, 0)

    def _rooms(self) -> dict[tuple[str, Tier], int]:
        """Slots that what is shown may have of each pool, in pages: what it has, and what is free."""
        found = {}
        for c in self.components:
            for tier in BOTH:
                has = sum(self._column(Key.of("present", c, tier), row) or 0 for row in self.rows for _ in (
                    self.pages_of[row] if c.per_token else (0,)))  # fmt: skip
                free = self.s.tree.columns.get(Key.of("available", c, tier))
                size = self.page_size if c.per_token else 1
                left = len(self.parents) if free is None else int(free.listed[0]) // size
                found[c.name, tier] = max(1, min(has + max(0, left), len(self.parents)))
        return found
