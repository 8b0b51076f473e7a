"""Content: what a copy holds. Cost: reads the bytes of every copy, so only where a snapshot is asked for them."""

from sanitree.invariants.calls import ANY_CALL
from sanitree.invariants.language import all_of, implies, trait
from sanitree.invariants.rules import Cost, Family, rule, step
from sanitree.invariants.steps import before
from sanitree.invariants.vocabulary import DEVICE, HOST, Kind, Sort

CONTENT = Family.CONTENT
_BYTES = trait("reads_bytes")


@rule(CONTENT, Sort.NODE, per=Kind.ANY, when=_BYTES, cost=Cost.BYTES)
def copies_agree(n, c):
    """A node's copies on the two tiers hold the same bytes: the host has what the device had, and gives it back."""
    both = ~n.is_root & n[c].on_device & n[c].on_host
    return implies(both, n[c, DEVICE].bytes == n[c, HOST].bytes)


@rule(CONTENT, Sort.NODE, per=Kind.ANY, tiers=(DEVICE, HOST), when=_BYTES, cost=Cost.BYTES)
def copy_holds_its_own_bytes(n, c, tier):
    """A copy holds the bytes that belong to the node's tokens after everything above them.

    Checked where somebody knows them: in the reference cache and in driven engines, whose
    content is a function of the prefix.
    """
    return implies(~n.is_root & n[c, tier].present, n[c, tier].bytes == n[c, tier].own_bytes)


@step(CONTENT, Sort.NODE, on=ANY_CALL, per=Kind.ANY, tiers=(DEVICE, HOST), when=_BYTES, cost=Cost.BYTES)
def settled_copy_keeps_its_bytes(n, c, tier):
    """A copy that is there before and after a call holds the same bytes, as long as no transfer writes it."""
    kept = all_of(before(n).exists, n.exists, before(n)[c, tier].present, n[c, tier].present)
    same_run = (before(n).key_len == n.key_len) & ~n.is_root
    return implies(kept & same_run, before(n)[c, tier].bytes == n[c, tier].bytes)
