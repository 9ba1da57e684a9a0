"""Security groups: what is let in to VMs. All else is denied; what goes out is allowed."""

from __future__ import annotations

from kvirt.cli import output
from kvirt.cli.completion import networks, security_groups
from kvirt.cli.context import Session, command
from kvirt.cli.lists import list_command, show
from kvirt.cli.reads import from_clients
from kvirt.cli.targets import change, changes
from kvirt.cli.types import name_argument, name_option, names_argument
from kvirt.errors import InvalidInput, NotFound
from kvirt.result import Result


@list_command('security-group', 'name')
@name_option('-n', '--network', help='Those of this network only.', complete=networks)
def list_(session: Session, short: bool, sort: str | None, network: str | None) -> int:
    """List security groups."""
    rows, further, code = from_clients(session, lambda config: [
        {'name': name} for name in config.k.list_security_groups(network)])
    show(session, rows, ('name',), further, sort=sort, empty='There are no security groups', short=short)
    return code


@command('security-group', example='kvirt info security-group front')
@name_argument(security_groups)
def info(session: Session, name: str) -> None:
    """Show a security group, and its rules."""
    config = session.one_client()
    known = dict(config.k.info_security_group(name))
    if not known:
        raise NotFound(f'security group {name} does not exist on client {config.client}')
    output.facts(session, {'name': name, **known})


@command('security-group', parameters=True, example='kvirt create security-group -P ports=[80,443,8000-8100,53/udp] front')
@name_argument()
def create(session: Session, name: str) -> int:
    """Create a security group that lets in what -P ports says.

    Ports are numbers, ranges, 53/udp, icmp, or rules: -P ports='[{from_port: 22, cidr: 10.0.0.0/8}]'. -P also sets what
    only the provider knows.
    """
    config = session.one_client(any_of_group=True)
    result = Result.of(config.k.create_security_group(name, session.parameters()))
    return change(session, name, result, f'Security group {name} created on {config.client}')


@command('security-group', parameters=True, example='kvirt update security-group -P ports=[443] front')
@name_argument(security_groups)
def update(session: Session, name: str) -> int:
    """Replace the rules of a security group by those of -P ports, for every VM that it is on."""
    values = session.parameters()
    if not values:
        raise InvalidInput('nothing to change was given', hint='Give it with -P: -P ports=[443]')
    config = session.one_client()
    result = Result.of(config.k.update_security_group(name, values))
    return change(session, name, result, f'Security group {name} updated on {config.client}')


@command('security-group', example='kvirt delete security-group -y front')
@names_argument(security_groups, required=True)
def delete(session: Session, names: tuple[str, ...]) -> int:
    """Delete security groups; one that a VM uses is refused."""
    config = session.one_client()
    session.confirm(f"Delete security group {', '.join(names)} on {config.client}?")
    return changes(session, names, lambda name: Result.of(config.k.delete_security_group(name)),
                   f'Security group {{}} deleted on {config.client}')
