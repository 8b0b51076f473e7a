"""What the engine tests do inside an engine's process: each function returns plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sanitree.models.engines import content, drive, serving, shims, store, workload
from sanitree.models.engines.build import EngineConfig, LiveEngine, build
from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.serving import Request


def _build(mode: Any = "manual", **config: Any) -> LiveEngine:
    version = shims.active()
    assert version is not None
    return build(version, EngineConfig(**config), mode)


def _request(live: LiveEngine, tokens: Sequence[int]) -> Request:
    request = serving.insert_request(live, tokens)
    assert isinstance(request, Request), request
    return request


def workloads(configs: list[dict[str, Any]], steps: int, seed: int) -> list[dict[str, Any]]:
    """A seeded workload for each configuration, checked after every step."""
    return [_workload(EngineConfig.from_json(config), steps, seed) for config in configs]


def _workload(config: EngineConfig, steps: int, seed: int) -> dict[str, Any]:
    live = _build("polled", **config.to_json() | {"components": config.components})
    done: list[workload.Step] = []
    told: dict[str, Any] = {"failure": None, "alarms": 0, "flying": 0}
    try:
        for step in workload.steps(live, steps, seed):
            done.append(step)
            told["flying"] += bool(live.copies.pending())
            told["alarms"] += _complain(live)
            if step.number % 5 == 0:
                workload.check_tree(live)
        workload.quiesce(live)
        _complain(live)
        workload.check_tree(live)
        _account(live)
    except Exception as error:  # noqa: BLE001 (whatever an engine raises is the outcome)
        told["failure"] = f"{type(error).__name__}: {error} after {[str(s) for s in done[-3:]]}"
    texts = [str(step) for step in done]
    return told | {
        "steps": len(done),
        "loads": sum("loaded" in text for text in texts),
        "ops": sorted({step.op for step in done}),
        "in flight at the end": len(live.copies.pending()),
    }


def _complain(live: LiveEngine) -> int:
    complaints = drive.engine_sanity_check(live)
    known = drive.known_false_alarms(live, complaints)
    if len(known) < len(complaints):
        raise EngineError(f"the engine's own check: {complaints}")
    return len(known)


def _account(live: LiveEngine) -> None:
    """With nothing running, every device token is free or evictable."""
    free, kept = live.full_allocator.available_size(), live.cache.evictable_size()
    if free + kept != live.config.device_tokens or live.cache.protected_size():
        raise EngineError(f"{free} free and {kept} evictable of {live.config.device_tokens}")


def write_back_race() -> dict[str, Any]:
    """Insert, evict, reuse the freed slots, let the copy run, evict, load back."""
    live = _build(policy="write_back", device_tokens=8, host_ratio=4.0, core="python")
    serving.insert(live, [1, 2])
    serving.insert(live, [1, 2, 500, 501])
    drive.evict(live, 2)
    flying = [str(transfer) for transfer in live.copies.pending()]
    complaints = drive.engine_sanity_check(live)
    free = set(live.allocator.free_pages.tolist())
    sources = {slot for t in live.copies.pending() for span in t.spans for slot in span.device}
    serving.insert(live, [11, 12, 13, 14, 15, 16])
    live.copies.run_all()
    drive.evict(live, 8)
    loaded = drive.load_back(live, [1, 2, 500, 501])
    verdict = drive.verify_request(live, [1, 2, 500, 501])
    return {
        "flying": flying,
        "complaints": complaints,
        "free sources": sorted(free & sources),
        "loaded": loaded,
        "checked": verdict.checked,
        "wrong": verdict.wrong_tokens,
    }


def poll_a_write_back() -> str:
    live = _build(policy="write_back", core="python")
    serving.insert(live, [1, 2])
    drive.evict(live, 2)
    live.copies.run_all()
    try:
        drive.pump(live)
    except AssertionError:
        return "assertion"
    return "fine"


def recover_a_window() -> dict[str, Any]:
    """A request runs on a path whose upper node has lost its window data; another request
    inserts over that node; a third gets whatever was freed."""
    live = _build(components=("full", "swa"), host_tier=False, device_tokens=16, core="python")
    serving.insert(live, [1, 2, 3, 4])
    running = _request(live, [1, 2, 3, 4, 5, 6, 7, 8])
    drive.evict(live, swa=4)
    held = set(running.slots.tolist())
    serving.insert(live, [1, 2, 3, 4, 9])
    free = set(live.full_allocator.free_pages.tolist()) | set(live.full_allocator.release_pages.tolist())
    freed = sorted(held & free)
    started = serving.start_request(live, list(range(20, 27)))
    return {
        "freed while held": len(freed),
        "started": isinstance(started, Request),
        "wrong": [str(wrong) for wrong in content.verify_requests(live)],
    }


def check_while_loading(cases: list[list[str]]) -> list[dict[str, Any]]:
    """A node on the host only is split, and its upper half loaded back: the engine's check
    before the bytes arrive, and after. One result for each core and policy."""
    return [_check_while_loading(core, policy) for core, policy in cases]


def _check_while_loading(core: Any, policy: Any) -> dict[str, Any]:
    live = _build(policy=policy, core=core)
    for _ in range(2):  # enough hits for write_through_selective
        serving.insert(live, [1, 2, 3, 4])
    drive.drain(live)
    drive.evict(live, 4)
    drive.drain(live)
    loaded = drive.load_back(live, [1, 2])
    during = drive.engine_sanity_check(live)
    known = drive.known_false_alarms(live, during)
    drive.drain(live)
    return {"loaded": loaded, "during": during, "known": known, "after": drive.engine_sanity_check(live)}


def corruption(cases: list[tuple[list[str], int]]) -> list[dict[str, Any]]:
    """Flips one byte at a time and asks who noticed, for each component set and page size."""
    return [_corruption(components, page) for components, page in cases]


def _corruption(components: list[Any], page: int) -> dict[str, Any]:
    live = _build("instant", components=tuple(components), page_size=page, core="python", host_ratio=2.0)
    tokens = list(range(100, 100 + 3 * page))
    serving.insert(live, tokens)
    drive.drain(live)
    noticed: dict[str, Any] = {"clean": not content.verify_tree(live) and bool(drive.verify_request(live, tokens))}
    node = drive.node_of(live, drive.match(live, tokens).device_node)
    for component in components:
        slot = int(node.component_data[("full", "swa", "mamba").index(component)].value[-1])
        _, _, buffer = next(content._device_buffers(live, component))
        kept = buffer[slot].clone()
        buffer[slot].view(-1)[0] += 1
        wrong = [(w.component, w.tier, list(w.slots)) for w in content.verify_tree(live)]
        served = drive.verify_request(live, tokens).wrong
        buffer[slot] = kept
        noticed[component] = {
            "tree": wrong == [(component, "device", [slot])],
            "served": served == {component: (len(tokens) - 1,)},
        }
    pool = live.host_pools["full"]
    slot = int(node.component_data[0].host_value[0])
    by_layer = pool.layout == "layer_first"
    row = pool.k_buffer[0][slot] if by_layer else pool.k_buffer[slot // page, 0, slot % page]
    row.view(-1)[0] += 1
    noticed["host"] = [(w.component, w.tier, list(w.slots)) for w in content.verify_tree(live)] == [
        ("full", "host", [slot])
    ]
    return noticed


def transfers() -> dict[str, Any]:
    """What a write and a load in flight say of themselves."""
    live = _build(core="python", device_tokens=16)
    serving.insert(live, [1, 2, 3])
    (write,) = live.copies.pending()
    node = drive.node_of(live, drive.match(live, [1, 2, 3]).device_node)
    told = {
        "write": [write.stream, [s.component for s in write.spans]],
        "source": list(write.spans[0].device) == node.component_data[0].value.tolist(),
        "target": list(write.spans[0].host) == node.component_data[0].host_value.tolist(),
        "acks": list(write.ack_ids) == [node.id],
        "ongoing": list(live.cache.ongoing_write_through) == [node.id],
    }
    host = torch.tensor(write.spans[0].host)
    told["not yet"] = len(content._wrong(live, "full", "host", host, content._hashes([1, 2, 3]))) == 3
    live.copies.run(0)
    told["arrived"] = not content._wrong(live, "full", "host", host, content._hashes([1, 2, 3]))
    drive.drain(live)
    drive.evict(live, 3)
    drive.load_back(live, [1, 2, 3])
    (load,) = live.copies.pending()
    told["load"] = [load.stream, list(load.spans[0].host) == host.tolist()]
    told["served"] = bool(drive.verify_request(live, [1, 2, 3]))
    return told


def grown(nodes: int, core: str) -> list[dict[str, Any]]:
    """A tree grown for each component set."""
    return [_grown(components, nodes, core) for components in (["full"], ["full", "swa"], ["full", "mamba"])]


def _grown(components: list[str], nodes: int, core: str) -> dict[str, Any]:
    live = _build("instant", components=tuple(components), device_tokens=nodes + 8, mamba_slots=nodes + 8, core=core)
    made = workload.grow(live, nodes)
    counted = None
    if not live.rust:
        stack, counted = [live.tree.root_node], -1
        while stack:
            counted += 1
            stack.extend(stack.pop().children.values())
    return {"made": made, "counted": counted, "complaints": drive.engine_sanity_check(live)}


def refusals() -> list[str]:
    """What one process refuses once a version is active in it."""
    told = []
    other = next(v for v in store.KNOWN_VERSIONS if v != shims.active())
    for attempt in (lambda: shims.activate(other), lambda: drive.key(_build(page_size=4), [1, 2])):
        try:
            attempt()
        except Exception as error:  # noqa: BLE001
            told.append(f"{type(error).__name__}: {error}")
    return told
