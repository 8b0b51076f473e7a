"""`sanitree diff`: what changed between two snapshots."""

from __future__ import annotations

from pathlib import Path

import click

from sanitree.checker.cli.exits import Trouble
from sanitree.checker.cli.inputs import json_option, load, refuse_twice, shown
from sanitree.checker.cli.output import console, print_json, progress, show


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--full", is_flag=True, help="Every line, however many.")
@json_option
def diff(before: str, after: str, full: bool, as_json: bool) -> None:
    """Say what changed from snapshot A to snapshot B of one cache; - is standard input.

    Nodes are matched by their ids, or by token path where the snapshots are of different
    engines. A difference is no violation: the exit is 0 whether or not there is one.
    """
    refuse_twice((before, after))
    with progress(f"reading {shown(before)}") as tell:
        a = load(before)
        tell(f"reading {shown(after)}")
        b = load(after)
        from sanitree.checker.difference import NotComparableError, difference

        tell("comparing")
        try:
            found = difference(a, b)
        except NotComparableError as error:
            raise Trouble(str(error), error.hint, where=f"{shown(before)} and {shown(after)}") from None
    if as_json:
        from sanitree.checker.render import plain

        print_json(plain.difference(before, after, found))
        return
    from sanitree.checker.render.difference import render

    names = (Path(shown(before)).name, Path(shown(after)).name)
    show(console(), render(names if names[0] != names[1] else (before, after), found, *([None] if full else [])))
