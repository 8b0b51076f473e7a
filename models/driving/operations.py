"""What can be done to a cache, as a scheduler does it: plain data, the same for every driver.

A prompt is a tuple of symbols, each standing for one page of tokens (`tokens_of`), so that
an operation means the same at every page size. Requests, locks and transfers are named by
their place among those that there are now, the oldest 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Prompt = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """A request is admitted and its forward pass launched: match, lock, load back what the host has
    (with `load`), allocate (evicting when short), write the new KV. The last page is always computed.

    SGLang: `Req.init_next_round_input`, `PrefillAdder.add_one_req`, `alloc_for_extend`.
    """

    prompt: Prompt
    load: bool = True


@dataclass(frozen=True, slots=True)
class Finish:
    """What a request has computed so far is inserted; its lock moves to the end of its path.

    SGLang: `cache_unfinished_req` after a prefill or a chunk of it (`checkpoint` in later versions).
    """

    request: int


@dataclass(frozen=True, slots=True)
class Extend:
    """A request that was finished goes on with more pages: its next chunk, or what it decodes.

    SGLang: `ScheduleBatch.prepare_for_extend` of a chunked request, `prepare_for_decode`.
    """

    request: int
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Release:
    """A request ends. Before it is finished, or without `insert`, what is its own is freed as by an abort;
    with `insert` all of it is inserted once more.

    SGLang: `cache_finished_req` (`release_kv_cache`), with `is_insert=False` for an abort.
    """

    request: int
    insert: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A prompt is looked up: may split a node, and says what is recently used.

    SGLang: `Req.init_next_round_input` for each waiting request, at each step of the scheduler.
    """

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Lock:
    """A prompt's cached prefix is locked, and stays so until `Unlock`.

    SGLang: `PrefillAdder._lock_node`, `inc_lock_ref` of a request that is being admitted.
    """

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Unlock:
    """A lock is released with its own receipt. SGLang: `dec_lock_ref` with the `DecLockRefParams` of its acquire."""

    lock: int


@dataclass(frozen=True, slots=True)
class Evict:
    """So many tokens of a component (states of a per-node one) are asked for on the device.

    SGLang: `evict_from_tree_cache` before an allocation that is short.
    """

    component: str
    count: int


@dataclass(frozen=True, slots=True)
class EvictHost:
    """The same on the host. SGLang: `host_evict_fn`, and the eviction ahead of a backup that is short."""

    component: str
    count: int


@dataclass(frozen=True, slots=True)
class BackUp:
    """The node where a prompt's device prefix ends is backed up; not under write_back.

    SGLang: `_inc_hit_count` when a node has the hits that the policy asks for.
    """

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class LoadBack:
    """What the host has of a prompt is loaded, for a request that is then aborted.

    SGLang: `PrefillAdder.add_one_req`, `init_load_back`, `ready_to_load_host_cache`.
    """

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Poll:
    """Acks of copies that are done are taken. SGLang: `check_hicache_events` at each step of the scheduler."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy in flight runs, and those before it on its stream; on each rank, where there are several.

    On a GPU: a side stream's kernel ends.
    """

    transfer: int


@dataclass(frozen=True, slots=True)
class CopyAt:
    """The same on one rank of several. On a GPU: each rank's streams have their own time."""

    rank: int
    transfer: int


@dataclass(frozen=True, slots=True)
class Prefetch:
    """Host slots for a prompt are allocated and filled as from storage; a request holds them.

    SGLang: `prefetch_from_storage`.
    """

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class FinishPrefetch:
    """What a prefetch has fetched is given to the tree's host tier. SGLang: `check_prefetch_progress`."""

    request: int


@dataclass(frozen=True, slots=True)
class Reset:
    """Everything is forgotten, while nothing runs. SGLang: `Scheduler.flush_cache`."""


Operation = (
    Start | Finish | Extend | Release | Match | Lock | Unlock | Evict | EvictHost | BackUp | LoadBack | Poll | Copy
    | CopyAt | Prefetch | FinishPrefetch | Reset
)  # fmt: skip

OPERATIONS: Mapping[str, type[Operation]] = {
    "start": Start, "finish": Finish, "extend": Extend, "release": Release, "match": Match, "lock": Lock,
    "unlock": Unlock, "evict": Evict, "evict_host": EvictHost, "back_up": BackUp, "load_back": LoadBack, "poll": Poll,
    "copy": Copy, "prefetch": Prefetch, "finish_prefetch": FinishPrefetch, "reset": Reset, "copy_at": CopyAt,
}  # fmt: skip
"""Every operation by its name in traces and reports."""

OF_ONE_CACHE: Mapping[str, type[Operation]] = {n: kind for n, kind in OPERATIONS.items() if kind is not CopyAt}
"""Those that are not one rank's among several."""

NAMES: Mapping[type[Operation], str] = {kind: name for name, kind in OPERATIONS.items()}


def tokens_of(prompt: Sequence[int], page: int) -> tuple[int, ...]:
    """The tokens of a prompt: `page` of each symbol's own."""
    return tuple(symbol * page + i for symbol in prompt for i in range(page))
