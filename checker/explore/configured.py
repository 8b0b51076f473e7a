"""What is explored, in the words of the command line and of trace files: one place where models are chosen."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sanitree.checker.explore.ranks import NO_ROOM, RANK_FAULTS, RULES, Together, ranks_of
from sanitree.checker.explore.results import Values
from sanitree.checker.explore.seen import observer
from sanitree.checker.explore.transitions import Transitions, transitions
from sanitree.checker.report import Violation
from sanitree.checker.report import check as judge
from sanitree.invariants.plugins import all_rules
from sanitree.invariants.rules import Check, Rule, checks
from sanitree.invariants.vocabulary import FULL, HOST, Component, Policy, Settings
from sanitree.models.protocol.heap import BACKUPS, heap
from sanitree.models.protocol.pages import FAULTS, Pages, binary, pages
from sanitree.models.protocol.pages.observed import snapshot
from sanitree.models.protocol.system import System
from sanitree.models.ranks.group import MOST_RANKS
from sanitree.models.snapshot import Snapshot

MOST_PAGES = 64


class ConfigurationError(ValueError):
    """A model that cannot be: what is wrong. hint: what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A model and what it is judged by; None is the model's own choice.

    pages: nodes that there may be. tree: the parent of each, 0 the root. capacities: in pages.
    rules: ids, all of the model where empty. judged_as: whose policy's rules hold in the place of its own.
    """

    preset: str
    policy: Policy = Policy.WRITE_THROUGH
    components: tuple[Component, ...] = (FULL,)
    pages: int | None = None
    tree: tuple[int, ...] | None = None
    device_capacity: int | None = None
    host_capacity: int | None = None
    requests: int | None = None
    fault: str | None = None
    rules: tuple[str, ...] = ()
    judged_as: Policy | None = None
    ranks: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model that was made. judged: the settings that rules are chosen by. names: what nodes are called where that is
    not their number. ranks: where there are several; what is asked of the model is asked of rank 0."""

    configuration: Configuration
    transitions: Transitions
    judged: Settings
    seen: Callable[[Values], Snapshot]
    names: Mapping[int, int] = field(default_factory=dict)
    ranks: Together | None = None

    def name(self, node: int) -> int:
        """What people are told of a node."""
        return self.names.get(node, node)

    @property
    def system(self) -> System:
        return self.transitions.system

    def snapshot(self, state: Values) -> Snapshot:
        """A state as what judges and shows live trees takes it."""
        return self.seen(state if self.ranks is None else self.ranks.own(state, 0))

    def snapshots(self, state: Values) -> tuple[Snapshot, ...]:
        """The same of each rank."""
        if self.ranks is None:
            return (self.seen(state),)
        return tuple(self.seen(self.ranks.own(state, r)) for r in range(self.ranks.count))

    def check(self, name: str) -> Check:
        """The rule that a name of `transitions.rules` stands for."""
        return next(c for c in checks(self.system.rules, self.judged) if c.name == name)

    def violations(self, name: str, state: Values) -> tuple[Violation, ...]:
        """The same state judged by a rule as live trees are: on columns, nothing of the explorer in it."""
        report = judge(self.snapshot(state).with_settings(self.judged), [self.check(name).rule])
        return tuple(v for v in report.violations if v.check.name == name)


def model(c: Configuration) -> Model:
    """The model of a configuration. Raises ConfigurationError for one that cannot be."""
    if c.preset not in PRESETS:
        raise ConfigurationError(f"no preset is called {c.preset!r}", f"there are {', '.join(PRESETS)}")
    for what, number in (("pages", c.pages), ("pages", len(c.tree or ())), ("requests", c.requests)):
        if number is not None and number > MOST_PAGES:
            raise ConfigurationError(
                f"{number} {what} are more than anybody could explore", f"take at most {MOST_PAGES}"
            )
    if not 1 <= c.ranks <= MOST_RANKS:
        raise ConfigurationError(f"{c.ranks} ranks cannot be explored", f"take 1 to {MOST_RANKS}")
    return of_system(c, PRESETS[c.preset](c)) if c.ranks == 1 else _of_ranks(c)


def _of_ranks(c: Configuration) -> Model:
    """So many ranks of the page model. Of its own rules those that were chosen; all of both kinds where none was."""
    if c.preset != "pages":
        raise ConfigurationError(f"the preset {c.preset} is of one cache", "leave --ranks out")
    fault = c.fault if c.fault in RANK_FAULTS else None
    own = tuple(r for r in c.rules if r not in RULES)
    one = replace(c, ranks=1, rules=own, fault=None if fault else c.fault)
    made = of_system(one, _pages(one))
    last = made.transitions
    if fault == NO_ROOM:
        least = pages_of(one).capacity(FULL, HOST) - 1
        if not least:
            raise ConfigurationError("the host has one page: no rank can have less", "--host-capacity 2")
        last = transitions(_pages(replace(one, host_capacity=least)))
    t, ranks = ranks_of(made.transitions, c.ranks, last, fault)
    if c.rules:
        t = replace(t, rules=tuple(r for r in t.rules if r.rule in c.rules or (own and r.rule not in RULES)))
    return replace(made, configuration=c, transitions=t, ranks=ranks)


def of_system(c: Configuration, system: System) -> Model:
    """A system that was made already, as a configuration says that it is judged."""
    judged = replace(system.settings, policy=c.judged_as or system.settings.policy)
    system = replace(system, rules=_chosen(c, system, judged))
    t = transitions(system)
    if judged != system.settings:
        said = transitions(replace(system, settings=judged, actions=()))
        t = replace(t, rules=said.rules, unsaid=said.unsaid)
    if c.rules and t.unsaid:
        kept = ", ".join(sorted({v.key.name for v in system.variables}))
        raise ConfigurationError(f"the model {system.name} has no fields for {t.unsaid[0]}: it keeps {kept}",
                                 f"leave {t.unsaid[0].split('[')[0]} out")  # fmt: skip
    return Model(c, t, judged, _seen(system))


def _seen(system: System) -> Callable[[Values], Snapshot]:
    """How a state is observed: of the page model as the tree that the cuts make, of another as it stands."""
    if system.name == "pages":
        return lambda state: snapshot(system, state)
    return observer(system).snapshot


def _chosen(c: Configuration, system: System, judged: Settings) -> tuple[Rule, ...]:
    if not c.rules:
        return system.rules
    known = {r.id: r for r in (*all_rules(), *system.rules)}
    found = []
    for name in c.rules:
        if name in RULES:
            raise ConfigurationError(f"{name} is about several ranks", "add --ranks 2")
        if name not in known:
            near = difflib.get_close_matches(name.lower(), [*known, *RULES], n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else "`sanitree rules` lists them"
            raise ConfigurationError(f"no rule is called {name!r}", hint)
        rule = known[name]
        if rule.on:
            on = ", ".join(o.value for o in rule.on)
            raise ConfigurationError(f"{name} is about calls of {on}: the explorer judges states", "leave it out")
        if not checks([rule], judged):
            where = f"{judged.policy.value} with {'+'.join(x.name for x in judged.components)}"
            others = [p.value for p in Policy if checks([rule], replace(judged, policy=p))]
            hint = f"--judge-as {others[0]} judges it all the same" if others else "`sanitree rules ID` tells where"
            raise ConfigurationError(f"{name} does not apply under {where}", hint)
        found.append(rule)
    return tuple(dict.fromkeys(found))


def _heap(c: Configuration) -> System:
    """Pages of the preset are its nodes."""
    for name in ("tree", "device_capacity", "host_capacity", "requests", "fault"):
        if getattr(c, name) is not None:
            raise ConfigurationError(
                f"the heap preset has no {name.replace('_', ' ')}", f"leave --{name.replace('_', '-')} out"
            )
    if c.components != (FULL,):
        raise ConfigurationError("the heap preset keeps full attention alone", "leave --components out")
    if c.policy not in BACKUPS:
        raise ConfigurationError(
            f"the heap preset has no {c.policy.value}", f"take {' or '.join(p.value for p in BACKUPS)}"
        )
    return heap(c.policy, 6 if c.pages is None else c.pages)


def _pages(c: Configuration) -> System:
    """The page model. Where it says nothing of a fault, what was probably meant."""
    if c.fault is not None and c.fault not in FAULTS:
        if c.fault in RANK_FAULTS:
            raise ConfigurationError(f"{c.fault} is a fault of one rank among several", "add --ranks 2")
        near = difflib.get_close_matches(c.fault, [*FAULTS, *RANK_FAULTS], n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(FAULTS))}"
        raise ConfigurationError(f"no fault of the page model is called {c.fault!r}", hint)
    try:
        return pages(pages_of(c))
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def pages_of(c: Configuration) -> Pages:
    """The page model that a configuration of that preset is of."""
    return Pages(
        policy=c.policy, components=c.components, parents=c.tree or binary(4 if c.pages is None else c.pages),
        fault=c.fault, device=c.device_capacity, host=c.host_capacity,
        requests=Pages.requests if c.requests is None else c.requests,
    )  # fmt: skip


PRESETS: Mapping[str, Callable[[Configuration], System]] = {"pages": _pages, "heap": _heap}
