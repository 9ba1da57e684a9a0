"""The grammar: verb, then noun. Tables of where each command lives, so that none is imported before it is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from kvirt.cli.context import global_options
from kvirt.names import did_you_mean

VERB_ALIASES = {'add': 'create', 'run': 'create', 'install': 'create', 'remove': 'delete', 'get': 'list', 'show': 'info'}

NOUN_ALIASES = {
    'vms': 'vm', 'clients': 'client', 'host': 'client', 'hosts': 'client', 'profiles': 'profile', 'confpools': 'confpool',
    'networks': 'network',
    'net': 'network', 'nets': 'network', 'pools': 'pool', 'images': 'image', 'template': 'image', 'templates': 'image',
    'isos': 'iso', 'disks': 'disk', 'vm-disk': 'disk', 'vm-disks': 'disk', 'nics': 'nic', 'vm-nic': 'nic',
    'vm-nics': 'nic', 'flavors': 'flavor', 'instance-type': 'flavor', 'instance-types': 'flavor', 'offers': 'offer',
    'keywords': 'keyword', 'parameter': 'keyword', 'parameters': 'keyword', 'providers': 'provider',
    'orphan': 'orphans', 'locations': 'location', 'regions': 'location', 'quotas': 'quota', 'keys': 'key',
    'ssh-key': 'key', 'ssh-keys': 'key', 'floating-ips': 'floating-ip', 'security-groups': 'security-group',
    'sg': 'security-group', 'sgs': 'security-group', 'firewall': 'security-group', 'firewalls': 'security-group',
    'subnets': 'subnet', 'subnetwork': 'subnet', 'subnetworks': 'subnet', 'buckets': 'bucket',
    'bucket-files': 'bucket-file', 'dns-zones': 'dns-zone', 'dns-entry': 'dns', 'dns-entries': 'dns',
    'dns-records': 'dns', 'lb': 'loadbalancer', 'lbs': 'loadbalancer', 'loadbalancers': 'loadbalancer',
    'snapshots': 'snapshot', 'plans': 'plan', 'plan-snapshots': 'plan-snapshot',
    'plan-types': 'plan-type', 'type': 'plan-type', 'types': 'plan-type', 'available-images': 'available-image',
    'vm-snapshot': 'snapshot', 'vm-snapshots': 'snapshot', 'containers': 'container',
    'container-images': 'container-image', 'container-profiles': 'container-profile',
}

VERBS: dict[str, str] = {
    'attach': 'Connect a floating address or a load balancer to a VM, or this terminal to a container',
    'changelog': 'Show what is new in kvirt',
    'check': 'Look for faults in a plan',
    'clone': 'Make a VM from another one',
    'completion': 'Print the completion script of a shell',
    'console': 'Open the display of a VM',
    'create': 'Create things',
    'delete': 'Delete things',
    'detach': 'Take a floating address from a VM',
    'diff': 'Show in what the platforms differ from a plan',
    'disable': 'Leave a client out of what is done on all',
    'doctor': 'Look for what hinders kvirt here, and tell what mends it',
    'download': 'Bring an image to where VMs are made, or a file from a bucket',
    'enable': 'Take a client in again',
    'export': 'Make an image of a VM, or a plan of what there is',
    'info': 'Show all that is known of something',
    'init': 'Write the first configuration',
    'list': 'List things',
    'mcp': 'Offer kvirt as tools of the Model Context Protocol',
    'rename': 'Rename things',
    'render': 'Expand the templates of a plan',
    'restart': 'Restart VMs',
    'revert': 'Bring VMs back to a snapshot',
    'scp': 'Copy files to and from a VM',
    'serial': 'Open the serial console of a VM',
    'ssh': 'Log in to a VM, or run a command in it',
    'start': 'Start VMs',
    'stop': 'Stop VMs',
    'switch': 'Choose the client that is used when none is named',
    'sync': 'Bring clients to another host, or images to another client',
    'update': 'Change things',
    'version': 'Show the version',
    'wait': 'Wait until VMs are what they are to become',
}

COMMANDS: dict[str, str | dict[str, str]] = {
    'changelog': 'version:changelog', 'clone': 'vms_change:clone',
    'completion': 'completion:script', 'console': 'console:console',
    'doctor': 'doctor:doctor', 'init': 'init:init', 'mcp': 'mcp:serve',
    'serial': 'console:serial', 'ssh': 'ssh:ssh', 'scp': 'ssh:scp', 'version': 'version:version',
    'attach': {'floating-ip': 'floating:attach', 'loadbalancer': 'loadbalancers:attach',
               'container': 'containers:attach'},
    'create': {'vm': 'vms_create:create', 'vm-data': 'guestdata:of_vm', 'plan-data': 'guestdata:of_plan',
               'client': 'clients_create:create', 'profile': 'profiles:create',
               'confpool': 'confpools:create', 'container': 'containers:create',
               'network': 'networks:create', 'pool': 'pools:create', 'disk': 'disks:create', 'nic': 'nics:create',
               'key': 'keys:create', 'floating-ip': 'floating:create', 'security-group': 'securitygroups:create',
               'subnet': 'subnets:create', 'bucket': 'buckets:create', 'bucket-file': 'buckets:upload',
               'dns': 'dns:create', 'loadbalancer': 'loadbalancers:create', 'snapshot': 'snapshots:create',
               'plan': 'plans:create', 'plan-snapshot': 'plans:create_snapshot'},
    'delete': {'vm': 'vms_change:delete', 'client': 'clients:delete', 'profile': 'profiles:delete',
               'confpool': 'confpools:delete', 'container': 'containers:delete',
               'network': 'networks:delete', 'pool': 'pools:delete', 'image': 'images:delete', 'iso': 'images:delete_iso',
               'disk': 'disks:delete', 'nic': 'nics:delete', 'orphans': 'orphans:delete', 'key': 'keys:delete',
               'floating-ip': 'floating:delete', 'security-group': 'securitygroups:delete', 'subnet': 'subnets:delete',
               'bucket': 'buckets:delete', 'bucket-file': 'buckets:delete_file', 'dns': 'dns:delete',
               'loadbalancer': 'loadbalancers:delete', 'snapshot': 'snapshots:delete', 'plan': 'plans:delete',
               'plan-snapshot': 'plans:delete_snapshot'},
    'check': {'plan': 'plans:check'},
    'diff': {'plan': 'plans:diff'},
    'render': {'plan': 'plans:render'},
    'detach': {'floating-ip': 'floating:detach'},
    'disable': {'client': 'clients:disable'},
    'download': {'image': 'images:download', 'iso': 'images:download_iso', 'bucket-file': 'buckets:download'},
    'enable': {'client': 'clients:enable'},
    'export': {'vm': 'vms_change:export', 'plan': 'plans:export'},
    'info': {'vm': 'vms:info', 'vm-config': 'vms_create:config', 'client': 'clients:info', 'profile': 'profiles:info',
             'network': 'networks:info', 'pool': 'pools:info', 'flavor': 'flavors:info', 'keyword': 'keywords:info',
             'provider': 'providers:info', 'security-group': 'securitygroups:info', 'subnet': 'subnets:info',
             'plan': 'plans:info', 'plan-type': 'planparts:info_type', 'confpool': 'confpools:info',
             'image': 'images:info', 'iso': 'images:info_iso', 'disk': 'disks:info', 'key': 'keys:info',
             'floating-ip': 'floating:info', 'loadbalancer': 'loadbalancers:info', 'location': 'places:info_location'},
    'list': {'vm': 'vms:list_', 'client': 'clients:list_', 'profile': 'profiles:list_', 'network': 'networks:list_',
             'pool': 'pools:list_', 'image': 'images:list_', 'available-image': 'images:list_available',
             'iso': 'images:list_iso', 'disk': 'disks:list_',
             'nic': 'nics:list_', 'flavor': 'flavors:list_', 'offer': 'flavors:offers', 'keyword': 'keywords:list_',
             'provider': 'providers:list_', 'orphans': 'orphans:list_', 'location': 'places:list_locations',
             'quota': 'places:list_quotas', 'key': 'keys:list_', 'floating-ip': 'floating:list_',
             'security-group': 'securitygroups:list_', 'subnet': 'subnets:list_', 'bucket': 'buckets:list_',
             'bucket-file': 'buckets:list_files', 'dns': 'dns:list_', 'dns-zone': 'dns:list_zones',
             'loadbalancer': 'loadbalancers:list_', 'snapshot': 'snapshots:list_',
             'plan': 'planparts:list_', 'plan-snapshot': 'planparts:list_snapshots', 'plan-type': 'planparts:list_types',
             'confpool': 'confpools:list_', 'inventory': 'inventory:list_', 'container': 'containers:list_',
             'container-image': 'containers:list_images', 'container-profile': 'containers:list_profiles'},
    'rename': {'vm': 'vms_change:rename'},
    'restart': {'vm': 'vms_change:restart', 'plan': 'plans:restart', 'container': 'containers:restart'},
    'revert': {'snapshot': 'snapshots:revert', 'plan-snapshot': 'plans:revert_snapshot'},
    'start': {'vm': 'vms_change:start', 'plan': 'plans:start', 'container': 'containers:start'},
    'stop': {'vm': 'vms_change:stop', 'plan': 'plans:stop', 'container': 'containers:stop'},
    'switch': {'client': 'clients:switch'},
    'sync': {'config': 'sync:config', 'image': 'sync:image'},
    'update': {'vm': 'vms_change:update', 'plan': 'plans:update', 'profile': 'profiles:update',
               'confpool': 'confpools:update',
               'network': 'networks:update', 'nic': 'nics:update', 'disk': 'disks:update',
               'security-group': 'securitygroups:update', 'subnet': 'subnets:update'},
    'wait': {'vm': 'watch:wait'},
}


class Group(click.Group):
    """A group of commands given as a table: name to ``module:function``, or to a group."""

    def __init__(self, name: str, help: str, table: Mapping[str, Any], aliases: Mapping[str, str], what: str) -> None:
        super().__init__(name, help=help, invoke_without_command=True, no_args_is_help=False,
                         params=global_options(()), subcommand_metavar=f'{what.upper()} ...',
                         context_settings={'help_option_names': ['-h', '--help'], 'max_content_width': 100},
                         callback=click.pass_context(_show_help))
        self._table, self._aliases, self._what = table, aliases, what

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = self._aliases.get(cmd_name, cmd_name)
        entry = self._table.get(name)
        if entry is None:
            return None
        if isinstance(entry, dict):
            nouns = {alias: noun for alias, noun in NOUN_ALIASES.items() if noun in entry}
            return Group(name, VERBS[name], entry, nouns, 'noun')
        return load(entry)

    def about(self, name: str) -> str:
        """Return one line about a command, without loading it where the table says enough."""
        if self._what == 'verb':
            return VERBS[name]
        command = load(self._table[name])
        return command.get_short_help_str(limit=75)

    def resolve_command(self, ctx: click.Context,
                        args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        command = self.get_command(ctx, word)
        if command is None and not ctx.resilient_parsing:
            raise click.UsageError(self._unknown(word, args[1:]), ctx)
        return (command.name if command else None), command, args[1:]

    def _unknown(self, word: str, rest: list[str]) -> str:
        likely = did_you_mean(word, [*self._table, *self._aliases])
        if word.startswith('-'):
            return f"unknown option '{word}'"
        if self._what == 'noun':
            return f"'{self.name}' knows no '{word}'{likely}"
        noun, verb = NOUN_ALIASES.get(word, word), VERB_ALIASES.get(rest[0], rest[0]) if rest else ''
        table = COMMANDS.get(verb)
        if isinstance(table, dict) and noun in table:
            likely = f", did you mean 'kvirt {verb} {noun}'?"
        return f"unknown command '{word}'{likely}"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self._what == 'verb':
            super().format_options(ctx, formatter)
            return
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section('Verbs' if self._what == 'verb' else 'What'):
            formatter.write_dl([(name, self.about(name)) for name in self.list_commands(ctx)])
        shown = {alias: name for alias, name in self._aliases.items() if name in self._table}
        if shown:
            formatter.write_paragraph()
            words = [f"{name}: {', '.join(alias for alias in shown if shown[alias] == name)}"
                     for name in dict.fromkeys(shown.values())]
            formatter.write_text(f"Also called: {'; '.join(words)}.")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self._what == 'verb':
            with formatter.section('Examples'):
                formatter.write_text('kvirt create vm -i debian12 web')
                formatter.write_text('kvirt ssh web')
                formatter.write_text('kvirt -C fake list vm')
            formatter.write_paragraph()
            formatter.write_text("'kvirt VERB' shows what a verb can be applied to; every command has --help.")
        else:
            formatter.write_paragraph()
            formatter.write_text("The options of 'kvirt --help' may stand anywhere.")


def load(entry: str) -> click.Command:
    """Return the command at ``module:function`` of this package."""
    module, _, function = entry.partition(':')
    command: click.Command = getattr(importlib.import_module(f'kvirt.cli.{module}'), function)
    return command


def _show_help(ctx: click.Context, /, **options: Any) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def root() -> click.Group:
    """Return the command ``kvirt`` itself."""
    group = Group('kvirt', 'Virtual machines anywhere: one command line for libvirt and for clouds.', COMMANDS,
                  VERB_ALIASES, 'verb')
    group.params.append(click.Option(['--version'], is_flag=True, is_eager=True, expose_value=False,
                                     help='Show the version.', callback=_version))
    return group


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from kvirt.version import __version__
        click.echo(f'kvirt {__version__}')
        ctx.exit()

