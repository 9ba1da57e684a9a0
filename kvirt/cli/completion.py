"""Shell completion: scripts for the shells, and names from live data, which never fail and never take long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from kvirt.cli.context import Session, command

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from kvirt.config import Kconfig

Complete = Callable[[click.Context, click.Parameter, str], 'list[CompletionItem]']

SHELLS = ('bash', 'zsh', 'fish')
FIELDS = ('name', 'status', 'ip', 'image', 'plan', 'profile', 'id', 'flavor', 'numcpus', 'memory', 'location', 'client')
_PATIENCE = 2.0  # seconds that a backend has to answer

_SCRIPTS = {'bash': r"""
_kvirt_completion() {
    local line value typed=${COMP_WORDS[COMP_CWORD]} special=$'\'"\\`$'
    COMPREPLY=()
    while read -r line; do
        value=${line#*,}
        case $line in
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
            plain,*)
                case $typed in
                    [\"\']*) [[ $value == *["$special"]* ]] && continue ;;
                    *) printf -v value %q "$value" ;;
                esac
                [[ $value == *: ]] && compopt -o nospace
                COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _KVIRT_COMPLETE=bash_complete "$1")
}
complete -o nosort -F _kvirt_completion kvirt
""", 'fish': r"""
function _kvirt_completion
    for line in (env _KVIRT_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) kvirt)
        set -l found (string split -m 1 , -- $line)
        switch $found[1]
            case dir
                __fish_complete_directories $found[2]
            case file
                __fish_complete_path $found[2]
            case plain
                printf '%s\n' $found[2]
        end
    end
end
complete --no-files --command kvirt --arguments '(_kvirt_completion)'
"""}
"""Scripts in place of click's, which take names apart at commas, and put names of elsewhere on the line unquoted."""


@command('completion', example='source <(kvirt completion bash)')
@click.argument('shell', type=click.Choice(SHELLS))
def script(session: Session, shell: str) -> None:
    """Print the completion script of a shell.

    bash: put 'source <(kvirt completion bash)' into ~/.bashrc. zsh: the same with zsh into ~/.zshrc, behind 'compinit'.
    fish: 'kvirt completion fish > ~/.config/fish/completions/kvirt.fish'.
    """
    from click.shell_completion import get_completion_class

    from kvirt.cli.grammar import root
    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(root(), {}, 'kvirt', '_KVIRT_COMPLETE')
    # Not made.source(): it would run the shell to learn its version.
    click.echo(_SCRIPTS.get(shell) or kind.source_template % made.source_vars())


def choices(*words: str) -> Complete:
    """Return a completion of fixed words."""
    return lambda ctx, param, incomplete: _items(words, incomplete)


def live(read: Callable[[Kconfig], Iterable[str]]) -> Complete:
    """Return a completion of the names that *read* gives of the client in use."""
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        session = ctx.ensure_object(Session)
        found = _patiently(session, lambda: [name for client in session.clients for name in read(session.config(client))])
        return _items(found, incomplete)
    return complete


def local(read: Callable[[Session], Iterable[str]]) -> Complete:
    """Return a completion of the names that *read* gives, without asking a backend."""
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        session = ctx.ensure_object(Session)
        return _items(_patiently(session, lambda: read(session)), incomplete)
    return complete


def _patiently(session: Session, read: Callable[[], Iterable[str]]) -> list[str]:
    """Return what *read* finds; nothing when it fails or takes long, since the user is typing."""
    found: list[str] = []

    def attempt() -> None:
        try:
            found.extend(read())
        except Exception:
            if session.debug:
                raise

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return list(found)


def _items(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem
    return [CompletionItem(word) for word in sorted(set(words)) if word.startswith(incomplete) and word.isprintable()]


def _client_names(session: Session) -> list[str]:
    return [*session.settings.clients(), 'fake', 'all']


def _keywords(session: Session) -> list[str]:
    from kvirt.spec import KEYWORDS
    return list(KEYWORDS)


def _providers(session: Session) -> list[str]:
    from kvirt.providers.catalog import CATALOG
    return [entry.name for entry in CATALOG]


def _confpools(session: Session) -> list[str]:
    from kvirt.confpools import ConfPools
    return list(ConfPools(session.settings).all())


clients = local(_client_names)
confpools = local(_confpools)
configured = local(lambda session: session.settings.clients())
plans = live(lambda config: {row['plan'] for row in config.k.list() if row.get('plan')})
profiles = local(lambda session: session.settings.profiles().names())
keywords = local(_keywords)
providers = local(_providers)
vms = live(lambda config: [row['name'] for row in config.k.list()])
images = live(lambda config: config.k.volumes())
isos = live(lambda config: config.k.volumes(iso=True))
networks = live(lambda config: config.k.list_networks())
pools = live(lambda config: config.k.list_pools())
disks = live(lambda config: config.k.list_disks())
keys = live(lambda config: config.k.list_keys())
floating_ips = live(lambda config: config.k.list_floating_ips())
security_groups = live(lambda config: config.k.list_security_groups())
subnets = live(lambda config: config.k.list_subnets())
buckets = live(lambda config: config.k.list_buckets())
zones = live(lambda config: config.k.list_dns_zones())
loadbalancers = live(lambda config: [row['name'] for row in config.k.list_loadbalancers()])
flavors = live(lambda config: [flavor.name for flavor in config.k.list_flavors()])

