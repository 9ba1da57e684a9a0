"""The schemas for editors say what kvirt itself says: what it reads is right, and what it refuses is marked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kvirt.base import Options
from kvirt.decode import decode_value, field_types
from kvirt.errors import InvalidInput
from kvirt.plan.check import ITEMS
from kvirt.plan.locate import locate
from kvirt.plan.parameters import declared
from kvirt.plan.parse import KINDS
from kvirt.plan.render import render
from kvirt.plan.schema import config_schema, plan_schema, platforms, profile_schema
from kvirt.settings import GENERIC
from kvirt.spec import HARDWARE, KEYWORDS, DiskSpec, FileSpec, NetSpec, VmSpec

ROOT = Path(__file__).parents[3]
SCHEMAS = {'plan': plan_schema(), 'profile': profile_schema(), 'config': config_schema(platforms())}
PLANS = sorted(path for path in (ROOT / 'plans').iterdir() if path.suffix == '.yml' or path.is_dir())
NOT_YET = {'kube'}


def faults(what: str, data: Any) -> list[str]:
    """Return what the schema says of *data*, each with its place."""
    validator = jsonschema.Draft202012Validator(SCHEMAS[what])
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(data)]


def yaml_of(text: str) -> Any:
    return yaml.safe_load(text)


@pytest.mark.parametrize('what', SCHEMAS)
def test_it_is_a_schema(what: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[what])
    text = str(SCHEMAS[what])
    used = set(re.findall(r'#/\$defs/(\w+)', text))
    assert used == set(SCHEMAS[what]['$defs'])


class TestPlans:
    """Plans."""

    @pytest.mark.parametrize('path', PLANS, ids=lambda path: path.stem)
    def test_every_example_is_right(self, path: Path) -> None:
        given = {each.name: 'x' for each in declared(locate(path)).parameters.values() if each.required}
        for honours in ([], ['ports', 'publicip']):
            text = render(locate(path), given, {'plan': 'shop', 'honours': honours}).text
            assert faults('plan', yaml_of(text)) == []

    @pytest.mark.parametrize('kind', [kind for kind, item in ITEMS.items() if not item.open_keys or kind == 'vm'])
    def test_a_misspelled_key_is_not(self, kind: str) -> None:
        right = {'type': kind, **{'loadbalancer': {'ports': [80]}, 'ansible': {'playbook': 'x.yml'}}.get(kind, {})}
        assert faults('plan', {'a': right}) == []
        assert any("'sise'" in fault for fault in faults('plan', {'a': {**right, 'sise': 5}}))

    @pytest.mark.parametrize('kind', ITEMS)
    def test_every_key_of_a_kind_is_known(self, kind: str) -> None:
        known = SCHEMAS['plan']['$defs'][f'entry_{kind}']['properties']
        assert {'type', *ITEMS[kind].Keys.__struct_fields__, *ITEMS[kind].other_words} <= set(known)
        assert kind != 'vm' or set(KEYWORDS) <= set(known)
        assert all(value.get('description') or '$ref' in value for key, value in known.items() if key != 'type')

    @pytest.mark.parametrize('kind', [*KINDS, 'template', None])
    def test_every_kind_is_known(self, kind: str | None) -> None:
        entry = {'type': kind, 'url': 'x'} if kind == 'plan' else {'type': kind} if kind else {}
        said = faults('plan', {'a': entry})
        assert (not any('is not one of' in fault for fault in said)) == (kind not in NOT_YET)

    @pytest.mark.parametrize('text', [
        'a:', '{}', '', 'parameters:', 'parameters: {memory: 5, image: {default: x, description: y, choices: [x]}}',
        'parameters: {token: "?secret", info: text, baseplan: other.yml, records: {a: 1}}',
        'a: {memory: 4g, numcpus: "2", disks: [10, 20G, data.img, {size: 5, pool: fast}], nets: default}',
        'a: {tags: "a,b", ip0: 10.0.0.1, netmask0: 24, COLOUR: 5, cmds: one, files: [x, {path: /y, content: z}]}',
        'a: {disks: [{existing: data, shareable: true}, {size: 5, format: raw, cache: none, discard: ignore}]}',
        'a: {hugepages: true, pcidevices: "01:00.0", qemuextra: -s, watchdog: reset, pmu: false}',
        'a: {hugepages: 2M, pcidevices: [], qemuextra: [-s]}',
        'a: {numa: [{id: 0, vcpus: 0, memory: 1g, siblings: [{id: 1, value: 20}]}]}',
        'a: {memory: "{{ memory }}", start: "{{ start }}", nets: ["{{ net }}"]}',
        'a: {cpuflags: [x, {name: y, policy: force}], keys: [a, 5]}',
        'a: {ports: 80, env: {A: b}, boot_order: [hd, network], numa: [{id: 0, vcpus: 0-1, memory: 1g}]}',
        'a: {type: network, cidr: 10.0.0.0/24, mtu: 1400, vmclient: b}', 'a: {type: disk, size: 5, template: debian12}',
        'a: {type: loadbalancer, ports: 80, vms: b}', 'a: {type: cluster}' if 'kube' not in NOT_YET else '{}',
        'a: {type: container, image: x, ports: [80, "81:82"], environment: {A: 1}, volumes: [/a, {path: /b}], disks: []}',
        'a: {type: securitygroup, ports: [22, 8000-8100, {protocol: udp, from_port: 53}]}',
        'a: {type: plan, url: "http://x"}', 'a: {confpool: lab, nets: [{name: b, ippool: c}]}',
         'a: {type: profile, base: b, memory: 4g}', 'a: {basevm: b, depends_on: vm/c}'])
    def test_what_is_read_is_right(self, text: str) -> None:
        assert faults('plan', yaml_of(text)) == []

    @pytest.mark.parametrize('text', [
        'a: 5', '[]', 'a: {type: vmm}', 'a: {memory: lots}', 'a: {memory: -1}', 'a: {numcpus: 0}', 'a: {start: maybe}',
        'a: {hugepages: many}', 'a: {watchdog: bark}', 'a: {disks: [{format: vmdk}]}', 'a: {disks: [{cache: much}]}',
        'a: {disks: [{sise: 5}]}', 'a: {nets: [5]}', 'a: {gateway: nowhere}', 'a: {nets: [{mac: x}]}',
        'a: {cpuflags: [{name: x, policy: never}]}', 'a: {diskinterface: scsii}', 'a: {type: loadbalancer}',
        'a: {type: plan}', 'a: {type: ansible, verbose: true}', 'a: {type: network, dhcp: perhaps}',
        'a: {type: profile, memroy: 5}', 'a: {type: container, image: x, volumes: [{path: /a, where: /b}]}',
        'parameters: {memory: {description: x, defualt: 5}}', 'parameters: 5'])
    def test_what_is_refused_is_marked(self, text: str) -> None:
        assert faults('plan', yaml_of(text)) != []


class TestProfiles:
    """profiles.yml."""

    def test_those_that_are_shipped_are_right(self) -> None:
        data = yaml_of((ROOT / 'profiles' / 'profiles.yml').read_text())
        assert faults('profile', data) == []
        data['web']['memroy'] = 5
        assert any("'memroy'" in fault for fault in faults('profile', data))

    def test_one_of_a_container(self) -> None:
        assert faults('profile', yaml_of('web: {type: container, image: nginx, ports: [80], cmd: run}\nempty:')) == []
        assert faults('profile', yaml_of('web: {type: container, memory: 5}')) != []


class TestConfigurations:
    """config.yml."""

    @pytest.mark.parametrize('page', sorted((ROOT / 'docs' / 'providers').glob('*.md')), ids=lambda page: page.stem)
    def test_those_of_the_pages_are_right(self, page: Path) -> None:
        for block in re.findall(r'```yaml\n(.*?)```', page.read_text(), re.DOTALL):
            assert faults('config', yaml_of(block)) == []

    @pytest.mark.parametrize('text', [
        '', 'default: {client: a, memory: 4g, keep_networks: true, vmrules: [{web.*: {memory: 1024}}]}', 'a:', 'a: {}',
        'a: {host: lab.example.com, memory: 2048, insecure: true, port: "${PORT}"}', 'a: {type: libvirt, session: "true"}',
        'a: {type: do, token: "?secret"}', 'a: {type: hetzner, token: "?command:pass hetzner", enabled: false}',
        'a: {type: group, members: [b, c], algorithm: free}', 'a: {type: fake, faults: [capacity], COLOUR: red}',
        'a: {type: mycloud, anything: goes}'])
    def test_what_is_read_is_right(self, text: str) -> None:
        assert faults('config', yaml_of(text)) == []

    @pytest.mark.parametrize('text', [
        '[]', 'a: 5', 'default: {memroy: 5}', 'a: {hsot: x}', 'a: {type: kvm, token: x}', 'a: {type: kvm, ports: [80]}',
        'a: {type: do, tpm: true}', 'a: {type: fake, memroy: 5}', 'a: {port: many}', 'a: {type: group}',
        'a: {type: group, members: [b], algorithm: best}', 'a: {protocol: http}'])
    def test_what_is_refused_is_marked(self, text: str) -> None:
        assert faults('config', yaml_of(text)) != []

    def test_each_provider_has_its_options_and_honoured_keywords(self) -> None:
        for platform in platforms():
            known = set(SCHEMAS['config']['$defs'][f'client_{platform.words[0]}']['properties'])
            assert {*platform.options.__struct_fields__} - {'home'} <= known
            assert set(GENERIC) <= known
            assert known & HARDWARE == platform.honours & HARDWARE

    def test_secrets_are_not_shown_by_editors(self) -> None:
        options = SCHEMAS['config']['$defs']['client_digitalocean']['properties']
        assert options['token']['writeOnly'] and 'writeOnly' not in options['location']


WORDS = st.sampled_from([
    '', 'default', '4g', '512M', '1.5 GiB', '10', '10.0', '-3', '0', '1', 'true', 'False', 'no', '10.0.0.1', '10.0.0.0/24',
    'fe80::1', '::/0', '52:54:00:12:34:56', '52-54-00-12-34-56', '0644', '755', '999', '22', '8000-8100', '53/udp', 'icmp',
    'virtio', 'nvme', 'strict', 'kvm', 'hd', 'ssh', '/a:/b', 'A=1', '0-3,5', 'a,b', ' 5 ', '9' * 30])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 70000), st.floats(-5, 5000, allow_nan=False), WORDS)
KEYS = st.sampled_from(
    ['size', 'pool', 'name', 'mac', 'ip', 'netmask', 'mask', 'prefix', 'path', 'origin', 'content', 'mode', 'permissions',
     'policy', 'vcpus', 'hostcpus', 'id', 'memory', 'protocol', 'from_port', 'to_port', 'cidr', 'sise'])
MAPPINGS = st.dictionaries(KEYS, SCALARS, max_size=3)
VALUES = st.one_of(SCALARS, MAPPINGS, st.lists(st.one_of(SCALARS, MAPPINGS), max_size=3))


def fields(struct: type[msgspec.Struct], schema: Mapping[str, Any]) -> list[tuple[str, Any, Mapping[str, Any]]]:
    """Return the name, type and schema of each field of a struct, whose mappings *schema* is for."""
    return [(name, hint, schema['properties'][name]) for name, hint in field_types(struct).items()
            if name not in Options.__struct_fields__]


def every_field() -> list[tuple[str, Any, Mapping[str, Any], str]]:
    plan, config = SCHEMAS['plan']['$defs'], SCHEMAS['config']['$defs']
    found = [(*field, 'plan') for kind, item in ITEMS.items() for field in fields(item.Keys, plan[f'entry_{kind}'])]
    for struct, name in ((VmSpec, 'entry_vm'), (DiskSpec, 'disk'), (NetSpec, 'net'), (FileSpec, 'file')):
        found += [(*field, 'plan') for field in fields(struct, plan[name])]
    for platform in platforms():
        found += [(*field, 'config') for field in fields(platform.options, config[f'client_{platform.words[0]}'])]
    return found


VALIDATORS = [(name, hint, jsonschema.Draft202012Validator({**schema, '$defs': SCHEMAS[what]['$defs']}))
              for name, hint, schema, what in every_field()]


@settings(deadline=None, max_examples=400)
@given(st.integers(0, len(VALIDATORS) - 1), VALUES)
def test_whatever_is_decoded_is_right(number: int, value: Any) -> None:
    name, hint, validator = VALIDATORS[number]
    try:
        decode_value(hint, value)
    except (InvalidInput, msgspec.ValidationError):
        return
    assert validator.is_valid(value), f'{name}: {value!r} is read, and the schema refuses it'
