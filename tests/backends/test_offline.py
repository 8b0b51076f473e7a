"""A snapshot says the same after it went through networkx or a file, and less, never else, where it is veiled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from sanitree.checker.columns import Evaluator
from sanitree.checker.findings import Finding
from sanitree.models.engines.observe import snapshot
from sanitree.models.snapshot import Snapshot, decode, encode, from_networkx, read, to_networkx, write
from tests.backends import pokes
from tests.backends.standin import view
from tests.corrupt import corrupt, veil
from tests.drafts import Draft
from tests.legal import checks_of, legal
from tests.planted.faults import FAULTS
from tests.planted.plant import planted


def findings(s: Snapshot) -> list[Finding]:
    judge = Evaluator(s).judge
    return [judge(c) for c in checks_of(s.settings)]


def states() -> Iterator[Snapshot]:
    """Legal caches, each fault once, veiled wrecks, and live trees that are none."""
    for seed in range(10):
        yield legal(seed).snapshot()
    for fault in FAULTS:
        yield next(planted(fault, range(288))).draft.snapshot()
    for seed in range(15):
        rng = Random(seed)
        yield veil(corrupt(legal(seed), rng, 10), rng).snapshot()
    for seed in range(15):
        rng = Random(seed)
        v = view(legal(seed))
        rng.choice(pokes.IRREGULAR + pokes.REGULAR)(v, rng)
        yield snapshot(v)


def test_graphs_and_files_are_judged_as_what_they_were_made_from(tmp_path: Path) -> None:
    count = 0
    for i, s in enumerate(states()):
        expected = findings(s)
        assert findings(from_networkx(to_networkx(s))) == expected
        assert findings(decode(encode(s))) == expected, "tokens hashed"
        assert findings(decode(encode(s, tokens="raw", packed=True))) == expected
        if i % 20 == 0:
            path = tmp_path / f"{i}.json.gz"
            write(s, path)
            assert findings(read(path)) == expected
        count += any(f.violated for f in expected)
    assert count > 100


def less(known: Draft, rng: Random) -> Counter[str]:
    """Demands that what is veiled of a cache only makes answers unknown; how often it did."""
    whole, part = Evaluator(known.snapshot()), Evaluator(veil(known.copy(), rng).snapshot())
    outcome: Counter[str] = Counter()
    for c in checks_of(known.settings):
        before, after = whole.judge(c), part.judge(c)
        # A slot that only a list nobody observed names is no row any more: compared by number.
        names = whole.table(c).ids.tolist()
        if not after.observed:
            outcome["unobserved"] += 1
            continue
        again = part.table(c).ids.tolist()
        false = {names[r] for r in before.violated}
        assert {again[r] for r in after.violated} <= false, c.name
        assert after.checked - len(after.violated) <= before.checked - len(before.violated), c.name
        lost = [r for r, number in enumerate(again) if number in false and r not in after.violated]
        assert all(part.value_at(c.term, c, r) is None for r in lost), c.name
        outcome["violated"] += len(after.violated)
        outcome["veiled"] += len(lost)
        outcome["unchecked"] += after.unchecked
    return outcome


def test_the_unknown_never_changes_an_answer() -> None:
    seen: Counter[str] = Counter()
    for seed in range(60):
        rng = Random(seed)
        seen += less(corrupt(legal(seed), rng, rng.choice((0, 3, 30))), rng)
    for fault in FAULTS:
        seen += less(next(planted(fault, range(288))).draft, Random(fault.name))
    assert min(seen[k] for k in ("violated", "veiled", "unchecked", "unobserved")) > 20, seen


@pytest.mark.slow
def test_the_unknown_never_changes_an_answer_of_thousands() -> None:
    for seed in range(2000):
        rng = Random(seed)
        less(corrupt(legal(seed), rng, rng.choice((0, 3, 30))), rng)
