"""Lists of EC2 that come in pages of two, whatever was asked for: a service may answer with fewer than that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree

from kvirt.providers.aws import Kaws
from kvirt.testing.botojudge import model
from kvirt.testing.wire import Answer, App, Request, Wire

from .cloud import Account, connect
from .conftest import create, ok

PAGE, MANY = 2, 7


class Paged:
    """An app whose lists of EC2 have two things a page."""

    def __init__(self, app: App) -> None:
        self.app = app

    def __call__(self, request: Request) -> Answer | None:
        form = dict(parse_qsl(request.body.decode('utf-8', 'replace'), keep_blank_values=True))
        kind = _list_of(form.get('Action', ''))
        if kind is None or form.get('Version') != model('ec2').api_version:
            return self.app(request)
        start = int(form.pop('NextToken', 0))
        form.pop('MaxResults', None)
        answer = self.app(replace(request, body=urlencode(form).encode()))
        return answer if answer is None or answer.status != 200 else _sliced(answer, kind, start)


def _list_of(action: str) -> str | None:
    """Return the element that holds what an action of EC2 lists, None for one that has no pages."""
    described = model('ec2')
    shape = described.operation_model(action).output_shape if action in described.operation_names else None
    if shape is None or 'NextToken' not in shape.members:
        return None
    return next((str(each.serialization['name']) for each in shape.members.values() if each.type_name == 'list'), None)


def _sliced(answer: Answer, kind: str, start: int) -> Answer:
    root = ElementTree.fromstring(answer.body)
    space = root.tag.partition('}')[0] + '}' if root.tag.startswith('{') else ''
    held = root.find(f'{space}{kind}')
    things = list(held) if held is not None else []
    for number, thing in enumerate(things):
        if held is not None and not start <= number < start + PAGE:
            held.remove(thing)
    for token in root.findall(f'{space}nextToken'):
        root.remove(token)
    if len(things) > start + PAGE:
        ElementTree.SubElement(root, f'{space}nextToken').text = str(start + PAGE)
    return Answer(answer.status, ElementTree.tostring(root), answer.headers)


def test_every_list_goes_on_beyond_three_pages_of_two(aws: Kaws, account: Account, wire: Wire) -> None:
    for number in range(MANY):
        ok(create(aws, f'web{number}', disks=[8, 1]))
        ok(aws.create_disk(f'data{number}', 1))
        ok(aws.create_network(f'lan{number}', f'10.{number}.0.0/16'))
        ok(aws.create_security_group(f'group{number}', {'ports': [80 + number]}))
        ok(aws.create_floating_ip(f'address{number}'))
        ok(aws.create_snapshot(f'shot{number}', 'web0'))
        ok(aws.stop(f'web{number}'))
        ok(aws.export(f'web{number}', f'image{number}'))
    whole = {word: read() for word, read in _reads(aws).items()}
    fresh = connect(wire.url)  # which remembers nothing
    fresh.conn = aws.conn
    app, pages = wire.app, dict[str, int]()
    wire.app = Paged(app)
    try:
        for word, read in _reads(fresh).items():
            with wire.counting() as calls:
                assert read() == whole[word], word
            pages[word] = len(calls)
    finally:
        wire.app = app
    assert len(whole['list']) == MANY
    assert len(whole['disks']) == 3 * MANY
    alone = {'addresses', 'info', 'orphans'}  # the first has no pages, the others no lists that are long
    assert [word for word, count in pages.items() if count <= 3 and word not in alone] == []


def _reads(aws: Kaws) -> dict[str, Callable[[], Any]]:
    return {'list': aws.list, 'disks': aws.list_disks, 'networks': aws.list_networks, 'subnets': aws.list_subnets,
            'groups': aws.list_security_groups, 'addresses': aws.list_floating_ips, 'images': aws.volumes,
            'snapshots': lambda: aws.list_snapshots('web0'), 'orphans': aws.list_orphans,
            'info': lambda: aws.info('web6'), 'flavors': aws.list_flavors}
