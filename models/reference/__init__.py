"""A live tiered radix-tree KV cache on torch pools, small enough to read, real enough to corrupt bytes.

`UnifiedRadixCache` is the cache, `serving` a request's life in it, `content` what its
bytes must be, `observe.subject` what a checker sees of it.
"""

from sanitree.models.reference.cache import UnifiedRadixCache
from sanitree.models.reference.config import CacheConfig
from sanitree.models.reference.errors import CacheError
from sanitree.models.reference.nodes import Copies, Node
from sanitree.models.reference.operations import (
    BackupResult,
    Event,
    EvictHostResult,
    EvictResult,
    HostInsertResult,
    InsertResult,
    LoadBackResult,
    MatchResult,
    Receipt,
    Refused,
)
from sanitree.models.reference.parts import PARTS, Part
from sanitree.models.reference.plugins import ReferencePlugin
from sanitree.models.reference.runners import AtOnce, ByHand, Runner, Worker
from sanitree.models.reference.transfers import Span, Transfer

__all__ = [
    "PARTS",
    "AtOnce",
    "BackupResult",
    "ByHand",
    "CacheConfig",
    "CacheError",
    "Copies",
    "Event",
    "EvictHostResult",
    "EvictResult",
    "HostInsertResult",
    "InsertResult",
    "LoadBackResult",
    "MatchResult",
    "Node",
    "Part",
    "Receipt",
    "ReferencePlugin",
    "Refused",
    "Runner",
    "Span",
    "Transfer",
    "UnifiedRadixCache",
    "Worker",
]
