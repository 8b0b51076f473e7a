"""What can be wrong with the release of a window's locks: faults, declared as those in `faults`."""

from __future__ import annotations

from sanitree.invariants.language import Element, ite
from sanitree.invariants.rules import Family
from sanitree.invariants.vocabulary import DEVICE
from sanitree.models.protocol.pages.config import Pages
from sanitree.models.protocol.pages.doing import Assigns, covers
from sanitree.models.protocol.pages.edits import Actions, besides, edit
from sanitree.models.protocol.pages.faults import fault, window
from sanitree.models.protocol.system import becomes, on_path


@fault(Family.LOCKS, window)
def release_undoes_too_much(actions: Actions, m: Pages) -> Actions:
    """A release unlocks the window of the whole path instead of the part that was locked."""
    c = m.windowed
    assert c is not None

    def wide(n: Element) -> Assigns:
        below = "below_zero" in m.extra
        return on_path(
            lambda x: (
                becomes(x[c].lock, ite(x[c].lock > 0, x[c].lock - 1, 0)),
                *((becomes(x[c, DEVICE].below_zero, x[c].lock == 0),) if below else ()),
            ),
            where=lambda x: ~covers(c, n, x, n.held_reach),
        )

    return edit(actions, "release", lambda a: besides(a, wide))


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
