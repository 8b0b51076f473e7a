"""Does what was found once more in a fresh process, and asks the cache's own check what it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sanitree.checker.hunt.known import overlooking
from sanitree.checker.hunt.lab import Lab, again
from sanitree.checker.hunt.play import Play
from sanitree.checker.hunt.wrong import Kind, Sighting, Wrong

SILENT, SAME, LATER = "silent", "same", "later"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What came of a sighting's operations on a fresh cache.

    wrong: what went wrong now, None where nothing did. results: what each operation said.
    own: what the cache's own check says: the `same` at that point, something `later`, when
    all has ended, or nothing. complaints: its words.
    """

    wrong: Wrong | None
    results: tuple[str, ...]
    own: str
    complaints: tuple[str, ...]


def confirm(on: str, sightings: Sequence[Sighting], tell: Callable[[Confirmed], None]) -> None:
    """Does each sighting's operations, all of them, and tells what came of it."""
    for s in sightings:
        lab = Lab(on, s.setup, lambda _: None)
        play = Play(lab.driver(s.setup), True, s.wrong.kind is Kind.COMPLAINT, overlooking(on, s.setup, s.wrong))
        wrong = again(play, s.operations, s.wrong)
        own, complaints = _own(play, s.wrong)
        tell(Confirmed(wrong, tuple(play.results), own, complaints))


def _own(play: Play, wrong: Wrong) -> tuple[str, tuple[str, ...]]:
    if wrong.kind in (Kind.EXCEPTION, Kind.COMPLAINT):
        return SAME, tuple(wrong.text.splitlines())
    for when in (SAME, LATER):
        try:
            if when is LATER:
                play.driver.settle()
            complaints = play.driver.own_check()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  (a panic of a Rust core is no Exception)
            complaints = (f"{type(error).__name__}: {error}",)
        if complaints:
            return when, complaints
    return SILENT, ()
