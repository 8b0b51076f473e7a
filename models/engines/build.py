"""A live cache of a fetched engine: pools, allocators, tree, host tier, controller.

Built as the engine's scheduler builds them, at sizes that a test can read. Argument names
come and go between versions: each constructor is given what it accepts of one set of
keywords. An engine keeps its server arguments in a global, so the engine built last in a
process sets them for all.
"""

from __future__ import annotations

import atexit
import importlib
import inspect
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache as cached
from types import SimpleNamespace
from typing import Any, Literal

import torch

from sanitree.models.engines import copies, shims, store
from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.slots import Slots

Component = Literal["full", "swa", "mamba"]
Policy = Literal["write_through", "write_through_selective", "write_back"]
Core = Literal["python", "rust"]

COMPONENTS: tuple[Component, ...] = ("full", "swa", "mamba")
POLICIES: tuple[Policy, ...] = ("write_through", "write_through_selective", "write_back")
FIRST_RUST = "0.5.19"

_CORE_VARIABLE = "SGLANG_UNIFIED_RADIX_TREE_CORE_BACKEND"
_DTYPE = torch.bfloat16
_CONTEXT = 1024  # tokens of a request's row in the request table


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """What to build. Sizes are in tokens, except `mamba_slots` (states) and `window`
    (tokens of attention that a sliding-window layer sees)."""

    policy: Policy = "write_through"
    components: tuple[Component, ...] = ("full",)
    page_size: int = 1
    core: Core | None = None
    """The tree's implementation; None is the version's own default."""
    device_tokens: int = 96
    host_ratio: float = 1.5
    """Host slots for each device slot, in every pool."""
    host_tier: bool = True
    """Without one there is no controller, no policy and no copy."""
    window: int = 4
    layers: int = 4
    mamba_slots: int = 24
    requests: int = 16
    heads: int = 1
    head_dim: int = 4

    def __post_init__(self) -> None:
        unknown = set(self.components) - set(COMPONENTS)
        if unknown or "full" not in self.components:
            raise EngineError(f"components are full, and swa or mamba: not {self.components}")
        if self.policy not in POLICIES:
            raise EngineError(f"no policy {self.policy!r}: one of {', '.join(POLICIES)}")
        if self.page_size < 1 or self.device_tokens % self.page_size:
            raise EngineError(f"{self.device_tokens} device tokens are not whole pages of {self.page_size}")
        if self.layers < 2:
            raise EngineError("two layers are the least: one of full attention, one of the other kind")

    @property
    def full_layers(self) -> tuple[int, ...]:
        """The layers with full attention: every second one where there is another kind."""
        if self.components == ("full",):
            return tuple(range(self.layers))
        return tuple(range(1, self.layers, 2))

    @property
    def other_layers(self) -> tuple[int, ...]:
        return tuple(set(range(self.layers)) - set(self.full_layers))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "components": list(self.components)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> EngineConfig:
        return cls(**{**data, "components": tuple(data["components"])})


@dataclass(frozen=True, slots=True, eq=False)
class LiveEngine:
    """One live cache and what it stands on. The fields typed Any are the engine's own
    objects; `names` holds its classes, found where this version keeps them."""

    version: str
    config: EngineConfig
    cache: Any
    tree: Any
    """Owner of the tree's state: the cache itself, later its `tree_core`."""
    rust: bool
    allocator: Any
    full_allocator: Any
    swa_allocator: Any | None
    mamba_allocator: Any | None
    req_to_token_pool: Any
    device_pools: dict[Component, Any]
    """Device KV or state buffers, by component."""
    host_pools: dict[Component, Any]
    """Host pools by component; empty without a host tier."""
    controller: Any | None
    copies: copies.CopyQueue
    slots: Slots
    """Where requests get their slots."""
    requests: list[Any]
    """The requests that hold a lock now (`serving.Request`), oldest first."""
    locks: dict[int, Any]
    """The locks that no transfer holds (`drive.Lock`) by number, oldest first: those of requests, and others."""
    prefetches: list[Any]
    """What is being fetched from storage (`prefetch.Prefetch`), oldest first."""
    names: SimpleNamespace

    @property
    def page_size(self) -> int:
        return self.config.page_size

    def has(self, component: Component) -> bool:
        return component in self.config.components


def build(
    version: str, config: EngineConfig | None = None, mode: copies.Mode = "instant", group: Any = None
) -> LiveEngine:
    """A new cache of `version`, which becomes this process's engine if none is yet.

    group: of `torch.distributed`, or what stands there (`groups.TorchGroup`), where the cache is one rank's of several.
    Raises `EngineRefused` and `EngineMissing` as `shims.activate`, `EngineError` for a
    core that this version lacks.
    """
    config = config or EngineConfig()
    if config.core == "rust" and not store.at_least(version, FIRST_RUST):
        raise EngineError(f"sglang {version} has no Rust core: the first is {FIRST_RUST}")
    if config.core == "python" and not store.at_least(version, FIRST_RUST):
        config = replace(config, core=None)  # there is only the one
    shims.activate(version)
    _choose_core(config.core)
    names = _names()
    arguments = _server_arguments(config)
    requests, pool, allocator = _pools(config, names)
    parameters = _call(
        names.CacheInitParams,
        disable=False,
        req_to_token_pool=requests,
        token_to_kv_pool_allocator=allocator,
        page_size=config.page_size,
        tree_components=tuple(getattr(names.ComponentType, c.upper()) for c in config.components),
        sliding_window_size=config.window if "swa" in config.components else None,
        enable_mamba_extra_buffer="mamba" in config.components and config.page_size > 1,
        tree_core_backend=config.core,
        tp_cache_group=group,
    )
    cache = names.UnifiedRadixCache(params=parameters)
    tree = getattr(cache, "tree_core", cache)
    states = _mamba_allocator(config, requests)
    queue = copies.CopyQueue(mode)
    if config.host_tier:
        _add_host_tier(cache, arguments, parameters)
        copies.attach(cache.cache_controller, queue)
    host_pools = _host_pools(cache) if config.host_tier else {}
    return LiveEngine(
        version=version,
        config=config,
        cache=cache,
        tree=tree,
        rust="Rust" in type(tree).__name__,
        allocator=allocator,
        full_allocator=getattr(allocator, "full_attn_allocator", allocator),
        swa_allocator=getattr(allocator, "swa_attn_allocator", None),
        mamba_allocator=states,
        req_to_token_pool=requests,
        device_pools=_device_pools(config, requests, pool),
        host_pools=host_pools,
        controller=cache.cache_controller if config.host_tier else None,
        copies=queue,
        slots=Slots(allocator, config.page_size, states, host_pools.get("full")),
        requests=[],
        locks={},
        prefetches=[],
        names=names,
    )


def _choose_core(core: Core | None) -> None:
    if core is None:
        os.environ.pop(_CORE_VARIABLE, None)
    else:
        os.environ[_CORE_VARIABLE] = core


def _names() -> SimpleNamespace:
    """The engine's classes, each from the first place that has it."""
    memory = "sglang.srt.mem_cache."
    places = {
        "UnifiedRadixCache": ["unified_radix_cache"],
        "ComponentType": ["unified_radix_cache"],
        "CacheInitParams": ["cache_init_params"],
        "RadixKey": ["radix_cache"],
        "MatchPrefixParams": ["base_prefix_cache"],
        "InsertParams": ["base_prefix_cache"],
        "EvictParams": ["base_prefix_cache"],
        "DecLockRefParams": ["base_prefix_cache"],
        "ReqToTokenPool": ["memory_pool"],
        "HybridReqToTokenPool": ["memory_pool"],
        "MHATokenToKVPool": ["memory_pool"],
        "HybridLinearKVPool": ["memory_pool"],
        "SWAKVPool": ["swa_memory_pool"],
        "TokenToKVPoolAllocator": ["allocator", "allocator.token"],
        "PagedTokenToKVPoolAllocator": ["allocator", "allocator.paged"],
        "SWATokenToKVPoolAllocator": ["allocator.swa", "swa_memory_pool"],
    }
    return SimpleNamespace(
        **{name: _import(name, [memory + module for module in modules]) for name, modules in places.items()}
    )


def _import(name: str, modules: list[str]) -> Any:
    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)
        except (ModuleNotFoundError, AttributeError) as error:
            failure = error
    raise EngineError(f"this engine has no {name} in {' or '.join(modules)}: {failure}")


def _call(function: Callable[..., Any], **keywords: Any) -> Any:
    """Calls `function` with those of `keywords` that this version of it names."""
    accepted = _parameters(function)
    return function(**{name: value for name, value in keywords.items() if name in accepted})


@cached
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def _server_arguments(config: EngineConfig) -> Any:
    module = importlib.import_module("sglang.srt.server_args")
    wanted = {
        "model_path": "dummy",
        "device": "cpu",
        "page_size": config.page_size,
        "hicache_io_backend": "direct",
        "hicache_write_policy": config.policy,
        "hicache_ratio": config.host_ratio,
        "hicache_mem_layout": "page_first_direct" if "mamba" in config.components else "layer_first",
    }
    if _published and _published[-1][0] == wanted:
        return _published[-1][1]
    arguments = _call(module.ServerArgs, **wanted)
    # Its validation knows no CPU with a host tier, and chooses other values.
    for name, value in wanted.items():
        if getattr(arguments, name, value) != value:
            object.__setattr__(arguments, name, value)
    # Else it is looked up in the model's configuration, on the network.
    arguments._mamba_cache_chunk_size = max(64, config.page_size)
    module.set_global_server_args_for_scheduler(arguments)
    _published[:] = [(wanted, arguments)]
    return arguments


_published: list[tuple[dict[str, Any], Any]] = []
"""What the engine's global holds now, and what was wanted of it."""


def _pools(config: EngineConfig, names: SimpleNamespace) -> tuple[Any, Any, Any]:
    """The request table, the device KV pool and its allocator."""
    size, page = config.device_tokens, config.page_size
    common = {"device": "cpu", "enable_memory_saver": False}
    table = {**common, "size": config.requests, "max_context_len": _CONTEXT}
    memory = {
        **common,
        "size": size,
        "page_size": page,
        "dtype": _DTYPE,
        "head_num": config.heads,
        "head_dim": config.head_dim,
        "enable_kvcache_transpose": False,
    }
    requests = (
        _mamba_table(config, names, table) if "mamba" in config.components else _call(names.ReqToTokenPool, **table)
    )
    allocation = {**common, "size": size, "page_size": page, "dtype": _DTYPE, "need_sort": False}
    if "swa" in config.components:
        # Its constructor passes unknown keywords on to the pools inside: only what it names.
        pool = _call(
            names.SWAKVPool,
            **memory,
            size_swa=size,
            swa_attention_layer_ids=list(config.other_layers),
            full_attention_layer_ids=list(config.full_layers),
        )
        return requests, pool, _call(names.SWATokenToKVPoolAllocator, **allocation, size_swa=size, kvcache=pool)
    if "mamba" in config.components:
        pool = _call(
            names.HybridLinearKVPool,
            **memory,
            full_attention_layer_ids=list(config.full_layers),
            mamba_pool=requests.mamba_pool,
        )
    else:
        pool = _call(names.MHATokenToKVPool, **memory, layer_num=config.layers)
    allocator = names.PagedTokenToKVPoolAllocator if page > 1 else names.TokenToKVPoolAllocator
    return requests, pool, _call(allocator, **allocation, kvcache=pool)


def _mamba_table(config: EngineConfig, names: SimpleNamespace, table: dict[str, Any]) -> Any:
    os.environ["SGLANG_MAMBA_SSM_DTYPE"] = "bfloat16"
    module = importlib.import_module("sglang.srt.configs.mamba_utils")
    shape = module.Mamba2StateShape.create(
        tp_world_size=1, intermediate_size=8, n_groups=1, num_heads=2, head_dim=4, state_size=4, conv_kernel=4
    )
    layers = list(config.other_layers)
    return _call(
        names.HybridReqToTokenPool,
        **table,
        mamba_size=config.mamba_slots,
        mamba_spec_state_size=config.requests,
        cache_params=module.Mamba2CacheParams(shape=shape, layers=layers),
        mamba_layer_ids=layers,
        enable_mamba_extra_buffer=config.page_size > 1,
        # Any number makes older versions allocate on a CUDA device.
        speculative_num_draft_tokens=None,
    )


def _add_host_tier(cache: Any, arguments: Any, parameters: Any) -> None:
    importlib.import_module("sglang.srt.mem_cache.hybrid_cache.hybrid_pool_assembler")
    shims.bind_host_pools()
    cache.init_hicache(arguments, parameters)
    # By default a load of fewer than 256 tokens is not worth its while. With 0, up to
    # 0.5.17 or so an empty load counts as one, and takes its ack's place.
    cache.load_back_threshold = 1
    if hasattr(cache, "shutdown"):
        atexit.unregister(cache.shutdown)


def _mamba_allocator(config: EngineConfig, requests: Any) -> Any | None:
    if "mamba" not in config.components:
        return None
    return getattr(requests, "mamba_allocator", None) or requests.mamba_pool


def _device_pools(config: EngineConfig, requests: Any, pool: Any) -> dict[Component, Any]:
    pools: dict[Component, Any] = {"full": getattr(pool, "full_kv_pool", pool)}
    if "swa" in config.components:
        pools["swa"] = pool.swa_kv_pool
    if "mamba" in config.components:
        pools["mamba"] = requests.mamba_pool
    return pools


def _host_pools(cache: Any) -> dict[Component, Any]:
    group = cache.host_pool_group
    if not hasattr(group, "entries"):
        return {"full": group}
    by_name = {"kv": "full", "swa": "swa", "mamba": "mamba"}
    return {by_name[str(entry.name.value)]: entry.host_pool for entry in group.entries}  # type: ignore[misc]
