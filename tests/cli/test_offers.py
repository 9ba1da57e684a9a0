"""Prices on the command line: list flavor, list offer, and what a dry run says that a VM would cost."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kvirt.base import unsupported
from kvirt.errors import Unavailable
from kvirt.providers import registry
from kvirt.providers.catalog import CATALOG, Entry
from kvirt.providers.fake import Kfake
from kvirt.shapes import Flavor
from kvirt.spec import HARDWARE

from .conftest import Run
from .test_errors import everything


def test_the_cheapest_flavor_that_is_large_enough_comes_first(kvirt: Run) -> None:
    assert kvirt('list', 'flavor', '--numcpus', '2', '--memory', '3g', '--sort', 'price', '-s').out.split()[0] == 'medium'
    assert 'micro' not in kvirt('list', 'flavor', '--memory', '2g', '-s').out.split()
    assert kvirt('list', 'flavor', '--sort', 'memory', '-s').out.split()[0] == 'micro'
    assert set(kvirt('list', 'flavor', '--spot', '-s').out.split()) == {'large', 'xlarge'}
    assert kvirt('list', 'flavor', '--memory', '4q').code == 2
    assert kvirt('list', 'flavor', '--numcpus', '0').code == 2


def test_what_can_not_be_done_with_a_flavor_is_shown(kvirt: Run) -> None:
    line = next(line for line in kvirt('list', 'flavor').out.splitlines() if line.startswith('container '))
    assert 'not stoppable, not rebootable, not resizable' in line
    assert json.loads(kvirt('info', 'flavor', 'container', '-o', 'json').out)['stoppable'] is False


def prices(monkeypatch: pytest.MonkeyPatch, **of_client: Any) -> None:
    """Let each client, known by its seed, sell what is given."""
    def sold(self: Kfake) -> list[Flavor]:
        answer = of_client[self.seed]
        if isinstance(answer, Exception):
            raise answer
        return [Flavor(name=name, numcpus=2, memory=4096, price_hourly=price, currency=currency)
                for name, price, currency in answer]
    monkeypatch.setattr(Kfake, '_list_flavors', sold)


def test_all_clients_are_asked_unless_some_are_named(kvirt: Run) -> None:
    def asked(*words: str) -> set[str]:
        return {row['client'] for row in json.loads(kvirt('list', 'offer', '-o', 'json', *words).out)}
    assert asked() == {'lab', 'two'}, 'broken is not enabled'
    assert asked('-C', 'two') == {'two'}
    assert asked('-C', 'both') == {'lab', 'two'}


def test_an_offer_is_as_large_as_asked_for(kvirt: Run) -> None:
    rows = json.loads(kvirt('list', 'offer', '--numcpus', '2', '--memory', '4096', '-C', 'lab', '-o', 'json').out)
    assert [row['flavor'] for row in rows] == ['medium', 'large', 'xlarge']
    assert all(row['numcpus'] >= 2 and row['memory'] >= 4096 for row in rows)
    assert kvirt('list', 'offer', '--numcpus', '2', '--memory', '4g', '-C', 'lab', '-s').out.split() == [
        'medium', 'large', 'xlarge']
    spare = json.loads(kvirt('list', 'offer', '--spot', '-C', 'lab', '-o', 'json').out)
    assert [(row['flavor'], row['price_hourly']) for row in spare] == [('large', 0.012), ('xlarge', 0.024)]
    assert kvirt('list', 'offer', '--gpus', '1', '-C', 'lab').err == 'Nobody offers that\n', 'they are in oslo'
    assert kvirt('-C', 'lab', 'list', 'offer', '--arch', 'aarch64', '-o', 'json').out == '[]\n'


def test_one_that_fails_is_told_and_the_others_are_shown(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    prices(monkeypatch, lab=Unavailable('down'), two=[('a', 1.0, 'EUR')])
    done = kvirt('list', 'offer', '-o', 'json')
    assert (done.code, done.errors) == (0, ['Error: client lab: down'])
    assert [row['flavor'] for row in json.loads(done.out)] == ['a']


def test_where_all_fail_the_command_does(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    prices(monkeypatch, lab=Unavailable('down'), two=Unavailable('down too'))
    done = kvirt('list', 'offer', '-o', 'json')
    assert (done.code, done.out, len(done.errors)) == (1, '[]\n', 2)


def test_currencies_and_unknown_prices_are_told(kvirt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    prices(monkeypatch, lab=[('dollar', 0.01, 'USD'), ('secret', None, None)], two=[('euro', 2.0, 'EUR')])
    done = kvirt('list', 'offer')
    assert [line.split()[3] for line in done.out.splitlines()[1:]] == ['euro', 'dollar', 'secret']
    assert done.out.splitlines()[-1].split()[-1] == '0', 'no price is an empty cell'
    assert done.err.splitlines() == ['Prices are in EUR and USD, which are not compared: each is sorted for itself',
                                     'The last one has no known price']


def test_a_table_shows_the_cheapest_of_each_client_and_programs_get_all(kvirt: Run,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    prices(monkeypatch, lab=[(f'f{number}', float(number), 'EUR') for number in range(9)], two=[('g', 7.0, 'EUR')])
    done = kvirt('list', 'offer')
    assert [line.split()[3] for line in done.out.splitlines()[1:]] == ['f0', 'f1', 'f2', 'f3', 'f4', 'g']
    assert done.err == '4 more are not shown; --limit 0 shows them all\n'
    assert len(json.loads(kvirt('list', 'offer', '-o', 'json').out)) == 10
    assert len(kvirt('list', 'offer', '--limit', '0').out.splitlines()) == 11
    assert kvirt('list', 'offer', '--limit', '1', '-o', 'name').out.split() == ['f0', 'g']


class Kanysize(Kfake):
    """The fake as a platform without flavors, prices and firewall, as a hypervisor is one."""

    honours = HARDWARE
    _list_flavors = unsupported('any size can be had')


@pytest.fixture
def host(kvirt: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A further client, of a platform without flavors."""
    monkeypatch.setattr(registry, 'CATALOG', (*CATALOG, Entry('anysize', '', f'{__name__}:Kanysize')))
    with (home / 'config.yml').open('a') as config:
        config.write(f'host:\n  type: anysize\n  state: {home}/host.db\n')
    return kvirt


def test_a_platform_without_flavors_has_any_size_at_no_known_price(host: Run) -> None:
    done = host('list', 'offer', '--numcpus', '2', '--memory', '4g', '-o', 'json')
    assert [(row['provider'], row['flavor'], row['numcpus'], row['memory'], row['price_hourly'])
            for row in json.loads(done.out) if row['client'] == 'host'] == [('anysize', None, 2, 4096, None)]
    assert json.loads(done.out)[-1]['client'] == 'host', 'it comes last'
    assert host('list', 'offer', '-C', 'host').err == 'The last one has no known price\n'


# what a create would make

DRY = ('create', 'vm', '--dry-run', '-i', 'debian12')


def test_a_dry_run_only_reads(web: Run, home: Path) -> None:
    state = everything(home)
    for words in ((), ('-c', '3'), ('-o', 'json'), ('-P', 'flavor=small'), ('-P', 'ports=[80]'), ('--force',)):
        assert web(*DRY, *words, 'new').code == 0
        assert everything(home) == state, words
    assert web(*DRY, '--force', 'web').err.splitlines()[0] == 'VM web exists, and is deleted first'
    assert everything(home) == state


def test_a_dry_run_tells_what_would_be_made(kvirt: Run) -> None:
    made = json.loads(kvirt(*DRY, '-P', 'flavor=medium', '-P', 'disks=[30,100]', '-P', 'ports=[80,8000-8100,53/udp]',
                            '-P', 'vmport=2222', '-P', 'securitygroups=[default]', 'web', '-o', 'json').out)
    assert (made['name'], made['client'], made['provider'], made['location']) == ('web', 'lab', 'fake', 'lisbon')
    assert (made['flavor'], made['numcpus'], made['memory'], made['user']) == ('medium', 2, 4096, 'debian')
    assert [disk['size'] for disk in made['disks']] == [30, 100]
    assert made['inbound'] == ['2222/tcp', '80/tcp', '8000-8100/tcp', '53/udp']
    assert made['securitygroups'] == ['default']
    assert (made['monthly'], made['currency']) == (14.4, 'EUR')
    assert made['unknown'] == ['disk of 100 GiB'], 'the fake does not say what disks cost'
    assert (made['problems'], made['notes']) == ([], [])


def test_a_dry_run_of_the_cheapest(kvirt: Run) -> None:
    made = json.loads(kvirt(*DRY, '-P', 'flavor=cheapest', '-P', 'memory=3g', 'web', '-o', 'json').out)
    assert (made['flavor'], made['memory'], made['disks'][0]['size']) == ('medium', 4096, 40)


def test_what_it_costs_is_told_to_people(kvirt: Run) -> None:
    done = kvirt(*DRY, '-P', 'flavor=small', 'web')
    assert '  flavor small: 7.20 EUR\n' in done.out
    assert done.err == 'VM: about 7.20 EUR a month\n'
    done = kvirt(*DRY, '-P', 'flavor=small', '-P', 'disks=[20,5]', '-c', '3', 'web')
    assert done.err.splitlines() == ['3 VMs: about 21.60 EUR a month', 'Without the price of: disk of 5 GiB']
    assert re.findall(r'^name: (.*)$', done.out, re.MULTILINE) == ['web-0', 'web-1', 'web-2']
    assert kvirt(*DRY, 'web').err == 'No price is known for: 2 CPUs, 512 MiB\n'


def test_each_copy_is_shown_as_it_would_be(kvirt: Run, home: Path) -> None:
    (home / 'profiles.yml').write_text('fixed:\n  image: debian12\n  nets:\n  - {name: default, ip: 192.168.122.50, '
                                       'netmask: 24, mac: "52:54:00:00:00:0f"}\n')
    made = json.loads(kvirt('create', 'vm', '--dry-run', '-p', 'fixed', '-c', '2', 'n', '-o', 'json').out)
    assert [(one['name'], one['nets']) for one in made] == [
        ('n-0', [{'net': 'default', 'ip': '192.168.122.50', 'mac': '52:54:00:00:00:0f'}]),
        ('n-1', [{'net': 'default', 'ip': '192.168.122.51', 'mac': '52:54:00:00:00:10'}])]


@pytest.mark.parametrize(('words', 'said'), [
    (('-P', 'flavor=smal'), "flavor 'smal' does not exist, did you mean 'small'?"), (('-P', 'memory=-1'), 'keyword memory'),
    (('-P', 'memry=1'), "unknown keyword 'memry'"), (('-P', 'scripts=[/absent.sh]'), '/absent.sh'),
    (('-P', 'cmds=["{{ nope.x }}"]'), 'nope'), (('-P', 'flavor=cheapest', '-P', 'memory=900g'), 'no flavor'),
    (('-c', '0'), '0 is not a number of VMs'), (('-P', 'ports=[0]'), 'ports')])
def test_what_could_not_be_made_fails_already_when_dry(words: tuple[str, ...], said: str, kvirt: Run) -> None:
    done = kvirt(*DRY, *words, 'web')
    assert done.code in (1, 2) and done.out == '' and said in done.err
    real = kvirt('create', 'vm', '-i', 'debian12', *words, 'web')
    assert real.code == done.code


def test_a_name_that_is_taken_is_a_failure_when_dry(web: Run) -> None:
    done = web(*DRY, 'web')
    assert (done.code, done.errors) == (1, ['Error: VM web exists'])
    assert web('create', 'vm', '-i', 'debian12', 'n-1').code == 0
    done = web(*DRY, '-c', '3', 'n', '-o', 'json')
    assert (done.code, done.errors) == (1, ['Error: VM n-1 exists'])
    assert [one['problems'] for one in json.loads(done.out)] == [[], ['VM n-1 exists'], []]


def test_names_that_are_in_no_list_are_pointed_at(kvirt: Run) -> None:
    done = kvirt('create', 'vm', '--dry-run', '-i', 'debain12', '-P', 'nets=[defualt]', 'web')
    assert [line for line in done.err.splitlines() if line.startswith('Mind')] == [
        "Mind: image 'debain12' is not in the list of images, did you mean 'debian12'?",
        "Mind: network 'defualt' is not in the list of networks, did you mean 'default'?"]


def test_nothing_to_boot_is_refused_when_dry(kvirt: Run) -> None:
    assert kvirt('create', 'vm', '--dry-run', 'web').code == 2


def test_a_dry_run_where_there_are_no_flavors_has_no_price(host: Run) -> None:
    done = host('-C', 'host', *DRY, 'web', '-o', 'json')
    assert done.code == 0, done.err
    made = json.loads(done.out)
    assert (made['provider'], made['numcpus'], made['monthly'], made['unknown']) == (
        'anysize', 2, None, ['2 CPUs, 512 MiB'])
    assert 'inbound' not in made, 'it has no firewall of VMs'
    assert host('-C', 'host', *DRY, '-P', 'ports=[80]', 'web').code == 2, 'and says so'
    done = host('-C', 'host', *DRY, '-P', 'flavor=small', 'web')
    assert "Mind: flavor 'small' means nothing to anysize, which does not tell of any" in done.err
    assert 'flavor: small' not in done.out
    assert host('-C', 'host', 'list', 'vm', '-o', 'name').out == ''
