"""The first configuration: written by asking, or from options, and never over another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from kvirt.cli.completion import choices, images
from kvirt.cli.context import Session, command
from kvirt.cli.text import folded, is_terminal
from kvirt.cli.types import name_option
from kvirt.errors import AlreadyExists, InvalidInput, KvirtError
from kvirt.providers.catalog import CATALOG

if TYPE_CHECKING:
    from kvirt.settings import Settings

_PLACES = ('host', 'user', 'location')
"""Options that say where VMs are made, which many will want to choose."""


@command('init', parameters=True, example='kvirt init -t kvm -P host=10.0.0.5 -i debian12 lab')
@click.argument('name', required=False, metavar='[NAME]')
@click.option('-t', '--type', 'kind', metavar='PROVIDER', help='Provider of the first client.',
              shell_complete=choices(*(entry.name for entry in CATALOG)))
@name_option('-i', '--image', help='Image of VMs that name none.', complete=images)
def init(session: Session, name: str | None, kind: str | None, image: str | None) -> None:
    """Write the first configuration: one client, which is then the default one.

    Without --type it asks. -P sets options of the provider, and keywords for all its VMs; a secret is asked for and kept
    in secrets.yml, or -P says where it is found: '${VARIABLE}', '?command:pass show cloud', '?file:PATH'.
    An existing configuration stays as it is.
    """
    from kvirt import edit
    settings = session.settings
    _refuse_another(settings)
    values = session.parameters()
    asked: dict[str, str] = {}
    if kind is None:
        if not is_terminal('stdin'):
            raise InvalidInput('nobody can be asked here', hint="Give all of it: 'kvirt init -t PROVIDER NAME'")
        kind = _ask_provider(settings)
        name = name or click.prompt('Name of the client', default=kind, err=True)
        values, asked = _ask_options(settings, kind, values)
    _refuse_plain_secrets(kind, values)
    name = name or kind
    if image:
        values['image'] = image
    edit.create_client(settings, name, kind, values, asked)
    edit.switch_client(settings, name)
    session.say(f"{settings.home / 'config.yml'} written: client {name} of provider {kind}")
    session.say("Next: 'kvirt doctor' tells if all is well, 'kvirt list image' what VMs can be made from,")
    session.say(f"and 'kvirt create vm{'' if image else ' -i debian12'} web' makes the first one")


def _refuse_another(settings: Settings) -> None:
    if settings.config is None:
        return
    if settings.compat:
        raise AlreadyExists(f"kcli's configuration is used: {settings.config.source}",
                            hint="Nothing else is needed: 'kvirt list client' shows it")
    raise AlreadyExists(f'there is a configuration: {settings.config.source}',
                        hint="'kvirt create client' adds a client to it")


def _ask_provider(settings: Settings) -> str:
    from kvirt.providers.registry import entries, find, missing
    known = list(entries())
    for entry in known:
        needs = '' if not missing(entry) else f"  (needs pip install 'kvirt[{entry.name}]')"
        click.echo(folded(f'{entry.title}{needs}', f'  {entry.name:14}', ' ' * 16), err=True)
    here = 'kvm' if settings.has_local_libvirt() else 'fake'
    names = click.Choice([entry.name for entry in known])
    return find(str(click.prompt('Where do VMs run', default=here, err=True, type=names, show_choices=False))).name


def _ask_options(settings: Settings, kind: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Ask for the options that are needed, or that many will want to choose; return the values and the secrets."""
    from kvirt import redact
    from kvirt.cli.params import coerce
    from kvirt.providers.describe import options_of
    from kvirt.providers.registry import load
    options = options_of(load(kind))
    # A provider's options begin with who it is that asks: all up to the first secret.
    credentials = next((index for index, option in enumerate(options) if option['secret']), -1)
    values, secrets = dict(given), {}
    for index, option in enumerate(options):
        key = option['option']
        wanted = option['required'] or index <= credentials or key in _PLACES
        if not wanted or key in values:
            continue
        variable = next((name for name in option['environment'] if settings.environ.get(name)), None)
        if variable:
            click.echo(f'{key} comes from {variable}', err=True)
            continue
        answer = str(click.prompt(folded(f"{option['meaning']} ({key})"), default=option['default'] or '', err=True,
                                  hide_input=option['secret'], show_default=bool(option['default'])))
        if not answer:
            if option['required']:
                raise KvirtError(f'no {key} was given')
        elif option['secret']:
            redact.remember(answer)
            secrets[key] = answer
        elif answer != str(option['default']):
            values[key] = answer if option['type'] == 'text' else coerce(answer)
    return values, secrets


def _refuse_plain_secrets(kind: str, values: Mapping[str, Any]) -> None:
    """Others can read a command line; what only says where a secret is found may stand there."""
    from kvirt.edit import is_reference
    from kvirt.providers.describe import options_of
    from kvirt.providers.registry import find, load
    plain = [option['option'] for option in options_of(load(find(kind).name))
             if option['secret'] and option['option'] in values and not is_reference(values[option['option']])]
    if plain:
        raise InvalidInput(f"{', '.join(plain)} must not stand on the command line, where others can read it",
                           hint="Say where it is found, -P " + plain[0] + "='${VARIABLE}', or let it be asked for")
