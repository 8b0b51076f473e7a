"""One fault or more for each rule of the catalogue, in its order. See `tools.Fault` for what is expected of each."""

from __future__ import annotations

from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Tier
from tests.legal import acquire, enlist, settle
from tests.planted.tools import (
    FAULTS,
    beyond,
    clamp,
    fault,
    fresh,
    give,
    hold,
    holders,
    mark_load,
    mark_write,
    may_write,
    padding,
    pick,
    release,
    sole_node,
    still,
    submit,
    take,
    take_tier,
    through,
    tiered,
    unlock,
    unlocked,
    write,
)

__all__ = ["FAULTS"]


def aux(d):
    return [c for c in d.settings.components if c is not FULL]


def traits(d):
    return d.settings.traits


# Shape.


@fault("root_is_the_top")
def root_has_a_parent(d, rng, c, t):
    d.nodes("has_parent_link")[0] = True
    d.nodes("parent_link")[0] = len(d.nodes) - 1
    return {0}


@fault("root_is_the_top")
def node_has_no_parent(d, rng, c, t):
    if row := pick(rng, d.rows()):
        d.nodes("has_parent_link")[row], d.nodes("parent_link")[row] = False, 0
        return {row}
    return None


@fault("parent_and_child_agree")
def parent_pointer_elsewhere(d, rng, c, t):
    if row := pick(rng, d.rows()):
        up = d.nodes("parent")[row]
        d.nodes("parent_link")[row] = pick(rng, [r for r in range(len(d.nodes)) if r != up])
        return {row}
    return None


@fault("parent_and_child_agree")
def parent_pointer_to_a_node_without_its_copy(d, rng, c, t):
    """Rules about a node's parent mean the one that holds it: here the one that it names would break them."""
    n, tier = d.nodes, rng.choice((DEVICE, HOST, HOST))
    able = [r for r in d.rows() if d.has(r, FULL, tier) and n("write_pending")[r] is (rng.random() < 0.5)]
    pairs = [(r, k) for r in able for k in d.rows() if k not in (r, n("parent")[r]) and not d.has(k, FULL, tier)]
    if pair := pick(rng, pairs):
        n("parent_link")[pair[0]] = pair[1]
        return {pair[0]}
    return None


@fault("node_is_readable")
def node_cannot_be_read(d, rng, c, t):
    row = rng.randrange(len(d.nodes))
    d.nodes("readable")[row] = False
    return {row}


@fault("one_parent")
def node_is_referenced_twice(d, rng, c, t):
    if row := pick(rng, d.rows()):
        d.nodes("references")[row] = 2
        return {row}
    return None


@fault("one_parent")
def node_is_in_no_map(d, rng, c, t):
    if row := pick(rng, d.rows()):
        d.nodes("references")[row] = 0
        return {row}
    return None


@fault("one_parent")
def root_is_referenced(d, rng, c, t):
    d.nodes("references")[0] = 1
    return {0}


def shorten(d, row, count):
    """A key shorter by some tokens, everywhere that they count."""
    n = d.nodes
    n("key_len")[row] -= count
    n.of("key")[row] = n.of("key")[row][: n("key_len")[row]]
    for c in d.settings.components:
        for t in Tier:
            if c.per_token and d.has(row, c, t):
                n("tokens", c, t)[row] -= count
                keep = max(0, len(n.of("holds", c, t)[row]) - count)
                release(d, c, t, n.of("holds", c, t)[row][keep:])
                n.of("holds", c, t)[row] = n.of("holds", c, t)[row][:keep]
    for i, node in enumerate(d.requests("node")):
        if row in d.path(node):
            d.requests("prefix_len")[i] -= count
    settle(d)


@fault("key_is_not_empty", may=("prefix_stays_in_the_tree",))
def node_without_tokens(d, rng, c, t):
    if row := pick(rng, still(d)):
        shorten(d, row, d.nodes("key_len")[row])
        return {row}
    return None


@fault("key_is_not_empty")
def root_with_tokens(d, rng, c, t):
    d.nodes("key_len")[0] = d.settings.page_size
    return {0}


@fault("key_is_whole_pages", may=("prefix_stays_in_the_tree",))
def half_a_page(d, rng, c, t):
    if d.settings.page_size > 1 and (row := pick(rng, still(d))):
        shorten(d, row, rng.randint(1, d.settings.page_size - 1))
        return {row}
    return None


@fault("edge_names_first_page")
def edge_of_another_page(d, rng, c, t):
    if row := pick(rng, d.rows()):
        d.nodes("edge")[row] += rng.choice((-1, 1))
        return {row}
    return None


@fault("siblings_differ")
def siblings_begin_alike(d, rng, c, t):
    pairs = [(a, b) for p in range(len(d.nodes)) for a in d.children(p) for b in d.children(p) if a < b]
    if pair := pick(rng, pairs):
        for name in ("first_page", "edge"):
            d.nodes(name)[pair[1]] = d.nodes(name)[pair[0]]
        return {d.nodes("parent")[pair[0]]}
    return None


@fault("siblings_differ", also=("edge_names_first_page",))
def siblings_begin_alike_under_their_own_edges(d, rng, c, t):
    pairs = [(a, b) for p in range(len(d.nodes)) for a in d.children(p) for b in d.children(p) if a < b]
    if pair := pick(rng, pairs):
        d.nodes("first_page")[pair[1]] = d.nodes("first_page")[pair[0]]
        return {d.nodes("parent")[pair[0]]}
    return None


@fault("copy_covers_key")
def copy_of_another_length(d, rng, c, t):
    if row := pick(rng, [r for r in d.rows() if d.has(r, c, t)]):
        d.nodes("tokens", c, t)[row] += rng.choice((-1, 1))
        settle(d)
        return {row}
    return None


@fault("state_is_one_slot")
def state_of_another_size(d, rng, c, t):
    if row := pick(rng, [r for r in d.rows() if d.has(r, c, t)]):
        d.nodes("tokens", c, t)[row] = rng.choice((0, 2))
        settle(d)
        return {row}
    return None


@fault("table_of_nodes_is_exact")
def table_has_a_ghost(d, rng, c, t):
    d.tree("registered_nodes")[0] += 1
    return {0}


@fault("table_of_nodes_is_exact")
def table_lacks_a_node(d, rng, c, t):
    d.tree("registered_nodes")[0] -= 1
    return {0}


# Residency.


@fault("aux_device_needs_full_device")
def aux_on_device_of_an_evicted_node(d, rng, c, t):
    if row := pick(rng, [r for r in d.rows() if not d.has(r, FULL)]):
        give(d, row, c, DEVICE)
        settle(d)
        return {row}
    return None


def unbacked(d):
    return [r for r in still(d) if d.has(r, FULL) and not d.has(r, FULL, HOST)]


@fault("aux_host_needs_full_host")
def aux_backed_up_alone(d, rng, c, t):
    if tiered(d) and (row := pick(rng, unbacked(d))):
        give(d, row, c, HOST)
        settle(d)
        return {row}
    return None


def loose_leaves(d):
    """Nodes at the end of the tree that nothing locks or copies."""
    return [r for r in still(d) if not d.children(r) and unlocked(d, r) and not holders(d, r)]


@fault("aux_host_needs_full_host", also=("node_lives_somewhere",))
def aux_host_alone_where_full_must_be_on_the_host(d, rng, c, t):
    return aux_host_alone(d, rng, c, t)


@fault("aux_host_needs_full_somewhere", also=("node_lives_somewhere",))
def aux_host_alone(d, rng, c, t):
    if tiered(d) and (row := pick(rng, loose_leaves(d))):
        take_tier(d, row, DEVICE)
        take_tier(d, row, HOST)
        give(d, row, c, HOST)
        settle(d)
        return {row}
    return None


@fault("node_lives_somewhere")
def node_without_copies(d, rng, c, t):
    if row := pick(rng, loose_leaves(d)):
        take_tier(d, row, DEVICE)
        take_tier(d, row, HOST)
        settle(d)
        return {row}
    return None


@fault("device_is_prefix_closed")
def hole_on_the_device(d, rng, c, t):
    able = [r for r in still(d) if d.has(r, FULL) and d.has(r, FULL, HOST) and unlocked(d, r) and not holders(d, r)]
    below = {r: {k for k in d.children(r) if d.has(k, FULL)} for r in able}
    if row := pick(rng, [r for r in able if below[r]]):
        take_tier(d, row, DEVICE)
        settle(d)
        return below[row]
    return None


@fault("device_is_prefix_closed", may=("window_slots_mirror_full",))
def node_on_the_device_under_an_evicted_one(d, rng, c, t):
    gone = [r for r in d.rows() if not d.has(r, FULL)]
    if row := pick(rng, [r for r in gone if d.nodes("parent")[r] in gone]):
        give(d, row, FULL, DEVICE)
        settle(d)
        return {row}
    return None


@fault("root_is_on_device")
def root_is_evicted(d, rng, c, t):
    d.nodes("present", FULL, DEVICE)[0] = False
    return {0}


@fault("root_holds_no_copy", may=("no_host_without_a_host_tier",))
def root_holds_a_copy(d, rng, c, t):
    d.nodes("present", c, t)[0] = True
    return {0}


@fault("no_host_without_a_host_tier", also=("root_holds_no_copy",))
def root_has_a_host_copy(d, rng, c, t):
    d.nodes("present", c, HOST)[0] = True
    return {0}


@fault("no_host_without_a_host_tier")
def node_has_a_host_copy(d, rng, c, t):
    able = [r for r in d.rows() if c is FULL and (d.nodes("parent")[r] == 0 or not through(d))]
    if row := pick(rng, able):
        give(d, row, c, HOST)
        settle(d)
        return {row}
    return None


# Backup.


@fault("backup_is_prefix_closed")
def backup_of_the_parent_is_gone(d, rng, c, t):
    pending = d.nodes("write_pending")
    below = {r: {k for k in d.children(r) if d.has(k, FULL, HOST)} for r in still(d) if d.has(r, FULL)}
    able = [r for r, kids in below.items() if kids and d.has(r, FULL, HOST) and not any(pending[k] for k in kids)]
    if row := pick(rng, able):
        take_tier(d, row, HOST)
        settle(d)
        return below[row]
    return None


@fault("backup_is_prefix_closed")
def backup_below_an_unbacked_node(d, rng, c, t):
    able = unbacked(d) if tiered(d) else []
    if row := pick(rng, [r for r in able if d.nodes("parent")[r] in able]):
        give(d, row, FULL, HOST)
        settle(d)
        return {row} | set()
    return None


@fault("pending_backup_is_prefix_closed", also=("backup_is_prefix_closed",))
def backup_above_a_pending_one_is_gone(d, rng, c, t):
    able = [r for r in still(d) if d.has(r, FULL) and d.has(r, FULL, HOST)]
    if through(d) and (row := pick(rng, [r for r in able if d.nodes("parent")[r] in able])):
        write(d, row)
        up = d.nodes("parent")[row]
        take_tier(d, up, HOST)
        settle(d)
        return {k for k in d.children(up) if d.nodes("write_pending")[k]}
    return None


@fault("pending_backup_is_prefix_closed", also=("pending_write_has_its_target",))
def write_below_an_unbacked_node(d, rng, c, t):
    able = unbacked(d) if tiered(d) else []
    if row := pick(rng, [r for r in able if d.nodes("parent")[r] in able]):
        write(d, row)
        settle(d)
        return {row}
    return None


@fault("pending_write_has_its_target")
def target_of_a_write_is_gone(d, rng, c, t):
    if not through(d):
        return None
    pending = d.nodes("write_pending")
    able = [r for r in d.rows() if pending[r] and not any(d.has(k, FULL, HOST) for k in d.children(r))]
    if row := pick(rng, able):
        take_tier(d, row, HOST)
        settle(d)
        return {row}
    return None


@fault("pending_write_has_its_target")
def path_is_written_to_nowhere(d, rng, c, t):
    able = unbacked(d) if tiered(d) and through(d) else []
    up = d.nodes("parent")
    able = [r for r in able if up[r] in able and (up[up[r]] == 0 or d.has(up[up[r]], FULL, HOST))]
    if row := pick(rng, able):
        i = write(d, row)
        mark_write(d, up[row], d.nodes.ids[row])
        d.transfers("published")[i] += 1
        settle(d)
        return {row, up[row]}
    return None


@fault("pending_write_keeps_its_source", also=("locked_data_is_there",), may=("prefix_stays_in_the_tree",))
def source_of_a_write_is_evicted(d, rng, c, t):
    pending = d.nodes("write_pending")
    able = [r for r in d.rows() if pending[r] and d.has(r, FULL, HOST)]
    if row := pick(rng, [r for r in able if not any(d.has(k, FULL) for k in d.children(r))]):
        take_tier(d, row, DEVICE)
        settle(d)
        return {row}
    return None


@fault(
    "write_back_is_finished",
    also=(
        "pending_write_keeps_its_source",
        "pending_write_is_locked",
        "transfer_node_is_locked",
        "source_is_not_free",
    ),
)
def eviction_does_not_wait_for_its_write(d, rng, c, t):
    """What 0.5.12 does: the leaf's slots are free, and the copy that reads them goes on, under no lock."""
    able = [r for r in loose_leaves(d) if d.has(r, FULL) and not d.has(r, FULL, HOST)]
    if tiered(d) and (row := pick(rng, able)):
        give(d, row, FULL, HOST)
        for a in aux(d):
            if d.has(row, a) and not d.has(row, a, HOST):
                give(d, row, a, HOST)
        mark_write(d, row, d.nodes.ids[row])
        at = submit(d, row, is_write=True, locks=False)
        for a in d.settings.components:
            if d.has(row, a):
                slots = list(d.nodes.of("holds", a, DEVICE)[row])
                take(d, row, a, DEVICE)
                d.transfers.of("reads", a, DEVICE)[at] = slots
                d.transfers.of("writes", a, HOST)[at] = list(d.nodes.of("holds", a, HOST)[row])
        settle(d)
        return {row}
    return None


@fault("write_back_is_finished")
def write_outlasts_its_eviction(d, rng, c, t):
    if tiered(d) and (row := pick(rng, [r for r in still(d) if d.has(r, FULL)])):
        if not d.has(row, FULL, HOST):
            give(d, row, FULL, HOST)
        write(d, row)
        settle(d)
        return {row}
    return None


@fault("write_back_is_finished", also=("pending_write_has_its_target",))
def write_to_nowhere_outlasts_its_eviction(d, rng, c, t):
    if tiered(d) and (row := pick(rng, unbacked(d))):
        write(d, row)
        settle(d)
        return {row}
    return None


def loads(d):
    return [i for i, x in enumerate(d.transfers("is_load")) if x]


def writes(d):
    return [i for i, x in enumerate(d.transfers("is_write")) if x]


@fault("pending_load_has_both_copies")
def load_without_a_host_copy(d, rng, c, t):
    # One version also marks nodes of which auxiliary data alone is loaded.
    if "marks_auxiliary_loads" in traits(d):
        return None
    row, load = pick(rng, unbacked(d)), pick(rng, loads(d))
    if row and load is not None:
        mark_load(d, row, d.transfers("ack")[load])
        return {row}
    return None


@fault("pending_load_has_both_copies")
def load_without_a_device_copy(d, rng, c, t):
    row, load = pick(rng, [r for r in still(d) if not d.has(r, FULL)]), pick(rng, loads(d))
    if row and load is not None:
        mark_load(d, row, d.transfers("ack")[load])
        return {row}
    return None


# Locks.


@fault("lock_is_not_negative")
def auxiliary_or_host_lock_below_zero(d, rng, c, t):
    # An unlocked root, as to its device lock, is another fault.
    able = [r for r in d.rows() if d.nodes("lock", c, t)[r] == 0] if c is not FULL or t is HOST else []
    if row := pick(rng, able):
        d.nodes("lock", c, t)[row] = -1
        settle(d)
        return {row}
    return None


@fault(
    "lock_is_not_negative",
    also=("full_lock_covers_auxiliary", "path_lock_covers_children", "lock_has_its_holders"),
)
def full_lock_below_zero(d, rng, c, t):
    able = [r for r in d.rows() if not d.children(r) and d.nodes("lock", FULL, DEVICE)[r] == 0]
    if c is FULL and t is DEVICE and (row := pick(rng, able)):
        d.nodes("lock", FULL, DEVICE)[row] = -1
        settle(d)
        return {row}
    return None


@fault("full_lock_covers_auxiliary")
def auxiliary_lock_alone(d, rng, c, t):
    able = [r for r in d.rows() if d.has(r, c) or "locked_tombstones" in traits(d)]
    if row := pick(rng, able):
        d.nodes("lock", c, DEVICE)[row] = d.nodes("lock", FULL, DEVICE)[row] + 1
        settle(d)
        return {row}
    return None


@fault("path_lock_covers_children", also=("lock_has_its_holders",))
def lock_below_its_childrens(d, rng, c, t):
    lock = d.nodes("lock", FULL, DEVICE)
    below = {r: sum(lock[k] for k in d.children(r)) for r in d.rows()}
    busy = set(d.transfers("node")) | set(d.requests("node")) | {r for r in d.rows() if d.nodes("write_pending")[r]}
    if row := pick(rng, [r for r in d.rows() if below[r] and r not in busy]):
        lock[row] = below[row] - 1
        clamp(d, row)
        settle(d)
        return {row}
    return None


@fault("root_is_locked_once")
def root_lock_is_released_or_taken(d, rng, c, t):
    d.nodes("lock", c, DEVICE)[0] = 2 if c is FULL else 0
    return {0}


@fault("root_is_locked_once", also=("full_lock_covers_auxiliary",))
def root_lock_is_unequal(d, rng, c, t):
    d.nodes("lock", c, DEVICE)[0] = 0 if c is FULL else 2
    return {0}


@fault("locked_data_is_there")
def lock_on_an_evicted_node(d, rng, c, t):
    gone = [r for r in d.rows() if not d.has(r, FULL)]
    if c is FULL and (row := pick(rng, [r for r in gone if d.nodes("parent")[r] not in gone])):
        hold(d, row)
        settle(d)
        return {row}
    return None


@fault("locked_data_is_there")
def lock_on_missing_auxiliary_data(d, rng, c, t):
    able = [r for r in d.rows() if d.nodes("lock", FULL, DEVICE)[r] > 0 and not d.has(r, c)]
    if c is not FULL and (row := pick(rng, able)):
        d.nodes("lock", c, DEVICE)[row] = 1
        settle(d)
        return {row}
    return None


@fault("lock_has_its_holders")
def lock_that_nobody_holds(d, rng, c, t):
    if row := pick(rng, [r for r in d.rows() if d.has(r, FULL)]):
        acquire(d, row, aux=False)
        settle(d)
        return {row}
    return None


@fault("lock_has_its_holders")
def lock_released_too_often(d, rng, c, t):
    able = [r for r in d.rows() if d.nodes("lock", FULL, DEVICE)[r] > 1 and holders(d, r)]
    if row := pick(rng, able):
        unlock(d, row)
        settle(d)
        return {row}
    return None


@fault("lock_has_its_holders")
def holder_without_a_lock_of_its_own(d, rng, c, t):
    """Two hold the node, one of them by a transfer that says it does not."""
    x, lock = d.transfers, d.nodes("lock", FULL, DEVICE)
    if (i := pick(rng, [i for i in range(len(x)) if x("takes_lock")[i]])) is not None:
        x("takes_lock")[i] = False
        assert lock[x("node")[i]] > 0
        return {x("node")[i]}
    return None


@fault("pending_write_is_locked")
def pending_mark_on_an_unlocked_node(d, rng, c, t):
    able = [r for r in still(d) if d.has(r, FULL) and d.has(r, FULL, HOST)]
    able = [r for r in able if d.nodes("lock", FULL, DEVICE)[r] == 0]
    row, i = pick(rng, able), pick(rng, writes(d))
    if row and i is not None:
        mark_write(d, row, d.transfers("ack")[i])
        d.transfers("published")[i] += 1
        return {row}
    return None


@fault("pending_write_is_locked", also=("transfer_node_is_locked",))
def lock_of_a_write_is_released(d, rng, c, t):
    if (i := pick(rng, sole_node(d, is_write=True))) is not None:
        n, node = d.nodes, d.transfers("node")[i]
        if node in [d.transfers("node")[j] for j in loads(d)]:
            return None
        d.transfers("takes_lock")[i] = False
        unlock(d, node)
        settle(d)
        return {r for r in d.path(node) if n("write_pending")[r] and n("lock", FULL, DEVICE)[r] == 0}
    return None


@fault("request_holds_its_node")
def node_of_a_request_is_gone(d, rng, c, t):
    row = hold(d, 0)
    d.requests("node_in_tree")[row] = False
    # What it remembers of its prompt cannot be compared with anything.
    d.requests("prefix_len")[row] = rng.choice((0, 8))
    return {row}


@fault("request_holds_its_node", also=("lock_has_its_holders",))
def request_without_its_lock(d, rng, c, t):
    able = [r for r in d.rows() if d.has(r, FULL) and d.nodes("lock", FULL, DEVICE)[r] == 0]
    if row := pick(rng, able):
        request = hold(d, row)
        acquire(d, row, aux=False, times=-1)
        settle(d)
        return {request}
    return None


@fault("request_prefix_is_its_path")
def request_believes_in_another_prefix(d, rng, c, t):
    if (row := pick(rng, range(len(d.requests)))) is not None:
        d.requests("prefix_len")[row] += rng.choice((-1, 1)) * d.settings.page_size
        return {row}
    return None


# Leaf sets.


def enter(d, row, which, there):
    d.nodes(f"in_{which}")[row] = there
    d.tree(which)[0] += 1 if there else -1
    return {row}


@fault("device_leaves_are_exact")
def device_leaf_is_missing(d, rng, c, t):
    row = pick(rng, [r for r in d.rows() if d.nodes("in_device_leaves")[r]])
    return row and enter(d, row, "device_leaves", there=False)


@fault("device_leaves_are_exact")
def device_leaf_too_many(d, rng, c, t):
    sets = [d.nodes("in_device_leaves"), d.nodes("in_host_leaves")]
    row = pick(rng, [r for r in range(len(d.nodes)) if not any(s[r] for s in sets)])
    return None if row is None else enter(d, row, "device_leaves", there=True)


@fault("host_leaves_are_exact")
def host_leaf_is_missing(d, rng, c, t):
    row = pick(rng, [r for r in d.rows() if d.nodes("in_host_leaves")[r]])
    return row and enter(d, row, "host_leaves", there=False)


@fault("host_leaves_are_exact")
def host_leaf_too_many(d, rng, c, t):
    sets = [d.nodes("in_device_leaves"), d.nodes("in_host_leaves")]
    row = pick(rng, [r for r in range(len(d.nodes)) if not any(s[r] for s in sets)])
    return None if row is None else enter(d, row, "host_leaves", there=True)


@fault("host_leaves_are_exact")
def host_leaf_under_a_lock(d, rng, c, t):
    """A lock comes, and the set is not told. Before 0.5.20 only a host lock bars a leaf, after it a device lock too."""
    row = pick(rng, [r for r in d.rows() if d.nodes("in_host_leaves")[r]])
    a = pick(rng, d.settings.components)
    if row is None:
        return None
    if "host_leaf_unlocked" in traits(d) and rng.random() < 0.5:
        hold(d, row)
    else:
        d.nodes("lock", a, HOST)[row] += 1
    settle(d)
    return enter(d, row, "host_leaves", there=True)


@fault("leaf_sets_are_disjoint", also=("device_leaves_are_exact",))
def host_leaf_in_the_device_leaves(d, rng, c, t):
    row = pick(rng, [r for r in d.rows() if d.nodes("in_host_leaves")[r]])
    return row and enter(d, row, "device_leaves", there=True)


@fault("leaf_sets_are_disjoint", also=("host_leaves_are_exact",))
def device_leaf_in_the_host_leaves(d, rng, c, t):
    row = pick(rng, [r for r in d.rows() if d.nodes("in_device_leaves")[r]])
    return row and enter(d, row, "host_leaves", there=True)


def miscount(rule, field, also=()):
    """A fault of a counter of the tree, in either direction."""

    def plant(d, rng, c, t):
        d.tree(field, c, t)[0] += rng.choice((-1, 1))
        return {0}

    plant.__name__ = f"{field}_is_off_by_one"
    return fault(rule, also=also)(plant)


miscount("device_leaves_are_in_the_tree", "device_leaves")
miscount("host_leaves_are_in_the_tree", "host_leaves")
miscount("duplicates_are_in_the_tree", "host_duplicates")


@fault("settled_duplicates_are_registered")
def duplicate_is_not_registered(d, rng, c, t):
    if through(d) and loads(d):
        return None
    moving = [a or b for a, b in zip(d.nodes("write_pending"), d.nodes("load_pending"), strict=True)]
    able = [r for r in d.rows() if d.has(r, FULL) and d.has(r, FULL, HOST) and not moving[r]]
    row = pick(rng, able)
    return row and enter(d, row, "host_duplicates", there=False)


# LRU.


def order(d, c, t):
    ranks = d.nodes("lru_rank", c, t)
    return sorted((r for r in range(len(d.nodes)) if d.nodes("in_lru", c, t)[r]), key=lambda r: ranks[r])


def listed(d, c, t, row, rng):
    """Puts a node into a list, well linked."""
    found = order(d, c, t)
    found.insert(rng.randint(0, len(found)), row)
    enlist(d, c, t, found)
    return {row}


@fault("device_lru_is_exact")
def device_list_lacks_a_node(d, rng, c, t):
    found = order(d, c, DEVICE)
    if row := pick(rng, found):
        enlist(d, c, DEVICE, [r for r in found if r != row])
        return {row}
    return None


@fault("device_lru_is_exact")
def device_list_has_a_tombstone(d, rng, c, t):
    lists = [*order(d, c, DEVICE), *order(d, c, HOST)]
    return listed(d, c, DEVICE, rng.choice([r for r in range(len(d.nodes)) if r not in lists] or [0]), rng)


@fault("host_lru_has_only_host_copies")
def host_list_has_a_tombstone(d, rng, c, t):
    able = [r for r in range(len(d.nodes)) if not d.has(r, c) and not d.has(r, c, HOST)]
    return listed(d, c, HOST, rng.choice(able), rng)


@fault("host_lru_misses_none")
def host_list_lacks_a_node(d, rng, c, t):
    found = order(d, c, HOST)
    locked = d.nodes("lock", c, HOST)
    if row := pick(rng, [r for r in found if locked[r] <= 0 or "host_lock_delists" not in traits(d)]):
        enlist(d, c, HOST, [r for r in found if r != row])
        return {row}
    return None


@fault("host_lru_misses_none")
def host_list_lacks_a_locked_node(d, rng, c, t):
    """Where a host lock takes nothing out of the list."""
    found = order(d, c, HOST)
    if "host_lock_delists" not in traits(d) and (row := pick(rng, found)):
        d.nodes("lock", c, HOST)[row] = 1
        settle(d)
        enlist(d, c, HOST, [r for r in found if r != row])
        return {row}
    return None


@fault("lru_lists_are_disjoint", also=("host_lru_has_only_host_copies",))
def node_of_the_device_list_in_the_host_list(d, rng, c, t):
    row = pick(rng, order(d, c, DEVICE))
    return row and listed(d, c, HOST, row, rng)


@fault("lru_lists_are_disjoint", also=("device_lru_is_exact",))
def node_of_the_host_list_in_the_device_list(d, rng, c, t):
    row = pick(rng, order(d, c, HOST))
    return row and listed(d, c, DEVICE, row, rng)


@fault("lru_list_is_linked")
def list_ends_too_early(d, rng, c, t):
    found = order(d, c, t)
    for row in found[-1:]:
        d.nodes("lru_rank", c, t)[row] = -1
        return {row}
    return None


@fault("lru_list_is_linked")
def list_goes_on(d, rng, c, t):
    found = order(d, c, t)
    row = rng.choice([r for r in range(len(d.nodes)) if r not in found])
    d.nodes("lru_rank", c, t)[row], d.nodes("lru_prev_rank", c, t)[row] = len(found), len(found) - 1
    return {row}


@fault("lru_links_agree")
def prev_pointer_elsewhere(d, rng, c, t):
    if row := pick(rng, order(d, c, t)):
        links = d.nodes("lru_prev_rank", c, t)
        links[row] = rng.choice([-2, links[row] + 1, links[row] + 2])
        return {row}
    return None


@fault("lru_links_agree", also=("lru_list_is_linked",))
def node_is_bypassed(d, rng, c, t):
    """The next pointer of the one before leads past a node, and the prev pointer of the one after still names it."""
    found = order(d, c, t)
    if len(found) < 2:
        return None
    at = rng.randrange(len(found) - 1)
    ranks, prev = d.nodes("lru_rank", c, t), d.nodes("lru_prev_rank", c, t)
    ranks[found[at]] = -1
    for i, row in enumerate(found[at + 1 :], at):
        ranks[row], prev[row] = i, i - 1 if i > at else -2
    return {found[at + 1]}


miscount("lru_nodes_are_in_the_tree", "lru_size", also=("lru_walk_is_whole",))
miscount("lru_walk_is_whole", "lru_length")


@fault("full_has_no_lru")
def full_node_is_listed(d, rng, c, t):
    return listed(d, c, t, rng.randrange(len(d.nodes)), rng) and {0}


# Sizes.

miscount("evictable_size_is_exact", "evictable_size")
miscount("protected_size_is_exact", "protected_size")


# Slots.


def node_slot(d, rng, c, t):
    """(row, slot) of a node that no transfer has to do with."""
    return pick(rng, [(r, s) for r in still(d) for s in d.nodes.of("holds", c, t)[r]])


def held_slot(d, rng, c, t):
    """(request, its lists' place, slot)."""
    held = d.requests.of("holds", c, t)
    return pick(rng, [(i, k, s) for i, own in enumerate(held) for k, s in enumerate(own)])


@fault("slot_is_of_its_pool", also=("no_slot_leaks",))
def padding_is_freed(d, rng, c, t):
    release(d, c, t, [padding(d, c, t)])
    return {padding(d, c, t)}


@fault("slot_is_of_its_pool", also=("no_slot_leaks",))
def slot_behind_the_pool_is_freed(d, rng, c, t):
    release(d, c, t, [beyond(d, c, t)])
    return {beyond(d, c, t)}


@fault("slot_is_of_its_pool", may=("prefix_stays_in_the_tree",))
def node_holds_a_slot_behind_the_pool(d, rng, c, t):
    """Instead of its own, which is lost: as many slots are named as there are, so none seems to leak."""
    if found := node_slot(d, rng, c, t):
        own = d.nodes.of("holds", c, t)[found[0]]
        own[own.index(found[1])] = beyond(d, c, t)
        return {beyond(d, c, t)}
    return None


@fault("slot_is_of_its_pool")
def request_holds_a_slot_behind_the_pool(d, rng, c, t):
    if found := held_slot(d, rng, c, t):
        d.requests.of("holds", c, t)[found[0]][found[1]] = beyond(d, c, t)
        return {beyond(d, c, t)}
    return None


@fault("slot_is_of_its_pool")
def transfer_reads_padding(d, rng, c, t):
    i = pick(rng, readers(d, t))
    return None if i is None else copies_slot(d, i, "reads", c, t, padding(d, c, t))


@fault("slot_is_of_its_pool")
def transfer_writes_behind_the_pool(d, rng, c, t):
    i = pick(rng, writers(d, t))
    return None if i is None else copies_slot(d, i, "writes", c, t, beyond(d, c, t))


@fault("freed_once")
def slot_is_freed_twice(d, rng, c, t):
    if (slot := pick(rng, d.tree.of("free", c, t)[0])) is not None:
        release(d, c, t, [slot])
        return {slot}
    return None


@fault("one_node_a_slot", may=("prefix_stays_in_the_tree",))
def two_nodes_hold_a_slot(d, rng, c, t):
    one, other = node_slot(d, rng, c, t), node_slot(d, rng, c, t)
    if one and other and one[1] != other[1]:
        own = d.nodes.of("holds", c, t)[one[0]]
        own[own.index(one[1])] = other[1]
        release(d, c, t, [one[1]])
        return {other[1]}
    return None


@fault("one_request_a_slot", also=("no_slot_leaks",))
def two_requests_hold_a_slot(d, rng, c, t):
    one, other = held_slot(d, rng, c, t), held_slot(d, rng, c, t)
    if one and other and one[2] != other[2]:
        d.requests.of("holds", c, t)[one[0]][one[1]] = other[2]
        return {other[2]}
    return None


@fault("free_slot_is_not_in_the_tree")
def slot_of_a_node_is_freed(d, rng, c, t):
    if found := node_slot(d, rng, c, t):
        release(d, c, t, [found[1]])
        return {found[1]}
    return None


@fault("free_slot_is_not_held")
def slot_of_a_request_is_freed(d, rng, c, t):
    if found := held_slot(d, rng, c, t):
        release(d, c, t, [found[2]])
        return {found[2]}
    return None


@fault("held_slot_is_not_in_the_tree", also=("no_slot_leaks",))
def request_holds_a_slot_of_a_node(d, rng, c, t):
    one, other = held_slot(d, rng, c, t), node_slot(d, rng, c, t)
    if one and other:
        d.requests.of("holds", c, t)[one[0]][one[1]] = other[1]
        return {other[1]}
    return None


@fault("no_slot_leaks")
def slot_is_lost(d, rng, c, t):
    if free := d.tree.of("free", c, t)[0]:
        free.remove(rng.choice(free))
        d.tree("available", c, t)[0] -= 1
        return {0}
    return None


@fault("no_slot_leaks", may=("prefix_stays_in_the_tree",))
def node_loses_a_slot(d, rng, c, t):
    if found := node_slot(d, rng, c, t):
        d.nodes.of("holds", c, t)[found[0]].remove(found[1])
        return {0}
    return None


@fault("no_slot_leaks")
def request_loses_a_slot(d, rng, c, t):
    if found := held_slot(d, rng, c, t):
        d.requests.of("holds", c, t)[found[0]].remove(found[2])
        return {0}
    return None


@fault("prefix_stays_in_the_tree", also=("no_slot_leaks",))
def prefix_is_dropped(d, rng, c, t):
    """A slot of a request's prefix that its node no longer names."""
    used = [s for own in d.requests.of("uses", c, t) for s in own]
    able = [(r, s) for r in still(d) for s in d.nodes.of("holds", c, t)[r] if s in used]
    if found := pick(rng, able):
        d.nodes.of("holds", c, t)[found[0]].remove(found[1])
        return {found[1]}
    return None


miscount("available_counts_the_free", "available")


@fault("available_counts_the_free", also=("freed_once",))
def slot_is_freed_twice_and_counted_once(d, rng, c, t):
    if (slot := pick(rng, d.tree.of("free", c, t)[0])) is not None:
        d.tree.of("free", c, t)[0].append(slot)
        return {0}
    return None


@fault("window_slots_mirror_full")
def window_slots_of_another_node(d, rng, c, t):
    if row := pick(rng, [r for r in d.rows() if d.has(r, c)]):
        d.nodes("mirrors_full", c)[row] = False
        return {row}
    return None


# Transfers.


def copies_slot(d, i, which, c, t, slot):
    """A transfer copies one slot more."""
    d.transfers.of(which, c, t)[i].append(slot)
    return {slot}


def readers(d, t):
    return writes(d) if t is DEVICE else loads(d)


def writers(d, t):
    return loads(d) if t is DEVICE else writes(d)


@fault("source_is_not_free")
def source_slot_is_free(d, rng, c, t):
    slot, i = pick(rng, d.tree.of("free", c, t)[0]), pick(rng, readers(d, t))
    return None if slot is None or i is None else copies_slot(d, i, "reads", c, t, slot)


@fault("target_is_not_free")
def target_slot_is_free(d, rng, c, t):
    slot, i = pick(rng, d.tree.of("free", c, t)[0]), pick(rng, writers(d, t))
    return None if slot is None or i is None else copies_slot(d, i, "writes", c, t, slot)


@fault("slot_in_flight_is_not_held")
def source_slot_is_handed_out(d, rng, c, t):
    found, i = held_slot(d, rng, c, t), pick(rng, readers(d, t))
    return None if not found or i is None else copies_slot(d, i, "reads", c, t, found[2])


@fault("slot_in_flight_is_not_held")
def target_slot_is_handed_out(d, rng, c, t):
    found, i = held_slot(d, rng, c, t), pick(rng, writers(d, t))
    return None if not found or i is None else copies_slot(d, i, "writes", c, t, found[2])


@fault("write_source_stays_with_its_node")
def source_slot_of_another_node(d, rng, c, t):
    found, i = node_slot(d, rng, c, t), pick(rng, readers(d, t))
    return None if not found or i is None else copies_slot(d, i, "reads", c, t, found[1])


def waiting_slot(d, rng, c, t):
    """(transfer, slot): a write, and a slot of a node that waits for another and that nothing copies."""
    busy = {s for name in ("reads", "writes") for part in d.transfers.of(name, c, t) for s in part}
    acks = d.nodes("write_ack")
    able = [(r, s) for r in d.rows() if acks[r] >= 0 for s in d.nodes.of("holds", c, t)[r] if s not in busy]
    return pick(rng, [(i, s) for i in writes(d) for r, s in able if acks[r] != d.transfers("ack")[i]])


@fault("write_source_stays_with_its_node")
def source_slot_of_another_writes_node(d, rng, c, t):
    found = waiting_slot(d, rng, c, t)
    return found and copies_slot(d, found[0], "reads", c, t, found[1])


@fault("write_target_stays_with_its_node")
def target_slot_of_another_writes_node(d, rng, c, t):
    found = waiting_slot(d, rng, c, t)
    return found and copies_slot(d, found[0], "writes", c, t, found[1])


@fault(
    "write_source_stays_with_its_node",
    also=("write_target_stays_with_its_node", "write_publishes_its_nodes"),
    may=("settled_duplicates_are_registered",),
)
def split_forgets_a_part(d, rng, c, t):
    """What 0.5.12 does: one part of a node that is being written waits for nothing."""
    n = d.nodes
    able = [r for r in d.rows() if n("write_pending")[r] and n("write_ack")[r] != n.ids[r]]
    if row := pick(rng, able):
        n("write_pending")[row], n("write_ack")[row] = False, -1
        busy = {s for part in d.transfers.of("reads", c, DEVICE) for s in part}
        return busy.intersection(n.of("holds", c, DEVICE)[row]) or None
    return None


@fault("write_target_stays_with_its_node")
def target_slot_of_another_node(d, rng, c, t):
    found, i = node_slot(d, rng, c, t), pick(rng, writers(d, t))
    return None if not found or i is None else copies_slot(d, i, "writes", c, t, found[1])


@fault("one_writer_a_slot", also=("no_slot_leaks",))
def two_transfers_write_a_slot(d, rng, c, t):
    able = writers(d, t)
    if not able:
        return None
    (slot,) = fresh(d, c, t, 1)
    copies_slot(d, rng.choice(able), "writes", c, t, slot)
    return copies_slot(d, rng.choice(able), "writes", c, t, slot)


@fault("one_writer_a_slot", also=("no_slot_leaks",))
def slot_is_read_while_written(d, rng, c, t):
    i, k = pick(rng, writers(d, t)), pick(rng, readers(d, t))
    if i is None or k is None:
        return None
    (slot,) = fresh(d, c, t, 1)
    copies_slot(d, i, "writes", c, t, slot)
    return copies_slot(d, k, "reads", c, t, slot)


@fault("transfer_node_is_in_the_tree")
def node_of_a_transfer_is_gone(d, rng, c, t):
    x = d.transfers
    if (i := pick(rng, range(len(x)))) is not None:
        hold(d, x("node")[i])  # somebody else now keeps its lock
        unlock(d, x("node")[i])
        x("node")[i], x("node_in_tree")[i] = 0, False
        settle(d)
        return {i}
    return None


@fault("transfer_node_is_locked")
def lock_of_a_load_is_released(d, rng, c, t):
    x = d.transfers
    able = [i for i in sole_node(d, is_write=False) if not d.nodes("write_pending")[x("node")[i]]]
    if (i := pick(rng, able)) is not None:
        x("takes_lock")[i] = False
        unlock(d, x("node")[i])
        settle(d)
        return {i}
    return None


def locked_duplicates(d):
    lock = d.nodes("lock", FULL, DEVICE)
    return [r for r in still(d) if d.has(r, FULL) and d.has(r, FULL, HOST) and lock[r] > 0]


@fault("pending_write_has_its_transfer", may=("write_back_is_finished",))
def pending_mark_without_a_write(d, rng, c, t):
    if may_write(d) and (row := pick(rng, locked_duplicates(d))):
        mark_write(d, row, 10_000)
        return {row}
    return None


@fault("pending_write_has_its_transfer", may=("write_back_is_finished",))
def pending_mark_that_waits_for_a_load(d, rng, c, t):
    acks = {d.transfers("ack")[i] for i in loads(d)} - {d.transfers("ack")[i] for i in writes(d)}
    row, ack = pick(rng, locked_duplicates(d)), pick(rng, sorted(acks))
    if may_write(d) and row and ack is not None:
        mark_write(d, row, ack)
        return {row}
    return None


@fault("pending_load_has_its_transfer")
def load_mark_without_a_load(d, rng, c, t):
    able = [r for r in still(d) if d.has(r, FULL) and d.has(r, FULL, HOST)]
    if row := pick(rng, able):
        mark_load(d, row, 10_000)
        return {row}
    return None


@fault("pending_load_has_its_transfer")
def load_mark_that_waits_for_a_write(d, rng, c, t):
    acks = {d.transfers("ack")[i] for i in writes(d)} - {d.transfers("ack")[i] for i in loads(d)}
    able = [r for r in still(d) if d.has(r, FULL) and d.has(r, FULL, HOST)]
    row, ack = pick(rng, able), pick(rng, sorted(acks))
    if row and ack is not None:
        mark_load(d, row, ack)
        return {row}
    return None


@fault("write_publishes_its_nodes")
def write_publishes_more_or_less(d, rng, c, t):
    if (i := pick(rng, writes(d))) is not None:
        d.transfers("published")[i] += rng.choice((-1, 1))
        return {i}
    return None


@fault("transfer_is_acknowledged_once")
def ack_is_lost(d, rng, c, t):
    if (i := pick(rng, range(len(d.transfers)))) is not None:
        d.transfers("queued")[i] = 0
        return {i}
    return None


@fault("transfer_is_acknowledged_once")
def ack_comes_twice(d, rng, c, t):
    if (i := pick(rng, range(len(d.transfers)))) is not None:
        d.transfers("queued")[i] = 2
        return {i}
    return None


def again(d, i):
    """The same transfer a second time, with a lock of its own, copying nothing."""
    x = d.transfers
    k = submit(d, x("node")[i], is_write=x("is_write")[i], published=x("published")[i])
    x("ack")[k] = x("ack")[i]
    settle(d)
    return {0}


@fault("writes_have_their_own_acks")
def two_writes_of_one_ack(d, rng, c, t):
    i = pick(rng, writes(d))
    return None if i is None else again(d, i)


@fault("loads_have_their_own_acks")
def two_loads_of_one_ack(d, rng, c, t):
    i = pick(rng, loads(d))
    return None if i is None else again(d, i)


# Content.


@fault("copies_agree", also=("copy_holds_its_own_bytes",))
def backup_has_other_bytes(d, rng, c, t):
    if row := pick(rng, [r for r in d.rows() if d.has(r, c) and d.has(r, c, HOST)]):
        d.nodes("bytes", c, HOST)[row] += 1
        return {row}
    return None


@fault("copy_holds_its_own_bytes")
def copies_hold_the_bytes_of_another_prompt(d, rng, c, t):
    if row := pick(rng, [r for r in d.rows() if d.has(r, c, t)]):
        for tier in Tier:
            d.nodes("bytes", c, tier)[row] += 1
        return {row}
    return None
