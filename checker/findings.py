"""What a backend finds: for each check, the instances that are violated and how many were judged."""

from __future__ import annotations

from dataclasses import dataclass

from sanitree.invariants.rules import Check


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome on one state.

    violated: rows (of the check's scope) where the rule is known not to hold.
    checked, unchecked: instances judged, and instances that the unknown decided.
    observed: False where the scope itself was not observed, as a tree whose
    requests nobody could see.
    """

    check: Check
    violated: tuple[int, ...]
    checked: int
    unchecked: int
    observed: bool = True
