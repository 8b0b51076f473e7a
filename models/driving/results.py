"""What came of an operation, in words that are the same whatever is driven."""

from __future__ import annotations

from collections.abc import Mapping


def refusal(component: str, wanted: int) -> str:
    """There was no room for so many slots of a component."""
    return f"refused: no room for {wanted} {component}"


def amounts(slots: Mapping[str, int]) -> str:
    """Slots by component; those of which there are none are left out."""
    return ", ".join(f"{count} {component}" for component, count in slots.items() if count) or "none"
