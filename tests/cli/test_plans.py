"""Plans on the command line: what is printed, what is asked, and what the exit code says."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from kvirt.cli.context import FORMATS
from kvirt.errors import Cancelled
from kvirt.wait import CANCEL

from .conftest import Outcome, Run

SHOP = """\
parameters:
  description: A shop, in short
  workers:
    description: How many web servers
    default: 2
  memory: 1024
  password: {default: hush, secret: true, description: Of the database}
  size: {default: small, choices: [small, large], description: Of all}
net: {type: network, cidr: 10.77.0.0/24}
{% for i in range(workers) %}
web-{{ i }}:
  image: debian12
  memory: {{ memory }}
  nets: [net]
  insecure: true
{% endfor %}
db: {image: debian12, flavor: medium, disks: [40], depends_on: web-0, owner: "{{ password }}", insecure: true}
front: {type: loadbalancer, ports: [80], vms: [web-0, web-1]}
www: {type: dns, domain: example.com, ip: 10.0.0.1}
"""


@pytest.fixture
def shop(home: Path) -> Path:
    """The file of a plan, in the current folder."""
    path = Path('shop.yml')
    path.write_text(SHOP)
    return path


@pytest.fixture
def made(kvirt: Run, shop: Path) -> Run:
    """Run commands where that plan was made."""
    done = kvirt('create', 'plan', '-f', 'shop.yml', '-q', '--parallel', '1')  # so that numbers are always the same
    assert (done.code, done.out, done.err) == (0, '', '')
    return kvirt


def timeless(text: str) -> str:
    return re.sub(r'^ *\d+\.\ds  ', '   0.0s  ', re.sub(r'"seconds":[\d.]+', '"seconds":0.0', text), flags=re.MULTILINE)


def shown(done: Outcome, *, any_order: bool = False) -> str:
    lines = timeless(done.err).splitlines()
    return ''.join([done.out, *(f'! {line}\n' for line in (sorted(lines) if any_order else lines)), f'[{done.code}]\n'])


def vms(kvirt: Run, *words: str) -> list[str]:
    return kvirt('list', 'vm', '-o', 'name', *words).out.split()


def block(kvirt: Run) -> None:
    """Let the network of the plan fail."""
    assert kvirt('create', 'network', '-c', '10.77.0.0/24', 'other').code == 0


class Quiet(SimpleHTTPRequestHandler):
    """Gives out files, and says nothing."""

    def log_message(self, *args: Any) -> None:
        pass


class TestOutputs:
    """What is printed."""

    @pytest.mark.parametrize('words', [
        'check plan -f shop.yml', 'render plan -f shop.yml -P workers=1', 'diff plan -f shop.yml',
        'diff plan -f shop.yml -P workers=3 -P memory=2048', 'create plan --dry-run -f shop.yml -P workers=3',
        'info plan -f shop.yml', 'info plan shop', 'list plan', 'export plan shop'])
    def test_what_reads_print(self, words: str, made: Run, golden: Callable[[str, str], None]) -> None:
        texts = []
        for form in FORMATS if not words.startswith(('render', 'export')) else ('table',):
            texts.append(f'$ kvirt {words} -o {form}\n{shown(made(*words.split(), "-o", form))}')
        name = re.sub(r'[^a-z0-9]+', '-', words.replace('shop.yml', '')).strip('-')
        golden(f'plan-{name}.txt', '\n'.join(texts))
        assert made('diff', 'plan', '-f', 'shop.yml').code == 0, 'nothing was changed'

    def test_what_is_done_is_told_in_lines(self, kvirt: Run, shop: Path, golden: Callable[[str, str], None]) -> None:
        texts = []
        for words in ('create plan', 'create plan', 'update plan -P memory=2048 -P workers=3', 'stop plan shop',
                      'start plan shop', 'create plan-snapshot shop before', 'stop plan shop',
                      'revert plan-snapshot shop before', 'delete plan-snapshot shop before', 'delete plan -y'):
            extra = ['-f', 'shop.yml', '--parallel', '1'] if words.split()[1] == 'plan' and 'shop' not in words else []
            if words.startswith('update'):
                kvirt('stop', 'plan', 'shop')
            done = kvirt(*words.split(), *extra)
            assert done.out == ''
            texts.append(f"$ kvirt {' '.join([*words.split(), *extra])}\n{shown(done, any_order=not extra)}")
        golden('plan-in-lines.txt', '\n'.join(texts))

    def test_a_failure_names_its_cause_and_what_was_left_out_once(self, kvirt: Run, shop: Path,
                                                                  golden: Callable[[str, str], None]) -> None:
        block(kvirt)
        done = kvirt('create', 'plan', '-f', 'shop.yml', '--parallel', '1')
        assert (done.code, done.out, len(done.errors)) == (4, '', 1)
        assert all(done.err.count(name) == 1 for name in ('web-0', 'web-1', 'vm db', 'loadbalancer front'))
        golden('plan-that-fails.txt', shown(done))
        assert kvirt('delete', 'network', '-y', 'other').code == 0
        assert kvirt('create', 'plan', '-f', 'shop.yml').code == 0, 'the same command again goes on with it'

    @pytest.mark.parametrize('form', ['json', 'jsoncompact'])
    def test_events_are_lines_of_json(self, form: str, kvirt: Run, shop: Path, golden: Callable[[str, str], None]) -> None:
        block(kvirt)
        done = kvirt('create', 'plan', '-f', 'shop.yml', '-o', form, '--parallel', '1')
        events = [json.loads(line) for line in done.out.splitlines()]
        assert done.code == 4
        assert {event['event'] for event in events} == {'waiting', 'started', 'failed', 'skipped', 'finished', 'summary'}
        assert [event['name'] for event in events if event['event'] == 'skipped'] == ['web-0', 'web-1', 'db', 'front']
        assert (events[-1]['event'], events[-1]['result'], events[-1]['plan']) == ('summary', 'failure', 'shop')
        if form == 'json':
            golden('plan-events.txt', timeless(done.out))

    def test_the_outcome_alone_in_yaml(self, kvirt: Run, shop: Path) -> None:
        done = kvirt('create', 'plan', '-f', 'shop.yml', '-o', 'yaml')
        assert (done.code, done.err) == (0, '')
        outcome = yaml.safe_load(done.out)
        assert (outcome['result'], sorted(outcome['newvms'])) == ('success', ['db', 'web-0', 'web-1'])
        assert yaml.safe_load(kvirt('create', 'plan', '-f', 'shop.yml', '-o', 'yaml').out)['existingvms'] != []

    def test_a_secret_is_shown_nowhere(self, kvirt: Run, shop: Path) -> None:
        for words in ('check plan', 'render plan', 'create plan --dry-run', 'create plan', 'diff plan', 'info plan'):
            for form in ('table', 'json'):
                done = kvirt(*words.split(), '-f', 'shop.yml', '-P', 'password=abracadabra', '-o', form)
                assert 'abracadabra' not in done.out + done.err, words

    def test_an_export_makes_the_like(self, made: Run) -> None:
        text = made('export', 'plan', 'shop').out
        Path('copy.yml').write_text(text.replace('10.77.', '10.78.').replace('db:', 'db2:'))
        assert made('diff', 'plan', '-f', 'copy.yml', 'shop').code == 3
        Path('copy.yml').write_text(text)
        assert made('diff', 'plan', '-f', 'copy.yml', 'shop').code == 0
        assert made('delete', 'plan', '-y', 'shop', '-f', 'shop.yml').code == 0
        assert made('create', 'plan', '-f', 'copy.yml', 'shop').code == 0
        assert vms(made) == ['db', 'web-0', 'web-1']

    def test_an_export_tells_clients_apart(self, made: Run) -> None:
        assert made('create', 'plan', '-C', 'two', '-f', 'shop.yml', '-q').code == 0
        entries = yaml.safe_load(made('export', 'plan', '-C', 'lab,two', 'shop').out)
        assert [(name, entry['client'], entry.get('name')) for name, entry in entries.items() if 'image' in entry] == [
            ('db', 'lab', None), ('web-0', 'lab', None), ('web-1', 'lab', None),
            ('db-two', 'two', 'db'), ('web-0-two', 'two', 'web-0'), ('web-1-two', 'two', 'web-1')]
        there = entries['net-two']
        assert (there['client'], there['name'], entries['web-0-two']['nets']) == ('two', 'net', ['net'])
        Path('copy.yml').write_text(yaml.safe_dump(entries))
        assert made('diff', 'plan', '-f', 'copy.yml', 'shop').code == 0

    def test_costs_are_told(self, kvirt: Run, home: Path) -> None:
        Path('kvirt_plan.yml').write_text('a: {image: debian12, flavor: small}\nb: {image: debian12, flavor: small}\n')
        assert 'A month of it costs about 14.40 EUR more' in kvirt('create', 'plan', '--dry-run').err
        assert kvirt('create', 'plan').code == 0
        assert 'costs' not in kvirt('diff', 'plan').err


class TestManyFiles:
    """Several files that are one plan, and what kcli passed over."""

    @pytest.fixture(autouse=True)
    def files(self, home: Path) -> None:
        Path('nets.yml').write_text('parameters: {range: 10.77.0.0/24}\nlab: {type: network, cidr: "{{ range }}"}\n')
        Path('vms.yml').write_text('parameters: {size: 700}\na: {image: debian12, memory: "{{ size }}", nets: [lab]}\n')
        Path('more').mkdir()
        Path('more/kvirt_plan.yml').write_text('b: {image: debian12, depends_on: a}\n')

    def test_they_are_checked_made_compared_and_deleted_as_one(self, kvirt: Run) -> None:
        words = ('-f', 'nets.yml', '-f', 'vms.yml', '-f', 'more')
        assert kvirt('check', 'plan', *words, '-o', 'name').out.split() == ['lab', 'a', 'b']
        assert kvirt('render', 'plan', *words).out.count('image: debian12') == 2
        assert kvirt('create', 'plan', *words, '-P', 'size=900').code == 0
        assert kvirt('info', 'vm', 'a', '-f', 'plan,memory', '-v').out.split() == ['nets', '900']
        assert kvirt('diff', 'plan', *words, '-P', 'size=900').code == 0
        parameters = json.loads(kvirt('info', 'plan', *words, '-o', 'json').out)['parameters']
        assert [each['parameter'] for each in parameters] == ['range', 'size']
        assert kvirt('delete', 'plan', '-y', *words).code == 0
        assert vms(kvirt) == []

    def test_one_of_them_may_be_standard_input(self, kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr('sys.stdin', io.StringIO('c: {image: debian12, nets: [lab]}\n'))
        assert kvirt('create', 'plan', '-f', 'nets.yml', '-f', '-', 'shop').code == 0
        assert vms(kvirt) == ['c']
        assert kvirt('check', 'plan', '-f', '-', '-f', '-').code == 2

    def test_faults_of_all_are_told(self, kvirt: Run) -> None:
        Path('nets.yml').write_text('lab: {type: network, cidr: x}\na: {image: debian12}\n')
        Path('vms.yml').write_text('a: {image: debian12}\nb: {image: debian12, memroy: 5}\n')
        done = kvirt('check', 'plan', '-f', 'nets.yml', '-f', 'vms.yml')
        assert done.code == 2
        for says in ('nets.yml:1: ', 'vms.yml:1: vm a stands here again, after nets.yml:2', 'vms.yml:2: '):
            assert any(says in line for line in done.errors), done.errors

    def test_what_kcli_passed_over_is_a_warning_when_asked(self, kvirt: Run) -> None:
        Path('old.yml').write_text('a: {image: debian12, memroy: 5}\nlab: {type: network, cidr: 10.7.0.0/24}\n'
                                   'd: {type: disk, sise: 5}\n')
        assert len(kvirt('check', 'plan', '-f', 'old.yml').errors) == 2
        done = kvirt('create', 'plan', '--compat', '-f', 'old.yml', '-P', 'threaded=true')
        assert (done.code, vms(kvirt)) == (0, ['a'])
        for says in ("old.yml:1: vm a: unknown keyword 'memroy', did you mean 'memory'?", "no parameter 'threaded'",
                     "old.yml:3: disk d: unknown key of a disk 'sise', did you mean 'size'?"):
            assert says in done.err
        for verb in ('diff', 'update', 'render', 'info'):
            assert kvirt(verb, 'plan', '--compat', '-f', 'old.yml').code == 0, verb
        assert kvirt('delete', 'plan', '-y', '--compat', '-f', 'old.yml').code == 0

    def test_an_unknown_type_or_profile_stays_a_fault(self, kvirt: Run) -> None:
        Path('old.yml').write_text('a: {type: vmm}\nb: {profile: none}\n')
        assert len(kvirt('check', 'plan', '--compat', '-f', 'old.yml').errors) == 2


@pytest.mark.parametrize(('default', 'typed', 'value'), [
    ('x', '01', '01'), ('x', '1.10', '1.10'), ('x', 'true', 'true'), ('x', '5', '5'), ('1.5', '2', '2.0'),
    ('1.5', '2.50', '2.5'), ('5', '007', '7'), ('[a]', 'b,c', "['b', 'c']"), ('[a]', 'b', "['b']"),
    ('[a]', '[b, c]', "['b', 'c']"), ('[1]', '2', '[2]'),
    ('false', 'true', 'True')])
def test_what_is_typed_has_the_type_of_the_default(default: str, typed: str, value: str, kvirt: Run, home: Path) -> None:
    Path('kvirt_plan.yml').write_text(f'parameters:\n  p: {default}\na: {{image: debian12, owner: "{{{{ p }}}}"}}\n')
    assert f'owner: "{value}"' in kvirt('render', 'plan', '-P', f'p={typed}').out


@pytest.mark.parametrize(('default', 'typed'), [('5', '1.5'), ('5', 'many'), ('5', 'true'), ('false', '1'), ('1.5', 'x'),
                                                ('{a: 1}', 'x'), ('x', '[a]')])
def test_what_is_of_another_type_is_a_fault(default: str, typed: str, kvirt: Run, home: Path) -> None:
    Path('kvirt_plan.yml').write_text(f'parameters:\n  p: {default}\na: {{image: debian12}}\n')
    done = kvirt('check', 'plan', '-P', f'p={typed}')
    assert (done.code, len(done.errors)) == (2, 1)


class TestInfo:
    """What a plan's file tells of itself."""

    def test_what_it_would_make(self, kvirt: Run, shop: Path) -> None:
        told = json.loads(kvirt('info', 'plan', '-f', 'shop.yml', '-P', 'workers=1', '-o', 'json').out)
        assert [(each['type'], each['name'], each['needs']) for each in told['entries']] == [
            ('network', 'net', []), ('dns', 'www', []), ('vm', 'web-0', ['network/net']), ('vm', 'db', ['vm/web-0']),
            ('loadbalancer', 'front', ['vm/web-0'])]

    def test_without_what_must_be_given_it_tells_the_parameters_alone(self, kvirt: Run, home: Path) -> None:
        Path('kvirt_plan.yml').write_text('parameters:\n  code: ?secret\na: {image: debian12, owner: "{{ code }}"}\n')
        done = kvirt('info', 'plan', '-f', '.')
        assert (done.code, '(required)' in done.out, 'debian12' in done.out) == (0, True, False)
        assert 'What it makes can not be told: parameter code is required' in done.err
        assert json.loads(kvirt('info', 'plan', '-f', '.', '-o', 'json').out)['entries'] is None


class TestCodes:
    """Exit codes."""

    def test_a_difference_is_three(self, made: Run) -> None:
        assert made('diff', 'plan', '-f', 'shop.yml').code == 0
        assert made('diff', 'plan', '-f', 'shop.yml', '-P', 'workers=3').code == 3

    @pytest.mark.parametrize('verb', ['check', 'create', 'update', 'diff'])
    def test_a_fault_of_the_plan_is_two_and_all_are_told(self, verb: str, kvirt: Run, home: Path) -> None:
        Path('kvirt_plan.yml').write_text('a: {image: debian12, memroy: 5}\nb: {profile: none}\nc: {type: vmm}\n')
        done = kvirt(verb, 'plan')
        assert (done.code, done.out, len(done.errors)) == (2, '', 3)
        assert done.errors[0].startswith('Error: kvirt_plan.yml:')
        assert vms(kvirt) == []

    @pytest.mark.parametrize('words', [
        'check plan', 'render plan', 'create plan', 'info plan', 'diff plan -f nofile.yml', 'delete plan -y nothing',
        'info plan nothing', 'export plan nothing', 'start plan nothing', 'create plan-snapshot nothing before'])
    def test_what_is_not_there_is_one(self, words: str, kvirt: Run) -> None:
        done = kvirt(*words.split())
        assert (done.code, done.out, len(done.errors)) == (1, '', 1)

    @pytest.mark.parametrize('words', [
        'delete plan -y', 'create plan -f shop.yml -u http://127.0.0.1/x', 'create plan --parallel 0', 'start plan',
        'create plan -f shop.yml -C lab,two', 'create plan ../x -f shop.yml', 'create plan -f shop.yml -P wokers=3',
        'create plan -f shop.yml -P workers=many', 'create plan -f shop.yml -P size=huge'])
    def test_what_is_not_understood_is_two(self, words: str, kvirt: Run, shop: Path) -> None:
        done = kvirt(*words.split())
        assert (done.code, done.out) == (2, '')
        assert len(done.errors) == 1
        assert vms(kvirt) == []

    def test_a_verb_fails_where_one_vm_does(self, made: Run, home: Path) -> None:
        config = home / 'config.yml'
        config.write_text(config.read_text().replace('lab.db\n', 'lab.db\n  faults: [transient=4]\n', 1))
        done = made('restart', 'plan', 'shop')
        assert done.code in (1, 4)
        assert len(done.errors) >= 1

    def test_ctrl_c_lets_what_runs_unwind_and_begins_nothing_new(self, kvirt: Run, shop: Path) -> None:
        from kvirt.providers.fake import faults
        strike, struck = faults.Faults.at_step, threading.Event()

        def interrupt(self: faults.Faults, step: str) -> None:
            if step == 'nics' and not struck.is_set():
                struck.set()
                os.kill(os.getpid(), signal.SIGINT)
                with pytest.raises(Cancelled):
                    CANCEL.sleep(10)
            strike(self, step)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(faults.Faults, 'at_step', interrupt)
            done = kvirt('create', 'plan', '-f', 'shop.yml', '--parallel', '1')
        assert done.code == 130
        assert 'Traceback' not in done.err
        assert 'network net created' in done.err
        assert done.err.splitlines()[-3:] == [
            'Error: vm web-0: cancelled. Left out because of it: vm db, loadbalancer front',
            'Plan shop: 1 network done, 1 failed, 4 left out', 'Interrupted before vm web-1, dns www']
        assert (vms(kvirt), kvirt('list', 'disk', '-o', 'name').out) == ([], '')
        assert kvirt('list', 'orphans', '-o', 'json').out == '[]\n'
        assert kvirt('create', 'plan', '-f', 'shop.yml').code == 0, 'the same command again goes on with it'


class TestDeleting:
    """What deletes asks, and takes away what it said."""

    def test_it_asks_for_all_that_goes(self, made: Run) -> None:
        done = made('delete', 'plan', 'shop', '-f', 'shop.yml')
        assert (done.code, len(vms(made))) == (2, 3)
        assert done.errors == ['Error: Delete plan shop: 3 VMs, 1 network, 1 load balancer, 1 DNS record? '
                               'Nobody can be asked here. Give -y to go on without']
        assert 'Delete plan shop: 3 VMs, 1 network? ' in made('delete', 'plan', 'shop').errors[0]

    @pytest.mark.parametrize(('answer', 'code', 'left'), [('y', 0, 0), ('n', 1, 3)])
    def test_it_does_what_it_is_told(self, answer: str, code: int, left: int, made: Run,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr('kvirt.cli.context.is_terminal', lambda name: True)
        monkeypatch.setattr('sys.stdin', io.StringIO(f'{answer}\n'))
        assert (made('delete', 'plan', 'shop').code, len(vms(made))) == (code, left)

    def test_again_there_is_nothing_to_do(self, made: Run) -> None:
        assert made('delete', 'plan', '-y', '-f', 'shop.yml').code == 0
        done = made('delete', 'plan', '-f', 'shop.yml')
        assert (done.code, done.errors) == (0, []), 'and so nothing to ask'
        assert 'Plan shop: nothing to do' in done.err

    def test_on_all_clients(self, made: Run) -> None:
        assert made('create', 'plan', '-C', 'two', '-f', 'shop.yml', '-q').code == 0
        assert json.loads(made('list', 'plan', '-C', 'all', '-o', 'json').out)[0]['clients'] == ['lab', 'two']
        assert made('delete', 'plan', '-y', '-C', 'lab,two', 'shop').code == 0
        assert vms(made, '-C', 'lab,two') == []

    def test_networks_may_be_kept(self, made: Run, home: Path) -> None:
        config = home / 'config.yml'
        config.write_text(config.read_text().replace('default:\n', 'default:\n  keep_networks: true\n', 1))
        assert 'Delete plan shop: 3 VMs, 1 load balancer, 1 DNS record? ' in made(
            'delete', 'plan', '-f', 'shop.yml').errors[0]
        assert made('delete', 'plan', '-y', '-f', 'shop.yml').code == 0
        assert made('create', 'plan', '-f', 'shop.yml', '-q').code == 0
        assert made('delete', 'plan', '-y', 'shop').code == 0
        assert 'net' in made('list', 'network', '-o', 'name').out.split()

    def test_a_replacement_is_asked_for(self, kvirt: Run, home: Path) -> None:
        Path('kvirt_plan.yml').write_text('a: {image: debian12}\n')
        assert kvirt('create', 'plan', 'shop').code == 0
        Path('kvirt_plan.yml').write_text('a: {image: ubuntu2404}\n')
        done = kvirt('update', 'plan', 'shop')
        assert (done.code, 'vm a was not replaced: give --replace' in done.err) == (0, True)
        assert kvirt('update', 'plan', 'shop', '--replace').code == 2
        assert kvirt('update', 'plan', 'shop', '--replace', '-y').code == 0
        assert kvirt('info', 'vm', 'a', '-f', 'image', '-v').out == 'ubuntu2404\n'


class TestSources:
    """Where plans come from."""

    def test_a_folder_and_the_current_one(self, kvirt: Run, home: Path) -> None:
        folder = Path('my shop')
        folder.mkdir()
        (folder / 'kcli_plan.yml').write_text('a: {image: debian12}\n')
        assert kvirt('create', 'plan', '-f', 'my shop').code == 0
        assert kvirt('info', 'vm', 'a', '-f', 'plan', '-v').out == 'my-shop\n'
        Path('kvirt_plan.yml').write_text('b: {image: debian12}\n')
        assert kvirt('create', 'plan').code == 0
        assert kvirt('info', 'vm', 'b', '-f', 'plan', '-v').out == 'work\n'

    @pytest.mark.parametrize(('verb', 'code'), [('check', 0), ('render', 0), ('diff', 3), ('create', 0), ('info', 0)])
    def test_standard_input(self, verb: str, code: int, kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr('sys.stdin', io.StringIO('parameters: {size: 5}\na: {image: debian12}\n'))
        assert kvirt(verb, 'plan', '-f', '-', 'shop').code == code
        assert vms(kvirt) == (['a'] if verb == 'create' else [])

    @pytest.mark.parametrize('text', [
        '', '[', 'a: b\n', '- a\n', '{{', '{% if %}', 'a: {image: x}\na: {image: x}\n', '\0', '5', 'a: &a {x: *a}',
        'parameters: 5\n', 'parameters: {a: "?required"}\n', 'parameters: {a: ?required}\n', 'parameters: [\n'])
    def test_nonsense_on_standard_input(self, text: str, kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr('sys.stdin', io.StringIO(text))
        done = kvirt('create', 'plan', '-f', '-')
        assert (done.code, len(done.errors)) == ((2, 1) if text else (0, 0)), done
        assert 'bug' not in done.err

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[str]:
        """A web server that gives out a folder."""
        folder = tmp_path / 'web'
        folder.mkdir()
        (folder / 'shop.yml').write_text(SHOP)
        (folder / 'evil.yml').write_text('job: {type: workflow, cmds: [touch done], destdir: .}\na: {image: debian12}\n')
        (folder / 'steal.yml').write_text('a: {image: debian12, files: [{path: /x, origin: ~/.ssh/id_rsa}]}\n')
        with ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(folder))) as found:
            threading.Thread(target=found.serve_forever, daemon=True).start()
            yield f'http://127.0.0.1:{found.server_port}'
            found.shutdown()

    def test_a_url(self, kvirt: Run, server: str) -> None:
        done = kvirt('create', 'plan', '-u', f'{server}/shop.yml')
        assert (done.code, vms(kvirt)) == (0, ['db', 'web-0', 'web-1'])
        assert 'Plan shop: ' in done.err
        assert kvirt('create', 'plan', '-u', f'{server}/nofile.yml').code == 1

    @pytest.mark.parametrize('name', ['evil', 'steal'])
    def test_one_from_elsewhere_neither_runs_nor_reads_anything_here(self, name: str, kvirt: Run, server: str) -> None:
        done = kvirt('create', 'plan', '-y', '-u', f'{server}/{name}.yml')
        assert (done.code, len(done.errors), vms(kvirt)) == (2, 1, [])
        assert 'the plan comes from elsewhere. Read it, and give --trust' in done.errors[0]
        assert not Path('done').exists()

    def test_one_that_is_trusted_runs(self, kvirt: Run, server: str) -> None:
        assert kvirt('create', 'plan', '--trust', '-u', f'{server}/evil.yml').code == 0
        assert Path('done').exists()

    @pytest.fixture
    def scripted(self, home: Path) -> Path:
        Path('kvirt_plan.yml').write_text('parameters: {size: 700}\na: {image: debian12, memory: "{{ size }}"}\n')
        Path('kvirt_pre.sh').write_text('echo {{ size }} > made.txt; echo working\n')
        return Path('made.txt')

    def test_its_script_is_asked_for(self, kvirt: Run, scripted: Path) -> None:
        done = kvirt('create', 'plan')
        assert (done.code, scripted.exists(), vms(kvirt)) == (2, False, [])
        assert done.errors == ['Error: Run kvirt_pre.sh on this machine first? Nobody can be asked here. '
                               'Give -y to go on without']

    @pytest.mark.parametrize('words', [('-y',), ('--trust',), ('-y', '-P', 'size=900')])
    def test_its_script_runs_when_agreed_to(self, words: tuple[str, ...], kvirt: Run, scripted: Path) -> None:
        done = kvirt('create', 'plan', *words)
        assert (done.code, 'working' in done.err) == (0, True)
        assert scripted.read_text() == ('900\n' if 'size=900' in words else '700\n')

    @pytest.mark.parametrize('words', ['check plan', 'diff plan', 'render plan', 'info plan -f .', 'create plan --dry-run',
                                       'create plan -P pre=false'])
    def test_its_script_does_not_run_where_nothing_is_made_or_when_left_out(self, words: str, kvirt: Run,
                                                                            scripted: Path) -> None:
        assert kvirt(*words.split()).code in (0, 3)
        assert not scripted.exists()


@pytest.mark.parametrize('name', ['../../etc/x', 'a;touch x', '$(touch x)', '`touch x`', 'a b', '-rf', '\x1b[2J', 'ä',
                                  'x' * 64, "'; drop table records; --", 'a\nb', ''])
@pytest.mark.parametrize('kind', ['vm', 'pool'])
def test_a_hostile_name_is_refused_and_makes_nothing(name: str, kind: str, kvirt: Run, home: Path) -> None:
    keys: dict[str, Any] = {'type': kind, **({'image': 'debian12'} if kind == 'vm' else {})}
    Path('kvirt_plan.yml').write_text(yaml.safe_dump({name: keys}))
    done = kvirt('create', 'plan')
    assert (done.code, len(done.errors)) == (2, 1), done
    assert '\x1b' not in done.err
    assert not Path('x').exists()
    assert vms(kvirt) == []
    assert kvirt('create', 'plan', name).code in (2, 4)
