"""What every node of one live tree gives to the sums over the tree, kept from operation to operation.

`judge` is told the nodes that an operation touched. It judges them, their parents, and
where something changed that children are asked for, the children; sums follow by what a
node gives now less what it gave before. Its cost does not depend on the tree's size. What
was not touched is as it was judged last, so all instances that are false are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sanitree.checker.fused.touched import KEYED, Touched, folds_of
from sanitree.models.observe import FAULTS

Instance = tuple[int, Any]
"""A check, as its place in `Touched.checks`, and the node, transfer or request of which it is false; None: the tree."""

Records = Callable[[Any, "Ledger"], list[Any]]
"""Lists the transfers or the requests of a tree; `Ledger.holds` says which nodes are in it."""


Change = tuple["Entry", tuple[Any, ...] | None, tuple[Any, ...] | None]
"""A node, and what is kept of it before and after."""


class Entry:
    """One node in the books.

    up: its parent's entry, None for the root's. edge: under what the parent holds it. count:
    children in the books. own, every: what it gives to sums over its parent's children and over
    all nodes. asked: what children are asked of it. kids: sums over its children. kept: its
    fields that step rules speak of, as they were when it was judged last.
    """

    __slots__ = ("asked", "bad", "count", "deep", "edge", "every", "kept", "keyed", "kids", "node", "open", "own", "up")

    def __init__(self, node: Any, up: Entry | None, edge: Any, nothing: Sequence[Any]) -> None:
        self.node, self.up, self.edge = node, up, edge
        self.count = self.bad = self.deep = 0
        self.open = False
        self.kids = nothing
        self.keyed: dict[Any, int] = {}
        self.own: tuple[Any, ...] = ()
        self.every: tuple[Any, ...] = ()
        self.asked: tuple[Any, ...] | None = None
        self.kept: tuple[Any, ...] | None = None


class Ledger:
    """The books of one tree, which are opened at its root.

    sums: over all nodes. irregular: why the tree is none, once that was found: nothing is judged
    from then on. error: what reading it raised, if that is why. lost: nodes of transfers that left so far.
    judged: nodes that were judged so far.
    transfers, requests: as they were listed last. renewed: whether they are others than before;
    stale: whether what they are judged by may have changed. changed: nodes of which what is kept is
    other than before, with that and with what it is now; None where the node is not in the tree.
    """

    def __init__(self, tree: Any, checks: Touched, transfers: Records | None, requests: Records | None) -> None:
        self.checks = checks
        self._list_transfers, self._list_requests = transfers, requests
        self._to_parent, self._to_tree = checks.to_parent, checks.to_tree
        self.judged = 0
        self._nothing = tuple(folds_of(checks.of_children))
        self._gives_nothing = tuple(() if kind in KEYED else 0 for kind in checks.of_children)
        self._nothing_of_all = tuple(() if kind in KEYED else 0 for kind in checks.of_nodes)
        self._suspects: list[Entry] = []
        self._gone: list[Entry] = []
        self.open(tree)

    def open(self, tree: Any) -> None:
        """Begins anew: of a tree that was replaced, or that nobody heard of before. Walks all of it."""
        self.irregular = ""
        self.error: Exception | None = None
        self.entries: dict[int, Entry] = {}
        self.sums: list[Any] = list(folds_of(self.checks.of_nodes))
        self._keyed: dict[Any, int] = {}
        self._open: dict[Entry, None] = {}
        self._wrong: dict[Entry, None] = {}
        self._deep: dict[Entry, None] = {}
        self.batch: list[Entry] = []
        self.changed: list[Change] = []
        self.lost = 0
        self._found: list[Instance] = []
        self.transfers: list[Any] = []
        self.requests: list[Any] = []
        self.gathered: tuple[Any, ...] = ()
        self.of_records: list[Instance] = []
        self.renewed = self.stale = self._new = True
        self._of_transfers: set[int] = set()
        self.judge(tree, [self.checks.root(tree)])
        self.changed = []

    def holds(self, node: Any) -> bool:
        """Whether a node is in the tree, as far as the books go."""
        return id(node) in self.entries

    def judge(self, tree: Any, touched: Iterable[Any]) -> None:
        """Brings the books up to the operation that touched these nodes; some may have left the tree."""
        if self.irregular:
            return
        try:
            self._root = self.checks.root(tree)
            self._suspects, self._gone, self.changed = [], [], []
            self.batch = [e for node in touched if (e := self._entry(node)) is not None]
            if self._gone:
                self.batch = list(filter(self._is_current, self.batch))
                if any(e.count for e in self._gone):
                    self.irregular = "a node left the tree, and not all that its children map had held"
            self._look_for_children()
            self._look_at_records(tree)
            self._found = self.checks.run(tree, self)
            self.changed += [(e, e.kept, None) for e in self._gone if e.kept is not None]
            self._new = False
        except FAULTS as error:
            self.irregular = f"a field is not of its kind: {type(error).__name__}: {error}"
            self.error = error
        self.judged += len(self.batch)
        self.batch = []

    def _look_at_records(self, tree: Any) -> None:
        """Lists transfers and requests; where they are others, nodes that are judged by them are looked at again."""
        transfers = self.transfers if self._list_transfers is None else self._list_transfers(tree, self)
        if self._list_requests is not None:
            self.requests = self._list_requests(tree, self)
        self.renewed = self._new or transfers is not self.transfers or bool(self.requests)
        self.stale = False
        if self.renewed:
            self.transfers = transfers
            self._of_transfers = {id(x.node) for x in transfers}
            self.batch += self._open

    def violations(self) -> list[Instance]:
        """Every instance that is false now."""
        if self.irregular:
            return []
        found = [(i, e.node) for e in self._wrong for i in _bits(e.bad | e.deep)]
        return found + self._found

    @property
    def sound(self) -> bool:
        """Whether nothing is false."""
        return not (self._wrong or self._found or self.irregular)

    # Which nodes there are.

    def _entry(self, node: Any) -> Entry | None:
        """The entry of a node, where it is; None where it is in no tree."""
        known = self.entries.get(id(node))
        if node is self._root:
            return known or self._enter(node, None, None)
        parent = self.checks.parent(node)
        if (
            known is not None
            and (up := known.up) is not None
            and up.node is parent
            and self.checks.children(parent).get(known.edge) is node
        ):
            return known  # it is where it was
        up = None
        if parent is not None:
            up = self.entries.get(id(parent))
            if up is None and not self._is_round(node):
                up = self._entry(parent)
        edge = None if up is None else self._edge(node, known, up)
        if up is None or edge is None:
            if up is not None:
                self._suspects.append(up)  # it may hold the node where nobody would look for it
            if known is not None:
                self._remove(known)
            return None
        if known is None:
            return self._enter(node, up, edge[0])
        known.edge = edge[0]
        if known.up is not up:
            self._move(known, up)
        return known

    def _move(self, e: Entry, up: Entry) -> None:
        self._leave(e)
        e.up = up
        up.count += 1

    def _edge(self, node: Any, known: Entry | None, up: Entry) -> tuple[Any] | None:
        """Under what a parent holds a node; None where it does not, or under what nobody would look for it."""
        children = self.checks.children(up.node)
        if known is not None and known.up is up and children.get(known.edge) is node:
            return (known.edge,)
        page = self.checks.first_page(node)
        return (page,) if children.get(page) is node else None

    def _is_round(self, node: Any) -> bool:
        """Whether parent pointers lead from a node that is in no books back to it."""
        met: set[int] = set()
        while node is not None and id(node) not in self.entries and node is not self._root:
            if id(node) in met:
                return True
            met.add(id(node))
            node = self.checks.parent(node)
        return False

    def _look_for_children(self) -> None:
        """Finds the children of what was touched that nobody named: each count must be that of the children map."""
        of = self.checks.children
        for e in self._with_parents():
            children = of(e.node)
            if len(children) == e.count:
                continue
            for edge, child in children.items():
                known = self.entries.get(id(child))
                if self.checks.parent(child) is not e.node or child is self._root:
                    self.irregular = "a node's parent pointer does not name the node whose children map holds it"
                    return
                if known is None or known.up is not e:
                    if known is not None:
                        self._move(known, e)
                        known.edge = edge
                    self.batch.append(known or self._enter(child, e, edge))  # which this loop comes to
            if len(children) != e.count:
                self.irregular = "a child is not where its parent's children map should have it"
                return

    def _with_parents(self) -> Iterator[Entry]:
        for e in self.batch:
            yield e
            if e.up is not None:
                yield e.up
        yield from filter(self._is_current, self._suspects)

    def _is_current(self, e: Entry) -> bool:
        return self.entries.get(id(e.node)) is e

    def _enter(self, node: Any, up: Entry | None, edge: Any) -> Entry:
        made = self.entries[id(node)] = Entry(node, up, edge, self._nothing)
        made.own, made.every = () if up is None else self._gives_nothing, self._nothing_of_all
        for e in self._gone:
            if e.node is node:  # it was looked for where it is no more
                made.kept, e.kept = e.kept, None
        if up is not None:
            up.count += 1
        return made

    def _remove(self, e: Entry) -> None:
        """Takes a node, and what is left below it, out of the books."""
        below = [e]
        for x in below:
            if x.count:
                below += self._children(x)
        for x in reversed(below):
            self._leave(x)
            self._to_tree(self.sums, self._keyed, x.every, self._nothing_of_all)
            del self.entries[id(x.node)]
            self.lost += id(x.node) in self._of_transfers
            for books in (self._open, self._wrong, self._deep):
                books.pop(x, None)
        self._gone += below

    def _leave(self, e: Entry) -> None:
        """Takes what a node gave to its parent from it."""
        up = e.up
        if up is not None:
            up.count -= 1
            self._to_parent(up.kids, up.keyed, e.own, self._gives_nothing)
            e.own = self._gives_nothing
            if self._is_current(up):
                self._deep[up] = None
                self._suspects.append(up)

    def _children(self, e: Entry) -> list[Entry]:
        """The children that are in the books."""
        found = map(self.entries.get, map(id, self.checks.children(e.node).values()))
        return [c for c in found if c is not None and c.up is e]

    # What the generated check tells.

    def put(
        self,
        e: Entry,
        bad: int,
        opened: bool,
        own: tuple[Any, ...],
        every: tuple[Any, ...],
        asked: tuple[Any, ...],
        kept: tuple[Any, ...],
    ) -> None:
        """What a node gives and breaks now."""
        if opened or e.open or id(e.node) in self._of_transfers:
            self.stale = True
        if own != e.own:
            up = e.up
            assert up is not None
            if up.kids is self._nothing:
                up.kids = list(folds_of(self.checks.of_children))
            self._to_parent(up.kids, up.keyed, e.own, own)
            e.own = own
            self._deep[up] = None
        if every != e.every:
            self._to_tree(self.sums, self._keyed, e.every, every)
            e.every = every
        if kept != e.kept:
            self.changed.append((e, e.kept, kept))
            e.kept = kept
        if asked != e.asked:
            e.asked = asked
            if e.count:
                self.batch += self._children(e)
        if opened != e.open:
            e.open = opened
            if opened:
                self._open[e] = None
            else:
                del self._open[e]
        if bad != e.bad:
            e.bad = bad
            self._mark(e)
        self._deep[e] = None

    def deep(self) -> Iterable[Entry]:
        """The nodes whose children may have changed, or who did themselves."""
        deep, self._deep = self._deep, {}
        return deep

    def put_deep(self, e: Entry, bad: int) -> None:
        """What a node breaks as a parent."""
        if bad != e.deep:
            e.deep = bad
            self._mark(e)

    def _mark(self, e: Entry) -> None:
        if e.bad or e.deep:
            self._wrong[e] = None
        else:
            self._wrong.pop(e, None)


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask -= low
