"""`sanitree show`: the tree of a snapshot, on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sanitree.checker.cli.exits import Trouble
from sanitree.checker.cli.inputs import Overrides, json_option, load, setting_options, shown
from sanitree.checker.cli.output import console, print_json, progress, show

if TYPE_CHECKING:
    from rich.text import Text

    from sanitree.checker.render.marks import Marks
    from sanitree.checker.render.outline import Outline
    from sanitree.checker.render.overridden import FileSays
    from sanitree.checker.report import Report

PAGE = 60  # lines of a tree where there is no terminal to fill


@click.command(name="show")
@click.argument("files", nargs=-1, required=True, metavar="FILE")
@setting_options
@click.option("--node", type=int, metavar="ID", help="Only this node and what is below it, with its slots.")
@click.option("--depth", type=click.IntRange(min=0), metavar="N", help="Only so many levels.")
@click.option("--violations", is_flag=True, help="Only nodes that violate a rule, and what leads to them.")
@click.option("--full", is_flag=True, help="Every node, however many.")
@json_option
def show_command(
    files: tuple[str, ...],
    as_if: Overrides,
    node: int | None,
    depth: int | None,
    violations: bool,
    full: bool,
    as_json: bool,
) -> None:
    """Show the tree in a snapshot file, its pools and what is in flight; - is standard input.

    A tree that is larger than the terminal is cut, with what is left out counted in its
    place; nodes that violate a rule or are in flight always stay. Looking at a tree is not
    judging it: the exit is 0 whatever it shows.
    """
    if len(files) > 1:
        raise click.UsageError(f"show takes one file, not {len(files)}")
    (file,) = files
    with progress("starting"):  # importing torch takes a while
        from sanitree.checker.render.marks import marks
        from sanitree.checker.render.outline import Outline
        from sanitree.checker.render.overridden import FileSays
        from sanitree.checker.report import check

    with progress(f"reading {shown(file)}") as tell:
        snapshot = load(file)
        says = FileSays(snapshot, as_if.apply(snapshot.settings, shown(file)), as_if.version)
        snapshot = snapshot.with_settings(says.judged)
        top = 0 if node is None else snapshot.row_of.get(node, -1)
        if top < 0:
            raise Trouble(f"has no node {node}", where=shown(file), hint="`sanitree show` without --node lists them")
        report = check(snapshot, tell=tell)
        found = marks(snapshot, report.findings)
        tell("laying out the tree")
        red = set(found.violated)
        outline = Outline(snapshot.parent.tolist(), red if violations else red | found.busy, red, top, depth)
    if as_json:
        from sanitree.checker.render import plain

        print_json(plain.tree(file, snapshot, found, sorted(red) if violations else outline.inside, says))
        return
    _draw(file, report, outline, found, says, violations=violations, full=full)


def _draw(
    file: str, report: Report, outline: Outline, found: Marks, says: FileSays, *, violations: bool, full: bool
) -> None:
    from rich.console import Group

    from sanitree.checker.render.header import header
    from sanitree.checker.render.summary import node_details, verdict_lines
    from sanitree.checker.render.tree import Tree

    out, s = console(), report.snapshot
    head = Group(node_details(s, outline.top)) if outline.top else header(shown(file), s, says)
    foot: list[Text] = list(verdict_lines(found, report.verdict))
    if sys.stdout.isatty():
        spent = len(out.render_lines(head, pad=False)) + len(out.render_lines(Group(*foot), pad=False))
        room = max(out.height - spent - 6, 12)  # a blank on both sides, heading, legend of two lines, prompt
    else:
        room = PAGE
    outline.choose(None if full else room, only_pinned=violations)
    show(out, head)
    out.print()
    show(out, Group(*Tree(s, outline, found, out.width).draw()))
    out.print()
    show(out, Group(*foot))
