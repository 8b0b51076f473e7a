"""What can be wrong with the release of a window's locks: faults, declared as those in `faults`."""

from __future__ import annotations

from collections.abc import Callable

from sanitree.invariants.language import Element, Expr, ite
from sanitree.invariants.rules import Family
from sanitree.invariants.vocabulary import DEVICE, HOST, Tier
from sanitree.models.protocol.pages.config import Pages
from sanitree.models.protocol.pages.doing import Assigns, covers, one_less
from sanitree.models.protocol.pages.edits import Actions, besides, edit
from sanitree.models.protocol.pages.faults import fault, window
from sanitree.models.protocol.system import becomes, on_path


def _too_wide(actions: Actions, m: Pages, name: str, tier: Tier, reached: Callable[[Element], Expr]) -> Actions:
    """With an action, locks of the window go on the rest of the path too."""
    c = m.windowed
    assert c is not None

    def less(x: Element) -> Assigns:
        if tier is HOST:
            return one_less(x, c, HOST)
        below = (becomes(x[c, DEVICE].below_zero, x[c].lock == 0),) if "below_zero" in m.extra else ()
        return (becomes(x[c].lock, ite(x[c].lock > 0, x[c].lock - 1, 0)), *below)

    def wide(n: Element) -> Assigns:
        return on_path(less, where=lambda x: ~covers(c, n, x, reached(n)))

    return edit(actions, name, lambda a: besides(a, wide))


def _of_transfers_too(actions: Actions, m: Pages) -> Actions:
    """What a transfer has locked is released in the same way, and so is what a load locks while room is made for it."""
    for tier in (DEVICE, HOST):
        actions = _too_wide(actions, m, "ack_load", tier, lambda n: n.load_reach)
    actions = _too_wide(actions, m, "submit_load", HOST, lambda n: n.reach)
    return _too_wide(actions, m, "ack_write", DEVICE, lambda n: n.write_reach) if m.writes_through else actions


@fault(Family.LOCKS, window, (_of_transfers_too,))
def release_undoes_too_much(actions: Actions, m: Pages) -> Actions:
    """A release unlocks the window of the whole path instead of the part that was locked."""
    return _too_wide(actions, m, "release", DEVICE, lambda n: n.held_reach)


def _measured_anew(actions: Actions, m: Pages, name: str, reached: str) -> Actions:
    c = m.windowed
    assert c is not None

    def kept(n: Element) -> Assigns:
        return on_path(
            lambda x: (becomes(x[c].lock, x[c].lock + 0),),
            where=lambda x: covers(c, n, x, getattr(n, reached)) & ~covers(c, n, x, n.reach),
        )

    return edit(actions, name, lambda a: besides(a, kept))


def _of_copies_too(actions: Actions, m: Pages) -> Actions:
    """What a copy in flight has locked is released in the same way."""
    actions = _measured_anew(actions, m, "ack_load", "load_reach")
    return _measured_anew(actions, m, "ack_write", "write_reach") if m.writes_through else actions


@fault(Family.LOCKS, window, (_of_copies_too,))
def release_measures_anew(actions: Actions, m: Pages) -> Actions:
    """A release unlocks as far as a lock would reach now: after a split that is less than it reached then."""
    return _measured_anew(actions, m, "release", "held_reach")
