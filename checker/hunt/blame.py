"""Where an exception came from: the cache, the driver, or ourselves."""

from __future__ import annotations

from pathlib import PurePath
from traceback import walk_tb
from types import CodeType

_OURS = ("checker", "models/observe.py", "models/snapshot", "models/step.py", "models/reading.py", "models/privacy.py")
_HEARS = "calls.py"
"""Stands around every call on a cache: what comes through it is not its own."""
_LOOKS = ("observe.py", "watched.py", "view.py", "python_core.py", "rust_core.py", "rust_listing.py")
_ROOT = PurePath(__file__).parents[2]


def place_of(error: BaseException) -> str | None:
    """The deepest place in the cache's own code that an exception came through, as "file.py: Class.function".

    Else the deepest in what drives it, which has its own expectations of what a cache
    answers; None where it came out of a checker, or out of what looks at a cache: then
    the mistake is ours.
    """
    codes = [frame.f_code for frame, _ in walk_tb(error.__traceback__)]
    driver = None
    for depth, code in enumerate(reversed(codes)):
        path = PurePath(code.co_filename)
        if path.name == _HEARS and _is_in(path, "models"):
            if not depth:
                return None
            continue
        if "sglang" in path.parts or (_is_in(path, "models/reference") and path.name not in _LOOKS):
            return _named(path, code)
        if any(_is_in(path, ours) for ours in _OURS) or (_is_in(path, "models") and path.name in _LOOKS):
            return None
        if driver is None and (_is_in(path, "models/engines") or _is_in(path, "models/driving")):
            driver = _named(path, code)
    return driver


def _named(path: PurePath, code: CodeType) -> str:
    return f"{path.name}: {code.co_qualname}"


def _is_in(path: PurePath, part: str) -> bool:
    return path.is_relative_to(_ROOT / part)
