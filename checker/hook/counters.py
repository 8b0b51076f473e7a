"""Counters for scraping, in prometheus_client's registry where that is installed: engines serve theirs from it."""

from __future__ import annotations

import importlib
from collections import Counter
from functools import cache
from typing import Any


class Counters:
    """What one watcher counted; `values` has it where nothing scrapes."""

    def __init__(self) -> None:
        self._own: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._shared = _shared()

    def violation(self, rule: str) -> None:
        """A rule was violated."""
        self._own[f"violations {rule}"] += 1
        if self._shared is not None:
            self._shared["violations"].labels(rule=rule).inc()

    def count(self, what: str, by: int = 1) -> None:
        """One of: operations, nodes, walks, walks_given_up, checked, not_checked, dumps."""
        self._own[what] += by
        if self._shared is not None:
            self._shared[what].inc(by)

    def spent(self, part: str, seconds: float) -> None:
        """Time that the engine's thread spent here, in seconds."""
        self._seconds[part] += seconds  # type: ignore[assignment]
        if self._shared is not None:
            self._shared["seconds"].labels(part=part).inc(seconds)

    def values(self) -> dict[str, float]:
        """All of them by name."""
        return {**self._own, **{f"seconds {part}": s for part, s in self._seconds.items()}}


@cache  # a registry takes each name once
def _shared() -> dict[str, Any] | None:
    try:
        client = importlib.import_module("prometheus_client")
    except ImportError:
        return None
    texts = {
        "operations": "Operations on slots that were checked",
        "nodes": "Nodes that were judged after an operation that touched them",
        "walks": "Full walks that came to their end",
        "walks_given_up": "Full walks that a change of the tree ended",
        "checked": "Checks that a full walk judged",
        "not_checked": "Checks that a full walk left out",
        "dumps": "Dumps written",
    }
    made = {name: client.Counter(f"sanitree_{name}", text) for name, text in texts.items()}
    made["violations"] = client.Counter("sanitree_violations", "Violations found", ["rule"])
    made["seconds"] = client.Counter("sanitree_seconds", "Time spent on the engine's thread", ["part"])
    return made
