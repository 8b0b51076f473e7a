"""What driving real engines has shown wrong in them, as data.

Each finding names the versions, where the fault is in the engine, and what shows it; a
test under tests/engines reproduces each. A workload that fails where a finding applies
has met it; one that fails elsewhere has found another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sanitree.models.engines.build import EngineConfig
from sanitree.models.engines.store import within


@dataclass(frozen=True, slots=True)
class Finding:
    """`first` shows it, `fixed` is the first that does not (None: not yet fixed).

    rules: those of ours that report it, what it leads to included; none where it is the
    engine's own check that is wrong. slots: the same of the rules about slots that are
    followed in a server. crash: words of the exception that it ends in, or the
    place that raises it, if no state before that is illegal. complaint: how the engine's own
    check begins, where that errs. differs: words of the call that the two cores do not do alike.
    leaks: slots are left when everything is evicted. report: the page under docs that tells
    its developers.
    """

    id: str
    first: str
    fixed: str | None
    where: str
    what: str
    applies_to: Callable[[EngineConfig], bool]
    rules: frozenset[str] = frozenset()
    crash: str = ""
    complaint: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    leaks: bool = False
    report: str = ""
    slots: frozenset[str] = frozenset()

    def applies(self, version: str, config: EngineConfig) -> bool:
        """Whether a cache of `version` built as `config` can show it."""
        return within(version, self.first, self.fixed) and self.applies_to(config)

    def shows(self, kind: str, names: Iterable[str], text: str, place: str = "", call: str = "") -> bool:
        """Whether what went wrong in a cache that can show it is this, or what it leads to.

        kind: "rule" or "agreement", with the ids of the rules violated; "exception" or "complaint", with its text.
        place: where an exception came from, "file.py: Class.function". call: that it was seen after.
        """
        match kind:
            case "rule" | "agreement":
                return set(names) <= self.rules
            case "leak":
                return self.leaks
            case "difference":
                return bool(self.differs) and all(words in call for words in self.differs)
            case "exception":
                return bool(self.crash) and self.crash in f"{place}: {text}"
            case "complaint":
                lines = text.splitlines()
                return bool(self.complaint) and all(any(w in line for w in self.complaint) for line in lines)
        return False


_IN_FLIGHT = frozenset({"slot_in_flight_is_not_freed", "slot_in_flight_is_not_handed_out"})

FINDINGS = (
    Finding(
        "write-back-not-awaited",
        "0.5.12",
        "0.5.13",
        "unified_radix_cache.py: UnifiedRadixCache._evict_device_leaf",
        "evict() frees the device slots of a node whose write-back is still reading them; "
        "reused before the copy runs, they put another prefix's bytes into the host copy.",
        lambda config: config.host_tier and config.policy == "write_back",
        frozenset(
            {
                "write_back_is_finished",
                "pending_write_keeps_its_source",
                "pending_write_is_locked",
                "source_is_not_free",
                "target_is_not_free",
                "slot_in_flight_is_not_held",
                "one_writer_a_slot",
                "write_source_stays_with_its_node",
                "write_target_stays_with_its_node",
                "transfer_node_is_in_the_tree",
                "transfer_node_is_locked",
                "write_publishes_its_nodes",
                "write_is_pending_until_acked",
                "acked_write_is_published",
                "copy_holds_its_own_bytes",
                "copies_agree",
                "settled_copy_keeps_its_bytes",
            }
        ),
        slots=_IN_FLIGHT,
    ),
    Finding(
        "write-back-ack-unlocks-root-path",
        "0.5.12",
        "0.5.13",
        "unified_radix_cache.py: UnifiedRadixCache.writing_check",
        "the ordinary poll releases a lock that a write-back never took, and fails on the "
        "evicted node's missing device value: the scheduler dies at the first ack.",
        lambda config: config.host_tier and config.policy == "write_back",
        frozenset(
            {
                "lock_has_its_holders",
                "lock_is_not_negative",
                "path_lock_covers_children",
                "request_holds_its_node",
                "transfer_is_acknowledged_once",
                "prefix_stays_in_the_tree",
                "eviction_frees_what_was_asked",
            }
        ),
        crash="FullComponent.release_component_lock",
    ),
    Finding(
        "backup-check-wrong-under-write-back",
        "0.5.12",
        "0.5.13",
        "unified_radix_cache.py: UnifiedRadixCache.sanity_check",
        "the check demands that a backed-up node's parent is backed up, which write_back "
        "does not promise: a false alarm on a legal tree.",
        lambda config: config.host_tier and config.policy == "write_back",
        complaint=("backed up but parent",),
    ),
    Finding(
        "window-recovery-frees-locked-slots",
        "0.5.12",
        "0.5.15",
        "unified_cache_components/swa_component.py: SWAComponent.update_component_on_insert_overlap",
        "an insert over a node without window data frees the node's full-attention slots "
        "and takes the insert's instead, also while a running request or a backup in "
        "flight, both holding a lock, reads the old ones, or a load back writes them.",
        lambda config: "swa" in config.components,
        frozenset(
            {
                "source_is_not_free",
                "target_is_not_free",
                "one_writer_a_slot",
                "write_source_stays_with_its_node",
                "slot_in_flight_is_not_held",
                "prefix_stays_in_the_tree",
                "held_slot_is_not_in_the_tree",
                "free_slot_is_not_held",
                "copy_holds_its_own_bytes",
                "copies_agree",
            }
        ),
        slots=_IN_FLIGHT | {"freed_slot_is_not_used"},
    ),
    Finding(
        "split-forgets-pending-write",
        "0.5.12",
        "0.5.13",
        "unified_radix_cache.py: UnifiedRadixCache._split_node, writing_check",
        "a node that is split while it is being written leaves its upper part out of what the "
        "acknowledgement publishes: that prefix is neither announced nor written to storage.",
        lambda config: config.host_tier,
        frozenset({"write_source_stays_with_its_node", "write_target_stays_with_its_node"}),
    ),
    Finding(
        "load-backs-share-a-window",
        "0.5.18",
        "0.5.19",
        "unified_cache/unified_tree_core.py: UnifiedTreeCore.commit_load_back",
        "two load backs whose windows share an ancestor: the second finds it marked by the "
        "first, whose acknowledgement is outstanding, and fails its assertion. The server dies.",
        lambda config: config.host_tier and config.policy == "write_back" and config.components != ("full",),
        crash="pinned by load-back",
    ),
    Finding(
        "duplicate-check-wrong-while-loading",
        "0.5.18",
        None,
        "unified_cache/unified_tree_core.py: UnifiedTreeCore.sanity_check, commit_load_back",
        "the check misses nodes of a load back in flight in the duplicate tracking: they "
        "join it at the ack, and only write_back marks them until then. A false alarm.",
        lambda config: config.host_tier and config.policy != "write_back",
        complaint=("Duplicate missing", "Full host coexistence missing"),
        report="reports/load-back-false-alarm.md",
    ),
    Finding(
        "eviction-stalls-when-host-is-full",
        "0.5.13",
        "0.5.17",
        "unified_radix_cache.py: UnifiedRadixCache._evict_device_leaf",
        "when the host has no room for a leaf's backup, and what it has cannot be evicted, the leaf "
        "stays on the device: an eviction frees nothing although all it was asked for is evictable, "
        "and the allocation that it was for fails.",
        lambda config: config.host_tier and config.policy == "write_back",
        frozenset({"eviction_frees_what_was_asked"}),
        leaks=True,
    ),
    Finding(
        "window-eviction-never-ends",
        "0.5.13",
        "0.5.17",
        "unified_cache_components/swa_component.py: SWAComponent.drive_eviction",
        "the same leaf that cannot be backed up, met by an eviction of window data: it stays the list's least "
        "recently used, is taken again and again, and the scheduler hangs.",
        lambda config: config.host_tier and config.policy == "write_back" and "swa" in config.components,
        crash="no end after",
    ),
    Finding(
        "state-eviction-never-ends",
        "0.5.15",
        "0.5.17",
        "unified_cache_components/mamba_component.py: MambaComponent.drive_eviction",
        "the same leaf that cannot be backed up, met by an eviction of recurrent state.",
        lambda config: config.host_tier and config.policy == "write_back" and "mamba" in config.components,
        crash="no end after",
    ),
    Finding(
        "load-back-evicts-its-source",
        "0.5.12",
        "0.5.14",
        "unified_radix_cache.py: UnifiedRadixCache.load_back",
        "a load back evicts to make room on the device, which writes back, for which the host evicts what the "
        "load back is about to read: it had listed the nodes before, and finds them without a host copy.",
        lambda config: config.host_tier and config.policy == "write_back",
        crash="FullComponent.commit_hicache_transfer",
    ),
    Finding(
        "prefetch-lands-below-what-is-not-backed-up",
        "0.5.13",
        "0.5.17",
        "unified_radix_cache.py: UnifiedRadixCache._insert_helper_host",
        "a prompt is inserted while a prefetch of it fetches, and not backed up: what the prefetch brings is hung "
        "below it, a host copy whose parent has none, which the engine's own check refuses too. An eviction of the "
        "parent deletes it, and nobody frees the host slots below.",
        lambda config: config.host_tier and config.policy != "write_back",
        frozenset(
            {
                "backup_is_prefix_closed",
                "host_leaves_are_in_the_tree",
                "no_slot_leaks",
                "nothing_leaves_unreported",
                "eviction_keeps_backups",
            }
        ),
        leaks=True,
    ),
    Finding(
        "list-check-wrong-while-loading",
        "0.5.14",
        "0.5.21",
        "unified_cache/unified_tree_core.py: UnifiedTreeCore.sanity_check; until 0.5.16 "
        "unified_radix_cache.py: UnifiedRadixCache.sanity_check",
        "a load back locks the host copies that it reads, and a locked auxiliary copy leaves the host's LRU list on "
        "purpose; the check wants every host copy without a device copy in that list: a false alarm on a legal tree.",
        lambda config: config.host_tier and bool({"swa", "mamba"} & set(config.components)),
        complaint=("host LRU: +S3=",),
    ),
    Finding(
        "rust-keeps-auxiliary-data-while-loading",
        "0.5.19",
        "0.5.21",
        "the Rust core: eviction of auxiliary data (rust_tree_core/adapter.py: evict_device_next_node)",
        "under write_back the Rust core passes over a node that is marked as being loaded when window or state data "
        "is evicted, also where that data is neither locked nor loaded, and frees less than was asked and than "
        "`evictable_size` promises; the Python core evicts it.",
        lambda config: (
            config.host_tier
            and config.policy == "write_back"
            and config.core == "rust"
            and bool({"swa", "mamba"} & set(config.components))
        ),
        frozenset({"eviction_frees_what_was_asked"}),
    ),
    Finding(
        "rust-evicts-other-host-windows",
        "0.5.19",
        "0.5.21",
        "the Rust core: eviction of window data from the host (rust_tree_core/adapter.py: drive_host_eviction)",
        "under write_back the two cores take other host copies when window data is evicted from the host: the Rust "
        "core also those of nodes that are on the device, which the Python core keeps, and none of a node that is "
        "being loaded.",
        lambda config: (
            config.host_tier and config.policy == "write_back" and config.core == "rust" and "swa" in config.components
        ),
        differs=("evict_host(", "swa"),
    ),
    Finding(
        "eviction-declined-below-its-size",
        "0.5.17",
        None,
        "unified_radix_cache.py: UnifiedRadixCache._evict_components; unified_cache/unified_tree_core.py: "
        "UnifiedTreeCore.drop_subtree_no_host",
        "under write_back a device leaf that cannot be backed up, the host being full, is dropped with what is below "
        "it, unless a prefetch has locked a host copy there: then the eviction frees nothing, while `evictable_size` "
        "counts the leaf and admission has counted on it.",
        lambda config: config.host_tier and config.policy == "write_back" and set(config.components) == {"full"},
        frozenset({"eviction_frees_what_was_asked"}),
        report="reports/eviction-declined.md",
    ),
    Finding(
        "dropped-subtree-is-not-counted",
        "0.5.17",
        None,
        "unified_cache/unified_tree_core.py: UnifiedTreeCore.drop_subtree_no_host, _evict_component_and_detach_lru",
        "under write_back a device leaf that cannot be backed up is dropped with the host copies below it; only what "
        "was freed on the device is counted, so host copies, often the last ones, are lost without a word in the "
        "eviction's result or in the metric of dropped tokens.",
        lambda config: (
            config.host_tier and config.policy == "write_back" and bool({"swa", "mamba"} & set(config.components))
        ),
        frozenset({"nothing_leaves_unreported"}),
        report="reports/dropped-host-copies.md",
    ),
    Finding(
        "load-acks-not-agreed",
        "0.5.12",
        "0.5.13",
        "unified_radix_cache.py: UnifiedRadixCache.loading_check",
        "each tensor-parallel rank takes the acknowledgements of its own loads when they are there, and asks no "
        "other: a rank whose load lands sooner unlocks its nodes sooner, and evicts what the others still hold. "
        "From then on the trees go apart, and with them the batches that are computed together.",
        lambda config: config.host_tier,
        frozenset({"same_acks", "same_decisions", "same_tree"}),
    ),
)


def applying(version: str, config: EngineConfig) -> list[Finding]:
    """The findings that a cache of `version` built as `config` can show."""
    return [finding for finding in FINDINGS if finding.applies(version, config)]
