"""Residency: which copies a node may hold. Cost: a few field reads a node."""

from sanitree.invariants.language import implies, is_kind, is_tier, policy_is, trait
from sanitree.invariants.rules import Family, rule
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Kind, Policy, Sort

RESIDENCY = Family.RESIDENCY
_OUTLIVES = trait("aux_host_outlives_full") & policy_is(Policy.WRITE_BACK)


@rule(RESIDENCY, Sort.NODE, per=Kind.AUXILIARY)
def aux_device_needs_full_device(n, c):
    """Auxiliary data on the device needs full data on the device: without it no match ends there."""
    return implies(~n.is_root & n[c].on_device, n[FULL].on_device)


@rule(RESIDENCY, Sort.NODE, per=Kind.AUXILIARY, when=~_OUTLIVES)
def aux_host_needs_full_host(n, c):
    """Auxiliary data on the host needs full data on the host."""
    return implies(~n.is_root & n[c].on_host, n[FULL].on_host)


@rule(RESIDENCY, Sort.NODE, per=Kind.AUXILIARY, when=_OUTLIVES)
def aux_host_needs_full_somewhere(n, c):
    """Auxiliary data on the host needs full data on the host or on the device.

    From 0.5.18 reclaiming a duplicate under write_back takes the full host copy alone.
    """
    return implies(~n.is_root & n[c].on_host, n[FULL].on_host | n[FULL].on_device)


@rule(RESIDENCY, Sort.NODE)
def node_lives_somewhere(n):
    """Every node has its full data on the device, on the host, or on both."""
    return implies(~n.is_root, n[FULL].on_device | n[FULL].on_host)


@rule(RESIDENCY, Sort.NODE)
def device_is_prefix_closed(n):
    """Device copies form a prefix of every path: a node on the device has its parent there.

    Attention over a prefix with a hole in it reads slots that hold something else.
    """
    return implies(~n.is_root & n[FULL].on_device, n.parent.is_root | n.parent[FULL].on_device)


@rule(RESIDENCY, Sort.NODE)
def root_is_on_device(n):
    """The root counts as being on the device, so that every walk up ends well."""
    return implies(n.is_root, n[FULL].on_device)


@rule(RESIDENCY, Sort.NODE, per=Kind.ANY, tiers=(DEVICE, HOST))
def root_holds_no_copy(n, c, tier):
    """Beyond its mark of being on the device, the root holds no copy: it has no tokens."""
    mark = is_kind(c, Kind.BACKBONE) & is_tier(tier, DEVICE)
    return implies(n.is_root & ~mark, ~n[c, tier].present)


@rule(RESIDENCY, Sort.NODE, per=Kind.ANY, when=~trait("tiered"))
def no_host_without_a_host_tier(n, c):
    """Without a host tier nothing is on the host."""
    return ~n[c].on_host
