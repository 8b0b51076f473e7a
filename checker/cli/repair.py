"""`sanitree repair`: the smallest change of fields that makes all rules hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sanitree.checker.cli.check import conclude as judged
from sanitree.checker.cli.exits import Exit, Trouble
from sanitree.checker.cli.inputs import (
    Overrides,
    choose_state_rules,
    family_option,
    json_option,
    load,
    setting_options,
    shown,
)
from sanitree.checker.cli.output import console, print_json, progress, show

if TYPE_CHECKING:
    from sanitree.checker.repair.results import Outcome
    from sanitree.checker.report import Verdict


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE")
@setting_options
@click.option("--rule", "rules", multiple=True, metavar="ID",
              help="Let only this rule hold; may be given several times.")  # fmt: skip
@family_option
@click.option("--partial", is_flag=True, help="Let a partial view hold if what was observed holds.")
@click.option("--limit", type=click.IntRange(min=0), default=5, show_default=True, metavar="N",
              help="Repairs to show, all of the same size; 0 is all.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True, metavar="S",
              help="For the whole search.")  # fmt: skip
@json_option
def repair(
    files: tuple[str, ...],
    as_if: Overrides,
    rules: tuple[str, ...],
    family: str | None,
    partial: bool,
    limit: int,
    seconds: float,
    as_json: bool,
) -> int:
    """Say what is wrong with a snapshot as briefly as can be; - is standard input.

    That is the smallest set of fields which, set otherwise, make every rule hold. There
    may be several of that size: which of them is the truth, nobody can tell from the
    snapshot alone. Columns have judged each, as `sanitree check` would.

    Exits 0 where nothing is violated, 1 where something is, 3 where the search ended
    without a repair, or not everything could be checked.
    """
    if len(files) > 1:
        raise click.UsageError(f"repair takes one file, not {len(files)}")
    (file,) = files
    name = shown(file)
    with progress("starting"):  # importing torch and z3 takes a while
        from sanitree.checker.explore.confirm import MismatchError
        from sanitree.checker.render.overridden import FileSays
        from sanitree.checker.repair.search import repair as search

    choose = choose_state_rules(rules, family)
    with progress(f"reading {name}") as tell:
        snapshot = load(file)
        says = FileSays(snapshot, as_if.apply(snapshot.settings, name), as_if.version)
        asked = choose(says.judged)
        try:
            found = search(snapshot.with_settings(says.judged), asked, seconds, limit or None, tell)
        except MismatchError as error:
            hint = "this is a bug in sanitree, and says nothing about the cache: please report it with the file"
            raise Trouble(f"what the solver found could not be confirmed: {error}", hint, Exit.FAILED) from None
    code, verdict = conclude(found, partial)
    if as_json:
        from sanitree.checker.render.repaired import plain_repairs

        print_json(plain_repairs(file, found, verdict, int(code), says))
    else:
        from sanitree.checker.render.repaired import render

        show(console(), render(name, found, verdict, says, limit or None))
    return code


def conclude(found: Outcome, partial: bool) -> tuple[Exit, Verdict]:
    """The exit that goes with an outcome, and the verdict on the snapshot as it is."""
    from sanitree.checker.render.coverage import Coverage
    from sanitree.checker.repair.results import Ending

    code, verdict = judged(found.before, Coverage(found.before.snapshot, found.before.findings), partial)
    if found.ending is Ending.TIME and not found.repairs:
        return Exit.INCONCLUSIVE, verdict
    return code, verdict
