"""Adding clients to the configuration: the options of each provider's command are those that the provider declares."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from kvirt.cli.completion import choices, configured
from kvirt.cli.context import Session, command
from kvirt.cli.grammar import Group
from kvirt.cli.params import coerce
from kvirt.cli.text import is_terminal
from kvirt.cli.types import name_argument
from kvirt.errors import InvalidInput, KvirtError

_SHORT = {'host': '-H', 'port': '-p', 'user': '-u', 'protocol': '-P', 'url': '-U', 'region': '-r', 'zone': '-z',
          'cluster': '-c', 'keypair': '-k', 'namespace': '-n'}
"""Short flags as kcli has them."""


class Providers(Group):
    """A command for each provider, made when it is asked for, and one for groups."""

    def __init__(self) -> None:
        super().__init__('client', 'Add a client to the configuration: a provider and how to reach it.', {}, {}, 'type')

    def list_commands(self, ctx: click.Context) -> list[str]:
        from kvirt.providers.registry import entries
        return [*(entry.name for entry in entries()), 'group']

    def about(self, name: str) -> str:
        from kvirt.providers.registry import entries
        return next((entry.title for entry in entries() if entry.name == name), 'Several clients, of which one is chosen')

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == 'group':
            return group
        from kvirt.providers.registry import find
        try:
            return _command_of(find(cmd_name).name)
        except InvalidInput as error:
            if ctx.resilient_parsing:
                return None
            raise error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section('Types'):
            formatter.write_dl([(name, self.about(name)) for name in self.list_commands(ctx)])


@command('group', example='kvirt create client group -m lab1,lab2 -a free labs')
@name_argument()
@click.option('-m', '--members', metavar='NAME,...', required=True, help='Clients that belong to it.',
              shell_complete=configured)
@click.option('-a', '--algorithm', type=click.Choice(['random', 'free', 'balance']), default='random', show_default=True,
              help='How one is chosen.')
def group(session: Session, name: str, members: str, algorithm: str) -> None:
    """Add a group: a client that stands for one of its members."""
    from kvirt import edit
    listed = [member.strip() for member in members.split(',') if member.strip()]
    edit.create_group(session.settings, name, listed, algorithm)
    session.say(f'Group {name} created')


def _command_of(provider: str) -> click.Command:
    from kvirt.providers.describe import options_of
    from kvirt.providers.registry import load
    options = options_of(load(provider))
    secrets = [option['option'] for option in options if option['secret']]

    def run(session: Session, name: str, **given: Any) -> None:
        from kvirt import edit
        values = {option['option']: _typed(option, given[f"option_{option['option']}"]) for option in options
                  if given.get(f"option_{option['option']}") is not None and not option['secret']}
        if given.get('option_pool') is not None:
            values['pool'] = given['option_pool']
        references, kept = _secret_values(session, secrets, given)
        edit.create_client(session.settings, name, provider, {**values, **session.parameters(), **references}, kept)
        session.say(f"Client {name} created; 'kvirt -C {name} info client' tells if it can be reached")

    run.__doc__ = (f'Add a client of provider {provider}.\n\n--param sets keywords for all its VMs. Secrets are never '
                   'taken from the command line, where others could read them: --KEY asks for one and keeps it in '
                   'secrets.yml, --KEY-env, --KEY-command and --KEY-file say where it is found when it is needed.')
    made: Any = run
    for decorator in reversed([name_argument(), *_decorators(options)]):
        made = decorator(made)
    return command(provider, parameters=True, example=f'kvirt create client {provider} mine')(made)


def _typed(option: Mapping[str, Any], value: Any) -> Any:
    """Return what was typed as it is best written into the file; whether it is right is checked with all the rest."""
    if not isinstance(value, str) or option['type'] == 'text':
        return value
    if option['type'].startswith('list of'):
        return [word.strip() for word in value.split(',') if word.strip()]
    return coerce(value)


def _decorators(options: list[dict[str, Any]]) -> list[Any]:
    decorators: list[Any] = []
    for option in options:
        key = option['option']
        flag = f"--{key.replace('_', '-')}"
        variable = f'option_{key}'
        if option['secret']:
            decorators += [
                click.option(flag, variable, is_flag=True,
                             help=f"{option['meaning']}. Asked for, and kept in secrets.yml."),
                click.option(f'{flag}-env', f'{variable}_env', metavar='VARIABLE', help='Variable that holds it.'),
                click.option(f'{flag}-command', f'{variable}_command', metavar='COMMAND',
                             help='Command that prints it.'),
                click.option(f'{flag}-file', f'{variable}_file', metavar='FILE', help='File that holds it.')]
            continue
        flags = [flag, *([f'--{key}'] if '_' in key else []), *([_SHORT[key]] if key in _SHORT else [])]
        settings: dict[str, Any] = {'help': _help(option), 'required': option.get('required', False)}
        if option['type'] == 'true or false':
            decorators.append(click.option(f'{flag}/--no-{flag[2:]}', variable, default=None, **settings))
        else:
            words = option['type'].split(' or ')
            complete = choices(*words) if ' or ' in option['type'] else None
            metavar = 'VALUE,...' if option['type'].startswith('list of') else 'VALUE'
            decorators.append(click.option(*flags, variable, metavar=metavar, shell_complete=complete, **settings))
    if not any(option['option'] == 'pool' for option in options):
        decorators.append(click.option('--pool', 'option_pool', metavar='NAME', help='Pool of its VMs.'))
    return decorators


def _help(option: Mapping[str, Any]) -> str:
    further = [f'default {option["default"]}'] if option['default'] not in (None, '', False, ()) else []
    if ' or ' in option['type'] and option['type'] != 'true or false':
        further.append(option['type'])
    if option['environment']:
        further.append(f"or {', '.join(option['environment'])} in the environment")
    return f"{option['meaning']}{' (' + '; '.join(further) + ')' if further else ''}."


def _secret_values(session: Session, secrets: list[str],
                   given: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what refers to a secret elsewhere, and the secrets that were asked for."""
    ways = {'env': '${%s}', 'command': '?command:%s', 'file': '?file:%s'}
    references, kept = {}, {}
    for key in secrets:
        chosen = [pattern % given[f'option_{key}_{way}'] for way, pattern in ways.items()
                  if given[f'option_{key}_{way}']]
        if len(chosen) + bool(given[f'option_{key}']) > 1:
            raise InvalidInput(f'{key} is given in more than one way')
        if chosen:
            references[key] = chosen[0]
        elif given[f'option_{key}']:
            kept[key] = _ask(session, key)
    return references, kept


def _ask(session: Session, key: str) -> str:
    from kvirt import redact
    if is_terminal('stdin'):
        secret = str(click.prompt(key, hide_input=True, err=True))
    else:
        secret = sys.stdin.readline().rstrip('\n') if sys.stdin else ''
    if not secret:
        raise KvirtError(f'no {key} was given')
    redact.remember(secret)
    return secret


create = Providers()
