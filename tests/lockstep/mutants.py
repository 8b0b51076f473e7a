"""Models that are wrong on purpose, in one condition of one guard: is each told from the caches?

    python -m tests.lockstep.mutants [--on 0.5.23 reference] [--questions 3000] [--jobs 2] [--write]

Each condition of each guard is negated, and is left out. A negated one forbids what caches do: the mutant cannot follow
a call that the model follows. One that is left out allows more than the model, and no cache that the model follows
could give that away; so the cache is asked. Where the mutant allows an action and the model does not, and the action
would change something, an operation that a scheduler has is done which leads to it where it is allowed. The mutant is
told when no call of the cache came to what the action comes to, so often that one would have by 99 in 100, at the rate
at which they do where the model allows it.

A condition that can be left out without any reachable state in which that allows more, or without anything that would
change there, or where another action changes just the same, makes no difference, and is no mutant: the explorer looks
for such a state on a small tree. Of a release nothing can be asked, as nobody gives back a lock that he has not taken;
hits are the cache's to count. `--write` writes docs/lockstep-mutants.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path as File
from random import Random
from typing import Any

from sanitree.checker.blame.causes import conjuncts
from sanitree.checker.explore.results import Goal
from sanitree.checker.explore.search import search
from sanitree.checker.explore.transitions import transitions
from sanitree.checker.hunt.moves import Chooser, Style
from sanitree.checker.hunt.play import Play
from sanitree.checker.lockstep.follow import Follower
from sanitree.checker.lockstep.lockstep import explanation, model_of
from sanitree.checker.lockstep.model import Model
from sanitree.checker.lockstep.program import Doing, State, Trie, programs
from sanitree.checker.lockstep.shown import Path
from sanitree.checker.symbolic import E, compared, conj, const, disj, neg
from sanitree.invariants.plugins import component
from sanitree.invariants.sentences import sentence
from sanitree.invariants.terms import Apply, Op, Term, make
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, MAMBA, SWA, Component, Policy
from sanitree.models.driving.driver import Driver
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.operations import (
    BackUp,
    Copy,
    Evict,
    EvictHost,
    Finish,
    FinishPrefetch,
    LoadBack,
    Lock,
    Match,
    Operation,
    Poll,
    Prefetch,
    Prompt,
    Release,
    Start,
    Unlock,
)
from sanitree.models.driving.setup import Setup
from sanitree.models.engines.process import run_in_engine
from sanitree.models.protocol.pages import Pages, pages, words
from sanitree.models.protocol.pages.config import binary
from sanitree.models.protocol.pages.duplicates import duplicates
from sanitree.models.protocol.system import Action, System
from sanitree.models.snapshot import Key, Snapshot
from sanitree.models.step import Call

ROOT = File(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "lockstep-mutants.md"
SETS: tuple[tuple[Component, ...], ...] = ((FULL,), (FULL, SWA), (FULL, MAMBA))

NEGATED, LEFT_OUT = "negated", "left out"
TOLD, SAME, UNTOLD, UNDRIVEN = "told", "makes no difference", "not told", "not driven"

CONFIDENCE = 0.01
"""How likely it may be that a cache which does it has not done it."""
NOT_OURS = ("the number of it among the requests", "the number of it among the transfers", "n.hits")
"""In conditions that lockstep does not judge: the explorer's bounds, of which a live cache has none, and hits, which
are the cache's to count."""
HIDDEN = frozenset({"copy_write", "copy_load", "ack_write", "ack_load"})
"""Actions that depend on what nobody sees, whether bytes have arrived, and what the model loses where a difference is
accepted."""
UNASKED = frozenset({"release"})
"""Actions to which no operation leads where the model forbids them."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """action: as it is in the mutant. part: the condition, in words."""

    how: str
    part: str
    action: Action

    @property
    def name(self) -> str:
        return f"{self.action.name}: {self.part}"


def mutants(system: System) -> Iterator[Mutant]:
    """Every one of a model."""
    for a in system.actions:
        parts = conjuncts(a.guard)
        for i, part in enumerate(parts):
            said = sentence(part)
            if any(x in said for x in NOT_OURS):
                continue
            others = parts[:i] + parts[i + 1 :]
            yield Mutant(NEGATED, said, replace(a, guard=_all((*others, make(Apply, Op.NOT, (part,))))))
            if others:
                yield Mutant(LEFT_OUT, said, replace(a, guard=_all(others)))


def _all(parts: tuple[Term, ...]) -> Term:
    return parts[0] if len(parts) == 1 else make(Apply, Op.AND, parts)


def doing(system: System, m: Mutant) -> Doing:
    """The action of a mutant as functions."""
    return programs(replace(system, actions=(m.action,))).actions[m.action.name]


# What the cache does.


class Watched:
    """A cache with the model beside it. calls: with the state after each, as long as the model follows."""

    def __init__(self, driver: Driver) -> None:
        self.play = Play(driver, watched=False)
        self.driver = driver
        self.first = self._state()
        self.calls: list[tuple[Call, Snapshot]] = []
        self.follower = Follower(model_of(self.first, driver.setup))
        self.follower.restart(self.first)
        self.took: list[tuple[str, Path]] = []
        self.followed, self.pure = True, True
        self.wanted: tuple[Doing, Doing | None, Path] | None = None
        self.done = False
        self._open: list[Call] = []
        self.end = driver.listen(self.settle, self._open.append)

    def _state(self) -> Snapshot:
        return self.driver.subject(content=True).snapshot(None)

    def settle(self) -> None:
        """Follows the call that was heard last, if it was not followed yet."""
        if not self._open or not self.followed:
            return
        call, after = self._open.pop(), self._state()
        before, outcome = self.follower.at, self._outcome()
        told = self.follower.follow(call, after)
        if outcome is not None and self.wanted is not None:
            self.done |= outcome == self._of(self.wanted[0], self.follower.at.rows)
        self.took += told.took
        self.calls.append((call, after))
        if told.differences:
            self.pure = False
            self.followed = explanation(told, before, self.follower, after) is not None

    def _outcome(self) -> dict[Path, list[int]] | None:
        """What the next call would come to if it did what is wanted, in the variables that this assigns; whatever else
        it does, as back up what it has inserted."""
        if self.wanted is None:
            return None
        does, legal, path = self.wanted
        state, paths = self.follower.state([path[: i + 1] for i in range(len(path))])
        page = paths.index(path)
        if not does.allowed(state, page) or (legal is not None and legal.allowed(alone(state), page)):
            return None
        after = state.after(does.changes(state, page))
        return self._of(does, dict(zip(paths[1:], after.rows[1:], strict=True)))

    def sees_copies(self) -> bool:
        """Whether the model knows that no bytes of what is in flight have arrived."""
        transfers = (self.calls[-1][1] if self.calls else self.first).transfers
        return self.pure and transfers is not None and len(transfers) == self.play.books.flying

    def _of(self, does: Doing, rows: Mapping[Path, list[int]]) -> dict[Path, list[int]]:
        """The variables that an action assigns, and what is there; without hits, which are the cache's to count."""
        targets = {Key.of(t.field.name, t.component, t.tier) for t in (x.target for x in does.action.assigns)}  # type: ignore[arg-type]
        tiers = ["", DEVICE.value]
        if not does.action.name.startswith("insert"):  # what is inserted may be backed up by the same call
            tiers.append(HOST.value)
        targets |= {k for k in self.follower.places if k.name in ("cut", "present") and (k.tier or "") in tiers}
        places = [i for key, i in self.follower.places.items() if key in targets and key != words.HITS]
        plain = {path: [row[i] for i in places] for path, row in rows.items()}
        return {path: row for path, row in plain.items() if any(row)}

    def does(self, operations: Iterable[Operation], wanted: tuple[Doing, Doing | None, Path]) -> tuple[bool, bool]:
        """Whether a call of these operations comes to what an action of a page does, where its second form does not
        allow that; whether all is well."""
        self.settle()
        self.wanted, self.done = wanted, False
        going = self.do(operations)
        self.wanted = None
        return self.done, going

    def do(self, operations: Iterable[Operation]) -> bool:
        """Whether all is well, and followed."""
        going = self.play.follow(operations)
        self.settle()
        return going and self.followed


def parts_from(made: Model, first: Snapshot, calls: list[tuple[Call, Snapshot]]) -> bool:
    """Whether a model comes upon a call that it cannot follow and no accepted difference explains."""
    follower = Follower(made)
    follower.restart(first)
    for call, after in calls:
        before = follower.at
        told = follower.follow(call, after)
        if explanation(told, before, follower, after) is None:
            return True
    return False


def asking(action: str, prompt: Prompt, books: Any, aux: str) -> tuple[Operation, ...]:
    """Operations that lead to an action at the end of a prompt, where it is allowed."""
    request, lock = len(books.requests), len(books.locks)
    match action:
        case "split":
            return (Match(prompt),)
        case "insert":
            return (Start(prompt, False), Finish(request), Release(request))
        case "acquire":
            return (Lock(prompt), Unlock(lock))
        case "write_back" | "demote" | "drop":
            return (Evict(FULL.name, 1),)
        case "save_node":
            return (Evict(aux or FULL.name, 1),)
        case "evict_host" | "reclaim":
            return (EvictHost(FULL.name, 1),)
        case "submit_write":
            return (BackUp(prompt),)
        case "submit_load":
            return (LoadBack(prompt),)
        case "copy_write" | "copy_load":
            return (Copy(0),)
        case "ack_write" | "ack_load":
            return (Poll(),)
        case "prefetch":
            return (Prefetch(prompt), FinishPrefetch(request))
    if action.startswith("evict_copy_"):
        return (Evict(aux, 1),)
    if action.startswith("evict_host_copy_"):
        return (EvictHost(aux, 1),)
    return ()


@dataclass
class Asked:
    """How often things were asked for, and done.

    allowed, done: of each action, where the model allows it. asked, did: of each mutant, where it alone allows it.
    twins: of each mutant, how often another action, which is allowed, changes just the same. refused: of each action,
    how often it could not be asked for. questions: in all.
    """

    allowed: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    did: Counter[str] = field(default_factory=Counter)
    twins: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    questions: int = 0

    def driven(self, action: str) -> bool:
        """Whether some operation leads there in this kind of cache."""
        return action not in UNASKED and not (self.refused[action] > 5 and not self.allowed[action])

    def told(self, m: Mutant) -> bool:
        """Whether the cache would have done it by now."""
        name = m.action.name
        if not self.asked[m.name] or self.did[m.name] or not self.done[name]:
            return False
        return (1 - self.done[name] / (self.allowed[name] + 1)) ** self.asked[m.name] < CONFIDENCE


class Asker:
    """Asks one cache after another for what mutants alone allow."""

    def __init__(self, system: System, all_: Iterable[Mutant], setup: Setup, rng: Random) -> None:
        self.setup, self.rng, self.book = setup, rng, Asked()
        self.hits = next((i for i, v in enumerate(system.variables) if v.key == words.HITS), None)
        self.open = {m.name: (m, doing(system, m)) for m in all_ if m.how == LEFT_OUT and m.action.name not in UNASKED}
        self.actions = {a.name for a in system.actions} - UNASKED
        self.aux = next((c.name for c in setup.components if not c.backbone), "")

    def ask(self, w: Watched) -> bool:
        """One question, of the mutant that was asked for least of those that there is something to ask of."""
        self.book.questions += 1
        more = self._beside(w)
        state, paths = w.follower.state(more)
        legal = w.follower.model.programs.actions
        found: list[tuple[int, str, str, Path]] = []
        without, twins = alone(state), self._twins(state, legal)
        for name, (m, does) in self.open.items():
            if not self.book.driven(m.action.name) or (m.action.name in HIDDEN and not w.sees_copies()):
                continue
            own = legal[m.action.name]
            for page in self.rng.sample(range(1, len(paths)), len(paths) - 1):
                if not does.allowed(state, page) or own.allowed(without, page) or not self._changes(does, state, page):
                    continue
                if self._changes(does, state, page) in twins:
                    self.book.twins[name] += 1
                    continue
                found.append((self.book.asked[name], name, m.action.name, paths[page]))
                break
        if self.rng.random() < 0.3 or not found:
            return self._control(w, state, paths, legal)
        _, name, action, path = min(found, key=lambda x: x[0])
        done, going = self._does(w, action, (self.open[name][1], legal[action], path))
        if done is not None:
            self.book.asked[name] += 1
            self.book.did[name] += done
            if self.book.told(self.open[name][0]):
                del self.open[name]
        return going

    def _changes(self, does: Doing, state: State, page: int) -> frozenset[tuple[tuple[int, int], int]]:
        return _plainly(does, state, page, self.hits)

    def _twins(self, state: State, legal: Mapping[str, Doing]) -> set[frozenset[tuple[tuple[int, int], int]]]:
        """What the actions that the model allows would change."""
        pages_ = range(1, len(state.rows))
        return {self._changes(d, state, p) for d in legal.values() for p in pages_ if d.allowed(state, p)}

    def _control(self, w: Watched, state: State, paths: list[Path], legal: Mapping[str, Doing]) -> bool:
        able = [
            (self.book.allowed[n], n, paths[p])
            for n in self.actions
            if self.book.driven(n) and not (n in HIDDEN and not w.pure)
            for p in self.rng.sample(range(1, len(paths)), len(paths) - 1)
            if legal[n].allowed(state, p) and self._changes(legal[n], state, p)
        ]
        if not able:
            return True
        _, action, path = min(able, key=lambda x: x[0])
        done, going = self._does(w, action, (legal[action], None, path))
        if done is not None:
            self.book.allowed[action] += 1
            self.book.done[action] += done
        return going

    def _does(self, w: Watched, action: str, wanted: tuple[Doing, Doing | None, Path]) -> tuple[bool | None, bool]:
        """Whether the cache does an action when it is asked to, None where it cannot be asked; whether all is well."""
        prompt = tuple(page[0] // self.setup.page_size for page in wanted[2])
        operations = asking(action, prompt, w.play.books, self.aux)
        if not operations or not w.play.can(operations[0]):
            self.book.refused[action] += 1
            return None, True
        return w.does(operations, wanted)

    def _beside(self, w: Watched) -> list[Path]:
        """Pages that are not in the tree, one below the other, after a few that are, and after the root."""
        size = self.setup.page_size
        fresh = max((page[0] // size for path in w.follower.at.seen.pages for page in path), default=0)
        new = tuple((fresh + 1) * size + i for i in range(size))
        more = tuple((fresh + 2) * size + i for i in range(size))
        there = list(w.follower.at.seen.pages)
        ends: list[Path] = [(), *self.rng.sample(there, min(3, len(there)))]
        return [x for end in ends for x in ((*end, new), (*end, new, more))]


def _plainly(does: Doing, state: State, page: int, hits: int | None) -> frozenset[tuple[tuple[int, int], int]]:
    """What an action changes, without what it leaves as it is, and without hits, by their place."""
    changes = does.changes(state, page).items()
    return frozenset((at, n) for at, n in changes if at[1] != hits and state.rows[at[0]][at[1]] != n)


def alone(state: State) -> State:
    """As if nobody but the tree had slots: within a call those of a request become the tree's."""
    return State(Trie(state.trie.up, dict.fromkeys(state.trie.others, 0)), state.rows)


def tell(on: str, core: str | None, policy: str, components: list[str], questions: int) -> dict[str, Any]:
    """What comes of every mutant on one kind of cache, after so many questions at most; in the engine's process."""
    kinds = tuple(map(component, components))
    setup = Setup(
        policy=Policy(policy), components=kinds, device_pages=8, host_pages=5, states=4, window=2, core=core  # type: ignore[arg-type]
    )  # fmt: skip
    driver, rng, begun = open_driver(on, setup), Random(f"{policy} {components}"), time.monotonic()
    asker: Asker | None = None
    runs: list[Watched] = []
    often: Counter[str] = Counter()
    told: dict[str, str] = {}
    while asker is None or (asker.book.questions < questions and (asker.open or len(runs) < 6)):
        w = Watched(driver)
        made = w.follower.model
        if asker is None:
            every = list(mutants(made.system))
            asker = Asker(made.system, every, setup, rng)
        chooser = Chooser(rng, Style.eventful(setup) if rng.random() < 0.5 else Style.draw(rng, setup), setup)
        for _ in range(40):
            if not w.do(chooser.move(w.play.books)) or not asker.ask(w):
                break
        w.end()
        took = {name for name, _ in w.took}
        if w.followed and any(often[name] < 3 for name in took):
            runs.append(w)
            often.update(took)
    for m in every:
        if not asker.book.driven(m.action.name) and not often[m.action.name]:
            told[f"{m.how} {m.name}"] = UNDRIVEN
            continue
        if m.how == LEFT_OUT:
            b = asker.book
            told[f"{m.how} {m.name}"] = (
                TOLD if b.told(m) else SAME if b.twins[m.name] and not b.asked[m.name] else UNTOLD
            )
            continue
        does = doing(made.system, m)
        wrong = replace(made, programs=replace(made.programs, actions={**made.programs.actions, m.action.name: does}))
        met = [x for x in runs if any(name == m.action.name for name, _ in x.took)]
        found = any(parts_from(wrong, x.first, x.calls) for x in met)
        told[f"{m.how} {m.name}"] = TOLD if found else UNTOLD
    b = asker.book
    return {
        "on": on, "core": core, "policy": policy, "components": components, "told": told,
        "asked": dict(b.asked), "did": dict(b.did), "allowed": dict(b.allowed), "done": dict(b.done),
        "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip


# What makes no difference.


def indifferent(policy: Policy, components: tuple[Component, ...], wanted: set[str]) -> set[str]:
    """Of mutants that leave out a condition, by name: those that allow nothing more in any state of a small tree."""
    m = Pages(policy, components, binary(4), window=2)
    system = pages(m)
    if policy is Policy.WRITE_BACK:
        system = replace(system, actions=(*system.actions, *duplicates(m)))
    legal = {(x.action.name, x.node): x.guard for x in transitions(system).moves}
    goals = []
    for mutant in mutants(system):
        if mutant.how == LEFT_OUT and mutant.name in wanted:
            goals.append(Goal(mutant.name, _more(system, mutant, legal)))
    found = search(transitions(system), goals=goals, cores=1).goals
    return {g.name for g in found if g.trace is None} if found else set()


def _more(system: System, m: Mutant, legal: Mapping[tuple[str, int], E]) -> E:
    more = const(False)
    for x in transitions(replace(system, actions=(m.action,), rules=())).moves:
        changed = const(False)
        for cell, value in x.assigned.items():
            changed = disj(changed, neg(compared(Op.EQ, value, E("bits", cell))))
        more = disj(more, conj(conj(x.guard, changed), neg(legal.get((x.action.name, x.node), const(False)))))
    return more


# The whole.


def one(on: str, core: str | None, policy: Policy, components: tuple[Component, ...], questions: int) -> dict[str, Any]:
    arguments = {
        "on": on, "core": core, "policy": policy.value, "components": [c.name for c in components],
        "questions": questions,
    }  # fmt: skip
    told: dict[str, Any]
    if on == "reference":
        told = tell(**arguments)
    else:
        told = run_in_engine(on, "tests.lockstep.mutants:tell", arguments, search=[ROOT], timeout=7200)
    open_ = {k.removeprefix(f"{LEFT_OUT} ") for k, v in told["told"].items() if v == UNTOLD and k.startswith(LEFT_OUT)}
    for name in indifferent(policy, components, open_):
        told["told"][f"{LEFT_OUT} {name}"] = SAME
    return told


def lines(results: list[dict[str, Any]], day: str, questions: int) -> Iterator[str]:
    """The page."""
    count: Counter[str] = Counter(v for r in results for v in r["told"].values())
    share = count[TOLD] / max(1, count[TOLD] + count[UNTOLD])
    yield "<!-- Written by `python -m tests.lockstep.mutants --write`. -->"
    yield ""
    yield "# Lockstep: models that are wrong on purpose"
    yield ""
    doc = (__doc__ or "").split("\n\n")
    yield " ".join(doc[2].split())
    yield ""
    yield " ".join(doc[3].split()).replace("`--write` writes docs/lockstep-mutants.md.", "").strip()
    yield ""
    yield (
        f"`python -m tests.lockstep.mutants --questions {questions}`, {day}: **{100 * share:.1f} % are told** "
        f"({count[TOLD]:,} of {count[TOLD] + count[UNTOLD]:,}; {count[SAME]:,} more make no difference, and of "
        f"{count[UNDRIVEN]:,} the action is one to which no operation leads in that kind of cache: prefetches are of "
        "full attention alone)."
    )
    yield ""
    yield "| cache | policy | components | negated: told | left out: told | no difference | not told |"
    yield "|---|---|---|---|---|---|---|"
    for r in results:
        c = Counter((k.startswith(NEGATED), v) for k, v in r["told"].items())
        yield (
            f"| {r['on']} {r['core'] or ''} | {r['policy']} | {'+'.join(r['components'])} | {c[True, TOLD]} "
            f"| {c[False, TOLD]} | {c[False, SAME] + c[True, SAME]} | {c[True, UNTOLD] + c[False, UNTOLD]} |"
        )
    yield ""
    yield "## Not told"
    yield ""
    where: dict[str, list[str]] = defaultdict(list)
    for r in results:
        for name, verdict in r["told"].items():
            if verdict == UNTOLD:
                where[name].append(f"{r['on']} {r['policy']} {'+'.join(r['components'])}")
    for name, cells in sorted(where.items()):
        yield f"- {name} ({', '.join(cells)})"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--on", nargs="*", default=["0.5.23", "reference"])
    parser.add_argument("--questions", type=int, default=3000, help="at most, of each kind of cache")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--policies", nargs="*", default=[p.value for p in Policy])
    parser.add_argument("--components", nargs="*", default=["full", "full+swa", "full+mamba"])
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    cells = [
        (on, None if on == "reference" else "python", Policy(p), cs)
        for on in args.on
        for p in args.policies
        for cs in SETS
        if "+".join(c.name for c in cs) in args.components
    ]
    results = []
    with ThreadPoolExecutor(args.jobs) as pool:
        for r in pool.map(lambda cell: one(*cell, args.questions), cells):
            results.append(r)
            c = Counter(r["told"].values())
            print(r["on"], r["policy"], "+".join(r["components"]), dict(c), f"{r['seconds']} s", flush=True)
            for name, verdict in r["told"].items():
                if verdict == UNTOLD:
                    plain = name.split(" ", 1)[1].removeprefix("out ")
                    print("   ", name[:150], "asked", r["asked"].get(plain), "did", r["did"].get(plain), flush=True)
            print("   ", {n: f"{r['done'].get(n, 0)}/{k}" for n, k in r["allowed"].items()}, flush=True)
    if args.write:
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        PAGE.write_text("\n".join(lines(results, day, args.questions)) + "\n", encoding="utf-8")
    told = Counter(v for r in results for v in r["told"].values())
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
