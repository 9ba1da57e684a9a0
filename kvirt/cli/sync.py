"""Bringing clients to another host, and images to another client."""

from __future__ import annotations

import click

from kvirt.cli import output
from kvirt.cli.completion import clients, configured, images
from kvirt.cli.context import Session, command
from kvirt.cli.errors import worst
from kvirt.cli.targets import tell
from kvirt.cli.types import name_option, names_argument


@command('config', example='kvirt sync config ada@10.0.0.5 lab')
@click.argument('host', metavar='[USER@]HOST')
@names_argument(configured)
@click.option('--secrets', is_flag=True, help='Send what secrets.yml has of them as well.')
@click.option('--force', is_flag=True, help='Replace clients that are other ones there.')
def config(session: Session, host: str, names: tuple[str, ...], secrets: bool, force: bool) -> None:
    """Bring clients to the configuration of another host, or of a VM: those named, or all.

    What the host has beside them stays as it is. Secrets stay here unless --secrets is given.
    """
    from kvirt.sync import send_clients
    words = session.one_client().ssh_words(host)
    if secrets:
        session.confirm(f'Send secrets to {host}?')
    told = send_clients(session.settings, words, names, secrets=secrets, replace=force)
    for name in told.sent:
        session.say(f'Client {name} sent to {host}')
    for name in told.same:
        session.say(f'Client {name} is on {host} already')
    for name in told.bare:
        session.say(f'Mind: the secrets of client {name} stayed here')
    output.results(session, [{'result': 'success', 'sent': told.sent, 'same': told.same, 'bare': told.bare}], several=False)


@command('image', example='kvirt sync image -t two debian12')
@names_argument(images, required=True)
@name_option('-t', '--to', 'to', help='Client to bring them to.', complete=clients, required=True)
def image(session: Session, names: tuple[str, ...], to: str) -> int:
    """Bring images of one client to another one, which fetches them from their makers."""
    from kvirt.sync import send_images
    outcomes = send_images(session.one_client(), session.config(to), names)
    codes = [tell(session, outcome, f"Image {name} {'is already on' if outcome.get('found') else 'brought to'} {to}")
             for name, outcome in outcomes.items()]
    output.results(session, [{'name': name, **outcome} for name, outcome in outcomes.items()], several=True)
    return worst(codes)
