"""A whole hunt: processes that search, what they find put together, confirmed and told once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from sanitree.checker.cores import cores
from sanitree.checker.hunt.confirm import Confirmed
from sanitree.checker.hunt.processes import confirmations, searches
from sanitree.checker.hunt.search import Event, Failed, Progress, Sighted, Task
from sanitree.checker.hunt.shrink import measure
from sanitree.checker.hunt.wrong import Sighting, Wrong
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import Found, Trace


@dataclass(frozen=True, slots=True)
class Finding:
    """What a hunt has found, once.

    sighting: the shortest that was come to. after: operations of its process until it was
    first seen, in `length` operations on one cache. also: what else went wrong with it and was
    taken for the same thing. confirmed: what came of it in a fresh process; None where nobody
    looked.
    """

    sighting: Sighting
    after: int
    seconds: float
    length: int
    also: tuple[Wrong, ...] = ()
    confirmed: Confirmed | None = None

    @property
    def wrong(self) -> Wrong:
        return self.sighting.wrong

    @property
    def is_confirmed(self) -> bool:
        """Whether the same went wrong in a fresh process."""
        again = None if self.confirmed is None else self.confirmed.wrong
        return again is not None and again.shows(self.wrong)

    def trace(self, on: str) -> Trace:
        """As a file has it."""
        w, results = self.wrong, () if self.confirmed is None else self.confirmed.results
        found = Found(w.kind.value, w.names, w.place, w.call, w.text)
        return Trace.of(self.sighting.setup, self.sighting.operations, results, on, found)


@dataclass(slots=True)
class Hunt:
    """What is known of a hunt so far, and at its end. failures: of processes of ours. interrupted: by a person."""

    on: str
    setup: Setup
    sighted: list[Sighted] = field(default_factory=list)
    progress: dict[int, Progress] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    findings: tuple[Finding, ...] = ()
    interrupted: bool = False

    @property
    def operations(self) -> Counter[str]:
        """Done by all processes, of each kind; those of shrinking are not counted."""
        return sum((Counter(p.operations) for p in self.progress.values()), Counter())

    @property
    def seconds(self) -> float:
        """Of the process that searched longest."""
        return max((p.seconds for p in self.progress.values()), default=0.0)

    @property
    def states(self) -> int:
        """Different ones that were met; two processes may have met the same."""
        return sum(p.states for p in self.progress.values())

    @property
    def followed(self) -> tuple[Counter[str], Counter[str], Counter[str]] | None:
        """Calls that the page model followed, its actions then, and accepted differences; None without lockstep."""
        told = [p.followed for p in self.progress.values() if p.followed is not None]
        parts = [(f.calls, f.took, f.accepted) for f in told]
        if not told:
            return None
        calls, took, accepted = (sum((Counter(x) for x in part), Counter()) for part in zip(*parts, strict=True))
        return calls, took, accepted

    @property
    def depth(self) -> int:
        """Moves from an empty cache within which everything was tried."""
        return max((p.depth for p in self.progress.values()), default=0)

    def hear(self, number: int, event: Event) -> None:
        """Enters what a process has told."""
        match event:
            case Progress():
                self.progress[number] = event
            case Sighted():
                self.sighted.append(event)
            case Failed():
                self.failures.append(event.why)


def hunt(
    on: str,
    setup: Setup,
    seconds: float,
    seed: int = 0,
    jobs: int | None = None,
    tell: Callable[[Hunt], None] = lambda _: None,
    lockstep: bool = False,
) -> Hunt:
    """Searches for so many seconds in so many processes (as many as there are cores), then confirms.

    With `lockstep` the page model follows every call that is judged. `tell` hears after each event. Ctrl-C ends the
    search, and what was found so far is confirmed.
    """
    now = Hunt(on, setup)
    count = jobs or cores()
    # Every process guesses on its own; one of them is thorough too.
    # The reference cache's own check is ours again, and says more only where a fault is planted in it.
    own_check = on != "reference" or setup.fault is not None
    tasks = [
        Task(on, setup, seed * 1000 + i, seconds, share=0.0 if i else 0.15, own_check=own_check, lockstep=lockstep)
        for i in range(count)
    ]
    events = searches(tasks)
    try:
        for number, event in events:
            now.hear(number, event)
            tell(now)
    except KeyboardInterrupt:
        now.interrupted = True
    finally:
        events.close()
    now.findings = together(now.sighted)
    if now.findings:
        told = confirmations(on, [f.sighting for f in now.findings])
        now.findings = tuple(_confirmed(f, c) for f, c in zip(now.findings, told, strict=True))
    return now


def _confirmed(finding: Finding, told: Confirmed | Failed) -> Finding:
    return finding if isinstance(told, Failed) else replace(finding, confirmed=told)


def together(sighted: Iterable[Sighted]) -> tuple[Finding, ...]:
    """One finding of each thing: the shortest, and beside it what else went wrong in other runs of the same."""
    kept: list[Finding] = []
    for s in sorted(sighted, key=lambda s: measure(s.shrunk)):
        new = Finding(s.shrunk, s.after, s.seconds, len(s.first.operations))
        same = next((i for i, f in enumerate(kept) if _is_one(f, s)), None)
        if same is None:
            kept.append(new)
        else:
            kept[same] = _joined(kept[same], new)
    return tuple(sorted(kept, key=lambda f: f.after))


def _is_one(f: Finding, s: Sighted) -> bool:
    """Whether a sighting is of a finding: the same thing, or one that the finding's own rule is violated with."""
    return s.shrunk.wrong.shows(f.wrong) or s.first.wrong.key == f.wrong.key


def _joined(f: Finding, other: Finding) -> Finding:
    first = min((f, other), key=lambda x: x.seconds)
    also = f.also if other.wrong.key in {f.wrong.key, *(w.key for w in f.also)} else (*f.also, other.wrong)
    return replace(f, after=first.after, seconds=first.seconds, length=first.length, also=also)


def names_of(wrongs: Sequence[Wrong]) -> tuple[str, ...]:
    """What some things that went wrong are called, each once."""
    return tuple(dict.fromkeys(name for w in wrongs for name in w.names))
