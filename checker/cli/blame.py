"""`sanitree blame`: what may have led to a tree that violates rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from sanitree.checker.cli.exits import Exit, Trouble
from sanitree.checker.cli.inputs import Overrides, choose_state_rules, json_option, load, setting_options, shown
from sanitree.checker.cli.output import console, print_json, progress, show
from sanitree.invariants.calls import Operation

if TYPE_CHECKING:
    from sanitree.checker.blame.run import Blamed
    from sanitree.checker.report import Report

_CALLS = [o.value for o in Operation]


@click.command()
@click.argument("file", metavar="FILE")
@setting_options
@click.option("--node", "nodes", type=int, multiple=True, metavar="ID",
              help="Look at this node too; may be given several times.")  # fmt: skip
@click.option("--call", type=click.Choice(_CALLS), metavar="NAME",
              help="The call that came last, as the cache names it. [default: the dump's, else any]")  # fmt: skip
@click.option("--nodes", "most", type=click.IntRange(1, 24), default=10, show_default=True, metavar="N",
              help="Nodes to look at, where there are more.")  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(1), default=3, show_default=True, metavar="N", help="Explanations to show."
)
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True, metavar="S",
              help="In all.")  # fmt: skip
@json_option
def blame(
    file: str,
    as_if: Overrides,
    nodes: tuple[int, ...],
    call: str | None,
    most: int,
    limit: int,
    seconds: float,
    as_json: bool,
) -> int:
    """Say what may have led to a snapshot that violates rules.

    Looks for a legal tree and one call that leads from it to the tree in the file, where
    something went wrong: a fault that is known by name, a condition that was not asked
    for, or an update that was forgotten. What assumes least comes first. It looks at a part
    of the tree, around what is wrong, in the words of the page model.

    Exits 0 where every rule holds, 1 where an explanation was found, 3 where none was.
    """
    name = shown(file)
    with progress(f"reading {name}") as tell:
        snapshot = load(file)
        from sanitree.checker.render.overridden import FileSays
        from sanitree.checker.report import check as judge

        says = FileSays(snapshot, as_if.apply(snapshot.settings, name), as_if.version)
        report = judge(snapshot.with_settings(says.judged), choose_state_rules((), None)(says.judged), tell)
        rows = [_row(report, node, name) for node in nodes]
        blamed = _blamed(report, rows, call or last_call(file), most, seconds, name, tell)
    if blamed is None:
        if as_json:
            print_json({"file": file, "exit": 0, "verdict": report.verdict.value, "explanations": []})
        else:
            from sanitree.checker.render.blamed import HOLDS

            show(console(), HOLDS)
        return Exit.HOLDS
    code = Exit.VIOLATED if blamed.explanations or blamed.misdefined else Exit.INCONCLUSIVE
    if as_json:
        from sanitree.checker.render.blamed import plain_blamed

        print_json(plain_blamed(blamed, file, int(code)))
    else:
        from sanitree.checker.render.blamed import render

        show(console(), render(name, blamed, limit, says))
    return code


def _blamed(
    report: Report, rows: list[int], call: str | None, most: int, seconds: float, name: str, tell: object
) -> Blamed | None:
    """None where no rule is violated."""
    from sanitree.checker.blame.run import blame
    from sanitree.checker.explore.confirm import MismatchError
    from sanitree.models.protocol.pages.abstraction import NotAStateError
    from sanitree.models.protocol.pages.calls import STAGES

    if not any(f.violated for f in report.findings):
        return None
    operations = tuple(STAGES) if call is None else (Operation(call),)
    try:
        return blame(report, rows, seconds, operations, most, tell)  # type: ignore[arg-type]
    except NotAStateError as error:
        raise Trouble(str(error), error.hint, where=name) from None
    except MismatchError as error:
        hint = "this is a bug in sanitree, and says nothing about the snapshot: please report it with the file"
        raise Trouble(f"what the solver found could not be confirmed: {error}", hint, Exit.FAILED) from None


def _row(report: Report, node: int, name: str) -> int:
    row = report.snapshot.row_of.get(node)
    if row is None:
        raise Trouble(f"has no node {node}", where=name, hint="`sanitree show` lists them")
    return row


def last_call(file: str) -> str | None:
    """The call of the cache in which a dump was written, by the stack of its last operation; None where nobody says."""
    import json
    from pathlib import Path

    try:
        told = json.loads((Path(file) / "report.json").read_text())
        stack = [str(frame) for frame in told["operations"][-1]["stack"]]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None
    found = [name for frame in stack for name in re.findall(r"Cache\.(\w+)", frame) if name in _CALLS]
    return found[0] if found else None
