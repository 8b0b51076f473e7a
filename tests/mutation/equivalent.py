"""Mutants that say the same as their rule, each with why: (rule, the change in words) → reason."""

_COUNT = "a count of what names a slot is never negative"
_SIZE = "the length of a list is never negative"
_SHIFT = "numbers differ exactly if the numbers one higher do"
_UNMARKED = "without a mark the ack is -1 by the field's meaning, and no transfer has that"

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
    ("writes_have_their_own_acks", "one more: x.ack → x.ack + 1"): _SHIFT,
    ("loads_have_their_own_acks", "one more: x.ack → x.ack + 1"): _SHIFT,
}
