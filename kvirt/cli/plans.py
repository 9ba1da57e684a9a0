"""Plans: looking at them, making them, comparing them with what is there, deleting them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from kvirt.cli import output
from kvirt.cli.completion import plans as complete_plans
from kvirt.cli.context import Session, command
from kvirt.cli.errors import report
from kvirt.cli.planview import conclude, view
from kvirt.cli.types import name_argument, names_argument
from kvirt.errors import InvalidInput, KvirtError, NotFound
from kvirt.names import counted

if TYPE_CHECKING:
    from kvirt.plan.engine import Plan
    from kvirt.plan.execute import Summary
    from kvirt.plan.locate import Source

_WORDS = {'vm': 'VM', 'dns': 'DNS record', 'loadbalancer': 'load balancer', 'securitygroup': 'security group'}

INCOMPLETE = 4
"""The exit code of a plan of which something failed, or was not done."""


def _source(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where a plan is."""
    for decorator in (
            click.option('-u', '--url', metavar='URL', help='Fetch the plan from there.'),
            click.option('--compat', is_flag=True, help='Warn of what kcli passed over in silence, as in a kcli_plan.yml.'),
            click.option('-f', '--inputfile', metavar='FILE', multiple=True,
                         help='File, folder or URL of the plan, or - for standard input. Several make up one plan.')):
        function = decorator(function)
    return function


def _carried_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of what works on several entries at a time."""
    return click.option('--parallel', metavar='N', type=click.IntRange(1, 100), default=10, show_default=True,
                        help='Work on that many entries at a time.')(function)


def _pruning(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that deletes what left the file of a plan."""
    return click.option('--prune', is_flag=True, help='Delete what the plan made and its file no longer names.')(function)


def _trusted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that lets a plan run commands on this machine."""
    return click.option('--trust', is_flag=True, help='Let the plan run its script, and one from elsewhere its commands, '
                                                      'on this machine.')(function)


def _located(name: str | None, inputfile: tuple[str, ...], url: str | None) -> tuple[list[str], list[Source]]:
    """Return what names the plan, and where it is, its standard input read. InvalidInput."""
    from kvirt.plan.locate import locate
    if inputfile and url:
        raise InvalidInput('a plan is a file or a URL, and not both')
    files = [url] if url else list(inputfile)
    if files.count('-') > 1:
        raise InvalidInput('there is one standard input, and it is named twice')
    stdin = sys.stdin.read() if '-' in files else None
    return files, [locate(file, plan=name, stdin=stdin) for file in files] or [locate(plan=name)]


def _opened(session: Session, name: str | None, inputfile: tuple[str, ...], url: str | None, compat: bool, *,
            trust: bool | None = None) -> Plan:
    """Return the plan, checked. *trust*: let it run its script; False asks, and None leaves the script out."""
    config, given = session.one_client(any_of_group=True), session.parameters(implicit=True)
    files, sources = _located(name, inputfile, url)
    scripts = [str(source.script) for source in sources if source.script]
    if trust is False and given.get('pre', True) and scripts:
        session.confirm(f"Run {', '.join(scripts)} on this machine first?")
        trust = True
    stdin = next((source.text for source in sources if source.origin == 'stdin'), None)
    return config.open_plan(name, files or None, stdin=stdin, overrides=given, trust=bool(trust), pre=trust is not None,
                            compat=compat, tell=session.say)


@command('plan', parameters=True, example='kvirt create plan -f web.yml -P workers=3 shop')
@name_argument(required=False)
@_source
@_carried_out
@click.option('--dry-run', is_flag=True, help='Show what would be made and what a month of it costs; make nothing.')
@_pruning
@_trusted
def create(session: Session, name: str | None, inputfile: tuple[str, ...], url: str | None, compat: bool,
           parallel: int, dry_run: bool, prune: bool, trust: bool) -> int:
    """Make what a plan says, as parallel as its entries allow. What is there already stays as it is.

    What fails makes only what needs it be left out, and the exit code 4. The same command again goes on with it.
    """
    plan = _opened(session, name, inputfile, url, compat, trust=None if dry_run else trust)
    if dry_run:
        _differences(session, plan, {key: change for key, change in plan.diff(prune=prune).items()
                                     if change.action in ('create', 'delete')}, empty='Everything is there')
        return 0
    if prune:
        _ask_to_prune(session, plan.diff(prune=True))
    with view(session, plan.name) as sink:
        summary = plan.create(sink, parallel=parallel, prune=prune)
    return _told(session, plan.name, summary)


@command('plan', parameters=True, example='kvirt update plan -f web.yml -P memory=4g shop')
@name_argument(required=False)
@_source
@_carried_out
@click.option('--replace', is_flag=True, help='Delete and make again what can not be changed; its disks are lost.')
@_pruning
@_trusted
def update(session: Session, name: str | None, inputfile: tuple[str, ...], url: str | None, compat: bool,
           parallel: int, replace: bool, prune: bool, trust: bool) -> int:
    """Make what is missing of a plan, and change what is not as it says: exactly what 'diff plan' shows."""
    plan = _opened(session, name, inputfile, url, compat, trust=trust)
    changes = plan.diff(prune=prune)
    _ask_to_prune(session, changes)
    replaced = [key for key, change in changes.items() if change.action == 'replace']
    if replaced and replace:
        session.confirm(f"Delete and make again {', '.join(f'{kind} {called}' for kind, called in replaced)}?")
    with view(session, plan.name) as sink:
        summary = plan.update(changes, sink, parallel=parallel, replace=replace)
    for kind, called in replaced if not replace else ():
        session.say(f'{kind} {called} was not replaced: give --replace')
    return _told(session, plan.name, summary)


@command('plan', parameters=True, example='kvirt diff plan -f web.yml shop')
@name_argument(required=False)
@_source
@_pruning
def diff(session: Session, name: str | None, inputfile: tuple[str, ...], url: str | None, compat: bool,
         prune: bool) -> int:
    """Show in what the platforms differ from a plan. The exit code is 0 when in nothing, and 3 otherwise."""
    plan = _opened(session, name, inputfile, url, compat)
    return _differences(session, plan, plan.diff(prune=prune), empty='Nothing differs')


@command('plan', parameters=True, example='kvirt check plan -f web.yml')
@name_argument(required=False)
@_source
def check(session: Session, name: str | None, inputfile: tuple[str, ...], url: str | None, compat: bool) -> int:
    """Look for faults in a plan, and tell all of them. Nothing is connected to."""
    plan = _opened(session, name, inputfile, url, compat)
    number = len(plan.checked.items)
    session.say(f"Plan {plan.name}: {counted(number, 'entry', 'entries')}, no fault")
    output.rows(session, _entries(plan), ('type', 'name', 'client', 'needs'))
    return 0


@command('plan', parameters=True, example='kvirt render plan -f web.yml -P workers=3')
@name_argument(required=False)
@_source
def render(session: Session, name: str | None, inputfile: tuple[str, ...], url: str | None, compat: bool) -> int:
    """Print a plan with its templates expanded."""
    from kvirt.plan.locate import name_of
    from kvirt.plan.render import render as expanded
    from kvirt.redact import redact
    config = session.one_client(any_of_group=True)
    sources = _located(name, inputfile, url)[1]
    context = {'plan': name or name_of(sources[0]), **config.context()}
    texts = [expanded(source, session.parameters(implicit=True), context).text for source in sources]
    for text in texts:
        click.echo(redact(text), nl=len(texts) > 1 and not text.endswith('\n'))
    return 0


@command('plan', parameters=True, example='kvirt delete plan shop')
@name_argument(required=False, complete=complete_plans)
@_source
@_carried_out
@click.option('--unmarked', is_flag=True, help='Also what it names, bears no mark, and is not known to be made by it.')
def delete(session: Session, name: str | None, inputfile: tuple[str, ...], url: str | None, compat: bool,
           parallel: int, unmarked: bool) -> int:
    """Delete what a plan made: its VMs and networks by their marks; with the plan's file the rest of its entries too.

    Images and storage pools stay, and so does what was there before the plan.
    """
    from kvirt.plan import found
    from kvirt.plan.ledger import Ledger
    plan = _opened(session, name, inputfile, url, compat) if inputfile or url else None
    wanted = plan.name if plan else name
    if wanted is None:
        raise InvalidInput('which plan? Name it, or give its file with -f')
    configs = [session.config(client) for client in session.clients]
    things = found.removable(wanted, configs)
    if not things and plan is None:
        raise NotFound(f'there is nothing of plan {wanted} on {", ".join(config.client for config in configs)}',
                       hint="'kvirt list plan' shows them all")
    doomed = dict.fromkeys([*(thing.key for thing in things), *(plan.doomed(unmarked=unmarked) if plan else ())])
    if doomed:
        session.confirm(f'Delete plan {wanted}: {_counted(doomed)}?')
    with view(session, wanted) as sink:
        summary = (plan.delete(sink, parallel=parallel, further=things, unmarked=unmarked) if plan
                   else found.delete(wanted, things, sink, parallel=parallel))
    left = [f"{thing['type']} {thing['name']}" for thing in Ledger(session.settings.home, wanted).all()
            if thing['client'] in session.clients]
    if left:
        session.say(f"Still there: {', '.join(left)}{'' if plan else '. With its file (-f) they go as well'}")
    return _told(session, wanted, summary)


@command('plan', parameters=True, example='kvirt info plan -f web.yml')
@name_argument(required=False, complete=complete_plans)
@_source
def info(session: Session, name: str | None, inputfile: tuple[str, ...], url: str | None, compat: bool) -> int:
    """Show the parameters of a plan's file and what it would make; without a file, what there is of a plan."""
    from kvirt.plan import found
    from kvirt.plan.parameters import declared
    if name and not inputfile and not url:
        things = found.vms(name, [session.config(client) for client in session.clients])
        rows = [{**thing.row, 'client': thing.config.client} for thing in things]
        output.rows(session, rows, ('name', 'status', 'ip', 'image', 'profile', 'client'))
        return 0
    known = [declared(source) for source in _located(name, inputfile, url)[1]]
    for about in (each.about for each in known):
        for key in ('description', 'info'):
            if about.get(key):
                session.say(str(about[key]).strip())
    told = [{'parameter': each.name, 'default': '(required)' if each.required else
             '(secret)' if each.secret else each.default, 'description': each.description,
             'choices': list(each.choices)} for one in known for each in one.parameters.values()]
    try:
        entries = _entries(_opened(session, name, inputfile, url, compat))
    except InvalidInput as error:
        entries = None
        trouble = '; '.join(problem.message for problem in error.problems)
        session.say(f'What it makes can not be told: {trouble}')
    if session.output not in ('table', 'name'):
        output.facts(session, {'parameters': told, 'entries': entries})
        return 0
    output.rows(session, told, ('parameter', 'default', 'description', 'choices'), key='parameter',
                empty='It has no parameters')
    if entries and session.output == 'table':
        click.echo()
        output.rows(session, entries, ('type', 'name', 'client', 'needs'))
    return 0


def _entries(plan: Plan) -> list[dict[str, Any]]:
    """Return what a plan makes, each entry after what it needs."""
    return [{'type': item.kind, 'name': item.name, 'client': item.config.client,
             'needs': [f'{kind}/{called}' for kind, called in plan.checked.needs[item.key]]}
            for item in plan.checked.in_order()]


def _verb(verb: str, done: str, about: str, *, soft: bool = False) -> click.Command:
    """Make the command that does something to all VMs of plans."""
    def run(session: Session, names: tuple[str, ...], **options: Any) -> int:
        from kvirt.plan import found
        code = 0
        for name in names:
            things = found.vms(name, [session.config(client) for client in session.clients])

            def work(thing: Any) -> Any:
                return getattr(thing.config.k, verb)(thing.name, **options)
            with view(session, name) as sink:
                summary = found.act(things, verb, work, sink)  # type: ignore[arg-type]
            code = max(code, _told(session, name, summary))
        return code
    run.__doc__ = about
    made: Callable[..., Any] = names_argument(complete_plans, required=True)(run)
    if soft:
        made = click.option('-s', '--soft', is_flag=True, help='Ask their operating systems.')(made)
    return command('plan', example=f'kvirt {verb} plan shop')(made)


start = _verb('start', 'started', 'Start the VMs of plans.')
stop = _verb('stop', 'stopped', 'Stop the VMs of plans.', soft=True)
restart = _verb('restart', 'restarted', 'Restart the VMs of plans.')


def _snapshots(verb: str, operation: str, about: str) -> click.Command:
    """Make the command that does something about a snapshot of all VMs of a plan."""
    def run(session: Session, name: str, snapshot: str) -> int:
        from kvirt.plan import found
        things = found.vms(name, [session.config(client) for client in session.clients])
        with view(session, name) as sink:
            summary = found.act(things, 'revert' if verb == 'revert' else 'snapshot',
                                lambda thing: getattr(thing.config.k, operation)(snapshot, thing.name), sink)
        return _told(session, name, summary)
    run.__doc__ = about
    made = name_argument(name='snapshot')(run)
    made = name_argument(complete=complete_plans)(made)
    return command('plan-snapshot', example=f'kvirt {verb} plan-snapshot shop before')(made)


create_snapshot = _snapshots('create', 'create_snapshot', 'Take a snapshot of every VM of a plan.')
delete_snapshot = _snapshots('delete', 'delete_snapshot', 'Delete a snapshot of every VM of a plan.')
revert_snapshot = _snapshots('revert', 'revert_snapshot', 'Bring every VM of a plan back to a snapshot.')


@command('plan', example='kvirt export plan shop > shop.yml')
@name_argument(complete=complete_plans)
def export(session: Session, name: str) -> int:
    """Print a plan that makes the like of what there is of a plan. What goes on inside of the guests is not in it."""
    from kvirt.plan import found
    from kvirt.yamlfile import dump
    things = found.everything(name, [session.config(client) for client in session.clients])
    if not any(thing.kind == 'vm' for thing in things):
        raise NotFound(f'there is no VM of plan {name}', hint="'kvirt list plan' shows them all")
    click.echo(dump(found.export(things)), nl=False)
    return 0


# telling

def _ask_to_prune(session: Session, changes: Mapping[Any, Any]) -> None:
    """Ask if what left the file of a plan is to go."""
    doomed = [f'{kind} {name}' for (kind, name), change in changes.items() if change.action == 'delete']
    if doomed:
        session.confirm(f"Delete {', '.join(doomed)}?")


def _differences(session: Session, plan: Plan, changes: Mapping[Any, Any], *, empty: str) -> int:
    rows = []
    for (kind, name), change in changes.items():
        if change.action == 'nothing' and not change.differences and not change.reason:
            continue
        rows.append({'action': change.action, 'type': kind, 'name': name, 'reason': change.reason, 'changes': [
            {'what': each.what, 'now': each.now, 'wanted': each.wanted,
             'possible': bool(each.mend) or change.action == 'replace'} for each in change.differences]})
    if session.output != 'table':
        output.rows(session, rows, ('action', 'type', 'name'))
        return 3 if rows else 0
    if not rows:
        session.say(empty)
    signs = {'create': '+', 'update': '~', 'replace': '!', 'delete': '-', 'nothing': ' '}
    for row in rows:
        click.echo(f"{signs[row['action']]} {row['type']} {row['name']}{': ' if row['reason'] else ''}{row['reason']}")
        for each in row['changes']:
            now = '' if each['now'] is None else f"{each['now']} -> "
            what = 'none' if each['wanted'] is None else each['wanted']
            click.echo(f"    {each['what']}: {now}{what}{'' if each['possible'] else ' (can not be changed)'}")
    _priced(session, plan, changes)
    return 3 if rows else 0


def _priced(session: Session, plan: Plan, changes: Mapping[Any, Any]) -> None:
    """Say what the changes cost each month, and what no price is known for."""
    sums, unknown = plan.costs(changes)
    for currency, monthly in sums.items():
        session.say(f"A month of it costs about {abs(monthly):.2f} {currency} {'more' if monthly > 0 else 'less'}")
    if unknown:
        shown = ', '.join(unknown[:5]) + (f' and {len(unknown) - 5} more' if len(unknown) > 5 else '')
        session.say(f'No price is known for {shown}')


def _told(session: Session, plan: str, summary: Summary) -> int:
    """Say how it went; return the exit code."""
    changed = summary.changed()
    if summary.ok:
        session.say(f'Plan {plan}: {_counted(changed)} done' if changed else f'Plan {plan}: nothing to do')
    else:
        # What failed was told when it did; what was left out because of it is told once, at its cause.
        for key, failure in summary.failed.items():
            behind = [f'{kind} {name}' for (kind, name), because in summary.skipped.items() if because == key]
            report(KvirtError(f"{key[0]} {key[1]}: {failure['reason']}"
                              f"{'. Left out because of it: ' + ', '.join(behind) if behind else ''}"))
        session.say(f'Plan {plan}: {_counted(changed)} done, {len(summary.failed)} failed, {len(summary.skipped)} left out')
        waiting = [f'{kind} {name}' for (kind, name), because in summary.skipped.items() if because is None]
        if waiting:
            session.say(f"Interrupted before {', '.join(waiting)}")
    conclude(session, summary.result(plan))
    return 0 if summary.ok else 130 if summary.interrupted else INCOMPLETE


def _counted(keys: Any) -> str:
    counts: dict[str, int] = {}
    for kind, _ in keys:
        counts[kind] = counts.get(kind, 0) + 1
    return ', '.join(counted(count, _WORDS.get(kind, kind))
                     for kind, count in counts.items()) or 'nothing'

