"""Two implementations in lockstep: the same operations, and what they do differently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from sanitree.checker.hunt.fingerprint import known_values, places
from sanitree.checker.hunt.wrong import Kind
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST
from sanitree.models.driving.driver import Driver, Hidden
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.operations import Operation
from sanitree.models.driving.setup import Setup
from sanitree.models.snapshot import Column, Key, Snapshot, Table
from sanitree.models.step import Call
from sanitree.models.subject import Subject

Places = list[tuple[tuple[int, ...], int]]

CORES = ("python", "rust")


class DifferenceError(Exception):
    """Two caches that did the same are not alike. names: what differs. text: for people."""

    kind = Kind.DIFFERENCE

    def __init__(self, names: tuple[str, ...], text: str) -> None:
        self.names = names
        super().__init__(text)


class Both:
    """A driver that drives two; watched is the first. Raises DifferenceError where the second answers differently."""

    def __init__(self, one: Driver, other: Driver) -> None:
        self.one, self.other = one, other

    @property
    def setup(self) -> Setup:
        """The first one's, said to be of both."""
        return replace(self.one.setup, core="both")

    @property
    def on(self) -> str:
        return self.one.on

    def fresh(self) -> None:
        """Two empty caches."""
        self.one.fresh()
        self.other.fresh()

    def subject(self, content: bool = False) -> Subject:
        """The first."""
        return self.one.subject(content)

    def listen(self, before: Callable[[], None], after: Callable[[Call], None]) -> Callable[[], None]:
        """To the first."""
        return self.one.listen(before, after)

    def can(self, op: Operation) -> bool:
        """Whether both can."""
        return self.one.can(op) and self.other.can(op)

    def do(self, op: Operation) -> str:
        """Does it with both, and compares what they say and what they have become."""
        said = self.one.do(op)
        answer = self.other.do(op)
        if said != answer:
            raise DifferenceError(("result",), f"{CORES[0]} says {said!r}, {CORES[1]} {answer!r}")
        self._compare()
        return said

    def hidden(self) -> Hidden:
        """What the first one's does not show."""
        return self.one.hidden()

    def settle(self) -> None:
        """Settles both, and compares."""
        self.one.settle()
        self.other.settle()
        self._compare()

    def own_check(self) -> tuple[str, ...]:
        """What either complains about."""
        return (*self.one.own_check(), *self.other.own_check())

    def oracles(self) -> Mapping[str, tuple[str, ...]]:
        """What those of either complain about."""
        ours, theirs = self.one.oracles(), self.other.oracles()
        return {name: (*ours.get(name, ()), *theirs.get(name, ())) for name in (*ours, *theirs)}

    def _compare(self) -> None:
        ours, theirs = (d.subject().snapshot(None) for d in (self.one, self.other))
        told = list(differences(ours, theirs, places if _named(ours) and _named(theirs) else shapes(ours, theirs)))
        if told:
            text = "; ".join(f"{name}: {CORES[0]} {a}, {CORES[1]} {b}" for name, a, b in told[:4])
            raise DifferenceError(tuple(name for name, _, _ in told), text)


def open_both(on: str, setup: Setup) -> Both:
    """A driver of both cores of an engine."""
    one, other = (open_driver(on, replace(setup, core=core)) for core in CORES)
    return Both(one, other)


def _named(s: Snapshot) -> bool:
    """Whether the tokens of every node are known: the Rust core does not always show them."""
    keys = s.nodes.lists.get(Key("key"))
    return keys is not None and all(keys.each[1:])


def shapes(one: Snapshot, other: Snapshot) -> Callable[[Snapshot], Places]:
    """The nodes by what both know of each from the root on, in order, where tokens do not tell which is which."""
    pools = [(c, tier) for c in one.settings.components for tier in (DEVICE, HOST)]
    tells = [Key("key_len"), Key("write_pending"), Key.of("lock", FULL, DEVICE)]
    tells += [Key.of("present", c, tier) for c, tier in pools]
    known = [key for key in tells if all(_whole(s.nodes.columns.get(key)) for s in (one, other))]

    def named(s: Snapshot) -> Places:
        columns = [known_values(s.nodes.columns[key]) for key in known]
        paths: list[tuple[int, ...]] = []
        for row, up in enumerate(s.nodes.columns[Key("parent")].listed):
            paths.append((*paths[up], *(int(column[row] or 0) for column in columns)) if row else ())
        return sorted(zip(paths, range(len(paths)), strict=True))

    return named


def _whole(column: Column | None) -> bool:
    return column is not None and None not in known_values(column)


def differences(
    one: Snapshot, other: Snapshot, places: Callable[[Snapshot], Places] = places
) -> Iterator[tuple[str, object, object]]:
    """Columns that both know and that differ, nodes being the same by the tokens that lead to them.

    places: says otherwise which are the same: what names each, in order, and its row.
    """
    orders = [places(s) for s in (one, other)]
    nodes, others = ([path for path, _ in order] for order in orders)
    if nodes != others:
        yield "nodes", nodes, others
        return
    tables: list[tuple[str, Table | None, Table | None, list[list[int]] | None]] = [
        ("node", one.nodes, other.nodes, [[row for _, row in order] for order in orders]),
        ("tree", one.tree, other.tree, None),
        ("transfer", one.transfers, other.transfers, None),
        ("request", one.requests, other.requests, None),
    ]
    for name, a, b, rows in tables:
        if a is None or b is None:
            continue
        if len(a) != len(b):
            yield name, len(a), len(b)
            continue
        for key in sorted(set(a.columns) & set(b.columns), key=str):
            if not _comparable(name, key):
                continue
            ours = known_values(a.columns[key], None if rows is None else rows[0])
            theirs = known_values(b.columns[key], None if rows is None else rows[1])
            if not _alike(range(len(ours)) if rows is None else nodes, ours, theirs):
                yield f"{name}.{key}", ours, theirs


def _alike(names: Sequence[object], ours: Sequence[Hashable], theirs: Sequence[Hashable]) -> bool:
    """Whether what both know agrees; of those with one name, which nothing tells apart, in whatever order."""
    pairs = zip(names, ours, theirs, strict=True)
    for _, group in groupby(pairs, key=lambda each: each[0]):
        together = list(group)
        one, other = Counter(a for _, a, _ in together), Counter(b for _, _, b in together)
        unknown, unknown_to_other = one.pop(None, 0), other.pop(None, 0)
        if (one - other).total() > unknown_to_other or (other - one).total() > unknown:
            return False
    return True


def _comparable(name: str, key: Key) -> bool:
    # Names differ by right; and how a core keeps its lists and tables is its own affair.
    names = {"parent", "parent_link", "first_page", "edge", "ack", "write_ack", "load_ack", "node"}
    return key.name not in names and (name, key.name) != ("tree", "registered_nodes")
