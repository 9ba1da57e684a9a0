"""What can be done with a plan: look at it, carry it out, compare it with what is there, and remove it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kvirt.errors import NotFound, Problem
from kvirt.plan.check import Checked, check
from kvirt.plan.events import Event, Key, Sink, Verb
from kvirt.plan.execute import Step, Summary, Tell, execute
from kvirt.plan.expand import expand
from kvirt.plan.found import Found, deleted
from kvirt.plan.kinds.item import Change, Item
from kvirt.plan.locate import Source
from kvirt.plan.render import Rendered, render
from kvirt.plan.rules import parse_rules
from kvirt.plan.scope import Config, Scope
from kvirt.result import Result

PARALLEL = 10
"""How many entries are worked on at the same time."""


def silent(event: Event) -> None:
    """Show nothing."""


@dataclass
class Plan:
    """A plan that was found right: its items, and where they are made."""

    name: str
    scope: Scope
    rendered: Rendered
    checked: Checked
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, source: Source, name: str, config: Config, given: Mapping[str, Any] | None = None, *,
           rules: Any = None) -> Plan:
        """Render, parse and check *source*. InvalidInput names every fault with file and line; nothing is connected to."""
        given = dict(given or {})
        rules = given.pop('vmrules', rules)
        context = {'plan': name, **config.context()}
        expanded = partial(render, given=given, context=context, info=_info(config))
        rendered = expanded(source)
        problems: list[Problem] = []
        entries = expand(rendered, expanded, problems)
        scope = Scope(name, config, given, rendered.variables, entries, parse_rules(rules), source.trusted)
        return cls(name, scope, rendered, check(entries, scope, problems))

    # carrying out

    def create(self, sink: Sink = silent, *, parallel: int = PARALLEL) -> Summary:
        """Make what is not there, as parallel as what needs what allows. What a killed run left half made goes first."""
        self._clear()
        return self._run('create', self.checked.needs, lambda item: item.ensure, sink, parallel)

    def diff(self) -> dict[Key, Change]:
        """Return what there is to do with each entry. Reads only."""
        return {item.key: item.compare() for item in self.checked.in_order()}

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

    def delete(self, sink: Sink = silent, *, parallel: int = PARALLEL, further: Sequence[Found] = ()) -> Summary:
        """Remove what the plan made: what bears its mark, and what only it can have made.

        *further* is what bears the mark of the plan; what of that is no longer in its file goes as well.
        """
        rest = {thing.key: thing for thing in further if thing.key not in self.checked.items}
        vms = {key for key in rest if key[0] == 'vm'}
        needs = {key: wanted | (vms if key[0] != 'vm' else set()) for key, wanted in self.checked.backwards().items()}
        steps = [Step(key, 'delete', partial(_removed, item), tuple(needs[key]))
                 for key, item in self.checked.items.items()]
        inner = {key for key in self.checked.items if key[0] == 'vm'} | vms
        steps += [Step(key, 'delete', partial(deleted, thing), () if key[0] == 'vm' else tuple(inner))
                  for key, thing in rest.items()]
        return execute(steps, sink, parallel=parallel)

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


def _removed(item: Item, tell: Tell) -> Result:
    if not item.present():
        return Result.success(changed=False, details='is not there')
    if not item.made():
        return Result.success(changed=False, details='kept')
    result = item.delete(tell)
    return Result.success(changed=False) if not result.ok and result['error'] == NotFound.__name__ else result


def _info(config: Config) -> Callable[[str, str | None, str | None, bool], Any]:
    """Return what answers the filter that asks for what is known of a VM."""
    def info(name: str, key: str | None, client: str | None, wait: bool) -> Any:
        provider = (config.for_client(client) if client else config).k
        known = provider.info(name)
        return known.get(key) if key else known
    return info
