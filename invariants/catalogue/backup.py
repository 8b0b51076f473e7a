"""Backup: what each write policy promises about host copies. Cost: a few field reads a node."""

from sanitree.invariants.language import implies, is_kind, policy_is, some_component, trait
from sanitree.invariants.rules import Family, rule
from sanitree.invariants.vocabulary import FULL, WRITE_THROUGH_FAMILY, Kind, Policy, Sort

BACKUP = Family.BACKUP
_THROUGH = policy_is(*WRITE_THROUGH_FAMILY)
WINDOW = (
    policy_is(Policy.WRITE_BACK)
    & trait("async_window_backup")
    & some_component(lambda c: is_kind(c, Kind.AUXILIARY) & is_kind(c, Kind.PER_TOKEN))
)
"""An insert may back up a window of auxiliary data, and no full data with it."""


@rule(BACKUP, Sort.NODE, when=_THROUGH)
def backup_is_prefix_closed(n):
    """Under write_through, host copies form a prefix of every path: a backed-up node's parent is backed up.

    Only there: write_back backs up the evicted leaf alone, and its parent stays where it is.
    """
    return implies(~n.is_root & n[FULL].on_host, n.parent.is_root | n.parent[FULL].on_host)


@rule(BACKUP, Sort.NODE, when=_THROUGH)
def pending_backup_is_prefix_closed(n):
    """Under write_through, a node is only being written once its parent is backed up or being written.

    Where host copies were published at the acknowledgement instead of at the submission, that would
    break backup_is_prefix_closed: this is what makes it inductive. It also says which write is early.
    """
    return implies(n.write_pending, n.parent.is_root | n.parent[FULL].on_host | n.parent.write_pending)


@rule(BACKUP, Sort.NODE, when=~WINDOW)
def pending_write_has_its_target(n):
    """A node being written has its full host copy in place: the slots are taken when the write is submitted."""
    return implies(n.write_pending, n[FULL].on_host)


@rule(BACKUP, Sort.NODE)
def pending_write_keeps_its_source(n):
    """A node being written keeps its full device copy until the write is acknowledged."""
    return implies(n.write_pending, n[FULL].on_device)


@rule(BACKUP, Sort.NODE, when=policy_is(Policy.WRITE_BACK) & ~WINDOW)
def write_back_is_finished(n):
    """Under write_back no write is pending between operations: the eviction that started it waits for it.

    An eviction that returns earlier hands out slots that are still being read. From 0.5.20 to
    0.5.22 an insert may start a write of its own there, under a lock: pending_write_is_locked.
    """
    return ~n.write_pending


@rule(BACKUP, Sort.NODE, when=trait("marks_pending_loads"))
def pending_load_has_both_copies(n):
    """A node being loaded back has its host copy, which is read, and its device copy, which is written.

    0.5.18 marks nodes of which only auxiliary data is loaded as well, and what a split makes of them: their full
    copy may be on the device alone.
    """
    return implies(n.load_pending, n[FULL].on_device & (n[FULL].on_host | trait("marks_auxiliary_loads")))
