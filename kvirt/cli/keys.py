"""Public ssh keys that a platform keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kvirt.cli.completion import keys
from kvirt.cli.context import Session, command
from kvirt.cli.lists import listing, showing
from kvirt.cli.reads import Rows
from kvirt.cli.targets import change, changes
from kvirt.cli.types import name_argument, names_argument
from kvirt.result import Result

if TYPE_CHECKING:
    from kvirt.config import Kconfig


def _read(config: Kconfig) -> Rows:
    return [{'name': name, 'public_key': key} for name, key in config.k.list_keys().items()]


list_ = listing('key', _read, ('name', 'public_key'), plural='keys')
info = showing('key', _read, keys, about='Show a public ssh key that the platform keeps.', example='laptop')


@command('key', example='kvirt create key -k ~/.ssh/id_ed25519.pub laptop')
@name_argument()
@click.option('-k', '--key', metavar='KEY', help='Public key: a file, or the text itself. The first of ~/.ssh when absent.')
def create(session: Session, name: str, key: str | None) -> int:
    """Let the platform keep a public ssh key."""
    from kvirt.guest.keys import public_keys
    from kvirt.spec import VmSpec
    config = session.one_client(any_of_group=True)
    found = public_keys(VmSpec(keys=(key,) if key else ()), home=session.settings.home)
    return change(session, name, Result.of(config.k.create_key(name, found[0])), f'Key {name} created on {config.client}')


@command('key', example='kvirt delete key -y laptop')
@names_argument(keys, required=True)
def delete(session: Session, names: tuple[str, ...]) -> int:
    """Delete public ssh keys from the platform."""
    config = session.one_client()
    session.confirm(f"Delete key {', '.join(names)} on {config.client}?")
    return changes(session, names, lambda name: Result.of(config.k.delete_key(name)),
                   f'Key {{}} deleted on {config.client}')
