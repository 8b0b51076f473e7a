"""Methods of live objects, heard and given back as they were."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import ismethod
from types import FrameType
from typing import Any
from weakref import WeakValueDictionary

Heard = Callable[..., Any]

_MISSING = object()

_OURS: WeakValueDictionary[int, Any] = WeakValueDictionary()
"""The methods that those who hear them keep, by identity: bound methods are equal that are not the same."""


class Wrapped:
    """Methods that were replaced on single objects; `undo` puts back what was there."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []
        self._new: dict[tuple[int, str], Heard] = {}

    def hear(self, owner: Any, name: str, make: Callable[[Heard], Heard]) -> bool:
        """Replaces a method by what `make` makes of it; False where the object has none of that name."""
        method = getattr(owner, name, None)
        if method is None:
            return False
        heard = wraps(method)(make(method))
        self._replace(owner, name, heard)
        self._new[id(owner), name] = heard
        _OURS[id(method)] = method
        return True

    def rebind(self, owner: Any) -> list[str]:
        """Replaces an object's methods also where somebody has kept one, bound, before it was heard.

        Components keep `allocator.free` as theirs. Returns who keeps one where it cannot be replaced.
        """
        with _thawed():
            return self._rebind(owner)

    def _rebind(self, owner: Any) -> list[str]:
        left = []
        for kept in gc.get_referrers(owner):
            if not ismethod(kept) or kept.__self__ is not owner or _OURS.get(id(kept)) is kept:
                continue
            heard = self._new.get((id(owner), kept.__name__))
            if heard is None:
                continue
            for holder in gc.get_referrers(kept):
                names = [] if isinstance(holder, FrameType) else _names_in(holder, kept)
                for name in names:
                    self._replace(holder, name, heard)
                if not names and not isinstance(holder, FrameType | list):
                    left.append(f"{type(holder).__name__} keeps {kept.__qualname__}")
        return left

    def undo(self) -> None:
        """Gives all of them back."""
        for owner, name, before in reversed(self._before):
            if isinstance(owner, dict):
                owner[name] = before
            elif before is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
        self._before.clear()

    def _replace(self, owner: Any, name: str, heard: Heard) -> None:
        if isinstance(owner, dict):
            self._before.append((owner, name, owner[name]))
            owner[name] = heard
        else:
            self._before.append((owner, name, vars(owner).get(name, _MISSING)))
            setattr(owner, name, heard)


@contextmanager
def _thawed() -> Iterator[None]:
    """Has Python's collector see what was frozen, which a server does to all that it has when it is warm.

    Nobody finds out who refers to an object from among what is frozen.
    """
    frozen = gc.get_freeze_count() > 0
    if frozen:
        gc.collect()  # else what is garbage by now would be frozen too, and stay
        gc.unfreeze()
    try:
        yield
    finally:
        if frozen:
            gc.freeze()


def _names_in(holder: Any, kept: Any) -> list[str]:
    """Under which names an object, or the dictionary of one, keeps something."""
    entries = holder if isinstance(holder, dict) else getattr(holder, "__dict__", {})
    return [name for name, value in entries.items() if value is kept]
