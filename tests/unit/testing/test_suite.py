"""The conformance suite itself: it runs for any provider, and it finds what is wrong with one."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import kvirt

ROOT = Path(kvirt.__file__).parents[1]

BROKEN = '''
    """A provider that breaks its promises in one way."""
    import pytest
    from kvirt.errors import NotSupported
    from kvirt.providers.fake import Kfake
    from kvirt.testing import Harness
    from kvirt.testing.conformance import *

    class Broken(Kfake):
        """A pretended cloud with a fault."""
        {fault}

    class BrokenHarness(Harness):
        interval = 0.01

        def make(self):
            return Broken(state=str(self.folder / 'world.sqlite'))

    @pytest.fixture(scope='module')
    def harness(tmp_path_factory):
        return BrokenHarness(tmp_path_factory.mktemp('broken'))
'''

FAULTS = {
    'forgets_disks': ('''
        def _delete(self, name, snapshots=False):
            self._detach_disks(name)
            return super()._delete(name, snapshots)
     ''', 'TestLife::test_delete_takes_all_that_was_made_for_the_vm',
        "Left contains one more item: 'disk conf"),
    'unsorted': ('''
        def _list(self):
            return super()._list()[::-1]
     ''', 'TestReads::test_many_vms_are_listed_sorted_by_name',
        'the list is not sorted by name'),
    'odd_status': ('''
        def _list(self):
            return [{**row, 'status': 'POWERED_OFF'} for row in super()._list()]
     ''', 'TestReads::test_every_read_sees_a_vm_that_was_created',
        "Invalid enum value 'POWERED_OFF'"),
    'silent': ('''
        def _update_metadata(self, name, metatype, metavalue, append=False):
            self._info(name)
     ''', 'TestMetadata::test_a_field_is_set_added_to_and_removed',
        "KeyError: 'team'"),
    'half_made': ('''
        def _create(self, name, spec, guest):
            known = spec.image is None or spec.image in self._volumes()
            made = super()._create(name, spec, guest) if known else self._create_disk(name, 10)
            return made if known else super()._create(name, spec, guest)
     ''', 'TestCreate::test_a_create_that_can_not_be_makes_nothing[image no-such-image-]',
        "Left contains one more item: 'disk conf"),
    'lies': ('''
        def _list_quotas(self):
            raise NotSupported('not really')
     ''', 'TestHost::test_quotas_have_a_maximum',
        'NotSupported: not really'),
    'no_result': ('''
        def start(self, name):
            self._start(name)
     ''', 'TestLife::test_start_and_starting_again',
        'a change must answer a Result, not None'),
    'same_cards': ('''
        def _clone(self, old, new, full=False, start=False):
            made = super()._clone(old, new, full, start)
            self.copies = {**getattr(self, 'copies', {}), new: old}
            return made

        def _info(self, name):
            known = super()._info(name)
            old = getattr(self, 'copies', {}).get(name)
            return {**known, 'nets': super()._info(old)['nets']} if old else known
     ''', 'TestClone::test_a_clone_has_an_identity_of_its_own[thin]',
        "assert not ({'52:54:00"),
    'not_json': ('''
        def _info_host(self):
            return {**super()._info_host(), 'made': {1, 2}}
     ''', 'TestHost::test_the_connection_is_known',
        'the answer can not be written as JSON'),
    'open_door': ('''
        def _info(self, name):
            known = super()._info(name)
            self._shared = getattr(self, '_shared', None) or self._open()
            return {**known, 'securitygroups': [*known['securitygroups'], 'web']}

        def _open(self):
            self._create_security_group('web', {'ports': [80]})
            return True
     ''', 'TestFirewallOfVms::test_ssh_is_let_in_and_nothing_else',
        "Extra items in the left set"),
    'dear': ('''
        def flavor_for(self, spec):
            return self.flavor('xlarge') if spec.flavor == 'cheapest' else super().flavor_for(spec)
     ''', 'TestFlavors::test_the_cheapest_flavor_can_be_asked_for',
        'assert 0.08 == 0.005'),
    'low_estimate': ('''
        def _estimate(self, name, spec):
            told = super()._estimate(name, spec)
            return {**told, 'unknown': []}
     ''', 'TestEstimate::test_the_known_prices_are_added_up_and_the_others_named',
        "Right contains 2 more items"),
    'no_flags': ('''
        @staticmethod
        def allowed(vm, flag):
            return None
     ''', 'TestFlags::test_what_a_flavor_forbids_is_refused_with_the_reason[stoppable-stop]',
        'it should have been refused (NotSupported)'),
    'talkative': ('''
        def _create(self, name, spec, guest):
            import base64, logging
            logging.getLogger('sdk').debug('POST %s', base64.b64encode(b'x' + guest.user_data().encode()))
            return super()._create(name, spec, guest)
     ''', 'TestCreate::test_what_a_guest_is_told_stands_in_no_log',
        'was logged, perhaps as'),
    'vague_place': ('''
        def _list_locations(self):
            return [{**row, 'country': 'Portugal'} for row in super()._list_locations()]
     ''', 'TestHost::test_locations_have_names',
        'two letters of ISO 3166'),
    'keeps_keys': ('''
        def _create(self, name, spec, guest):
            self._create_key(f'for-{name}', guest.keys[0])
            return super()._create(name, spec, guest)
     ''', 'TestKeys::test_keys_that_come_with_vms_go_with_the_last_of_them',
        'for-conf'),
    'shared_name': ('''
        def _rename(self, name, new):
            return None
     ''', 'TestUpdates::test_rename',
        'assert (True, False) == (False, True)'),
}


def run(folder: Path, *arguments: str, path: str = '') -> str:
    """Run pytest with *arguments* in *folder*, and return what it printed."""
    environment = {'PYTHONPATH': f'{ROOT}:{path}', 'PATH': '/usr/bin:/bin', 'HOME': str(folder)}
    done = subprocess.run([sys.executable, '-m', 'pytest', '-q', '-c', '/dev/null', '--rootdir', str(folder), '-rfEs',
                           '-p', 'no:cacheprovider', '-p', 'kvirt.testing.plugin', *arguments],
                          capture_output=True, text=True, timeout=120, cwd=folder, env=environment)
    return done.stdout + done.stderr


def outcomes(output: str) -> dict[str, int]:
    """Return how many tests ended how."""
    return {word.rstrip('s'): int(count) for count, word in re.findall(r'(\d+) (passed|failed|skipped|errors?)', output)}


@pytest.fixture(scope='module')
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the suite says of providers with a fault each."""
    folder = tmp_path_factory.mktemp('broken')
    chosen = set()
    for name, (fault, test, _) in FAULTS.items():
        text = textwrap.dedent(BROKEN).replace('{fault}', textwrap.indent(textwrap.dedent(fault), '    ').strip())
        (folder / f'test_{name}.py').write_text(text)
        chosen.add(f"test_{name}.py::{test}")
    return run(folder, *sorted(chosen))


@pytest.mark.parametrize('name', FAULTS)
def test_the_suite_finds_a_fault(verdicts: str, name: str) -> None:
    _, test, words = FAULTS[name]
    assert re.search(rf'^(FAILED|ERROR) test_{name}\.py::{re.escape(test)}', verdicts, re.MULTILINE), verdicts
    assert words in verdicts, 'it failed for another reason'


def test_it_is_the_faults_that_fail(tmp_path: Path) -> None:
    """The same tests pass without a fault."""
    (tmp_path / 'test_sound.py').write_text(textwrap.dedent(BROKEN).replace('{fault}', 'pass'))
    output = run(tmp_path, *{f'test_sound.py::{test}' for _, test, _ in FAULTS.values()})
    assert outcomes(output) == {'passed': len({test for _, test, _ in FAULTS.values()})}, output


def test_an_operation_that_no_test_enters_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / 'test_idle.py').write_text(textwrap.dedent('''
        from kvirt.providers.sampleprovider import Ksample
        from kvirt.testing.watch import Watch

        class Idle(Ksample):
            """A provider with more than is used."""
            def _list_keys(self):
                return {}

            def _list_quotas(self):
                raise self.translate(ConnectionError('down'))

        def test_watch():
            watch = Watch()
            provider = watch.over(Idle())
            assert {'list_keys', 'list_quotas', 'start'} <= set(watch.never_entered(provider))
            provider.create('web', nokeys=True)
            provider.restart('web')
            try:
                provider.list_quotas()
            except Exception as error:
                assert type(error).__name__ == 'Unavailable'
            assert not {'create', 'start', 'stop', 'restart', 'list_quotas'} & set(watch.never_entered(provider))
            assert watch.never_done(provider) == ['list_quotas']
            assert 'list_keys' in watch.never_entered(provider)
    '''))
    assert outcomes(run(tmp_path)) == {'passed': 1}


# for any provider that kvirt knows

@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """An installed package of somebody else, which offers a provider."""
    site = tmp_path / 'site'
    info = site / 'theircloud-1.0.dist-info'
    info.mkdir(parents=True)
    (site / 'theircloud.py').write_text('from kvirt.providers.sampleprovider import Ksample\n\n\nclass Ktheir(Ksample):\n'
                                        '    """Another cloud."""\n')
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: theircloud\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text('[kvirt.providers]\ntheir = theircloud:Ktheir\n')
    return site


def test_the_suite_runs_for_a_provider_of_another_package(foreign: Path, tmp_path: Path) -> None:
    output = run(tmp_path, '--pyargs', 'kvirt.testing', '--kvirt-provider', 'their', '--kvirt-option', 'region=there',
                 '--kvirt-create', 'numcpus=3', '-k', 'TestLife or TestCreate or TestUnsupported', path=str(foreign))
    found = outcomes(output)
    assert found['passed'] > 100, output
    assert 'failed' not in found, output


@pytest.mark.parametrize(('arguments', 'words'), [
    ((), 'which provider? give --kvirt-provider NAME'),
    (('--kvirt-provider', 'fak'), "unknown provider 'fak', did you mean 'fake'?"),
    (('--kvirt-provider', 'fake', '--kvirt-option', 'sate=/x'), "did you mean 'state'?"),
    (('--kvirt-provider', 'fake', '--kvirt-option', 'state'), "--kvirt-option needs KEY=VALUE, not 'state'"),
])
def test_a_wrong_command_says_what_is_wrong(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    output = run(tmp_path, '--pyargs', 'kvirt.testing', '-x', '-k', 'TestHost', *arguments)
    assert words in output
    assert 'passed' not in output


def test_a_part_of_the_suite_gives_no_verdict_on_the_whole(tmp_path: Path) -> None:
    output = run(tmp_path, '--pyargs', 'kvirt.testing', '--kvirt-provider', 'fake', '--kvirt-option',
                 f'state={tmp_path}/world.sqlite', '-k', 'TestKeys or TestCoverage')
    assert 'only a part of the suite ran in this process' in output
    assert 'failed' not in outcomes(output)
