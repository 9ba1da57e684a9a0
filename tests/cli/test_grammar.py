from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kvirt.cli.context import Command, Session
from kvirt.cli.grammar import COMMANDS, NOUN_ALIASES, VERB_ALIASES, VERBS, root
from kvirt.providers import registry
from kvirt.providers.catalog import CATALOG

from .conftest import ROOT, Run


def _every_command() -> Iterator[tuple[str, ...]]:
    """Yield the words of every command."""
    for verb, entry in COMMANDS.items():
        if isinstance(entry, str):
            yield (verb,)
            continue
        for noun in entry:
            yield from [(verb, noun)] if (verb, noun) != ('create', 'client') else [
                ('create', 'client', kind) for kind in (*(entry.name for entry in CATALOG), 'group')]


EVERY = list(_every_command())


def resolved(words: tuple[str, ...]) -> click.Command:
    """Return the command behind *words*. What the provider of a client needs has to be installed."""
    if words[:2] == ('create', 'client') and words[2:] not in ((), ('group',)):
        needed = registry.missing(registry.find(words[2]))
        if needed:
            pytest.skip(f"{' '.join(needed)} is not installed")
    command: click.Command = root()
    context = click.Context(command, obj=Session())
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(context, word)
        assert found is not None, words
        command = found
    return command


@pytest.mark.parametrize('words', EVERY, ids=' '.join)
def test_every_command_has_help_that_ends_with_an_example_of_itself(words: tuple[str, ...], kvirt: Run) -> None:
    assert resolved(words)
    done = kvirt(*words, '--help')
    assert (done.code, done.err) == (0, '')
    last = done.out.rstrip().splitlines()[-1].strip()
    assert f"kvirt {' '.join(words)}" in last or words[0] == 'completion', last
    assert done.out.splitlines()[2].strip(), 'the help begins with what the command does'


LISTS = [words for words in EVERY if words[0] == 'list' and words[1] != 'inventory']
"""All lists. An inventory is no rows, but what Ansible reads."""


@pytest.mark.parametrize('words', LISTS, ids=' '.join)
def test_every_list_can_be_sorted_chosen_from_and_read_by_programs(words: tuple[str, ...]) -> None:
    command = resolved(words)
    assert isinstance(command, Command) and command.takes_parameters
    flags = {flag for param in command.params if isinstance(param, click.Option) for flag in param.opts}
    assert {'--sort', '--short', '--output', '--param'} <= flags


NEEDS = {'bucket-file': ('store',), 'nic': ('web',), 'snapshot': ('web',), 'plan-snapshot': ('shop',)}
"""What a list is of, where it is not of a client."""


@pytest.mark.parametrize('words', LISTS, ids=' '.join)
def test_what_a_list_can_be_sorted_by_it_can_be_chosen_by(words: tuple[str, ...], web: Run, podman: Path) -> None:
    assert web('create', 'vm', '-i', 'debian12', '-P', 'insecure=true', '-P', 'plan=shop', 'db').code == 0
    assert web('create', 'bucket', 'store').code == 0
    assert web('create', 'snapshot', '-n', 'web', 'early').code == 0
    command = resolved(words)
    field = {'offer': 'flavor', 'nic': 'device', 'plan': 'plan'}.get(words[1], 'name')
    for form in ('table', 'json', 'jsoncompact', 'yaml', 'name'):
        done = web(*words, *NEEDS.get(words[1], ()), '--sort', field, '-P', f'{field}=nothing*bears*this', '-o', form)
        assert (done.code, done.errors) == (0, []), (command, done.err)
        assert done.out.strip() in ('', '[]'), form


@pytest.mark.parametrize('words', EVERY, ids=' '.join)
def test_no_two_options_of_a_command_share_a_flag(words: tuple[str, ...]) -> None:
    command = resolved(words)
    assert isinstance(command, Command)
    flags = [flag for param in command.params if isinstance(param, click.Option)
             for flag in (*param.opts, *param.secondary_opts)]
    assert len(flags) == len(set(flags)), flags
    assert {'--client', '--output', '--debug'} <= set(flags)


def test_tables_agree() -> None:
    assert set(COMMANDS) == set(VERBS)
    nouns = {noun for entry in COMMANDS.values() if isinstance(entry, dict) for noun in entry}
    assert set(NOUN_ALIASES.values()) <= nouns
    assert not set(NOUN_ALIASES) & nouns
    assert not set(VERB_ALIASES) & set(VERBS)


@pytest.mark.parametrize(('alias', 'words'), [
    (('add', 'vm'), ('create', 'vm')), (('run', 'vms'), ('create', 'vm')), (('install', 'net'), ('create', 'network')),
    (('remove', 'nets'), ('delete', 'network')), (('get', 'hosts'), ('list', 'client')),
    (('show', 'host'), ('info', 'client')), (('list', 'templates'), ('list', 'image')),
    (('list', 'vm-disks'), ('list', 'disk')), (('create', 'vm-nic'), ('create', 'nic')),
    (('list', 'instance-types'), ('list', 'flavor')), (('info', 'parameter'), ('info', 'keyword')),
    (('list', 'regions'), ('list', 'location')), (('list', 'quotas'), ('list', 'quota')),
    (('add', 'ssh-key'), ('create', 'key')),
    (('create', 'sg'), ('create', 'security-group')), (('delete', 'firewalls'), ('delete', 'security-group')),
    (('list', 'subnetworks'), ('list', 'subnet')), (('get', 'buckets'), ('list', 'bucket')),
    (('list', 'bucket-files'), ('list', 'bucket-file')), (('list', 'dns-entries'), ('list', 'dns')),
    (('list', 'lbs'), ('list', 'loadbalancer')), (('create', 'vm-snapshot'), ('create', 'snapshot')),
    (('list', 'orphan'), ('list', 'orphans')), (('list', 'offers'), ('list', 'offer')),
    (('start', 'vms'), ('start', 'vm')), (('create', 'host', 'libvirt'), ('create', 'client', 'kvm')),
])
def test_aliases_mean_the_same(alias: tuple[str, ...], words: tuple[str, ...]) -> None:
    assert resolved(alias).help == resolved(words).help


@pytest.mark.parametrize('verb', [verb for verb, entry in COMMANDS.items() if isinstance(entry, dict)])
def test_a_verb_alone_shows_its_help(verb: str, kvirt: Run) -> None:
    done = kvirt(verb)
    assert (done.code, done.err) == (0, '')
    assert done.out.startswith(f'Usage: kvirt {verb} ')
    table = COMMANDS[verb]
    assert isinstance(table, dict)
    assert all(f'\n  {noun} ' in done.out for noun in table)


def test_nothing_at_all_shows_the_help(kvirt: Run) -> None:
    assert kvirt().out == kvirt('--help').out
    assert 'kvirt create vm -i debian12 web' in kvirt().out


@pytest.mark.parametrize(('words', 'said'), [
    (('lst', 'vm'), "unknown command 'lst', did you mean 'list'?"),
    (('frobnicate',), "unknown command 'frobnicate'."),
    (('vm', 'list'), "unknown command 'vm', did you mean 'kvirt list vm'?"),
    (('hosts', 'get'), "did you mean 'kvirt list client'?"),
    (('list', 'vmm'), "'list' knows no 'vmm', did you mean 'vm'?"),
    (('list', 'vm', '--outpt', 'json'), "unknown option '--outpt', did you mean '--output'?"),
    (('list', 'vm', '-o', 'xml'), "'xml' is not one of"),
    (('--frob',), "unknown option '--frob'"),
    (('info', 'network'), "missing argument 'NAME'"),
    (('start', 'vm', '-P', 'a=1'), "unknown option '-P'"),
    (('-P', 'a=1', 'start', 'vm'), 'this command takes no parameters'),
    (('create', 'client', 'kwm', 'x'), "unknown provider 'kwm', did you mean 'kvm'?"),
    (('create', 'vm', '-c', 'many', 'x'), "'many' is not a valid integer"),
    (('clone', 'x'), "missing option '-b' / '--base'"),
])
def test_misuse_is_one_line_with_the_way_out(words: tuple[str, ...], said: str, kvirt: Run) -> None:
    done = kvirt(*words)
    assert (done.code, done.out) == (2, '')
    assert len(done.err.splitlines()) == 1
    assert done.errors and said in done.errors[0]


def test_global_options_stand_anywhere(kvirt: Run) -> None:
    assert kvirt('create', 'vm', '-i', 'debian12', '-C', 'two', 'there').code == 0
    for words in (('-C', 'two', '-o', 'name', 'list', 'vm'), ('list', '-C', 'two', 'vm', '-o', 'name'),
                  ('list', 'vm', '-o', 'name', '--client', 'two'), ('-c', 'two', 'list', '-o', 'name', 'vms')):
        assert kvirt(*words).out == 'there\n', words


def test_the_later_option_wins(kvirt: Run) -> None:
    assert kvirt('-o', 'yaml', 'list', 'vm', '-o', 'json').out == '[]\n'
    assert json.loads(kvirt('-o', 'json', 'list', '-o', 'jsoncompact', 'vm').out) == []


FOR_SCRIPTS = {'exists', 'status', 'ip', 'dnsinfo', 'net_exists', 'disk_exists', 'get_pool_path', 'vm_ports', 'create_disk'}
"""Operations whose answer is a part of what another command shows, or that another one includes."""


def test_every_operation_of_the_contract_can_be_used_from_the_command_line() -> None:
    from kvirt.base import operations
    folder = ROOT / 'kvirt'
    text = '\n'.join(path.read_text() for path in [*(folder / 'cli').glob('*.py'), *(
        folder / f'{name}.py' for name in ('config', 'update', 'filters', 'offers', 'preview'))])
    called = set(re.findall(r'(?:\.k|provider|_k|k)\.(\w+)\(', text))
    assert set(operations()) - called - FOR_SCRIPTS == set()


HEAVY = ('rich', 'jinja2', 'paramiko', 'requests', 'pycdlib', 'libvirt', 'urllib3')


def loaded_by(*commands: tuple[str, ...]) -> set[str]:
    """Return the packages that commands load, in a process of their own."""
    program = ('import json, sys\nfrom kvirt.cli.main import main\n'
               'codes = [main(words) for words in json.loads(sys.argv[1])]\n'
               'print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)\nsys.exit(max(codes))')
    done = subprocess.run([sys.executable, '-c', program, json.dumps(commands)], capture_output=True, text=True, timeout=60,
                          cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def test_help_loads_nothing_but_click(home: object) -> None:
    # create client TYPE --help shows what the provider declares, so it loads the provider.
    helps = [(), ('--help',), ('--version',), *((*words, '--help') for words in EVERY if words[:2] != ('create', 'client')),
             ('create', 'client'), ('create', 'client', 'group', '--help')]
    # What the interpreter loads by itself, from .pth files of its site folder.
    bare = subprocess.run([sys.executable, '-c', 'import sys; print(*sys.modules)'], capture_output=True, text=True).stdout
    known = {*sys.stdlib_module_names, 'kvirt', 'click', *(name.partition('.')[0] for name in bare.split())}
    assert {name for name in loaded_by(*helps) - known if not name.startswith('_')} == set()


def test_lists_into_a_pipe_load_nothing_heavy(home: object) -> None:
    lists = [('list', 'vm'), ('list', 'vm', '-o', 'json'), ('list', 'vm', '-o', 'name'), ('list', 'client'),
             ('list', 'network', '-o', 'yaml'), ('list', 'flavor', '--sort', 'price'), ('list', 'offer', '--numcpus', '2'),
             ('list', 'security-group'), ('list', 'dns')]
    assert loaded_by(*lists) & set(HEAVY) == set()


IDLE = ('concurrent', 'bz2', 'lzma', 'tempfile', 'shutil', 'subprocess', 'random', 'ssl', 'email', 'http', 'socket',
        'asyncio', 'multiprocessing', 'unittest')
"""Modules of Python's own that take milliseconds to load, and that short commands have no use for."""


@pytest.mark.parametrize('commands', [
    [('list', kind) for kind in ('vm', 'client', 'profile', 'keyword', 'network', 'pool', 'image', 'plan')],
    [('-C', 'test:///default', 'list', kind) for kind in ('vm', 'network', 'pool', 'plan')],
], ids=['fake', 'libvirt'])
def test_lists_load_nothing_that_they_have_no_use_for(commands: list[tuple[str, ...]], home: object) -> None:
    if commands[0][0] == '-C':
        pytest.importorskip('libvirt')
    assert loaded_by(*commands) & {*HEAVY, *IDLE, 'cryptography', 'libvirt'} <= {'libvirt'}


def test_creating_a_vm_loads_nothing_that_unpacks_or_fetches(home: object) -> None:
    create = ('create', 'vm', '-i', 'debian12', '-P', 'nokeys=true')
    assert loaded_by((*create, 'one')) & {'jinja2', 'paramiko', 'requests', 'urllib3', 'rich', 'concurrent', 'bz2', 'lzma',
                                          'tempfile', 'ssl', 'email', 'http', 'asyncio'} == set()
