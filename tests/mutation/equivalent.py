"""Mutants that say the same as their rule, each with why: (rule, the change in words) → reason."""

_COUNT = "a count of what names a slot is never negative"
_SIZE = "the length of a list is never negative"
_SHIFT = "numbers differ exactly if the numbers one higher do"
_UNMARKED = "without a mark the ack is -1 by the field's meaning, and no transfer has that"
_SOMEWHERE = "an element has a row because it is in one of the two states"
_SAME_BY = "what a transfer is the same by is known of it in both states"
_UNSPLIT = "a call that locks or unlocks splits nothing"

EQUIVALENT: dict[tuple[str, str], str] = {
    ("key_is_whole_pages", "≤ for =: (n.key_len mod page_size) = 0 → (n.key_len mod page_size) ≤ 0"): (
        "a remainder of a positive divisor is never negative"
    ),
    ("siblings_differ", "one more: child.first_page → child.first_page + 1"): _SHIFT,
    (
        "state_is_one_slot",
        "exactly if for if: if not n.is_root and n[c, tier].present then n[c, tier].tokens = 1 → "
        "not n.is_root and n[c, tier].present exactly if n[c, tier].tokens = 1",
    ): "tokens are 0 without a copy by the field's meaning, and the root has none",
    ("full_has_no_lru", "≤ for =: lru_size[c, tier] = 0 → lru_size[c, tier] ≤ 0"): _SIZE,
    ("free_slot_is_not_in_the_tree", "≤ for =: s.in_tree = 0 → s.in_tree ≤ 0"): _COUNT,
    ("free_slot_is_not_held", "≤ for =: s.held = 0 → s.held ≤ 0"): _COUNT,
    ("held_slot_is_not_in_the_tree", "≤ for =: s.in_tree = 0 → s.in_tree ≤ 0"): _COUNT,
    ("source_is_not_free", "≤ for =: s.free = 0 → s.free ≤ 0"): _COUNT,
    ("target_is_not_free", "≤ for =: s.free = 0 → s.free ≤ 0"): _COUNT,
    ("slot_in_flight_is_not_held", "≤ for =: s.read = 0 → s.read ≤ 0"): _COUNT,
    ("slot_in_flight_is_not_held", "≤ for =: s.written = 0 → s.written ≤ 0"): _COUNT,
    ("one_writer_a_slot", "≤ for =: s.read = 0 → s.read ≤ 0"): _COUNT,
    (
        "pending_write_has_its_transfer",
        "exactly if for if: if n.write_pending then (there is x among the transfers: x.is_write and "
        "x.ack = n.write_ack) → n.write_pending exactly if (there is x among the transfers: x.is_write and "
        "x.ack = n.write_ack)",
    ): _UNMARKED,
    (
        "pending_load_has_its_transfer",
        "exactly if for if: if n.load_pending then (there is x among the transfers: x.is_load and "
        "x.ack = n.load_ack) → n.load_pending exactly if (there is x among the transfers: x.is_load and "
        "x.ack = n.load_ack)",
    ): _UNMARKED,
    (
        "write_publishes_its_nodes",
        "conjunct dropped: n.write_pending and n.write_ack = x.ack → n.write_ack = x.ack",
    ): _UNMARKED,
    ("release_undoes_its_acquire", "conjunct dropped: r.called and before(r).exists → r.called"): (
        "what a release is made for was there before it"
    ),
    (
        "release_undoes_its_acquire",
        "≤ for =: n[c, device].lock = (before(n)[c, device].lock - 1) → "
        "n[c, device].lock ≤ (before(n)[c, device].lock - 1)",
    ): "where a lock is lower by more than one, something else has happened, and the rule says so anyway",
    ("release_undoes_its_acquire", "before the call: n.key_len → before(n).key_len"): _UNSPLIT,
    ("release_undoes_its_acquire", "before dropped: before(r) → r (2)"): "what was locked is kept as it is",
    ("requests_keep_their_locks", "conjunct dropped: before(r).exists and not r.exists → not r.exists"): _SOMEWHERE,
    ("every_submit_is_acked_once", "≥ for =: x.owed = 1 → x.owed ≥ 1"): "it is at most 1, or the rule is violated",
    ("write_is_pending_until_acked", "before the call: x.is_write → before(x).is_write"): _SAME_BY,
    ("write_is_pending_until_acked", "before the call: x.ack → before(x).ack"): _SAME_BY,
    ("load_is_pending_until_acked", "before the call: x.is_load → before(x).is_load"): _SAME_BY,
    ("load_is_pending_until_acked", "before the call: x.ack → before(x).ack"): _SAME_BY,
    ("settled_copy_keeps_its_bytes", "≤ for =: before(n).key_len = n.key_len → before(n).key_len ≤ n.key_len"): (
        "a split shortens a key, and nothing lengthens one"
    ),
    ("settled_copy_keeps_its_bytes", "before the call: n.is_root → before(n).is_root"): "the root stays the root",
    (
        "host_eviction_frees_what_was_asked",
        "≤ for =: before(n)[c, host].lock = 0 → before(n)[c, host].lock ≤ 0",
    ): "lock_is_not_negative",
    ("nothing_leaves_unreported", "≤ for =: s.in_tree = 0 → s.in_tree ≤ 0"): _COUNT,
    (
        "eviction_backs_up_or_says_so",
        "conjunct dropped: before(n).exists and not before(n).is_root and before(n)[full, device].present → "
        "not before(n).is_root and before(n)[full, device].present",
    ): _SOMEWHERE,
    (
        "eviction_backs_up_or_says_so",
        "conjunct dropped: before(n).exists and not before(n).is_root and before(n)[full, device].present → "
        "before(n).exists and before(n)[full, device].present",
    ): "an eviction leaves the root",
    ("locked", "conjunct dropped: r.exists and not before(r).exists → not before(r).exists"): _SOMEWHERE,
    ("locked", "before the call: n.key_len → before(n).key_len"): _UNSPLIT,
    ("owed", "at first: before the call: x.exists → before(x).exists"): "it is said of the state before the call",
    ("writes_have_their_own_acks", "one more: x.ack → x.ack + 1"): _SHIFT,
    ("loads_have_their_own_acks", "one more: x.ack → x.ack + 1"): _SHIFT,
}
