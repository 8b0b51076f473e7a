"""`sanitree check`: judge snapshot files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sanitree.checker.cli.exits import Exit, Trouble, worst
from sanitree.checker.cli.inputs import (
    Overrides,
    choose_state_rules,
    family_option,
    json_option,
    load,
    refuse_twice,
    setting_options,
    shown,
)
from sanitree.checker.cli.output import console, print_json, progress, show

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sanitree.checker.render.coverage import Coverage
    from sanitree.checker.report import Report, Verdict

SHOWN = 5  # violations of a rule, unless --limit says otherwise


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@setting_options
@click.option("--rule", "rules", multiple=True, metavar="ID", help="Only this rule; may be given several times.")
@family_option
@click.option("--partial", is_flag=True, help="Let a partial view hold if what was observed holds.")
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N",
    help=f"Violations to show of each rule; 0 is all. [default: {SHOWN}, with --json all]",
)  # fmt: skip
@json_option
def check(
    files: tuple[str, ...],
    as_if: Overrides,
    rules: tuple[str, ...],
    family: str | None,
    partial: bool,
    limit: int | None,
    as_json: bool,
) -> int:
    """Judge snapshot files by every rule that applies to them; - is standard input.

    Policy, components and traits come from each file and can be overridden. Of several
    files the worst exit wins: holds (0) < inconclusive (3) < not a snapshot (2) <
    failed (4) < violated (1).
    """
    refuse_twice(files)
    with progress("starting"):  # importing torch takes a while
        from sanitree.checker.render.coverage import Coverage
        from sanitree.checker.render.overridden import FileSays
        from sanitree.checker.render.report import render
        from sanitree.checker.report import check as judge

    choose = choose_state_rules(rules, family)
    keep = (None if as_json else SHOWN) if limit is None else limit or None
    exits, told = [], []
    for file in files:
        name = shown(file)
        try:
            with progress(f"reading {name}") as tell:
                snapshot = load(file)
                says = FileSays(snapshot, as_if.apply(snapshot.settings, name), as_if.version)
                asked = choose(says.judged)
                report = judge(snapshot.with_settings(says.judged), asked, tell)
                tell("collecting the evidence")
                violations, coverage = report.first(keep), Coverage(report.snapshot, report.findings, asked)
                code, verdict = conclude(report, coverage, partial)
        except Trouble as error:
            if len(files) == 1:
                raise
            exits.append(error.code)
            told.append({"file": file, "error": error.what, "exit": int(error.code)})
            click.echo(f"sanitree: {error.format_message()}", err=True)
            continue
        exits.append(code)
        if as_json:
            from sanitree.checker.render import plain

            told.append(plain.report(file, report.snapshot, violations, verdict, int(code), coverage, says))
        else:
            _show(render(name, report.snapshot, violations, verdict, coverage, partial, says), first=len(exits) == 1)
    whole = worst(exits)
    if as_json:
        print_json({"exit": int(whole), "files": told})
    elif len(files) > 1:
        _summary(exits)
    return whole


def conclude(report: Report, coverage: Coverage, partial: bool) -> tuple[Exit, Verdict]:
    """The verdict, and the exit that goes with it. A partial view must have shown something to hold."""
    from sanitree.checker.report import Verdict

    verdict = report.verdict
    if verdict is Verdict.INCONCLUSIVE and partial and coverage.instances:
        verdict = Verdict.HOLDS
    return {
        Verdict.HOLDS: Exit.HOLDS, Verdict.VIOLATED: Exit.VIOLATED, Verdict.INCONCLUSIVE: Exit.INCONCLUSIVE,
    }[verdict], verdict  # fmt: skip


def _show(what: RenderableType, first: bool) -> None:
    out = console()
    if not first:
        out.print()
    show(out, what)


def _summary(exits: list[Exit]) -> None:
    holding = exits.count(Exit.HOLDS)
    names: dict[Exit, str] = {
        Exit.HOLDS: "holds" if holding == 1 else "hold", Exit.VIOLATED: "violated",
        Exit.INCONCLUSIVE: "inconclusive", Exit.USAGE: "not judged", Exit.FAILED: "failed",
    }  # fmt: skip
    counts = {text: exits.count(code) for code, text in names.items()}
    click.echo(f"\n{len(exits)} files: " + ", ".join(f"{n} {text}" for text, n in counts.items() if n))
