"""Containers of podman or docker on the host of a client."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from kvirt.cli.completion import Complete, images, live, local
from kvirt.cli.context import Command, Session, command
from kvirt.cli.lists import list_command, listing, show
from kvirt.cli.targets import change, changes
from kvirt.cli.types import name_argument, name_option, names_argument
from kvirt.containers import Engine
from kvirt.errors import AlreadyExists, InvalidInput, KvirtError
from kvirt.names import UNPLANNED, random_name, safe_name
from kvirt.result import Result

if TYPE_CHECKING:
    from kvirt.config import Kconfig

_COLUMNS = ('name', 'status', 'image', 'plan', 'ports', 'command')
_PROFILE = ('name', 'image', 'nets', 'ports', 'volumes')


def _engine(config: Kconfig) -> Engine:
    return Engine(config.host_words())


def _profiles(session: Session) -> list[str]:
    known = session.settings.profiles()
    return [name for name in known.names() if known.raw(name).get('type') == 'container']


containers: Complete = live(lambda config: (row['name'] for row in _engine(config).all()))
list_ = listing('container', lambda config: _engine(config).all(), _COLUMNS, plural='containers',
                about='The plan is the one whose mark a container bears.')
list_images = listing('container-image', lambda config: _engine(config).images(), ('name', 'id', 'size'),
                      plural='images of containers', about='They are those that the engine holds.')


@list_command('container-profile', *_PROFILE)
def list_profiles(session: Session, short: bool, sort: str | None) -> None:
    """List the profiles that are of containers: those with the type 'container'."""
    known = session.settings.profiles()
    rows = [{'name': name, **known.values(name)} for name in _profiles(session)]
    show(session, rows, _PROFILE, (), sort=sort, empty='There are no profiles of containers', short=short)


@command('container', parameters=True, example='kvirt create container -i docker.io/library/nginx -P ports=[8080:80] web')
@name_argument(required=False)
@name_option('-i', '--image', help='Image to run.', complete=images)
@name_option('-p', '--profile', help='Profile of type container that it builds on.', complete=local(_profiles))
def create(session: Session, name: str | None, image: str | None, profile: str | None) -> int:
    """Run a container. -P takes the keys of a plan's entry: 'kvirt info plan-type container' shows them."""
    from kvirt.decode import decode
    from kvirt.plan.kinds.containers import ContainerKeys, check, made_of, on_profile
    config = session.one_client(any_of_group=True)
    given = {**session.parameters(), **({'image': image} if image else {}), **({'profile': profile} if profile else {})}
    plan = safe_name('plan', given.pop('plan', UNPLANNED))
    if given.get('profile') and given['profile'] not in _profiles(session):
        raise InvalidInput(f"'{given['profile']}' is no profile of a container",
                           hint="'kvirt list container-profile' shows them all")
    keys = decode(ContainerKeys, on_profile(given, config.profiles), what='key of a container')
    check(keys, 'a container')
    name, engine = safe_name('container', name or random_name()), _engine(config)
    if engine.known(name):
        raise AlreadyExists(f'container {name} already exists on {config.client}')
    try:
        engine.run(name, plan, **made_of(keys))
        made = Result.success()
    except KvirtError as error:
        made = Result.failure(error)
    return change(session, name, made, f'Container {name} created on {config.client}')


@command('container', example='kvirt delete container -y web')
@names_argument(containers, required=True)
def delete(session: Session, names: tuple[str, ...]) -> int:
    """Delete containers, running or not. Their images and volumes stay."""
    config = session.one_client()
    session.confirm(f"Delete container {', '.join(names)} on {config.client}?")
    return _each(session, config, names, lambda engine, name: engine.delete(name), 'deleted')


@command('container', example='kvirt attach container web')
@name_argument(containers)
def attach(session: Session, name: str) -> int:
    """Connect this terminal to what a container runs. Ctrl-P Ctrl-Q leaves it running."""
    engine = _engine(session.one_client())
    engine.need(name)
    return subprocess.call(engine.words('attach', name))


def _verb(verb: str, done: str, about: str) -> Command:
    """Make the command that starts, stops or restarts containers."""
    def run(session: Session, names: tuple[str, ...]) -> int:
        return _each(session, session.one_client(), names, lambda engine, name: engine.act(verb, name), done)
    run.__doc__ = about
    return command('container', example=f'kvirt {verb} container web')(names_argument(containers, required=True)(run))


start = _verb('start', 'started', 'Start containers.')
stop = _verb('stop', 'stopped', 'Stop containers.')
restart = _verb('restart', 'restarted', 'Restart containers.')


def _each(session: Session, config: Kconfig, names: tuple[str, ...], work: Any, done: str) -> int:
    """Do *work* to each container, and tell how it went."""
    engine = _engine(config)

    def attempt(name: str) -> Result:
        work(engine, name)
        return Result.success()
    return changes(session, names, attempt, f'Container {{}} {done} on {config.client}')
