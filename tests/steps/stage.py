"""A step to be changed: the states before and after a call as drafts, what the call says, and the steps before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from sanitree.checker.follow import Follower
from sanitree.checker.report import Report
from sanitree.invariants.calls import Operation
from sanitree.invariants.catalogue import GHOSTS, STEP_RULES
from sanitree.invariants.rules import Rule
from sanitree.invariants.steps import Ghost
from sanitree.invariants.vocabulary import DEVICE, FIELDS, FULL, HOST, MAMBA, Component, Sort, Tier
from sanitree.models.step import Ack, Call
from tests.drafts import Draft, Sheet
from tests.legal import acquire, legal, settle
from tests.planted.tools import fresh, give, hold, mark_load, submit, take, unlock

Pool = tuple[str, str]

Locks = dict[Component, Counter[int]]
"""How often a request has locked which nodes, by their ids."""


@dataclass
class Told:
    """What a call is asked to do and says it did, to be changed; None where it says nothing."""

    operation: Operation
    asked: Counter[Pool] = field(default_factory=Counter)
    evicted: Counter[Pool] | None = field(default_factory=Counter)
    dropped: Counter[Pool] | None = field(default_factory=Counter)
    refused: int | None = 0
    request: int | None = None
    submitted: list[Ack] | None = field(default_factory=list)
    acked: list[Ack] | None = field(default_factory=list)

    def call(self) -> Call:
        submitted, acked = (None if x is None else tuple(x) for x in (self.submitted, self.acked))
        return Call(
            self.operation, "", self.asked, self.evicted, self.dropped, self.refused, self.request, submitted, acked
        )


@dataclass
class Stage:
    """One step, and those that led to it. Starts as a step that changes nothing and asks for nothing.

    held: what the requests that came on this stage have locked.
    """

    before: Draft
    call: Told
    after: Draft
    past: list[tuple[Told, Draft]] = field(default_factory=list)
    held: dict[int, Locks] = field(default_factory=dict)
    first: Draft = field(init=False)

    def __post_init__(self) -> None:
        self.first = self.before

    def next(self, operation: Operation) -> None:
        """The step so far has been; the next starts where it ended."""
        self.past.append((self.call, self.after))
        self.before, self.call, self.after = self.after, Told(operation), self.after.copy()

    def follow(self, rules: Iterable[Rule] = STEP_RULES, ghosts: Sequence[Ghost] = GHOSTS) -> list[Report]:
        """The report on each step, the last on this one."""
        follower, quick = (Follower(self.first.snapshot(), tuple(rules), ghosts) for _ in range(2))
        reports = []
        for told, d in (*self.past, (self.call, self.after)):
            reports.append(follower.follow(told.call(), d.snapshot()))
            violation = quick.violation(told.call(), d.snapshot())
            assert bool(violation) == bool(reports[-1].violations), "both backends judge a step alike"
        return reports

    # What a call does and says.

    def evict(self, row: int, c: Component, t: Tier) -> int:
        """A copy goes, and the call says so; how many slots it had."""
        count = len(self.after.nodes.of("holds", c, t)[row])
        take(self.after, row, c, t)
        self.after.nodes("bytes", c, t)[row] += 1  # of what is not there: anything
        self.call.evicted[c.name, t.value] += count
        return count

    def evict_tier(self, row: int, t: Tier) -> None:
        """All copies of a tier go, and the call says which data is on no tier any more."""
        for c in self.after.settings.components:
            count = self.evict(row, c, t)
            if not self.after.has(row, c, HOST if t is DEVICE else DEVICE):
                self.call.dropped[c.name, t.value] += count

    def remove(self, row: int) -> int:
        """A node goes with all its copies, and the call says so; its id."""
        for t in Tier:
            for c in self.after.settings.components:
                self.call.dropped[c.name, t.value] += self.evict(row, c, t)
        number = self.after.nodes.ids[row]
        drop(self.after, row)
        return number

    def acknowledge(self, at: int) -> tuple[Ack, list[int]]:
        """A transfer ends, and those that wait for it wait no longer: what it was, and their ids."""
        d = self.after
        ack = transfer(d, at)
        kind = "write" if ack[0] else "load"
        waiting = [r for r in d.rows() if d.nodes(f"{kind}_pending")[r] and d.nodes(f"{kind}_ack")[r] == ack[1]]
        for r in waiting:
            d.nodes(f"{kind}_pending")[r], d.nodes(f"{kind}_ack")[r] = False, -1
        unlock(d, d.transfers("node")[at])
        forget(d.transfers, at)
        self.call.acked.append(ack)  # type: ignore[union-attr]
        return ack, [d.nodes.ids[r] for r in waiting]

    def load(self, row: int) -> int:
        """A node on the host alone is loaded back; the row of the load."""
        d = self.after
        at = submit(d, row, is_write=False)
        for c in d.settings.components:
            d.nodes("mirrors_full", c)[row] = True
            if d.has(row, c, HOST):
                put(d, row, c, DEVICE)
                d.transfers.of("reads", c, HOST)[at] = list(d.nodes.of("holds", c, HOST)[row])
                d.transfers.of("writes", c, DEVICE)[at] = list(d.nodes.of("holds", c, DEVICE)[row])
        if marks_loads(d):
            mark_load(d, row, d.nodes.ids[row])
        self.call.submitted.append(transfer(d, at))  # type: ignore[union-attr]
        return at

    def come(self, row: int, *, aux: bool = True) -> int:
        """A request comes and locks a path; its number."""
        d = self.after
        was = locks(d)
        number = d.requests.ids[hold(d, row)]
        if aux:
            acquire(d, row, times=-1, aux=False)
            acquire(d, row)
        self.call.request = number
        self.held[number] = {c: Counter({i: k - was[c][i] for i, k in own.items()}) for c, own in locks(d).items()}
        return number

    def go(self, number: int) -> None:
        """A request goes and unlocks what it locked."""
        d = self.after
        for c, own in self.held[number].items():
            for row, i in enumerate(d.nodes.ids):
                d.nodes("lock", c, DEVICE)[row] -= own[i]
        forget(d.requests, d.requests.ids.index(number))
        self.call.request = number

    def split(self, row: int, rng: Random) -> int:
        """A node is split: the suffix is the same node, the prefix a new one; its id."""
        d = self.after
        n, number = d.nodes, fresh_id(self)
        page, length = d.settings.page_size, d.nodes("key_len")[row]
        at = page * rng.randint(1, length // page - 1)
        top = copy_row(n, row, number)
        n("parent")[row] = n("parent_link")[row] = top
        key = n.of("key")[row]
        n.of("key")[top], n.of("key")[row] = key[:at], key[at:]
        n("key_len")[top], n("key_len")[row] = at, length - at
        n("first_page")[row] = n("edge")[row] = first_page(key[at:], page)
        for c in d.settings.components:
            for t in Tier:
                n("in_lru", c, t)[top] = False
                slots = n.of("holds", c, t)[row]
                if not c.per_token:
                    n("present", c, t)[top], n("tokens", c, t)[top], n("lock", c, t)[top] = False, 0, 0
                    n.of("holds", c, t)[top] = []
                elif d.has(row, c, t):
                    n("tokens", c, t)[top], n("tokens", c, t)[row] = at, length - at
                    end = max(0, len(slots) - (length - at))
                    n.of("holds", c, t)[top], n.of("holds", c, t)[row] = slots[:end], slots[end:]
        own_bytes(d, top, number)
        own_bytes(d, row, -number)
        for i, ack in enumerate(d.transfers("ack")):
            if d.transfers("is_write")[i] and n("write_pending")[row] and n("write_ack")[row] == ack:
                d.transfers("published")[i] += 1
        for held in self.held.values():
            for c, own in held.items():
                if c is not MAMBA:
                    own[number] = own[n.ids[row]]
        order = list(range(len(n) - 1))
        renumber(d, [*order[:row], top, *order[row:]])
        return number

    def grow(self, parent: int, rng: Random, tiers: Iterable[Tier]) -> int:
        """A leaf more, with full copies on these tiers; its row."""
        d = self.after
        n, page = d.nodes, d.settings.page_size
        last = max((x for key in n.of("key") for x in key), default=0)
        tokens = [last + 1 + i for i in range(page * rng.randint(1, 3))]
        first = first_page(tokens, page)
        row = n.add(
            fresh_id(self), parent=parent, parent_link=parent, has_parent_link=True, references=1, readable=True,
            key_len=len(tokens), first_page=first, edge=first, write_ack=-1, load_ack=-1,
        )  # fmt: skip
        n.of("key")[row] = tokens
        for c in d.settings.components:
            n("mirrors_full", c)[row] = True
            for t in Tier:
                n("lru_rank", c, t)[row], n("lru_prev_rank", c, t)[row] = -1, -2
        own_bytes(d, row, 17 * n.ids[row])
        for t in tiers:
            put(d, row, FULL, t)
        return row

    def settle(self) -> None:
        """Makes right what follows from copies and locks after the call."""
        settle(self.after)


def stage(seed: int, operation: Operation) -> Stage:
    """A call that does nothing to the legal cache of a seed."""
    return Stage(without_copies(legal(seed)), Told(operation), without_copies(legal(seed)))


def without_copies(d: Draft) -> Draft:
    """The same, where a column of bytes says anything of a copy that is not there."""
    for c in d.settings.components:
        for t in Tier:
            for row in d.rows():
                if not d.has(row, c, t):
                    d.nodes("bytes", c, t)[row] = -row - 1
    return d


# Drafts.


def renumber(d: Draft, order: list[int]) -> None:
    """The nodes in another order, without those that it leaves out."""
    new = {old: row for row, old in enumerate(order)}
    for sheet in (d.nodes, d.transfers, d.requests):
        for key, column in sheet.columns.items() if sheet else ():
            if FIELDS[sheet.sort, key.name].sort is Sort.NODE:
                column[:] = [new.get(row, 0) for row in column]
    permute(d.nodes, order)


def permute(sheet: Sheet, order: list[int]) -> None:
    """The rows of a sheet in another order, without those that it leaves out."""
    sheet.ids[:] = [sheet.ids[row] for row in order]
    for columns in (sheet.columns, sheet.known, sheet.lists):
        for column in columns.values():
            column[:] = [column[row] for row in order]


def drop(d: Draft, row: int) -> None:
    renumber(d, [r for r in range(len(d.nodes)) if r != row])


def forget(sheet: Sheet, row: int) -> None:
    permute(sheet, [r for r in range(len(sheet)) if r != row])


def copy_row(sheet: Sheet, row: int, number: int) -> int:
    """A row more that says the same as another; its row."""
    sheet.ids.append(number)
    for column in sheet.columns.values():
        column.append(column[row])
    for lists in sheet.lists.values():
        lists.append(list(lists[row]))
    return len(sheet) - 1


def shuffle(d: Draft, rng: Random) -> None:
    """Everything in another order: nodes parents first, as in every snapshot."""
    order, able = [], [0]
    while able:
        row = able.pop(rng.randrange(len(able)))
        order.append(row)
        able += d.children(row)
    renumber(d, order)
    for sheet in (d.transfers, d.requests):
        permute(sheet, rng.sample(range(len(sheet)), len(sheet)))


def put(d: Draft, row: int, c: Component, t: Tier) -> None:
    """A copy more, with the bytes that belong to it."""
    give(d, row, c, t)
    d.nodes("bytes", c, t)[row] = d.nodes("own_bytes", c, t)[row]


def own_bytes(d: Draft, row: int, what: int) -> None:
    for c in d.settings.components:
        for t in Tier:
            d.nodes("bytes", c, t)[row] = d.nodes("own_bytes", c, t)[row] = hash((what, c.name)) & 0xFFFF


def first_page(tokens: list[int], page: int) -> int:
    return tokens[0] if page == 1 else hash(tuple(tokens[:page])) & ((1 << 63) - 1)


def fresh_id(s: Stage) -> int:
    return max(i for d in (s.first, *(d for _, d in s.past), s.after) for i in d.nodes.ids) + 1


def row_of(d: Draft, number: int) -> int:
    return d.nodes.ids.index(number)


def transfer(d: Draft, at: int) -> Ack:
    """What a transfer is the same by."""
    return d.transfers("is_write")[at], d.transfers("ack")[at]


def locks(d: Draft) -> Locks:
    return {c: Counter(dict(zip(d.nodes.ids, d.nodes("lock", c, DEVICE), strict=True))) for c in d.settings.components}


def marks_loads(d: Draft) -> bool:
    return "marks_pending_loads" in d.settings.traits and d.settings.policy.value == "write_back"


def hand_out(d: Draft, c: Component, t: Tier, count: int) -> list[int]:
    """Slots from the free list, and where it has too few, from a pool that grows."""
    free = d.tree.of("free", c, t)[0]
    slots = [free.pop() for _ in range(min(count, len(free)))]
    d.tree("available", c, t)[0] = len(free)
    return slots + fresh(d, c, t, count - len(slots))
