"""VMs: making them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kvirt.cli import output
from kvirt.cli.completion import images, profiles
from kvirt.cli.context import Session, command
from kvirt.cli.errors import report, worst
from kvirt.cli.types import name_argument, name_option
from kvirt.errors import AlreadyExists, InvalidInput, KvirtError, Problem
from kvirt.names import counted

if TYPE_CHECKING:
    from kvirt.config import Kconfig
    from kvirt.result import Result

_BOOTS = ('image', 'iso', 'kernel', 'disks', 'flavor')
_ALWAYS = ('image', 'numcpus', 'memory', 'disks', 'nets', 'pool')


@dataclass(frozen=True)
class Order:
    """What is asked for: the VM's name, the profile that it is made from, and the values on top."""

    config: Kconfig
    name: str
    profile: str | None
    values: dict[str, Any]
    custom: dict[str, Any] | None = None


def layers(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what a VM is made of."""
    for decorator in (click.option('--profilefile', metavar='FILE', help='Use the one profile in this file.'),
                      name_option('-p', '--profile', help='Profile to use.', complete=profiles),
                      name_option('-i', '--image', help='Image to use, or a profile.', complete=images)):
        function = decorator(function)
    return function


@command('vm', parameters=True, example='kvirt create vm -i debian12 -P memory=2g -P disks=[20,5] web --wait')
@name_argument(required=False)
@layers
@click.option('-c', '--count', type=int, help='Make several: NAME-0, NAME-1, ...')
@click.option('--force', is_flag=True, help='Delete a VM of this name first.')
@click.option('-k', '--keep', is_flag=True, help='With --force, keep its disks but the root one.')
@click.option('-w', '--wait', is_flag=True, help='Return when the guest has configured itself.')
@click.option('--console', is_flag=True, help='Open the display afterwards.')
@click.option('-s', '--serial', is_flag=True, help='Open the serial console afterwards.')
@click.option('--dry-run', is_flag=True, help='Show what would be made, and what a month of it costs; make nothing.')
def create(session: Session, name: str | None, profile: str | None, profilefile: str | None, image: str | None,
           count: int | None, force: bool, keep: bool, wait: bool, console: bool, serial: bool, dry_run: bool) -> int:
    """Create a VM; without a name it gets one.

    -P sets keywords ('kvirt list keyword' shows them), variables of templates, and in UPPERCASE the guest's environment.
    """
    order = order_of(session, name, profile, profilefile, image)
    if count is not None and (console or serial):
        raise InvalidInput('--console and --serial are for one VM')
    _refuse_nothing_to_boot(order)
    if dry_run:
        return _preview(session, order, count, force)
    if force:
        _clear(session, order, count, keep)
    outcomes = _created(session, order, count, wait)
    codes = []
    for made, outcome in outcomes.items():
        if outcome.ok:
            address = f" at {outcome['ip']}" if outcome.get('ip') else ''
            session.say(f'VM {made} created on {order.config.client}{address}')
            codes.append(0)
        else:
            codes.append(report(outcome.error or KvirtError('unknown'), f'VM {made}' if count else ''))
    output.results(session, [{'name': made, **outcome} for made, outcome in outcomes.items()], several=count is not None)
    if worst(codes) == 0 and (console or serial):
        from kvirt.cli.console import open_console
        return open_console(session, order.config, order.name, serial=serial)
    return worst(codes)


@command('vm-config', parameters=True, example='kvirt info vm-config -p small -P memory=2g web')
@name_argument(required=False)
@layers
def config(session: Session, name: str | None, profile: str | None, profilefile: str | None, image: str | None) -> int:
    """Show what a VM would be made of, and the layer that each value comes from."""
    return _show(session, order_of(session, name, profile, profilefile, image))


def order_of(session: Session, name: str | None, profile: str | None, profilefile: str | None,
           image: str | None) -> Order:
    values = session.parameters(implicit=True)
    # As in kcli, these three may also be parameters.
    asked = {key: str(values.pop(key)) for key in ('name', 'profile', 'client') if values.get(key)}
    config = session.config(asked['client']) if 'client' in asked else session.one_client(any_of_group=True)
    profile = profile or asked.get('profile')
    custom = None
    if profile and profile not in config.profiles and profile.endswith(('.yml', '.yaml')):
        profile, profilefile = None, profile
    if profilefile:
        profile, custom = _from_file(Path(profilefile).expanduser())
    elif profile:
        config.profiles.raw(profile)
    if image and not profile and image in config.profiles:
        profile = image
    elif image:
        values['image'] = image
    if not (name or asked.get('name')):
        from kvirt.names import random_name
        name = random_name()
    return Order(config, name or asked['name'], profile, values, custom)


def _from_file(path: Path) -> tuple[str, dict[str, Any]]:
    from kvirt.profiles import Profiles
    from kvirt.yamlfile import load_file
    found = Profiles(load_file(path))
    if len(found.names()) != 1:
        raise InvalidInput(Problem(f'expected one profile, found {len(found.names())}', str(path)))
    name = found.names()[0]
    return name, {'profile': name, **found.raw(name)}


def _preview(session: Session, order: Order, count: int | None, force: bool) -> int:
    """Show what would be made and what it costs; a VM that could not be made makes a failure."""
    from kvirt.preview import total
    orders = {order.name: order.values} if count is None else order.config.copies(
        order.name, count, order.profile, order.values, order.custom)
    found = order.config.preview_vms(orders, order.profile, order.custom)
    output.facts(session, [_priced(made) for made in found] if session.output == 'table' else
                 found[0] if count is None else found)
    problems = [problem for made in found for problem in made['problems']]
    for problem in problems:
        if force:
            session.say(f'{problem}, and is deleted first')
        else:
            report(AlreadyExists(problem))
    for note in dict.fromkeys(note for made in found for note in made['notes']):
        session.say(f'Mind: {note}')
    cost, currency = total(found)
    unknown = ', '.join(dict.fromkeys(what for made in found for what in made['unknown']))
    if cost is not None:
        what = 'VM' if count is None else counted(count, 'VM')
        session.say(f"{what}: about {cost:.2f} {currency or ''} a month".rstrip())
    if unknown:
        session.say(f"{'Without the price of' if cost is not None else 'No price is known for'}: {unknown}")
    return 1 if problems and not force else 0


def _priced(made: dict[str, Any]) -> dict[str, Any]:
    """Return a preview as people read it: prices as a list, and nothing that is said in words below."""
    shown = {key: value for key, value in made.items()
             if key not in ('items', 'monthly', 'currency', 'unknown', 'problems', 'notes')}
    if made['items']:
        shown['cost of a month'] = {item['what']: 'not known' if item['monthly'] is None else
                                    f"{item['monthly']:.2f} {made['currency'] or ''}".rstrip() for item in made['items']}
    return shown


def _show(session: Session, order: Order) -> int:
    rows = order.config.check_vm(order.name, order.profile, order.values, order.custom)
    rows.sort(key=lambda row: (row['origin'] == 'built-in', row['keyword']))
    if session.output == 'table' and not session.verbose:
        rows = [row for row in rows if row['origin'] != 'built-in' or row['keyword'] in _ALWAYS]
    session.say(f'VM {order.name} on {order.config.client} would be made of this (-v shows every built-in value too)')
    output.rows(session, [_masked(row) for row in rows], ('keyword', 'value', 'origin'), key='keyword')
    return 0


def _masked(row: dict[str, Any]) -> dict[str, Any]:
    """Mask the value of a keyword that is a secret: here the key is not beside it, where it would be recognized."""
    from kvirt.redact import redact_mapping
    return {**row, 'value': redact_mapping({row['keyword']: row['value']})[row['keyword']]}


def _refuse_nothing_to_boot(order: Order) -> None:
    merged = order.config.vm_values(order.profile, order.values, order.custom).values
    if not any(merged.get(key) for key in _BOOTS) and merged.get('start', True) is not False and (
            'network' not in (merged.get('boot_order') or ())):
        raise InvalidInput(f'VM {order.name} would have nothing to boot',
                           hint='Give -i IMAGE or -p PROFILE, or -P start=false for an empty one')


def _clear(session: Session, order: Order, count: int | None, keep: bool) -> None:
    from kvirt.copies import copy_names
    for name in [order.name] if count is None else copy_names(order.name, count):
        if order.config.k.exists(name):
            order.config.delete_vm(name, snapshots=True, keep_disks=keep).expect()
            session.say(f'VM {name} deleted on {order.config.client}')


def _tell_what_exists(session: Session, order: Order, count: int | None) -> None:
    """Name the VMs that were made before the work was cancelled: they stay, unless they were half made."""
    from kvirt.cli.lastvm import LastVms
    from kvirt.copies import copy_names
    try:
        known = {row['name'] for row in order.config.k.list()}
    except KvirtError:
        return  # cancelled is what there is to say
    names = [name for name in ([order.name] if count is None else copy_names(order.name, count)) if name in known]
    if names:
        LastVms(session.settings).add(order.config.client, *names)
        session.say(f"{', '.join(f'VM {name}' for name in names)} made before that on {order.config.client}")


def _created(session: Session, order: Order, count: int | None, wait: bool) -> dict[str, Result]:
    from kvirt.cli.lastvm import LastVms
    from kvirt.cli.progress import waits
    try:
        with waits(session) as tick_for:
            if count is None:
                outcomes = {order.name: order.config.create_vm(order.name, order.profile, order.values, order.custom,
                                                               wait=wait, tick=tick_for(order.name))}
            else:
                outcomes = order.config.create_vms(order.name, count, order.profile, order.values, order.custom,
                                                   wait=wait, tick_for=tick_for)
    except KeyboardInterrupt:
        _tell_what_exists(session, order, count)
        raise
    # One that was made and then failed to configure itself is there as well, and the one to look at.
    made = [name for name, outcome in outcomes.items() if outcome.ok or 'name' in outcome]
    if made:
        LastVms(session.settings).add(order.config.client, *made)
    return outcomes


