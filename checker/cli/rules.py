"""`sanitree rules`: the list, and one rule in full."""

from __future__ import annotations

import click

from sanitree.checker.cli.inputs import (
    Overrides,
    catalogue,
    choose_rules,
    family_option,
    json_option,
    setting_options,
)
from sanitree.checker.cli.output import console, print_json, show
from sanitree.invariants.rules import Rule
from sanitree.invariants.terms import Apply, Const, Known, Op, Term
from sanitree.invariants.vocabulary import KIND, POLICY_IS, TRAIT, Component, ComponentVar, Kind


@click.command()
@click.argument("rule", required=False)
@setting_options
@family_option
@json_option
def rules(
    rule: str | None,
    as_if: Overrides,
    family: str | None,
    as_json: bool,
) -> None:
    """List the rules with the backends that can judge them, or explain one RULE.

    --policy, --components and --traits leave out the rules that cannot apply then.
    """
    from sanitree.checker.render.rules import in_full, listing, plain

    if rule:
        if family or as_if != Overrides():
            raise click.UsageError("options leave out rules of the list: give them, or one RULE to explain")
        (one,) = choose_rules([rule])
        if as_json:
            print_json(plain(one))
        else:
            show(console(), in_full(one))
        return
    if as_if.components and not any(c.backbone for c in as_if.components):
        raise click.UsageError("--components names no backbone: every cache keeps full, whatever else")
    chosen = [r for r in choose_rules(family=family) if may_apply(r, as_if)]
    if as_json:
        print_json({"rules": [plain(r) for r in chosen]})
    else:
        out = console()
        show(out, listing(chosen, len(catalogue()), out.width))


def may_apply(rule: Rule, as_if: Overrides) -> bool:
    """Whether a rule applies to some cache of which this much is known."""
    choice: tuple[Component | None, ...] = (None,)
    if rule.of and as_if.components and rule.of not in as_if.components:
        return False
    if as_if.components and rule.per:
        choice = tuple(c for c in as_if.components if rule.per.takes(c))
    return any(_settled(rule.when, as_if, c) is not False for c in choice)


def _settled(t: Term, as_if: Overrides, component: Component | None) -> bool | None:
    """A condition's truth value under what is known of the settings; None where that does not decide it."""
    match t:
        case Const(bool(b)):
            return b
        case Known(setting, argument) if setting is POLICY_IS:
            return None if as_if.policy is None else as_if.policy is argument
        case Known(setting, str(name)) if setting is TRAIT:
            return as_if.trait(name)
        case Known(setting, (c, Kind() as kind)) if setting is KIND:
            named = component if isinstance(c, ComponentVar) else c
            return None if not isinstance(named, Component) else kind.takes(named)
        case Apply(Op.NOT, (a,)):
            inner = _settled(a, as_if, component)
            return None if inner is None else not inner
        case Apply(Op.AND | Op.OR, args):
            parts = [_settled(a, as_if, component) for a in args]
            decisive = t.op is Op.OR
            return decisive if decisive in parts else None if None in parts else not decisive
        case Apply(Op.IMPLIES, (a, b)):
            p, q = (_settled(x, as_if, component) for x in (a, b))
            return True if p is False or q is True else False if p is True and q is False else None
    return None
