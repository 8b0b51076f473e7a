"""Progress: a call does what it was asked to do, and says what it did."""

from sanitree.invariants.calls import ANY_CALL, Operation
from sanitree.invariants.language import all_of, count, implies, is_kind, ite, nodes, policy_is, slots, sum_over, trait
from sanitree.invariants.rules import Cost, Family, step
from sanitree.invariants.steps import before, call
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, WRITE_THROUGH_FAMILY, Kind, Policy, Sort

PROGRESS = Family.PROGRESS
_BOTH = (DEVICE, HOST)
_KEEPING = tuple(o for o in ANY_CALL if o is not Operation.RESET)


@step(PROGRESS, Sort.TREE, on=[Operation.EVICT], per=Kind.ANY)
def eviction_frees_what_was_asked(t, c):
    """An eviction frees as many device slots as it was asked for, or all that were evictable.

    Short of that, an admission that counted on them fails, or retries for ever.
    """
    freed = t[c, DEVICE].available - before(t)[c, DEVICE].available
    return (freed >= call[c, DEVICE].asked) | (freed >= before(t)[c].evictable_size)


@step(PROGRESS, Sort.TREE, on=[Operation.EVICT_HOST], per=Kind.ANY)
def host_eviction_frees_what_was_asked(t, c):
    """A host eviction frees as many slots as it was asked for, or at least those of what it could take at once.

    For full data that are the evictable host leaves, for auxiliary data the unlocked copies
    in the host LRU list; what becomes evictable on the way counts besides.
    """
    takes = lambda n: ite(  # noqa: E731  a word for one rule
        is_kind(c, Kind.BACKBONE),
        ite(before(n).in_host_leaves, before(n)[c, HOST].tokens, 0),
        ite(before(n)[c, HOST].in_lru & (before(n)[c].host_lock == 0), before(n)[c, HOST].tokens, 0),
    )
    evictable = sum_over(nodes, takes, where=lambda n: before(n).exists)
    freed = t[c, HOST].available - before(t)[c, HOST].available
    return (freed >= call[c, HOST].asked) | (freed >= evictable)


@step(PROGRESS, Sort.TREE, on=[Operation.EVICT], per=Kind.ANY)
def eviction_says_what_it_freed(t, c):
    """The device slots that an eviction says it has evicted are free when it returns, and no others."""
    return t[c, DEVICE].available == before(t)[c, DEVICE].available + call[c, DEVICE].evicted


@step(PROGRESS, Sort.TREE, on=[Operation.EVICT_HOST], per=Kind.ANY)
def host_eviction_says_what_it_freed(t, c):
    """The host slots that a host eviction says it has evicted are free when it returns, and no others."""
    return t[c, HOST].available == before(t)[c, HOST].available + call[c, HOST].evicted


@step(PROGRESS, Sort.TREE, on=_KEEPING, per=Kind.ANY, tiers=_BOTH, cost=Cost.SLOT)
def nothing_leaves_unreported(t, c, tier):
    """No more slots leave the tree in a call than it says it has evicted: nothing cached disappears silently.

    Where window slots are found by way of the full ones, an insert that brings a window back
    puts the request's slots in the place of those that were there.
    """
    left = count(slots(c, tier), lambda s: (before(s).in_tree > 0) & (s.in_tree == 0))
    given = count(slots(c, tier), lambda s: all_of(before(s).held > 0, before(s).in_tree == 0, s.in_tree > 0))
    replaced = ite(trait("maps_full_to_swa"), given, 0)
    return left <= call[c, tier].evicted + replaced


@step(PROGRESS, Sort.NODE, on=[Operation.INSERT], when=policy_is(*WRITE_THROUGH_FAMILY) & ~trait("own_threshold"))
def promised_backup_is_made(n):
    """An insert that gives a node enough hits backs it up, or says that it could not.

    One hit is enough under write_through, two under write_through_selective.
    """
    enough = n.hits >= ite(policy_is(Policy.WRITE_THROUGH), 1, 2)
    counted = ~before(n).exists | (n.hits > before(n).hits)
    promised = all_of(n.exists, ~n.is_root, n[FULL].on_device, enough, counted)
    return implies(promised, n[FULL].on_host | (call.refused > 0))


@step(PROGRESS, Sort.NODE, on=[Operation.EVICT], when=policy_is(*WRITE_THROUGH_FAMILY))
def eviction_keeps_backups(n):
    """Under write_through, evicting from the device keeps the host copy: it is what the backup was for."""
    return implies(before(n).exists & before(n)[FULL].on_host, n.exists & n[FULL].on_host)


@step(PROGRESS, Sort.NODE, on=[Operation.EVICT], when=policy_is(Policy.WRITE_BACK))
def eviction_backs_up_or_says_so(n):
    """Under write_back, an evicted node stays on the host; where there is no room, the call says what is lost.

    It is dropped from the device, or evicted from the host again by the same call, for the next node.
    """
    evicted = all_of(before(n).exists, ~before(n).is_root, before(n)[FULL].on_device)
    return implies(evicted & ~n.exists, (call[FULL, DEVICE].dropped > 0) | (call[FULL, HOST].evicted > 0))
