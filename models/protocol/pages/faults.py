"""What can be wrong with the page model, by the names of the reference cache: edits of its actions.

An action is data, so a fault says which condition is not asked for, which assignment is
forgotten, or what happens besides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sanitree.invariants.catalogue import BY_ID
from sanitree.invariants.language import Element, Expr, any_of, children, ite, path_sum, some
from sanitree.invariants.rules import Family
from sanitree.invariants.terms import Const, make
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component, Policy, Tier
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.config import Pages
from sanitree.models.protocol.pages.doing import Assigns, free, lock, named, reach, saved
from sanitree.models.protocol.pages.edits import Actions, asks_not, besides, edit, forgets, forgets_copies, forgets_tier
from sanitree.models.protocol.system import Action, System, becomes, on_children, on_path

Fits = Callable[[Pages], bool]
Change = Callable[[Actions, Pages], Actions]


@dataclass(frozen=True, slots=True)
class Fault:
    """what: the bug in words. fits: whether a model of this configuration can show it. change: what it does to the
    actions. otherwise: the same in another form, as other caches have it. extra: words of `Pages.extra`
    that it cannot do without."""

    name: str
    family: Family
    what: str
    fits: Fits
    change: Change
    otherwise: tuple[Change, ...] = ()
    extra: frozenset[str] = frozenset()


FAULTS: dict[str, Fault] = {}


def always(m: Pages) -> bool:
    """Any model shows it."""
    return True


def through(m: Pages) -> bool:
    """A model of the write-through family."""
    return m.writes_through


def back(m: Pages) -> bool:
    """A model under write_back."""
    return m.policy is Policy.WRITE_BACK


def auxiliary(m: Pages) -> bool:
    """A model with a component besides full attention."""
    return bool(m.auxiliary)


def state(m: Pages) -> bool:
    """A model with recurrent state."""
    return any(not c.per_token for c in m.components)


def window(m: Pages) -> bool:
    """A model with a window."""
    return m.windowed is not None


def fault(
    family: Family, fits: Fits = always, otherwise: tuple[Change, ...] = (), extra: frozenset[str] = frozenset()
) -> Callable[[Change], None]:
    """Declares a fault under the name of its function; its docstring says what is wrong."""

    def declare(change: Change) -> None:
        what = " ".join((change.__doc__ or "").split())
        FAULTS[change.__name__] = Fault(change.__name__, family, what, fits, change, otherwise, extra)

    return declare


def planted(system: System, m: Pages) -> System:
    """The model with the fault of its configuration. Raises ValueError for one that it cannot show."""
    assert m.fault is not None
    if m.fault not in FAULTS:
        raise ValueError(f"no fault of the page model is called {m.fault!r}: there are {', '.join(sorted(FAULTS))}")
    f = FAULTS[m.fault]
    if not f.fits(m):
        raise ValueError(f"{f.name} shows itself in {(f.fits.__doc__ or '').rstrip('.').lower()} alone")
    changed = f.change({a.name: a for a in system.actions}, m)
    system = replace(system, actions=tuple(changed.values()))
    if f.name == "check_demands_backed_up_parents":
        strict = replace(BY_ID["backup_is_prefix_closed"], when=make(Const, True))
        system = replace(system, rules=(*system.rules, strict))
    return system


# Evictions.


def _under_a_lock(actions: Actions, m: Pages) -> Actions:
    """The write has locked the node, as the reference cache's does, and SGLang's does not under write_back."""
    waits_not = _reads_on(actions, m)

    def locked(n: Element) -> Assigns:
        far = (becomes(n.write_reach, n.reach),) if m.windowed else ()
        return (*lock(m, n, DEVICE, reach(m, n)), *far)

    return edit(waits_not, "write_back", lambda a: besides(a, locked))


@fault(Family.TRANSFERS, back, (_under_a_lock,))
def evict_does_not_wait(actions: Actions, m: Pages) -> Actions:
    """evict() returns, and frees device slots, while its write-back is still reading them."""
    return _reads_on(actions, m)


def _reads_on(actions: Actions, m: Pages) -> Actions:
    def reading_on(n: Element) -> Assigns:
        going = [(c, lambda x, c=c: w.in_node_of(n, x) & saved(m, n, x, c)) for c in m.components]
        marks = lambda x: (  # noqa: E731
            becomes(x.in_write, True), becomes(x.in_write_of_parent, ~x.cut), becomes(x.write_pending, True),
        )  # fmt: skip
        found = on_path(marks, where=lambda x: w.in_node_of(n, x) & any_of(*(saved(m, n, n, c) for c, _ in going)))
        for c, where in going:
            found += on_path(
                lambda x, c=c: (  # type: ignore[misc]
                    becomes(x[c, HOST].right, False), *((becomes(x[c].being_written, True),) if m.auxiliary else ()),
                ),
                where=where,
            )  # fmt: skip
        return found

    return edit(actions, "write_back", lambda a: besides(a, reading_on))


@fault(Family.LEAF_SETS)
def eviction_ignores_locks(actions: Actions, m: Pages) -> Actions:
    """A node on the device without children there counts as evictable, locked or not."""
    names = ("demote", "drop", "write_back")
    return {n: asks_not(a, lambda x: w.unlocked(x, m.components)) if n in names else a for n, a in actions.items()}


def _still_named(actions: Actions) -> Actions:
    def kept(a: Action) -> Action:
        return forgets_copies(forgets_copies(a, "present", DEVICE), "right", DEVICE)

    return {n: kept(a) if n.startswith("evict_copy_") else a for n, a in actions.items()}


def _not_saved_either(actions: Actions, m: Pages) -> Actions:
    """Nor is the node written to the host before."""
    named_still = _still_named(actions)
    return {n: forgets_tier(a, HOST) if n.startswith("evict_copy_") else a for n, a in named_still.items()}


@fault(Family.SLOTS, auxiliary, (_not_saved_either,))
def tombstone_keeps_its_slots(actions: Actions, m: Pages) -> Actions:
    """Auxiliary data of an inner node is evicted: the slots are free, and the node still names them."""
    return _still_named(actions)


def _auxiliary_data_too(actions: Actions, m: Pages) -> Actions:
    """Nor are those of auxiliary data that leaves it alone."""
    named_so = "evict_host_copy_"
    return {n: forgets_copies(a, "taken", HOST) if n.startswith(named_so) else a for n, a in actions.items()}


@fault(Family.SLOTS, otherwise=(_auxiliary_data_too,))
def removed_node_keeps_host_slots(actions: Actions, m: Pages) -> Actions:
    """A node leaves the host tier, and its host slots are never given back."""
    return edit(actions, "evict_host", lambda a: forgets_copies(a, "taken", HOST))


@fault(Family.PROGRESS, back)
def eviction_stalls_when_the_host_is_full(actions: Actions, m: Pages) -> Actions:
    """When the host has no room for a leaf's backup, the leaf stays on the device, for ever."""
    return {n: a for n, a in actions.items() if n != "drop"}


# Inserts and splits.


def _prefix_freed(n: Element) -> Assigns:
    return on_path(lambda x: (becomes(x[FULL, DEVICE].taken, False),), where=lambda x: x[FULL].on_device)


def _again_too(actions: Actions, m: Pages) -> Actions:
    """An insert of what is there already takes them too."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """A request inserts what is there already."""
        return w.tail(n) & n[FULL].on_device, _prefix_freed(n)

    return {**actions, "insert_again": named("insert_again", said)}


@fault(Family.SLOTS, otherwise=(_again_too,))
def insert_frees_the_prefix(actions: Actions, m: Pages) -> Actions:
    """An insert takes the slots of the caller's locked prefix, which are the tree's own, for duplicates."""
    return edit(actions, "insert", lambda a: besides(a, _prefix_freed))


def _of_windows_too(actions: Actions, m: Pages) -> Actions:
    """Windows are taken in the same wrong order."""
    return _wrong_slots(actions, tuple(c for c in m.components if c.per_token))


@fault(Family.CONTENT, otherwise=(_of_windows_too,))
def insert_takes_the_wrong_slots(actions: Actions, m: Pages) -> Actions:
    """A new leaf takes the caller's slots in the wrong order: each token has another's KV."""
    return _wrong_slots(actions, m.components[:1])


def _wrong_slots(actions: Actions, components: tuple[Component, ...]) -> Actions:
    def wrong(n: Element) -> Assigns:
        several = path_sum(n, lambda y: ite(w.there(y), 0, 1)) > 1
        right = lambda x: tuple(becomes(x[c, DEVICE].right, False) for c in components)  # noqa: E731
        return on_path(right, where=lambda x: ~w.there(x) & several)

    return edit(actions, "insert", lambda a: besides(a, wrong))


def _again(duplicate: Callable[[Element], Assigns]) -> Action:
    """What becomes of the slots that it brought: those of pages that are not there, which are nobody's."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """A request inserts what is there already."""
        return w.tail(n) & n[FULL].on_device, on_children(duplicate, where=lambda x: ~w.there(x))

    return named("insert_again", said)


def _leaks(actions: Actions, components: tuple[Component, ...]) -> Actions:
    lost = lambda x: tuple(becomes(x[c, DEVICE].taken, True) for c in components)  # noqa: E731
    return {**actions, "insert_again": _again(lost)}


@fault(Family.SLOTS, otherwise=(lambda actions, m: _leaks(actions, m.components),))
def duplicates_leak(actions: Actions, m: Pages) -> Actions:
    """An insert over what is there forgets to free the caller's duplicate slots."""
    return _leaks(actions, m.components[:1])


def _frees_twice(actions: Actions, components: tuple[Component, ...]) -> Actions:
    twice = lambda x: tuple(becomes(x[c, DEVICE].free_twice, ~x[c, DEVICE].taken) for c in components)  # noqa: E731
    return {**actions, "insert_again": _again(twice)}


@fault(Family.SLOTS, always, (lambda actions, m: _frees_twice(actions, m.components),), frozenset({"free_twice"}))
def duplicates_are_freed_twice(actions: Actions, m: Pages) -> Actions:
    """An insert over what is there frees the caller's duplicate slots twice."""
    return _frees_twice(actions, m.components[:1])


def _split(actions: Actions, change: Callable[[Element], Assigns]) -> Actions:
    """With a split, something happens to the upper part."""

    def upper(n: Element) -> Assigns:
        return on_path(change, where=lambda x: w.in_node_of(n, x))

    return edit(actions, "split", lambda a: besides(a, upper))


@fault(Family.TRANSFERS, through)
def split_forgets_the_pending_write(actions: Actions, m: Pages) -> Actions:
    """The upper part of a node that is being written is not marked, and not published by the acknowledgement."""
    return _split(actions, lambda x: (becomes(x.write_pending, False),))


@fault(Family.LOCKS)
def split_forgets_the_lock(actions: Actions, m: Pages) -> Actions:
    """The upper part of a locked node is not locked."""
    return _split(actions, lambda x: (becomes(x[FULL].lock, 0),))


@fault(Family.LOCKS)
def split_forgets_the_host_lock(actions: Actions, m: Pages) -> Actions:
    """The upper part of a node that is locked on the host is not locked there."""
    return _split(actions, lambda x: (becomes(x[FULL, HOST].locks, 0),))


def _moves_state(actions: Actions, m: Pages, more: Callable[[Element], Assigns]) -> Actions:
    c = next(c for c in m.auxiliary if not c.per_token)

    def of_suffix(n: Element, tier: Tier) -> Expr:
        return some(children(n), lambda y: ~y.cut & y[c, tier].present)

    def moved(n: Element) -> Assigns:
        found: Assigns = ()
        for tier in (DEVICE, HOST):
            below = of_suffix(n, tier)
            found += (
                becomes(n[c, tier].present, below), becomes(n[c, tier].taken, below), becomes(n[c, tier].right, False),
            )  # fmt: skip
            found += on_children(lambda y, tier=tier: free(y, c, tier), where=lambda y: ~y.cut)  # type: ignore[misc]
        return found + more(n)

    return edit(actions, "split", lambda a: besides(a, moved))


def _in_flight_too(actions: Actions, m: Pages) -> Actions:
    """What copies it goes on with it."""
    c = next(c for c in m.auxiliary if not c.per_token)

    def flags(x: Element) -> tuple[Expr, ...]:
        return x[c].being_written, x[c].being_loaded

    def more(n: Element) -> Assigns:
        below = [some(children(n), lambda y, i=i: ~y.cut & flags(y)[i]) for i in range(2)]  # type: ignore[misc]
        gone = on_children(lambda y: tuple(becomes(f, False) for f in flags(y)), where=lambda y: ~y.cut)
        return (*map(becomes, flags(n), below), *gone)

    return _moves_state(actions, m, more)


@fault(Family.CONTENT, state, (_in_flight_too,))
def split_moves_the_state(actions: Actions, m: Pages) -> Actions:
    """Recurrent state, which belongs to the end of a run, goes to the upper part of a split node."""
    return _moves_state(actions, m, lambda n: ())


# Locks.


@fault(Family.LOCKS, through)
def backup_takes_no_lock(actions: Actions, m: Pages) -> Actions:
    """A node that is being written can be evicted meanwhile."""
    actions = edit(actions, "submit_write", lambda a: forgets(a, "lock"))
    return edit(actions, "ack_write", lambda a: forgets(a, "lock"))


@fault(Family.TRANSFERS)
def load_takes_no_lock(actions: Actions, m: Pages) -> Actions:
    """A node that is being loaded can be evicted meanwhile, and its target slots handed out."""
    actions = edit(actions, "submit_load", lambda a: forgets(a, "lock"))
    return edit(actions, "ack_load", lambda a: forgets(a, "lock"))
