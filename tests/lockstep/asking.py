"""A cache with the model beside it, which is asked for what a wrong model alone allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from random import Random

from sanitree.checker.lockstep.follow import Followed, Follower, Position
from sanitree.checker.lockstep.lockstep import explanation
from sanitree.checker.lockstep.model import Model
from sanitree.checker.lockstep.program import Doing, State, Trie
from sanitree.checker.lockstep.shown import Path
from sanitree.checker.perform.beside import Beside
from sanitree.checker.perform.perform import asks
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST, Component
from sanitree.models.driving.driver import Driver
from sanitree.models.driving.operations import Copy, Evict, Lock, Operation, Unlock
from sanitree.models.driving.setup import Setup
from sanitree.models.protocol.pages import words
from sanitree.models.protocol.system import System
from sanitree.models.snapshot import Key, Snapshot
from sanitree.models.step import Call
from tests.lockstep.wrong_models import LEFT_OUT, Mutant, doing

CONFIDENCE = 0.01
"""How likely it may be that a cache which does it has not done it."""
HIDDEN = frozenset({"copy_write", "copy_load", "ack_write", "ack_load"})
"""Actions that depend on what nobody sees, whether bytes have arrived, and what the model loses where a difference is
accepted."""
_COPIES = {True: "copy_write", False: "copy_load"}
UNASKED = frozenset({"release"})
"""Actions to which no operation leads where the model forbids them."""


class Watched(Beside):
    """A cache with the model beside it. calls: with the state after each, as long as the model follows. took: what the
    model did. done: whether a call came to what is wanted."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        self.calls: list[tuple[Call, Snapshot]] = []
        self.took: list[tuple[str, Path]] = []
        self.wanted: tuple[Doing, Doing | None, Path] | None = None
        self.done = False
        self._wants: dict[Path, list[int]] | None = None

    def ahead(self, call: Call) -> None:
        """What the call would come to if it did what is wanted."""
        self._wants = self._outcome()

    def heard(self, told: Followed, before: Position, after: Snapshot) -> None:
        """Compares, and keeps the call. That bytes have arrived, where others like them were, the driver says."""
        landed = self.driver.hidden().landed
        for ack, path in self.follower.at.seen.flights.items():
            if ack in landed and self._take(_COPIES[ack[0]], path):
                told = replace(told, took=(*told.took, (_COPIES[ack[0]], path)))
        if self._wants is not None and self.wanted is not None:
            self.done |= self._wants == self._of(self.wanted[0], self.follower.at.rows)
        self.took += told.took
        self.calls.append((told.call, after))

    def _take(self, action: str, path: Path) -> bool:
        """The model does an action of a page, where it allows it."""
        state, paths = self.follower.state()
        doing, page = self.follower.model.programs.actions[action], paths.index(path)
        if not doing.allowed(state, page):
            return False
        rows = zip(paths, state.after(doing.changes(state, page)).rows, strict=True)
        self.follower.at = replace(self.follower.at, rows={p: row for p, row in rows if p and any(row)})
        return True

    def transfer(self, action: str, path: Path) -> int | None:
        """Which of the copies that have not run is of the transfer that an action is of, by its number; None where none
        is."""
        flights = self.follower.at.seen.flights
        for number, acks in enumerate(self.driver.hidden().flying):
            ends = [flights[ack] for ack in acks if ack in flights and _COPIES[ack[0]] == action]
            if any(end[: len(path)] == path for end in ends):
                return number
        return None

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
        """Whether the model knows of all that is in flight whether its bytes have arrived."""
        at, landed = self.follower.at, self.driver.hidden().landed
        known = ((ack in landed, at.rows[path][self.follower.places[words.COPIED[ack[0]]]])
                 for ack, path in at.seen.flights.items())  # fmt: skip
        return self.pure and all(bool(own) == arrived for arrived, own in known)

    def askable(self, action: str, path: Path) -> bool:
        """Whether operations lead to that page: a match ends on a page where all data is that a prompt needs. That
        nothing is written of one that is not there is asked too.
        """
        rows, model, present = self.follower.at.rows, self.follower.model, self._present
        if action != "submit_write" or path not in rows or not rows[path][present(FULL)]:
            return True
        return all(
            rows[path[:n]][present(c)]
            for c in model.config.components if not c.backbone
            for n in (range(max(1, len(path) - model.config.window + 1), len(path) + 1) if c.per_token else [len(path)])
        )  # fmt: skip

    def _present(self, c: Component) -> int:
        return self.follower.places[Key.of("present", c, DEVICE)]

    def _of(self, does: Doing, rows: Mapping[Path, list[int]]) -> dict[Path, list[int]]:
        """The variables that an action assigns, and what is there; without hits, which are the cache's to count."""
        targets = {Key.of(t.field.name, t.component, t.tier) for t in (x.target for x in does.action.assigns)}  # type: ignore[arg-type]
        tiers = [""]
        if does.action.name != "save_node":  # the same call goes on to what it was saved from
            tiers.append(DEVICE.value)
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


def asking(action: str, path: Path, w: Watched, aux: str) -> tuple[Operation, ...]:
    """Operations that lead to an action of a page, where it is allowed; none where nothing does. What is locked is
    given back."""
    if not w.askable(action, path):
        return ()
    prompt, books = tuple(page[0] // w.driver.setup.page_size for page in path), w.play.books
    match action:
        case "acquire":
            return (Lock(prompt), Unlock(len(books.locks)))
        case "save_node" if aux:
            return (Evict(aux, 1),)
        case "copy_write" | "copy_load":
            number = w.transfer(action, path)
            return () if number is None else (Copy(number),)
    return next(asks(action, prompt, books), ())


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
        if not self.asked[m.key] or self.did[m.key] or not self.done[name]:
            return False
        return (1 - self.done[name] / (self.allowed[name] + 1)) ** self.asked[m.key] < CONFIDENCE


class Asker:
    """Asks one cache after another for what mutants alone allow."""

    def __init__(self, system: System, all_: Iterable[Mutant], setup: Setup, rng: Random) -> None:
        self.setup, self.rng, self.book = setup, rng, Asked()
        self.hits = next((i for i, v in enumerate(system.variables) if v.key == words.HITS), None)
        self.open = {m.key: (m, doing(system, m)) for m in all_ if m.how == LEFT_OUT and m.action.name not in UNASKED}
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
        operations = asking(action, wanted[2], w, self.aux)
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
