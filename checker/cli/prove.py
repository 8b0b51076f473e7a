"""`sanitree prove`: proves by induction that a model's actions keep its rules."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import click

from sanitree.checker.cli.exits import Exit, Trouble
from sanitree.checker.cli.inputs import Names, broken_plugins_told, chosen_components, json_option, known_components
from sanitree.checker.cli.output import console, print_json, progress, show, show_lockstep
from sanitree.invariants.vocabulary import Policy

if TYPE_CHECKING:
    from sanitree.checker.prove.results import Proof

_ANY = "any"
_MOST = 64


class _Number(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on only
    """A number of pages, or any."""

    name = "pages"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value is None or isinstance(value, int) or value == _ANY:
            return None if value == _ANY else value
        if not re.fullmatch(r"\d{1,4}", value) or not 1 <= int(value) <= _MOST:
            self.fail(f"{value!r} is no size: write any, or a number of pages from 1 to {_MOST}", param, ctx)
        return int(value)


@click.command()
@click.option("--policy", type=click.Choice([p.value for p in Policy]), default="write_through", show_default=True)
@click.option("--components", type=Names("component", known_components), default="full", show_default=True,
              metavar="NAMES", help="What the cache keeps, e.g. full,swa.")  # fmt: skip
@click.option("--rule", "rules", multiple=True, metavar="ID",
              help="Only pairs with this rule; may be given several times. All rules are supposed.")  # fmt: skip
@click.option("--fault", metavar="NAME", help="Switch on a fault of the model: see docs/faults.md.")
@click.option("--size", type=_Number(), default="3", show_default=True, metavar="N|any",
              help="Pages of the tree; any: whatever its size, which takes longer.")  # fmt: skip
@click.option("--requests", type=click.IntRange(0, 16), metavar="N", help="Requests at once, in a tree of N pages.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=20.0, show_default=True, metavar="S",
              help="For one pair; one that takes longer is not known.")  # fmt: skip
@json_option
def prove(
    policy: str,
    components: tuple[str, ...],
    rules: tuple[str, ...],
    fault: str | None,
    size: int | None,
    requests: int | None,
    seconds: float,
    as_json: bool,
) -> int:
    """Prove by induction that no action breaks a rule, in trees of a size.

    For every action and every rule: from a state in which all rules hold, the action leads
    to one in which this rule holds. What is not so comes back as a small tree, the action,
    and the difference it makes; it was computed again without the solver. That such a tree
    can be reached is not said: `sanitree explore` searches from the empty one.

    Exits 0 where every pair is proved, 1 where one has a counterexample, 3 where z3 did not
    know, or an action can never happen.
    """
    with progress("starting") as tell:
        from sanitree.checker.explore.configured import Configuration, ConfigurationError
        from sanitree.checker.explore.confirm import MismatchError
        from sanitree.checker.prove.run import NoSuchClaimError, of_any_size, of_size

        with broken_plugins_told():
            chosen = chosen_components(components)
        c = Configuration(
            preset="pages", policy=Policy(policy), components=chosen, pages=size, requests=requests, fault=fault
        )
        try:
            found = (of_any_size if size is None else of_size)(c, seconds, rules, tell)
        except ConfigurationError as error:
            raise Trouble(str(error), error.hint) from None
        except NoSuchClaimError as error:
            names = list(dict.fromkeys(n.split("[")[0] for n in error.known))
            near = difflib.get_close_matches(str(error).lower(), names, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else "leave --rule out to see all"
            raise Trouble(f"{error} is no rule that can be proved here", hint) from None
        except MismatchError as error:
            hint = "this is a bug in sanitree, and says nothing about the model: please report it with the command"
            raise Trouble(f"what the solver found could not be confirmed: {error}", hint, Exit.FAILED) from None
    code = conclude(found)
    if as_json:
        from sanitree.checker.render.proved import plain_proof

        print_json(plain_proof(found, int(code)))
    else:
        from sanitree.checker.render.proved import render

        show(console(), render(found))
        show_lockstep(console())
    return code


def conclude(found: Proof) -> Exit:
    """The exit that goes with what a proof came to."""
    from sanitree.checker.report import Verdict

    return {
        Verdict.HOLDS: Exit.HOLDS, Verdict.VIOLATED: Exit.VIOLATED, Verdict.INCONCLUSIVE: Exit.INCONCLUSIVE,
    }[found.verdict]  # fmt: skip
