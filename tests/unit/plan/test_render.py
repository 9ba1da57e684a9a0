"""Templates of plans: what comes out, where it comes from, and every fault at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvirt.errors import InvalidInput, KvirtError
from kvirt.plan.filters import filters
from kvirt.plan.locate import Source, locate
from kvirt.plan.render import render


def source(text: str, folder: Path = Path('.'), **more: Any) -> Source:
    return Source(text, 'plan.yml', folder, **more)


def refused(text: str, **given: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        render(source(text), given)
    return str(caught.value)


LOOP = """\
parameters:
  count: 2

{% for i in range(count) %}
web-{{ i }}:
  memory: {{ 512 * (i + 1) }}
{% if i == 0 %}
  start: false
{% endif %}
{% endfor %}

last:
  image: x
"""


def test_every_line_knows_where_it_comes_from() -> None:
    rendered = render(source(LOOP))
    lines = dict(zip(rendered.text.splitlines(), rendered.lines, strict=False))
    assert lines['web-0:'] == lines['web-1:'] == 5
    assert lines['  memory: 1024'] == 6
    assert lines['  start: false'] == 8
    assert (lines['last:'], lines['  image: x']) == (12, 13)


@settings(deadline=None)
@given(st.lists(st.sampled_from(['a: 1', '{% if true %}', '{% endif %}', 'b: {{ n }}', '', '  c: {{ n }}y', '# text']),
                max_size=12))
def test_the_lines_of_plain_text_are_exact(lines: list[str]) -> None:
    opened = 0
    for line in lines:
        opened += {'{% if true %}': 1, '{% endif %}': -1}.get(line, 0)
        if opened < 0:
            return
    if opened:
        return
    rendered = render(source('\n'.join([*lines, 'zz: end', ''])), {'n': 1})
    assert rendered.lines[rendered.text.splitlines().index('zz: end')] == len(lines) + 1


def test_all_undefined_names_are_told_at_once_with_their_lines() -> None:
    told = refused('a: {{ memroy }}\nb: {{ other.x + 3 }}\nc: {{ maybe | default(3) }}\n{% for i in many %}{% endfor %}\n'
                   '{% if thing is defined %}x{% endif %}\n', memory=3)
    assert "plan.yml:1: 'memroy' is not defined, did you mean 'memory'?" in told
    assert "plan.yml:2: 'other' is not defined" in told
    assert "plan.yml:4: 'many' is not defined" in told
    assert 'maybe' not in told
    assert 'thing' not in told


def test_all_unknown_filters_are_told_at_once() -> None:
    told = refused('a: {{ 1 | basenam }}\nb: {{ 2 | nothing }}\n')
    assert "plan.yml:1: there is no filter 'basenam', did you mean 'basename'?" in told
    assert "plan.yml:2: there is no filter 'nothing'" in told


@pytest.mark.parametrize(('text', 'says'), [
    ('a: {{ 1 \n', 'plan.yml:1: this is no template'), ('a: 1\n{% if %}\n', 'plan.yml:2'),
    ('a: 1\nb: {{ 1 / 0 }}\n', 'plan.yml:2: the template can not be expanded: division by zero'),
    ("a: 1\n\nb: {{ 'x' | network_ip(3) }}\n", "plan.yml:3: there is no address 3 in 'x'"),
    ("a: {{ ''.__class__.__mro__ }}\n", 'plan.yml:1'), ('a: {{ range(10**9) | list }}\n', 'plan.yml:1'),
    ("{% include '../../etc/passwd' %}\n", 'plan.yml:1')])
def test_a_template_that_fails_names_its_line(text: str, says: str) -> None:
    assert says in refused(text)


class TestParameters:
    """Declared in the plan and beside it, given by the user."""

    def test_what_is_given_wins(self, tmp_path: Path) -> None:
        (tmp_path / 'kcli_default.yml').write_text('size: 1\ncolour: blue\n')
        (tmp_path / 'kcli_plan.yml').write_text(
            'parameters:\n  size: 2\n  name: web\na: "{{ size }} {{ colour }} {{ name }}"\n')
        rendered = render(locate(tmp_path), {'name': 'db'})
        assert 'a: "2 blue db"' in rendered.text
        assert rendered.source.compat

    def test_a_value_has_the_type_of_its_default(self) -> None:
        text = 'parameters:\n  n: 1\n  t: x\n  f: 1.5\n  b: false\n'
        rendered = render(source(text), {'n': 2, 't': 3, 'f': 2, 'b': True})
        assert rendered.variables == {'n': 2, 't': '3', 'f': 2.0, 'b': True}
        told = refused(text, n='many', b='no')
        assert "plan.yml:2: parameter n is a whole number, and 'many' is not" in told
        assert "plan.yml:5: parameter b is true or false, and 'no' is not" in told

    def test_what_is_required_must_be_given(self) -> None:
        text = 'parameters:\n  a: ?required\n  b:\n    description: who it is for\n    required: true\n'
        told = refused(text)
        assert 'plan.yml:2: parameter a is required' in told
        assert 'plan.yml:3: parameter b is required (who it is for)' in told
        assert render(source(text), {'a': 1, 'b': 2}).variables == {'a': 1, 'b': 2}

    def test_a_choice_is_one_of_several(self) -> None:
        text = 'parameters:\n  size:\n    default: small\n    choices: [small, large]\nx: {{ size }}\n'
        assert 'x: small' in render(source(text)).text
        assert 'parameter size is one of small, large' in refused(text, size='huge')

    def test_a_secret_is_masked_from_then_on(self) -> None:
        from kvirt.redact import redact
        render(source('parameters:\n  code: ?secret\nx: {{ code }}\n'), {'code': 'open-sesame-7'})
        assert redact('it is open-sesame-7') == 'it is ********'


class TestFilters:
    """By the names that kcli's users know."""

    @pytest.mark.parametrize(('expression', 'value'), [
        ("'/a/b.c' | basename", 'b.c'), ("'/a/b.c' | dirname", '/a'), ("'sda' | diskpath", '/dev/sda'),
        ("'/dev/sda' | diskpath", '/dev/sda'), ('none | none', ''), ("3 | type", 'int'), ("'x' | type", 'string'),
        ("[1] | type", 'list'), ("true | type", 'bool'), ("'hello' | base64", 'aGVsbG8='), ("'a.b.c' | count('.')", '2'),
        ("'10.0.0.0/24' | network_ip(5)", '10.0.0.5'), ("'fd00::/64' | network_ip(1, true)", '[fd00::1]'),
        ("'fd00::1' | ipv6_wrap", '[fd00::1]'), ("'10.0.0.1' | ipv6_wrap", '10.0.0.1'),
        ("'4.9' | max_ocp_version('4.10')", '4.10'), ("'4.9' | min_ocp_version('4.10')", '4.9'),
        ("['a-worker-0', 'a-ctlplane-0'] | has_ctlplane", 'True'), ("'k' | kubenodes(1, 2) | join(',')",
                                                                  'k-ctlplane-0,k-worker-0,k-worker-1'),
        ("2 | defaultnodes('k', 'lab', 1, 1) | join(',')", 'k-worker-0.lab,k-ctlplane-0.lab'),
        ("[1, 2, 3] | filter_bgp_peers(1) | join(',')", '1,3'), ("'x/y' | pwd_path", 'x/y'), ("'nofile' | exists", 'False'),
        ("'AB' | certificate | replace('\\n', ' ')", '-----BEGIN CERTIFICATE----- AB -----END CERTIFICATE-----'),
        ("'no-such-nic' | local_ip", ''), ("'v1' and ('a/b' | github_version('v1'))", 'v1')])
    def test_a_filter(self, expression: str, value: str) -> None:
        assert render(source('x: {{ ' + expression + ' }}')).text == f'x: {value}'

    def test_all_of_them_are_there(self) -> None:
        known = {'basename', 'dirname', 'diskpath', 'none', 'type', 'certificate', 'base64', 'count', 'exists', 'read_file',
                 'real_path', 'pwd_path', 'find_manifests', 'kubenodes', 'defaultnodes', 'has_ctlplane', 'github_version',
                 'local_ip', 'network_ip', 'ipv6_wrap', 'kcli_info', 'wait_crd', 'wait_csv', 'min_ocp_version',
                 'max_ocp_version', 'filter_bgp_peers'}
        assert known <= set(filters(Path('.')))

    def test_files_are_read_from_the_plans_folder(self, tmp_path: Path) -> None:
        (tmp_path / 'a.txt').write_text('hello')
        (tmp_path / 'm.yaml').write_text('')
        text = "x: {{ 'a.txt' | read_file }} {{ 'a.txt' | exists }} {{ '.' | find_manifests | join }}"
        assert render(source(text, tmp_path)).text == 'x: hello True m.yaml'

    def test_a_plan_that_is_not_trusted_sees_nothing_outside_of_its_folder(self, tmp_path: Path) -> None:
        (tmp_path / 'in').mkdir()
        (tmp_path / 'secret').write_text('x')
        for expression in ("'../secret' | read_file", "'/etc/hostname' | read_file", "'../secret' | exists"):
            with pytest.raises(KvirtError, match='outside of the folder'):
                render(source('x: {{ ' + expression + ' }}', tmp_path / 'in', trusted=False))

    def test_shell_in_a_filter_is_one_word(self) -> None:
        assert 'oc get csv -n ns thing' in render(source("x: {{ 'thing' | wait_csv('ns') }}")).text
        with pytest.raises(KvirtError, match='not the name of a thing'):
            render(source("x: {{ 'a; rm -rf /' | wait_crd }}"))
