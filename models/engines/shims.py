"""Everything that makes a fetched engine run without a GPU, in one place.

`activate` applies it, and refuses wherever it could reach somebody's real engine: on a
machine with CUDA, where sglang is installed, or where it is already imported. What an
engine would run on the GPU here is either absent (stubs that no cache code calls) or
replaced by the same copy in torch (`copies`).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import os
import sys
import types
import warnings
from collections.abc import Callable, MutableSequence, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any, ClassVar
from unittest.mock import MagicMock

from sanitree.models.engines import deps, store
from sanitree.models.engines.copies import KERNELS
from sanitree.models.engines.errors import EngineRefused

# Kernels, media and tokenizers: imported by engines at module level, never called by the cache.
_ALWAYS_STUBBED = (
    "compressed_tensors",
    "decord",
    "flashinfer",
    "gguf",
    "kernels",
    "partial_json_parser",
    "sentencepiece",
    "sgl_kernel",
    "torchao",
    "torchaudio",
    "torchvision",
    "triton",
)
# The same, but what is installed is used.
_STUBBED_IF_ABSENT = (
    "IPython",
    "interegular",
    "llguidance",
    "numba",
    "opentelemetry",
    "outlines",
    "rich",
    "setproctitle",
    "uvicorn",
    "uvloop",
)

_active: str | None = None


def active() -> str | None:
    """The version that runs in this process, if any."""
    return _active


def activate(version: str) -> None:
    """Makes `import sglang` mean the fetched `version`, for the rest of this process.

    Raises `EngineRefused` where shims do not belong or another version is active, and
    `EngineMissing` where the engine or its dependencies are not fetched.
    """
    global _active
    if _active == version:
        return
    if _active is not None:
        raise EngineRefused(f"sglang {_active} runs in this process; {version} needs one of its own")
    install = store.find(version)
    dependencies = deps.find()
    _refuse_real_engines()
    # The cache folders come first: `deps` says why.
    sys.path[:0] = [str(install.path), str(dependencies)]
    importlib.invalidate_caches()
    _silence()
    absent = [name for name in _STUBBED_IF_ABSENT if importlib.util.find_spec(name) is None]
    sys.meta_path.insert(0, _StubFinder({*_ALWAYS_STUBBED, *absent}))
    _allow_registering_twice()
    _active = version


def _refuse_real_engines() -> None:
    import torch

    if torch.cuda.is_available():
        raise EngineRefused("this machine has a GPU: shims are for a fetched engine on a CPU")
    if "sglang" in sys.modules:
        raise EngineRefused("sglang is already imported in this process")
    if importlib.util.find_spec("sglang") is not None:
        raise EngineRefused("sglang is installed in this environment: shims would reach into it")


def _silence() -> None:
    """Engines log at import and at every step, and warn about the hardware they miss."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class _Stub(types.ModuleType):
    """A package that is not there: any attribute exists and does nothing."""

    __path__: ClassVar[MutableSequence[str]] = []  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = _triton(self, name) if self.__name__.split(".")[0] == "triton" else MagicMock(name=name)
        setattr(self, name, value)
        return value


def _triton(stub: types.ModuleType, name: str) -> Any:
    """Triton is used while modules load: as decorators, as base classes, for its target."""
    if name in ("jit", "autotune", "heuristics", "constexpr_function"):
        return _decorator
    if name[0].isupper():
        return type(name, (), {"__init__": lambda self, *args, **kwargs: None})
    if name == "runtime" and stub.__name__ == "triton":
        return importlib.import_module("triton.runtime")
    target = types.SimpleNamespace(backend="cpu", arch=0, warp_size=32)
    if name == "driver":
        return types.SimpleNamespace(active=types.SimpleNamespace(get_current_target=lambda: target))
    if name == "get_current_target":
        return lambda: target
    return MagicMock(name=f"{stub.__name__}.{name}")


def _decorator(*args: Any, **options: Any) -> Any:
    """Returns the decorated function as it was, with or without options."""
    if len(args) == 1 and callable(args[0]) and not options:
        return args[0]
    return lambda function: function


class _StubFinder(MetaPathFinder, Loader):
    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".")[0] not in self._names:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return _Stub(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__version__ = "0.0.0"  # type: ignore[attr-defined]


def _allow_registering_twice() -> None:
    """Engines register model types that a transformers newer than their pin already has."""
    for module, name in (
        ("configuration_auto", "_LazyConfigMapping"),
        ("auto_factory", "_LazyAutoMapping"),
    ):
        mapping = getattr(importlib.import_module(f"transformers.models.auto.{module}"), name)
        mapping.register = _forgiving(mapping.register)


def _forgiving(register: Callable[..., Any]) -> Callable[..., Any]:
    def again(self: Any, key: Any, value: Any, exist_ok: bool = False) -> Any:
        return register(self, key, value, exist_ok=True)

    return again


_bound: set[str] = set()
_looked_at = 0


def bind_host_pools() -> None:
    """Gives the engine's loaded host-pool modules the copies in torch, and plain memory.

    To be called once they are imported: they look the kernels up among their own names.
    """
    global _looked_at
    if len(sys.modules) == _looked_at:
        return  # nothing was imported since; there are tens of thousands
    _looked_at = len(sys.modules)
    for name, module in list(sys.modules.items()):
        if not name.startswith("sglang.srt.mem_cache.") or "pool_host" not in name:
            continue
        if name in _bound:
            continue
        _bound.add(name)
        for kernel, copy in KERNELS.items():
            setattr(module, kernel, copy)
        if hasattr(module, "HICACHE_HOST_MEMORY_RESERVE_BYTES"):
            module.HICACHE_HOST_MEMORY_RESERVE_BYTES = 0  # type: ignore[attr-defined]
        for cls in list(vars(module).values()):
            if isinstance(cls, type) and cls.__module__ == name and "__init__" in vars(cls):
                _unpin(cls)


def _unpin(cls: Any) -> None:
    """Pinned memory needs a GPU driver: the pool allocates without it."""
    init = cls.__init__
    signature = inspect.signature(init)
    if "pin_memory" not in signature.parameters or hasattr(init, "unpinned"):
        return

    def unpinned(self: Any, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.arguments["pin_memory"] = False
        init(*bound.args, **bound.kwargs)

    unpinned.unpinned = True  # type: ignore[attr-defined]
    cls.__init__ = unpinned
