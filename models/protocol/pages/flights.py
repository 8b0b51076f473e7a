"""What can be wrong with transfers: faults, declared as those in `faults`."""

from __future__ import annotations

from sanitree.invariants.language import Element, Expr, all_of
from sanitree.invariants.rules import Family
from sanitree.invariants.vocabulary import FULL, HOST
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.pages.actions import all_on_host
from sanitree.models.protocol.pages.config import Pages
from sanitree.models.protocol.pages.copies import parents_backed_up
from sanitree.models.protocol.pages.doing import Assigns, free, named
from sanitree.models.protocol.pages.edits import Actions, asks_not, besides, edit, forgets, forgets_copies
from sanitree.models.protocol.pages.faults import back, fault, through
from sanitree.models.protocol.system import becomes, on_path


@fault(Family.TRANSFERS)
def host_reclaims_the_source_of_a_load(actions: Actions, m: Pages) -> Actions:
    """When the host is short, it reclaims copies of nodes that are on the device too: those being loaded, for one."""

    def said(n: Element) -> tuple[Expr, Assigns]:
        """A host eviction takes the host copy of a node that is being loaded."""
        guard = all_of(w.tail(n), n.load_pending, n[FULL].on_host)
        return guard, on_path(lambda x: free(x, FULL, HOST), where=lambda x: w.in_node_of(n, x))

    return {**actions, "reclaim": named("reclaim", said)}


@fault(Family.BACKUP, through)
def child_is_backed_up_first(actions: Actions, m: Pages) -> Actions:
    """A backup does not look whether the ancestors have one."""
    return edit(actions, "submit_write", lambda a: asks_not(a, parents_backed_up))


@fault(Family.BACKUP, through)
def refill_under_a_parent_without_backup(actions: Actions, m: Pages) -> Actions:
    """A prefetch puts host copies below a node that has none."""
    return edit(actions, "prefetch", lambda a: asks_not(a, all_on_host))


def _by_evictions_too(actions: Actions, m: Pages) -> Actions:
    """An eviction waits for what is not copied either."""
    return edit(actions, "write_back", lambda a: forgets_copies(a, "right", HOST))


@fault(Family.CONTENT, otherwise=(_by_evictions_too,))
def copy_is_skipped(actions: Actions, m: Pages) -> Actions:
    """A transfer is acknowledged although nothing was copied."""
    return {n: forgets(a, "right") if n in ("copy_write", "copy_load") else a for n, a in actions.items()}


@fault(Family.CONTENT)
def ack_comes_too_early(actions: Actions, m: Pages) -> Actions:
    """A transfer is acknowledged before its bytes have arrived."""
    actions = edit(actions, "ack_load", lambda a: asks_not(a, lambda n: n.load_copied))
    return edit(actions, "ack_write", lambda a: asks_not(a, lambda n: n.write_copied))


def _marked_by_evictions(actions: Actions, m: Pages) -> Actions:
    """So does an eviction that waits for its write."""
    marked = lambda n: on_path(lambda x: (becomes(x.write_pending, True),), where=lambda x: w.in_node_of(n, x))  # noqa: E731
    return edit(actions, "write_back", lambda a: besides(a, marked))


@fault(Family.TRANSFERS, otherwise=(_marked_by_evictions,))
def ack_forgets_the_marks(actions: Actions, m: Pages) -> Actions:
    """An acknowledgement releases the lock, and leaves the nodes marked as pending."""
    actions = edit(actions, "ack_load", lambda a: forgets(a, "load_pending"))
    return edit(actions, "ack_write", lambda a: forgets(a, "write_pending"))


@fault(Family.PROGRESS, through)
def writes_are_never_acknowledged(actions: Actions, m: Pages) -> Actions:
    """The acknowledgement of a write is lost: its lock is held for ever."""
    return {n: a for n, a in actions.items() if n != "ack_write"}


@fault(Family.PROGRESS)
def loads_are_never_acknowledged(actions: Actions, m: Pages) -> Actions:
    """The acknowledgement of a load is lost: its locks are held for ever."""
    return {n: a for n, a in actions.items() if n != "ack_load"}


@fault(Family.BACKUP, back)
def check_demands_backed_up_parents(actions: Actions, m: Pages) -> Actions:
    """A check judges write_back by the rules of write_through: it complains of a legal tree."""
    return actions
