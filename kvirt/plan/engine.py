"""What can be done with a plan: look at it, carry it out, compare it with what is there, and remove it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kvirt.errors import InvalidInput, NotFound, Problem
from kvirt.guest.keys import forget_shared_key
from kvirt.names import did_you_mean
from kvirt.plan.check import Checked, check
from kvirt.plan.events import Event, Key, Sink, Verb
from kvirt.plan.execute import Step, Summary, Tell, execute
from kvirt.plan.expand import expand
from kvirt.plan.found import Found, deleted, told_apart
from kvirt.plan.kinds.item import Change, Item
from kvirt.plan.locate import Source
from kvirt.plan.parse import Entry
from kvirt.plan.render import Rendered, render
from kvirt.plan.rules import parse_rules
from kvirt.plan.scope import Config, Scope
from kvirt.result import Result
from kvirt.spec import is_keyword

log = logging.getLogger(__name__)

PARALLEL = 10
"""How many entries are worked on at the same time."""


def silent(event: Event) -> None:
    """Show nothing."""


@dataclass
class Plan:
    """A plan that was found right: its items, and where they are made."""

    name: str
    scope: Scope
    checked: Checked

    @classmethod
    def of(cls, source: Source | Sequence[Source], name: str, config: Config, given: Mapping[str, Any] | None = None, *,
           rules: Any = None, trust: bool = False) -> Plan:
        """Render, parse and check *source*. InvalidInput names every fault with file and line; nothing is connected to.

        Several sources are one plan: each is rendered with its own parameters, and together they are checked. With *trust*
        it, and all plans that it names, may read files and run commands of this machine, wherever they are from.
        """
        given = dict(given or {})
        rules = given.pop('vmrules', rules)
        context, texts = {'plan': name, **config.context()}, []

        def expanded(one: Source) -> Rendered:
            texts.append(render(replace(one, trusted=one.trusted or trust), given, context, info=_info(config)))
            return texts[-1]
        sources = [source] if isinstance(source, Source) else source
        problems: list[Problem] = []
        entries: dict[Key, Entry] = {}
        variables: dict[str, Any] = {}
        for rendered in [expanded(one) for one in sources]:
            variables = {**rendered.variables, **variables}
            for entry in expand(rendered, expanded, problems):
                first = entries.setdefault(entry.key, entry)
                if first is not entry:
                    problems.append(Problem(f'{entry} stands here again, after {first.where()}', entry.where()))
        scope = Scope(name, config, given, variables, list(entries.values()), parse_rules(rules))
        checked = check(scope.entries, scope, problems)
        _refuse_unused(set(given) - set(context), texts, checked)
        return cls(name, scope, checked)

    # carrying out

    def create(self, sink: Sink = silent, *, parallel: int = PARALLEL) -> Summary:
        """Make what is not there, as parallel as what needs what allows. What a killed run left half made goes first."""
        self.scope.forget()
        self._clear()
        return self._run('create', self.checked.needs, lambda item: item.ensure, sink, parallel)

    def diff(self) -> dict[Key, Change]:
        """Return what there is to do with each entry. Reads only."""
        self.scope.forget()
        return {item.key: _compared(item) for item in self.checked.in_order()}

    def costs(self, changes: Mapping[Key, Change]) -> tuple[dict[str, float], list[str]]:
        """Return what *changes* cost more each month, by currency, and what no price is told for. Reads only."""
        sums: dict[str, float] = {}
        unknown: list[str] = []
        for key, change in changes.items():
            cost = self.checked.items[key].cost(change)
            unknown += cost.unknown
            if cost.monthly:
                currency = cost.currency or ''
                sums[currency] = round(sums.get(currency, 0) + cost.monthly, 2)
        return sums, unknown

    def update(self, changes: Mapping[Key, Change], sink: Sink = silent, *, parallel: int = PARALLEL,
               replace: bool = False) -> Summary:
        """Do what ``diff`` returned; replacements only with *replace*, since what was on a VM's disks is lost."""
        self._clear()

        def work(item: Item) -> Callable[[Tell], Result]:
            change = changes.get(item.key, Change('nothing'))
            if change.action == 'replace' and not replace:
                return lambda tell: Result.success(changed=False, details=f'not replaced: {change.reason}')
            return partial(item.mend, change)
        verbs: dict[Key, Verb] = {key: 'replace' if change.action == 'replace' else 'update' if change.action == 'update'
                                  else 'create' for key, change in changes.items()}
        return self._run(verbs, self.checked.needs, work, sink, parallel)

    def doomed(self, *, unmarked: bool = False) -> list[Key]:
        """Return the entries that ``delete`` would remove. Reads only."""
        self.scope.forget()
        return [key for key, item in self.checked.items.items() if item.present() and item.made(unmarked=unmarked)]

    def delete(self, sink: Sink = silent, *, parallel: int = PARALLEL, further: Sequence[Found] = (),
               unmarked: bool = False) -> Summary:
        """Remove what the plan made: what bears its mark, and what stands in its ledger.

        *further* is what bears the mark of the plan; what of that is no longer in its file goes as well. *unmarked* lets
        go also what can bear no mark and stands in no ledger, such as that of another machine.
        """
        self.scope.forget()
        mine = {(item.kind, item.name, item.config.client) for item in self.checked.items.values()}
        others = [thing for thing in further if (thing.kind, thing.name, thing.config.client) not in mine]
        rest = {thing.key: thing for thing in told_apart(others, self.checked.items)}
        vms = {key for key in rest if key[0] == 'vm'}
        needs = {key: wanted | (vms if key[0] != 'vm' else set()) for key, wanted in self.checked.backwards().items()}
        steps = [Step(key, 'delete', partial(_removed, item, unmarked), tuple(needs[key]))
                 for key, item in self.checked.items.items()]
        inner = {key for key in self.checked.items if key[0] == 'vm'} | vms
        steps += [Step(key, 'delete', partial(deleted, thing), () if key[0] == 'vm' else tuple(inner))
                  for key, thing in rest.items()]
        summary = execute(steps, sink, parallel=parallel)
        if summary.ok:
            forget_shared_key(self.scope.config.settings.home, self.name)
        return summary

    def _clear(self) -> None:
        """Delete what processes that are gone left behind, which would be in the way."""
        for config in self.scope.used():
            if config.k.supports('list_orphans') and config.k.list_orphans():
                Result.of(config.k.delete_orphans()).expect()
                self.scope.live(config).forget()

    def _run(self, verbs: Verb | Mapping[Key, Verb], needs: Mapping[Key, Iterable[Key]],
             work: Callable[[Item], Callable[[Tell], Result]], sink: Sink, parallel: int) -> Summary:
        steps = [Step(key, verbs if isinstance(verbs, str) else verbs.get(key, 'create'), work(item), tuple(needs[key]))
                 for key, item in self.checked.items.items()]
        return execute(steps, sink, parallel=parallel)


def _compared(item: Item) -> Change:
    """Return what there is to do with an entry. Only what the plan made is ever replaced."""
    change = item.compare()
    if change.action == 'replace' and not item.made():
        return Change('nothing', change.differences, f'{change.reason}, and the plan did not make it')
    return change


def _removed(item: Item, unmarked: bool, tell: Tell) -> Result:
    if not item.present():
        item.scope.ledger.forget(item.thing)
        return Result.success(changed=False, details='is not there')
    if not item.made(unmarked=unmarked):
        return Result.success(changed=False, details='kept')
    result = item.remove(tell)
    return Result.success(changed=False) if not result.ok and result['error'] == NotFound.__name__ else result


def _refuse_unused(given: Iterable[str], texts: Sequence[Rendered], checked: Checked) -> None:
    """Raise InvalidInput for what the user gave and nobody uses: it is misspelled. In a plan of kcli's it is a warning."""
    known = {name for text in texts for name in text.declared.parameters}
    if any(text.uses is None for text in texts):
        return
    left = [key for key in given if not is_keyword(key) and key not in known.union(*(text.uses or () for text in texts))]
    used = {name for item in checked.items.values() for name in item.uses()} if left else set()
    problems = [Problem(f"there is no parameter '{key}'{did_you_mean(key, known)}") for key in sorted(set(left) - used)]
    if not texts[0].source.compat and problems:
        raise InvalidInput(problems, hint="'kvirt info plan' shows the parameters of a plan")
    for problem in problems:
        log.warning('%s', problem)


def _info(config: Config) -> Callable[[str, str | None, str | None, bool], Any]:
    """Return what answers the filter that asks for what is known of a VM."""
    def info(name: str, key: str | None, client: str | None, wait: bool) -> Any:
        provider = (config.for_client(client) if client else config).k
        known = provider.info(name)
        return known.get(key) if key else known
    return info
