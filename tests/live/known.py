"""What real engines really do wrong: findings, as data. Each has a test that reproduces it in `test_findings.py`."""

from __future__ import annotations

from dataclasses import dataclass

from sanitree.models.engines import store
from tests.live.judge import Case


@dataclass(frozen=True, slots=True)
class Known:
    """A finding: in which versions (first, and first without it), under which configurations,
    the rules that report it, and where in the engine it is."""

    name: str
    first: str
    fixed: str | None
    policies: tuple[str, ...]
    components: tuple[tuple[str, ...], ...]
    rules: frozenset[str]
    where: str
    what: str

    def covers(self, case: Case) -> bool:
        """Whether a cell of the matrix may show it."""
        return (
            store.at_least(case.version, self.first)
            and not (self.fixed and store.at_least(case.version, self.fixed))
            and case.policy in self.policies
            and case.components in self.components
        )


KNOWN: tuple[Known, ...] = ()


def known_rules(case: Case) -> frozenset[str]:
    """The rules that known findings may violate in a cell."""
    return frozenset().union(*(k.rules for k in KNOWN if k.covers(case)))
