"""What a cache and its scheduler decide at once, where the model leaves it open.

The model may do its moves in any order that their guards allow: what is proved of it holds for every cache whose calls
are made of them. A cache does some of them together, and some never. A run that it is to perform has to be one that it
can: of the same model, with more asked of some actions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sanitree.invariants.language import Element, Expr, all_of, always, any_of, count, ite, nodes, path_sum, some
from sanitree.invariants.terms import Apply, Fold, Gather, Op, Range, Term, Var, make, rebuild
from sanitree.invariants.vocabulary import DEVICE, HOST, Sort
from sanitree.models.protocol.pages import Pages
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.doing import pages_that, room
from sanitree.models.protocol.system import NODE, Action, System

Asked = Callable[[Pages, Element], Expr | None]


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """Something that is decided at once. action: of which more is asked; asked: what; None where the configuration has
    nothing to decide."""

    id: str
    why: str
    action: str
    asked: Asked


def scheduled(system: System, m: Pages) -> System:
    """A model whose runs a cache can do, as far as it is known what it cannot."""
    actions = [_asking(a, *(d.asked(m, Element(NODE)) for d in DECIDED if d.action == a.name)) for a in system.actions]
    submits = next((a for a in actions if a.name == "submit_write"), None)
    if submits is not None:
        actions = [a if a is submits else _asking(a, ~_due(submits)) for a in actions]
    return replace(system, actions=tuple(actions))


BACKED_UP_AT_ONCE = (
    "a-backup-is-made-at-once",
    "Under write_through what can be backed up is (`_inc_hit_count`): before anything else happens.",
)
_DUE = make(Var, "due", Sort.NODE)


def _due(submits: Action) -> Expr:
    """Some node can be backed up."""

    def of_it(t: Term) -> Term:
        return _DUE if t is NODE else t

    no_root = (~Element(_DUE).is_root).term
    return Expr(make(Gather, Fold.SOME, Range.NODES, _DUE, no_root, rebuild(submits.guard, of_it)))


def _asking(a: Action, *asked: Expr | None) -> Action:
    more = [e.term for e in asked if e is not None]
    return replace(a, guard=make(Apply, Op.AND, (a.guard, *more))) if more else a


# What is asked.


def _last_page(m: Pages, n: Element) -> Expr | None:
    return any_of(~w.there(n), n.cut)


def _short(m: Pages, n: Element) -> Expr | None:
    return pages_that(n, lambda y: ~w.there(y)) <= m.window if m.windowed else None


def _last_window(m: Pages, n: Element) -> Expr | None:
    c = m.windowed
    if c is None:
        return None
    lacking, last, y = pages_that(n, lambda y: ~y[c].on_device), ite(n[c].on_device, 0, 1), n
    for _ in range(1, m.window):
        y = y.parent
        last = last + ite(~y.is_root & ~y[c].on_device, 1, 0)
    return lacking == last


def _whole_prompt(m: Pages, n: Element) -> Expr | None:
    return all_of(*(room(m, c, DEVICE, _depth(n) if c.per_token else 1) for c in m.components))


def _room_to_back_up(m: Pages, n: Element) -> Expr | None:
    if not m.writes_through:
        return None
    fits = []
    for c in m.components:
        lacking = pages_that(n, lambda y, c=c: ~y[c].on_host)  # type: ignore[misc]
        fits.append(room(m, c, HOST, lacking if c.per_token else 1))
    return any_of(all_of(*fits), ~some(nodes, lambda y: w.host_leaf(y, m.components)))


def _of_full_alone(m: Pages, n: Element) -> Expr | None:
    return ~always if m.auxiliary else None


def _never(m: Pages, n: Element) -> Expr | None:
    return ~always


def _written_in_order(m: Pages, n: Element) -> Expr | None:
    return count(nodes, lambda y: y.write_ends & ~y.write_copied) == 1


def _loaded_in_order(m: Pages, n: Element) -> Expr | None:
    return count(nodes, lambda y: y.load_ends & ~y.load_copied) == 1


def _depth(n: Element) -> Expr:
    return path_sum(n, lambda x: 1)


def _the_only_ack(m: Pages, n: Element) -> Expr | None:
    return count(nodes, lambda y: (y.write_ends & y.write_copied) | (y.load_ends & y.load_copied)) == 1


_ORDER = (
    "A stream's copies arrive in the order in which they were submitted, which the model does not keep: one at a time."
)
_ALL = "A poll takes every acknowledgement that has come, of writes and of loads (`check_hicache_events`)."

DECIDED: tuple[Decided, ...] = (
    Decided(
        "the-last-page-is-computed",
        "A request computes the last page of its prompt, cached or not (`Req.init_next_round_input`): its match ends "
        "before that, and splits the node there.",
        "insert",
        _last_page,
    ),
    Decided(
        "a-prompt-goes-on-from-what-is-whole",
        "A request goes on from where every component has what it needs, which may be the root: it takes slots for "
        "all behind that, and where there are none something is evicted.",
        "insert",
        _whole_prompt,
    ),
    Decided(
        "a-leaf-is-as-long-as-its-window",
        "An insert splits what it brings where the window ends, so that less of it is locked (`swa_component.py`).",
        "insert",
        _short,
    ),
    Decided(
        "only-the-last-window-is-brought",
        "What is out of a request's window it has freed: an insert brings no window data for that.",
        "insert",
        _last_window,
    ),
    Decided(
        "an-insert-makes-room-on-the-host",
        "What an insert brings is backed up, and where the host has no room the same call makes some.",
        "insert",
        _room_to_back_up,
    ),
    Decided(
        "prefetches-are-of-full-attention",
        "What drives engines prefetches full attention alone.",
        "prefetch",
        _of_full_alone,
    ),
    Decided(
        "a-node-is-saved-when-it-loses-a-copy",
        "Nobody asks a cache to save a node and do nothing else.",
        "save_node",
        _never,
    ),
    Decided("writes-arrive-in-order", _ORDER, "copy_write", _written_in_order),
    Decided("loads-arrive-in-order", _ORDER, "copy_load", _loaded_in_order),
    Decided("a-poll-takes-all-writes", _ALL, "ack_write", _the_only_ack),
    Decided("a-poll-takes-all-loads", _ALL, "ack_load", _the_only_ack),
)
