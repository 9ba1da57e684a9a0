"""What all commands share: the global options, and the session that they fill."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from kvirt.cli.text import is_terminal
from kvirt.cli.types import NAME
from kvirt.errors import InvalidInput, KvirtError

if TYPE_CHECKING:
    from kvirt.config import Kconfig
    from kvirt.settings import Settings

FORMATS = ('table', 'json', 'jsoncompact', 'yaml', 'name')


@dataclass
class Session:
    """One run of the command: what the global options say, and the clients that they lead to."""

    client: str | None = None
    output: str = 'table'
    debug: bool = False
    quiet: bool = False
    verbose: bool = False
    yes: bool = False
    region: str | None = None
    zone: str | None = None
    namespace: str | None = None
    resource_group: str | None = None
    params: list[str] = field(default_factory=list)
    paramfiles: list[str] = field(default_factory=list)
    _configs: dict[str | None, Any] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Settings:
        """The configuration files."""
        from kvirt.settings import Settings
        return Settings()

    def config(self, client: str | None = None) -> Kconfig:
        """Return the facade of *client*, by default of the one that -C means (of several, the first)."""
        from kvirt.config import Kconfig
        wanted = client or self.client
        if wanted not in self._configs:
            self._configs[wanted] = Kconfig(wanted, debug=self.debug, quiet=self.quiet, region=self.region,
                                            zone=self.zone, namespace=self.namespace,
                                            resource_group=self.resource_group, settings=self.settings)
        found: Kconfig = self._configs[wanted]
        return found

    def one_client(self, *, any_of_group: bool = False) -> Kconfig:
        """Return the facade of the one client that -C means; *any_of_group*: of a group, the member that it chooses.

        InvalidInput when -C means several.
        """
        named = self.settings.select(self.client)
        if len(named) > 1 or (not any_of_group and len(self.clients) > 1):
            raise InvalidInput(f"this is done on one client, and there are {', '.join(self.clients)}",
                               hint='Name one with -C')
        return self.config()

    @cached_property
    def clients(self) -> list[str]:
        """The clients that -C means, groups replaced by their members."""
        return self.settings.targets(self.client)

    def parameters(self, *, implicit: bool = False) -> dict[str, Any]:
        """Return what -P and --paramfile say; with *implicit* the parameter file of the current folder counts too."""
        from kvirt.cli.params import gather
        return gather(self.params, self.paramfiles, implicit=implicit)

    def say(self, line: str) -> None:
        """Tell people what was done; never data."""
        if not self.quiet and self.output == 'table':
            from kvirt.cli.text import plain
            from kvirt.redact import redact
            click.echo(redact(plain(line)), err=True)

    def confirm(self, question: str) -> None:
        """Go on only if the user agrees; where nobody can be asked, only -y does."""
        if self.yes:
            return
        if not is_terminal('stdin'):
            raise InvalidInput(f'{question} Nobody can be asked here', hint='Give -y to go on without')
        if not click.confirm(question, err=True):
            raise KvirtError('nothing was done')

    def close(self) -> None:
        """Let go of all connections."""
        for config in self._configs.values():
            config.close()


class GlobalOption(click.Option):
    """An option that every command has, before or after its verb and noun."""


def _store(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        session = ctx.ensure_object(Session)
        if value in (None, (), False):
            return
        if isinstance(value, tuple):
            getattr(session, name).extend(value)
        else:
            setattr(session, name, value)
        if name in ('debug', 'verbose', 'quiet') and not ctx.resilient_parsing:
            levels = {'debug': logging.DEBUG, 'verbose': logging.INFO, 'quiet': logging.ERROR}
            logging.getLogger('kvirt').setLevel(levels[name])
    return callback


def _complete_clients(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    from kvirt.cli.completion import clients
    return clients(ctx, param, incomplete)


GLOBAL: tuple[tuple[str, tuple[str, ...], dict[str, Any]], ...] = (
    ('client', ('-C', '-c', '--client'), {'metavar': 'NAME', 'type': NAME, 'shell_complete': _complete_clients, 'help':
                                          'Client to use: a name of the configuration, several (a,b), all, fake, '
                                          'user@host, or a libvirt URI.'}),
    ('params', ('-P', '--param'), {'metavar': 'KEY=VALUE', 'multiple': True, 'help': 'Set a keyword or parameter.'}),
    ('paramfiles', ('--paramfile', '--pf'), {'metavar': 'FILE', 'multiple': True, 'help': 'Read parameters from a file.'}),
    ('output', ('-o', '--output'), {'type': click.Choice(FORMATS), 'help': 'How to print data.'}),
    ('yes', ('-y', '--yes'), {'is_flag': True, 'help': 'Do not ask.'}),
    ('quiet', ('-q', '--quiet'), {'is_flag': True, 'help': 'Say nothing but data and errors.'}),
    ('verbose', ('-v', '--verbose'), {'is_flag': True, 'help': 'Say more.'}),
    ('debug', ('-d', '--debug'), {'is_flag': True, 'help': 'Say everything, with tracebacks.'}),
    ('region', ('-r', '--region'), {'metavar': 'NAME', 'type': NAME, 'help': 'Region, in place of the client\'s own.'}),
    ('zone', ('-z', '--zone'), {'metavar': 'NAME', 'type': NAME, 'help': 'Zone, in place of the client\'s own.'}),
    ('namespace', ('-n', '--namespace'), {'metavar': 'NAME', 'type': NAME,
                                          'help': 'Namespace, in place of the client\'s own.'}),
    ('resource_group', ('-g', '--resource_group'), {'metavar': 'NAME', 'type': NAME,
                                                    'help': 'Resource group, in place of the client\'s own.'}),
)


def global_options(taken: Collection[str], without: Collection[str] = ()) -> list[click.Parameter]:
    """Return the global options, less the flags that a command has *taken* for its own, and less those in *without*."""
    options: list[click.Parameter] = []
    for name, flags, settings in GLOBAL:
        free = [flag for flag in flags if flag not in taken]
        if name not in without and any(flag.startswith('--') for flag in free):
            options.append(GlobalOption([f'global_{name}', *free], expose_value=False, callback=_store(name), **settings))
    return options


class Command(click.Command):
    """A command: its own options, then the global ones, and an example at the end of its help."""

    def __init__(self, *args: Any, example: str, parameters: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example
        self.takes_parameters = parameters
        self.context_settings.setdefault('help_option_names', ['-h', '--help'])
        taken = {flag for param in self.params if isinstance(param, click.Option)
                 for flag in (*param.opts, *param.secondary_opts)}
        # -c is --count of one noun and --cidr of another: behind the noun only -C means the client.
        self.params += global_options({*taken, '-c'}, () if parameters else ('params', 'paramfiles'))

    def invoke(self, ctx: click.Context) -> Any:
        session = ctx.ensure_object(Session)
        if (session.params or session.paramfiles) and not self.takes_parameters:
            raise click.UsageError('this command takes no parameters (-P, --paramfile)', ctx)
        try:
            return super().invoke(ctx)
        finally:
            session.close()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own, common = [], []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if isinstance(param, GlobalOption):
                common.append(param.opts[0])
            elif record is not None and isinstance(param, click.Option):
                own.append(record)
        with formatter.section('Options'):
            formatter.write_dl(own)
        formatter.write_paragraph()
        formatter.write_text(f"And those of 'kvirt --help': {' '.join(common)}")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section('Example'):
            for line in self.example.splitlines():
                formatter.write_text(line)


def command(name: str | None = None, *, example: str, parameters: bool = False, cls: type[Command] = Command,
            **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of a function whose first argument is the session.

    *example* ends its help; *parameters* tells that -P and --paramfile mean something to it.
    """
    def make(function: Callable[..., Any]) -> Command:
        made = click.command(name, cls=cls, example=example, parameters=parameters, **settings)
        return made(click.pass_obj(function))
    return make

