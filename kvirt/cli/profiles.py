"""Profiles: named sets of keywords."""

from __future__ import annotations

from typing import Any

from kvirt.cli import output
from kvirt.cli.completion import images, profiles
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, show
from kvirt.cli.types import name_argument, name_option, names_argument
from kvirt.errors import InvalidInput

COLUMNS = ('name', 'base', 'image', 'flavor', 'numcpus', 'memory', 'disks', 'nets')


@list_command('profile', *COLUMNS, example='kvirt list profile --short')
def list_(session: Session, short: bool, sort: str | None) -> None:
    """List profiles, each with what it has from its bases."""
    known = session.settings.profiles()
    rows = [{'name': name, 'base': known.raw(name).get('base'), **known.values(name)} for name in known.names()]
    show(session, rows, COLUMNS, (), sort=sort, empty='There are no profiles', short=short)


@command('profile', example='kvirt info profile small')
@name_argument(profiles)
def info(session: Session, name: str) -> None:
    """Show a profile, with what it has from its bases."""
    known = session.settings.profiles()
    output.facts(session, {'name': name, 'base': known.raw(name).get('base'), **known.values(name)})


@command('profile', parameters=True, example='kvirt create profile -i debian12 -P memory=2048 -P numcpus=2 small')
@name_argument()
@name_option('-i', '--image', help='Image of its VMs.', complete=images)
def create(session: Session, name: str, image: str | None) -> None:
    """Create a profile from -P keywords; 'base' names a profile that it builds on."""
    from kvirt import edit
    values = _values(session, image)
    edit.create_profile(session.settings, name, values)
    session.say(f'Profile {name} created')


@command('profile', parameters=True, example='kvirt update profile -P memory=4096 small')
@name_argument(profiles)
@name_option('-i', '--image', help='Image of its VMs.', complete=images)
def update(session: Session, name: str, image: str | None) -> None:
    """Change keywords of a profile; an empty value (-P KEY=None) takes one away."""
    from kvirt import edit
    edit.update_profile(session.settings, name, _values(session, image))
    session.say(f'Profile {name} updated')


@command('profile', example='kvirt delete profile small')
@names_argument(profiles, required=True)
def delete(session: Session, names: tuple[str, ...]) -> None:
    """Delete profiles; the VMs made from them stay."""
    from kvirt import edit
    known = session.settings.profiles()
    for name in names:
        known.raw(name)
    session.confirm(f"Delete profile {', '.join(names)}?")
    for name in dict.fromkeys(names):
        edit.delete_profile(session.settings, name)
        session.say(f'Profile {name} deleted')


def _values(session: Session, image: str | None) -> dict[str, Any]:
    values = session.parameters()
    if image:
        values['image'] = image
    if not values:
        raise InvalidInput('no keyword was given', hint='Give them with -P: -P memory=2048')
    return values
