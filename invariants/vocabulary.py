"""The words: components, tiers, policies, settings, and every field a rule may read.

One table for everybody. An adapter says how it reads each field, a snapshot has a
column for each, the reports print them, and the docs are generated from here. A
field means the same for every engine; what an adapter cannot observe is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Sort(Enum):
    """What a term stands for."""

    BOOL = "truth value"
    INT = "number"
    NODE = "node"
    TRANSFER = "transfer"
    REQUEST = "request"
    SLOT = "slot"
    TREE = "tree"
    CALL = "call"


class Tier(Enum):
    """Where a copy lives."""

    DEVICE = "device"
    HOST = "host"


DEVICE, HOST = Tier.DEVICE, Tier.HOST


class Policy(Enum):
    """When a node is backed up: at insert, after a number of hits, or when it is evicted."""

    WRITE_THROUGH = "write_through"
    WRITE_THROUGH_SELECTIVE = "write_through_selective"
    WRITE_BACK = "write_back"


WRITE_THROUGH_FAMILY = frozenset({Policy.WRITE_THROUGH, Policy.WRITE_THROUGH_SELECTIVE})


@dataclass(frozen=True, slots=True)
class Component:
    """A kind of cached data that a node may hold.

    name: as in files and reports, e.g. "swa".
    backbone: the component that every node has and that the tree is made of.
    per_token: one slot a token (attention), else one slot a node (recurrent state).
    """

    name: str
    backbone: bool
    per_token: bool

    def __hash__(self) -> int:
        return hash(self.name)  # half the tables of a state are looked up by it


FULL = Component("full", backbone=True, per_token=True)
SWA = Component("swa", backbone=False, per_token=True)
MAMBA = Component("mamba", backbone=False, per_token=False)
COMPONENTS: Mapping[str, Component] = MappingProxyType({c.name: c for c in (FULL, SWA, MAMBA)})


class Kind(Enum):
    """A choice of components, for rules that speak of more than one."""

    ANY = "component"
    BACKBONE = "backbone component"
    AUXILIARY = "auxiliary component"
    PER_TOKEN = "per-token component"  # noqa: S105
    PER_NODE = "per-node component"

    def takes(self, c: Component) -> bool:
        match self:
            case Kind.ANY:
                return True
            case Kind.BACKBONE:
                return c.backbone
            case Kind.AUXILIARY:
                return not c.backbone
            case Kind.PER_TOKEN:
                return c.per_token
            case Kind.PER_NODE:
                return not c.per_token


@dataclass(frozen=True, slots=True)
class ComponentVar:
    """Stands for a component until a rule is instantiated."""

    name: str


@dataclass(frozen=True, slots=True)
class TierVar:
    """Stands for a tier until a rule is instantiated."""

    name: str


class Index(Enum):
    """What a field is indexed by besides its owner."""

    NONE = "-"
    COMPONENT = "component"
    COPY = "component, tier"


class Lowering(Enum):
    """How a field of a node (a run of pages) is said of single pages.

    UNIFORM: the same for every page of the run. TAIL: belongs to the run's last
    page, and stays with it at a split. LENGTH: counts tokens, so a run's value is
    the sum over its pages. NONE: bookkeeping with no meaning for a page.
    """

    UNIFORM = "uniform"
    TAIL = "tail"
    LENGTH = "length"
    NONE = "-"


@dataclass(frozen=True, slots=True)
class Setting:
    """A value fixed for a whole check, known before any state is seen."""

    name: str
    sort: Sort
    meaning: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What a check is about: everything that is fixed while states change.

    page_size is in tokens. traits are names from TRAITS: what is legal differs
    between versions of an engine, and a trait says how, not which version.
    """

    policy: Policy
    components: tuple[Component, ...]
    traits: frozenset[str]
    page_size: int


@dataclass(frozen=True, slots=True)
class Field:
    """A word of the vocabulary: one observable of one kind of element."""

    owner: Sort
    name: str
    sort: Sort
    unit: str
    index: Index
    lowering: Lowering
    meaning: str


SETTINGS: dict[str, Setting] = {}
FIELDS: dict[tuple[Sort, str], Field] = {}


def _setting(name: str, sort: Sort, meaning: str) -> Setting:
    return SETTINGS.setdefault(name, Setting(name, sort, meaning))


POLICY_IS = _setting("policy_is", Sort.BOOL, "the write policy is the one named")
TRAIT = _setting("trait", Sort.BOOL, "the engine has the named trait; see TRAITS")
KIND = _setting("kind", Sort.BOOL, "the component is of the named kind")
TIER_IS = _setting("tier_is", Sort.BOOL, "the tier is the one named")
PAGE_SIZE = _setting("page_size", Sort.INT, "tokens in a page; keys, matches and evictions are whole pages")

TRAITS: Mapping[str, str] = MappingProxyType(
    {
        "tiered": "the cache has a host tier",
        "locked_tombstones": "a lock may cover a node whose data of that component is gone: "
        "a segment lock counts every node from its start to its boundary",
        "aux_host_outlives_full": "under write_back, reclaiming a full host copy leaves auxiliary host copies behind",
        "host_leaf_unlocked": "a node under a device lock is no evictable host leaf",
        "host_lock_delists": "a host lock takes a node's auxiliary host copy out of the host LRU list; "
        "a later demotion may list it again",
        "tracks_host_duplicates": "nodes with a full copy on both tiers are registered for reclaim, and dropped lazily",
        "marks_pending_loads": "under write_back a node being loaded back carries the id of its load",
        "marks_auxiliary_loads": "a node of which a load brings auxiliary data alone carries the id of that load too",
        "async_window_backup": "under write_back an insert may back up the window of auxiliary data above a node, "
        "asynchronously and under a lock",
        "table_of_nodes": "the tree keeps a table of its nodes by id",
        "own_threshold": "nodes are backed up after another number of hits than the policy's own, one or two",
        "reads_bytes": "the bytes of every copy were read",
        "maps_full_to_swa": "the allocator maps each full slot to its sliding-window slot; 0 where there is none",
    }
)


def _fields(owner: Sort, *rows: tuple[str, Sort, str, Index, Lowering, str]) -> None:
    for name, sort, unit, index, lowering, meaning in rows:
        FIELDS[owner, name] = Field(owner, name, sort, unit, index, lowering, meaning)


_B, _I, _N = Sort.BOOL, Sort.INT, Sort.NODE
_1, _C, _CT = Index.NONE, Index.COMPONENT, Index.COPY
_UNI, _TAIL, _LEN, _NO = Lowering.UNIFORM, Lowering.TAIL, Lowering.LENGTH, Lowering.NONE

_fields(
    Sort.NODE,
    ("is_root", _B, "", _1, _UNI, "the node is the root: it holds no tokens"),
    ("parent", _N, "", _1, _NO, "the node whose children map holds this one; the root's is the root"),
    (
        "parent_link",
        _N,
        "",
        _1,
        _NO,
        "the node that this node's own parent pointer names; the root where it names none",
    ),
    ("has_parent_link", _B, "", _1, _NO, "this node's own parent pointer names a node"),
    ("readable", _B, "", _1, _NO, "every field of the node is of its kind, and its id is its own"),
    ("references", _I, "entries", _1, _NO, "how many entries of children maps name this node"),
    ("key_len", _I, "tokens", _1, _LEN, "tokens in the node's key"),
    ("first_page", _I, "hash", _1, _NO, "the first page of the key, as the parent's children map must name it"),
    ("edge", _I, "hash", _1, _NO, "the key under which the parent's children map holds the node"),
    ("hits", _I, "hits", _1, _UNI, "how often the node was matched or inserted again"),
    ("present", _B, "", _CT, _UNI, "the node holds a copy of the component's data on the tier"),
    ("tokens", _I, "slots", _CT, _LEN, "slots that the copy occupies; 0 without one"),
    ("lock", _I, "locks", _CT, _UNI, "lock count that protects the copy from eviction"),
    ("in_lru", _B, "", _CT, _NO, "the tier's LRU list of the component has the node registered"),
    ("lru_rank", _I, "hops", _CT, _NO, "hops from the list's head along its next pointers; -1 if not met"),
    (
        "lru_prev_rank",
        _I,
        "hops",
        _CT,
        _NO,
        "rank of the node that the prev pointer names: -1 the head, -2 not in the list",
    ),
    (
        "mirrors_full",
        _B,
        "",
        _C,
        _NO,
        "the allocator's map gives the device copy's slots for the full copy's: none where it has no copy",
    ),
    ("bytes", _I, "hash", _CT, _NO, "the bytes that the copy holds; unknown while a transfer writes them"),
    ("own_bytes", _I, "hash", _CT, _NO, "the bytes that belong to the node's tokens, where somebody knows them"),
    ("in_device_leaves", _B, "", _1, _NO, "the set of evictable device leaves holds the node"),
    ("in_host_leaves", _B, "", _1, _NO, "the set of evictable host leaves holds the node"),
    ("in_host_duplicates", _B, "", _1, _NO, "the register of full copies on both tiers holds the node"),
    ("write_pending", _B, "", _1, _UNI, "the node is marked as being written to the host"),
    ("write_ack", _I, "ack id", _1, _UNI, "acknowledgement that the pending write waits for; -1 without one"),
    ("load_pending", _B, "", _1, _UNI, "the node is marked as being loaded to the device"),
    ("load_ack", _I, "ack id", _1, _UNI, "acknowledgement that the pending load waits for; -1 without one"),
)

_fields(
    Sort.TREE,
    ("evictable_size", _I, "slots", _C, _NO, "the counter of unlocked device slots"),
    ("protected_size", _I, "slots", _C, _NO, "the counter of locked device slots"),
    ("lru_size", _I, "nodes", _CT, _NO, "nodes registered in the LRU list"),
    (
        "lru_length",
        _I,
        "nodes",
        _CT,
        _NO,
        "nodes met on a walk from the LRU list's head to its tail; -1 where it does not end there",
    ),
    ("device_leaves", _I, "nodes", _1, _NO, "members of the set of evictable device leaves, reachable or not"),
    ("host_leaves", _I, "nodes", _1, _NO, "members of the set of evictable host leaves, reachable or not"),
    ("host_duplicates", _I, "nodes", _1, _NO, "entries of the register of full copies on both tiers"),
    ("registered_nodes", _I, "nodes", _1, _NO, "nodes in the tree's table of nodes by id, the root included"),
    ("capacity", _I, "slots", _CT, _NO, "slots of the pool that can be handed out"),
    ("available", _I, "slots", _CT, _NO, "free slots, as the allocator counts them"),
)

_fields(
    Sort.TRANSFER,
    ("is_write", _B, "", _1, _NO, "a device-to-host backup"),
    ("is_load", _B, "", _1, _NO, "a host-to-device load back"),
    ("ack", _I, "ack id", _1, _NO, "the id that its acknowledgement carries"),
    ("node", _N, "", _1, _NO, "the node it was submitted for; the root where that node has left the tree"),
    ("node_in_tree", _B, "", _1, _NO, "that node is still reachable from the root"),
    ("takes_lock", _B, "", _1, _NO, "it holds a path lock on that node until it is acknowledged"),
    ("tokens", _I, "slots", _C, _NO, "slots that it copies"),
    ("published", _I, "nodes", _1, _NO, "nodes that its acknowledgement will publish"),
    ("queued", _I, "times", _1, _NO, "how often its acknowledgement is on its way: submitted, or queued to be"),
)

_fields(
    Sort.REQUEST,
    ("node", _N, "", _1, _NO, "the node whose path the request has locked"),
    ("node_in_tree", _B, "", _1, _NO, "that node is still reachable from the root"),
    ("prefix_len", _I, "tokens", _1, _NO, "tokens of the request's prompt that the locked path holds"),
)

_fields(
    Sort.SLOT,
    ("number", _I, "slot", _1, _NO, "the slot's number in its pool"),
    ("free", _I, "times", _1, _NO, "how often the pool's free lists name it"),
    ("pool_size", _I, "slots", _1, _NO, "slots of its pool that can be handed out"),
    ("in_tree", _I, "times", _1, _NO, "how often node copies name it"),
    ("held", _I, "times", _1, _NO, "how often requests hold it outside the tree"),
    ("used", _I, "requests", _1, _NO, "how often requests read it as part of the prefix that they have locked"),
    ("read", _I, "transfers", _1, _NO, "transfers in flight that read it"),
    ("written", _I, "transfers", _1, _NO, "transfers in flight that write it"),
    ("owner", _N, "", _1, _NO, "a node that holds it; the root where none does"),
    ("reader_ack", _I, "ack id", _1, _NO, "acknowledgement of a transfer that reads it; -1 without one"),
    ("writer_ack", _I, "ack id", _1, _NO, "acknowledgement of a transfer that writes it; -1 without one"),
)
