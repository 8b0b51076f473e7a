"""A method that goes wrong now and then."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any


def sometimes(owner: Any, name: str, wrong: Callable[..., Any], every: int = 7) -> None:
    """Replaces a method by `wrong(method, *args)` at every so manieth call."""
    method, times = getattr(owner, name), itertools.count(1)

    def called(*args: Any, **more: Any) -> Any:
        if next(times) % every:
            return method(*args, **more)
        return wrong(method, *args, **more)

    setattr(owner, name, called)
