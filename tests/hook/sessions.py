"""Runs inside an engine's process: a streaming session of its own, which holds slots and locks between turns."""

from __future__ import annotations

import importlib
from array import array
from typing import Any

import torch

from sanitree.checker.hook.watcher import Mode, Watcher, watch_engine
from sanitree.models.engines import drive, serving, store
from sanitree.models.engines.build import EngineConfig, LiveEngine, build


class _Turns:
    """One session, a request at a time, as the scheduler runs it: its own classes, its own calls of the cache."""

    def __init__(self, live: LiveEngine) -> None:
        self._live, self._cache, self._pool = live, live.cache, live.req_to_token_pool
        batch = importlib.import_module("sglang.srt.managers.schedule_batch")
        self._request, self._finished = batch.Req, batch.FINISH_LENGTH
        self._sampling = importlib.import_module("sglang.srt.sampling.sampling_params").SamplingParams
        sessions = importlib.import_module("sglang.srt.session.session_controller")
        self._session = sessions.Session(1000, "session", streaming=True)
        self._tokens: list[int] = []
        self._count = 0
        # Later versions keep what a request holds in a record, which sessions lend.
        self._records = hasattr(self._cache, "maybe_hand_to_session")

    def turn(self, tokens: list[int], answer: int) -> None:
        """A prompt that goes on from the turn before, prefilled at once, and one token decoded."""
        self._count += 1
        prompt = [*self._tokens, *tokens]
        plain = not store.at_least(self._live.version, "0.5.13")
        ids = prompt if plain else array("q", prompt)
        request = self._request(f"turn {self._count}", "", ids, self._sampling(max_new_tokens=1), session=self._session)
        request.init_next_round_input(self._cache)
        if hasattr(request, "fill_len"):
            request.fill_len = len(prompt)
        if hasattr(request, "set_extend_range"):
            request.set_extend_range(len(request.prefix_indices), len(prompt))
        found = self._found(request)
        if self._records:
            request.lock = self._cache.lock(request.last_node)
        else:
            self._cache.inc_lock_ref(request.last_node)
        self._extend(request, found, len(prompt))
        if self._records:
            self._cache.maybe_hand_to_session(request)
            self._cache.checkpoint(request, up_to=len(prompt))
        else:
            self._cache.cache_unfinished_req(request)
        request.output_ids.append(answer)
        self._extend(request, None, len(prompt) + 1)
        request.finished_reason = self._finished(1)
        request.finished_len = 1
        if self._records:
            release = importlib.import_module("sglang.srt.mem_cache.common").release_kv_cache
            release(request, self._cache, checkpoint=True)
        else:
            self._cache.cache_finished_req(request)
        self._tokens = [*prompt, answer]

    def close(self) -> None:
        """The client is done with it."""
        self._cache.release_session("session")

    def forget(self) -> None:
        """A fault: what the session holds is nobody's from now on."""
        self._cache.session.slots.clear()

    def holds(self) -> int:
        """Slots of its tokens, those that are the tree's too."""
        found = self._cache.session.slots.values()
        return sum((x.kv if self._records else x).kv_allocated_len for x in found)

    def _found(self, request: Any) -> torch.Tensor:
        """Slots of what was matched."""
        if not self._records:
            return request.prefix_indices  # type: ignore[no-any-return]
        if request.kv.holds_kv:  # a turn that goes on has its row
            return self._pool.req_to_token[request.kv.req_pool_idx, : request.kv.kv_committed_len].long()
        return drive.path_slots(self._live, request.last_node)

    def _extend(self, request: Any, found: torch.Tensor | None, length: int) -> None:
        """Slots for all tokens up to `length`; `found`: what is there of a prompt, which gets its row."""
        holder = request.kv if self._records else request
        have = holder.kv_allocated_len if found is None else len(found)
        new = drive.alloc(self._live, length - have)
        assert new is not None
        if found is not None:
            self._pool.alloc([request])
            self._pool.write((holder.req_pool_idx, slice(0, have)), found.to(torch.int32))
        self._pool.write((holder.req_pool_idx, slice(have, length)), new.to(torch.int32))
        holder.kv_committed_len = holder.kv_allocated_len = length


def held(version: str, core: str | None) -> list[dict[str, Any]]:
    """Turns of a session, others' work and rests between, and its end: what is told, and when.

    Of one that gives back what it holds, and of one that does not.
    """
    return [_held(version, core, forget) for forget in (False, True)]


def _held(version: str, core: str | None, forget: bool) -> dict[str, Any]:
    live = build(version, EngineConfig(policy="write_through", core=core), mode="instant")  # type: ignore[arg-type]
    watcher: Watcher = watch_engine(live.cache, Mode.LOG, version=version)
    session = _Turns(live)
    held, told = [], []

    def rest() -> None:
        drive.drain(live)
        for _ in range(20):
            watcher.idle()
        held.append(session.holds())
        told.append([str(f) for f in (*watcher.faults, *watcher.broken)])

    serving.insert(live, (1, 2, 3, 4))
    session.turn([1, 2, 3, 50], 51)
    rest()
    serving.insert(live, (1, 2, 3, 60))
    drive.evict(live, 100)
    session.turn([52, 53], 54)
    rest()
    (session.forget if forget else session.close)()
    rest()
    return {
        "held": held,
        "told": told,
        "rules": [f.rule.name for f in watcher.faults],
        "off": watcher.off,
        "walks": watcher.walk.walks,
        "evictable": live.cache.full_evictable_size(),
        "protected": live.cache.full_protected_size(),
        "free": live.full_allocator.available_size(),
        "size": live.full_allocator.size,
    }
