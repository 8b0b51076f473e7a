"""Does what was found once more in a fresh process, and asks the cache's own check what it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from sanitree.checker.hunt.known import overlooking
from sanitree.checker.hunt.lab import Lab, again, play_for
from sanitree.checker.hunt.play import Play
from sanitree.checker.hunt.ranks import states_of
from sanitree.checker.hunt.wrong import Kind, Sighting, Wrong
from sanitree.models.snapshot.document import to_document

SILENT, SAME, LATER = "silent", "same", "later"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What came of a sighting's operations on a fresh cache.

    wrong: what went wrong now, None where nothing did. results: what each operation said.
    own: what the cache's own check says: the `same` at that point, something `later`, when
    all has ended, or nothing. complaints: its words. oracles: the same of each check that
    the cache, or its scheduler, has. states: where there are several ranks, each one's cache
    after the last operation, as the JSON of a snapshot.
    """

    wrong: Wrong | None
    results: tuple[str, ...]
    own: str
    complaints: tuple[str, ...]
    oracles: Mapping[str, str] = field(default_factory=dict)
    states: tuple[bytes, ...] = ()


def confirm(on: str, sightings: Sequence[Sighting], tell: Callable[[Confirmed], None]) -> None:
    """Does each sighting's operations, all of them, and tells what came of it."""
    for s in sightings:
        lab = Lab(on, s.setup, lambda _: None)
        play = play_for(lab.driver(s.setup), s.wrong, overlooking(on, s.setup, s.wrong))
        wrong = again(play, s.operations, s.wrong)
        states = _states(play)
        when, complaints = _asked(play, s.wrong)
        own = next(iter(when.values()), SILENT)
        tell(Confirmed(wrong, tuple(play.results), own, complaints, when, states))


def _states(play: Play) -> tuple[bytes, ...]:
    """Each rank's state, as plain bytes: tensors do not outlive the process that sends them. None of a broken cache."""
    try:
        states = states_of(play.driver)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001  (a panic of a Rust core is no Exception)
        return ()
    return tuple(orjson.dumps(to_document(s), option=orjson.OPT_SERIALIZE_NUMPY) for s in states)


def _asked(play: Play, wrong: Wrong) -> tuple[dict[str, str], tuple[str, ...]]:
    """When each oracle complains, and what the cache's own check says."""
    when: dict[str, str] = {}
    words: tuple[str, ...] = ()
    for at in (SAME, LATER):
        if at is LATER and not _settled(play):
            break
        for i, (name, complaints) in enumerate(_oracles(play).items()):
            if complaints and when.get(name, SILENT) == SILENT:
                when[name] = at
                words = words or (complaints if not i else ())
            when.setdefault(name, SILENT)
    if wrong.kind in (Kind.EXCEPTION, Kind.COMPLAINT):  # the cache says so itself
        return {name: SAME if not i else x for i, (name, x) in enumerate(when.items())}, tuple(wrong.text.splitlines())
    return when, words


def _settled(play: Play) -> bool:
    """Whether everything could be ended."""
    try:
        play.driver.settle()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001  (a panic of a Rust core is no Exception)
        return False
    return True


def _oracles(play: Play) -> Mapping[str, tuple[str, ...]]:
    try:
        return play.driver.oracles()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001
        return {"sanity_check": (f"{type(error).__name__}: {error}",)}
