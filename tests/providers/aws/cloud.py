"""AWS as tests see it: moto's server behind a wire, and what moto lacks beside it.

What stands here for a service of AWS is judged by botocore's own description of that service: requests and answers.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import boto3
import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.validate
from werkzeug.test import EnvironBuilder

from kvirt.providers.aws import Kaws
from kvirt.providers.aws.wellknown import WELL_KNOWN
from kvirt.testing.wire import Answer, Request
from tests.providers.aws.moto_more import ACCOUNT, IMAGE_GIB, REGION, application, refusal_of

ZONE, DNS_ZONE = f'{REGION}a', 'lab.example'
CREDENTIALS = {'access_key_id': 'AKIAIOSFODNN7EXAMPLE', 'access_key_secret': 'wJalrXUtnFEMIexample'}
KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAiG4Fz3qUtUuA1YBTm0oWbDQz0GOx0qRBFwD1Kbd0pN test'
HOURLY = {'t3.nano': 0.0052, 't3.micro': 0.0104, 't3.small': 0.0208, 't4g.nano': 0.0042, 'm5.large': 0.096,
          'g4dn.xlarge': 0.526}
IMAGES = ('debian12', 'ubuntu2404', 'al2023', 'almalinux9', 'rockylinux9', 'centos9stream', 'fedora42', 'fcos')

Operation = Callable[[Mapping[str, Any]], dict[str, Any]]


class JsonService:
    """A service of AWS that speaks JSON 1.1. *operations* answer by name."""

    def __init__(self, service: str, **operations: Operation) -> None:
        self.model = botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model(service, 'service-2'))
        self.operations = operations
        self.prefix = self.model.metadata['targetPrefix']

    def __call__(self, operation: str, body: bytes) -> Answer:
        """Answer a call; AssertionError tells what AWS would not have been asked, or would not have answered."""
        model = self.model.operation_model(operation)
        asked = json.loads(body)
        faults = botocore.validate.ParamValidator().validate(asked, model.input_shape)
        assert not faults.has_errors(), faults.generate_report()
        answer = self.operations[operation](asked)
        faults = botocore.validate.ParamValidator().validate(answer, model.output_shape)
        assert not faults.has_errors(), faults.generate_report()
        sent = {'body': json.dumps(answer).encode(), 'headers': {'content-type': 'application/x-amz-json-1.1'},
                'status_code': 200}
        parsed = botocore.parsers.create_parser('json').parse(sent, model.output_shape)
        parsed.pop('ResponseMetadata')
        assert parsed == answer
        return Answer(200, sent['body'], sent['headers'])


class Prices:
    """What the Pricing API sells: *hourly* by instance type, and gp3. Pages of *size*."""

    def __init__(self, hourly: Mapping[str, float], size: int = 20) -> None:
        self.hourly, self.size, self.broken = hourly, size, False

    def get_products(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        assert asked['ServiceCode'] == 'AmazonEC2'
        wanted = {each['Field']: each['Value'] for each in asked['Filters']}
        found = [text for attributes, text in self.products() if wanted.items() <= attributes.items()]
        start, size = int(asked.get('NextToken', 0)), min(asked['MaxResults'], self.size)
        more = {'NextToken': str(start + size)} if start + size < len(found) else {}
        return {'FormatVersion': 'aws_v1', 'PriceList': found[start:start + size], **more}

    def products(self) -> Iterator[tuple[dict[str, str], str]]:
        for name, price in self.hourly.items():
            plain = {'instanceType': name, 'operatingSystem': 'Linux', 'tenancy': 'Shared', 'preInstalledSw': 'NA',
                     'capacitystatus': 'Used', 'marketoption': 'OnDemand', 'regionCode': REGION}
            yield _product(plain, 'Hrs', price)
            yield _product({**plain, 'operatingSystem': 'Windows'}, 'Hrs', price * 2)
            yield _product({**plain, 'capacitystatus': 'UnusedCapacityReservation'}, 'Hrs', price / 2)
        for kind, price in {'gp3': 0.08, 'gp2': 0.1}.items():
            yield _product({'productFamily': 'Storage', 'volumeApiName': kind, 'regionCode': REGION}, 'GB-Mo', price)


_SKUS = itertools.count(1)


def _product(attributes: dict[str, str], unit: str, price: float) -> tuple[dict[str, str], str]:
    sku = f'SKU{next(_SKUS)}'
    term = {'sku': sku, 'priceDimensions': {f'{sku}.1': {'unit': unit, 'pricePerUnit': {'USD': f'{price:.10f}'}}}}
    return attributes, json.dumps({'product': {'sku': sku, 'attributes': attributes}, 'terms': {'OnDemand': {sku: term}}})


QUOTAS = {'L-1216C47A': ('Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances', 64.0),
          'L-417A185B': ('Running On-Demand P instances', 0.0), 'L-0263D0A3': ('EC2-VPC Elastic IPs', 5.0),
          'L-00000001': ('Amazon FSx file systems', 9.0)}


def quotas(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Answer ListServiceQuotas, two a page."""
    rows = [{'ServiceCode': asked['ServiceCode'], 'QuotaCode': code, 'QuotaName': name, 'Value': value, 'Unit': 'None'}
            for code, (name, value) in QUOTAS.items()]
    start = int(asked.get('NextToken', 0))
    return {'Quotas': rows[start:start + 2], **({'NextToken': str(start + 2)} if start + 2 < len(rows) else {})}


class Aws:
    """An app for :class:`kvirt.testing.wire.Wire`: moto's server, and the services that it lacks.

    moto's application is called without http in between, which takes a third of the time. *url* is where tests find it
    past the wire.
    """

    def __init__(self) -> None:
        self.url = ''
        self.moto = application()
        self.prices = Prices({**HOURLY, **{f'c5.{size}': price for size, price in (
            ('large', 0.085), ('xlarge', 0.17), ('2xlarge', 0.34), ('4xlarge', 0.68))}})
        services = (JsonService('pricing', GetProducts=self.prices.get_products),
                    JsonService('service-quotas', ListServiceQuotas=quotas))
        self.services = {service.prefix: service for service in services}
        self.faults: list[str] = []
        self.placements = {'apart'}

    def __call__(self, request: Request) -> Answer:
        if operation_of(request) == 'DescribePlacementGroups':  # of which moto knows nothing
            wanted = dict(parse_qsl(request.body.decode()))['Filter.1.Value.1']
            found = ''.join(f'<item><groupName>{name}</groupName></item>' for name in self.placements & {wanted})
            return Answer(200, f'<DescribePlacementGroupsResponse><placementGroupSet>{found}</placementGroupSet>'
                               '</DescribePlacementGroupsResponse>'.encode())
        target, _, operation = request.headers.get('x-amz-target', '').partition('.')
        if target in self.services:
            if self.prices.broken:
                return Answer(503, b'{"__type": "ServiceUnavailable"}')
            try:
                return self.services[target](operation, request.body)
            except AssertionError as fault:
                self.faults.append(f'{operation}: {fault}')
                return Answer(400, json.dumps({'__type': 'ValidationException', 'message': str(fault)}).encode())
        refused = None
        if b'Action=' in request.body[:2000]:
            scope = re.search(r'/(\S+)/ec2/', request.headers.get('authorization', ''))
            refused = refusal_of(dict(parse_qsl(request.body.decode())), scope[1].rpartition('/')[2]) if scope else None
        if refused:
            error = '<Error><Code>{}</Code><Message>{}</Message></Error>'.format(*refused)
            return Answer(400, f'<Response><Errors>{error}</Errors></Response>'.encode())
        done = self.moto.open(EnvironBuilder(path=request.path, method=request.method, data=request.body,
                                             query_string=urlencode(request.query), headers=list(request.headers.items())))
        body = done.get_data()
        # moto keeps the user data that is taken away as the text that Python has for no bytes.
        body = body.replace(b"<value>b''</value>", b'<value></value>')
        kept = {key: value for key, value in done.headers.items()
                if key.lower() not in ('content-length', 'date', 'server')}
        if request.method == 'HEAD':
            kept['Content-Length'] = done.headers.get('Content-Length', '0')
        return Answer(done.status_code, body, kept)


class Account:
    """The account behind the wire, past the provider."""

    def __init__(self, app: Aws) -> None:
        self.app = app
        self.reset()

    def reset(self) -> None:
        """Begin anew, with the well-known images."""
        assert self.app(Request('POST', '/moto-api/reset')).status == 200
        self.app.prices.broken = False
        add_images()
        self.client('route53').create_hosted_zone(Name=DNS_ZONE, CallerReference='1')
        self.before = self.everything()

    @functools.cached_property
    def ec2(self) -> Any:
        return self.client('ec2')

    def client(self, service: str, region: str = REGION) -> Any:
        return boto3.client(service, region_name=region, endpoint_url=self.app.url, aws_access_key_id='a',
                            aws_secret_access_key='b')

    def instances(self) -> list[dict[str, Any]]:
        return [each for reservation in self.ec2.describe_instances()['Reservations'] for each in reservation['Instances']
                if each['State']['Name'] not in ('terminated', 'shutting-down')]

    def everything(self) -> set[str]:
        """Return what there is, in words. This asks moto itself, which is faster than its server."""
        from moto.ec2.models import ec2_backends
        from moto.elbv2.models import elbv2_backends
        from moto.route53.models import route53_backends
        from moto.s3.models import s3_backends
        ec2, elb = ec2_backends[ACCOUNT][REGION], elbv2_backends[ACCOUNT][REGION]
        for key, reservation in list(ec2.reservations.items()):
            if all(each.state == 'terminated' for each in reservation.instances):
                ec2.reservations.pop(key, None)  # as AWS does after an hour; moto would tell of them forever
        return {
            *(f'VM {_name(each) or each.id}' for each in ec2.all_instances()
              if each.state not in ('terminated', 'shutting-down')),
            *(f'volume {each.id} {_name(each)}{_user(ec2, each.attachment)}' for each in ec2.volumes.values()),
            *(f'snapshot {each.id}' for each in ec2.snapshots.values() if each.owner_id == ACCOUNT and each.get_tags()),
            *(f'image {each.name}' for each in ec2.amis.values() if each.owner_id == ACCOUNT),
            *(f'group {each.name}' for groups in ec2.groups.values() for each in groups.values()),
            *(f"card {each.id}{_user(ec2, each)}" for each in ec2.enis.values()),
            *(f'address {each.public_ip}' for each in ec2.addresses),
            *(f'network {each} {_name(vpc)}' for each, vpc in ec2.vpcs.items()),
            *(f'subnet {each}' for subnets in ec2.subnets.values() for each in subnets),
            *(f'gateway {each}' for each in ec2.internet_gateways),
            *(f'route table {each}' for each in ec2.route_tables),
            *(f'key {each}' for each in ec2.key_pairs),
            *(f'bucket {each}' for each in s3_backends[ACCOUNT]['aws'].buckets),
            *(f'record {each.name} {each.type}' for zone in route53_backends[ACCOUNT]['aws'].zones.values()
              for each in zone.rrsets),
            *(f'zone {each.name}' for each in route53_backends[ACCOUNT]['aws'].zones.values()),
            *(f'balancer {each.name}' for each in elb.load_balancers.values()),
            *(f'targets {each.name}' for each in elb.target_groups.values())}

    def left(self) -> list[str]:
        """Return what there is now, and was not after the last reset."""
        return sorted(self.everything() - self.before)


def _name(thing: Any) -> str:
    return next((str(tag['value']) for tag in thing.get_tags() if tag['key'] == 'Name'), '')


def _user(ec2: Any, attached: Any) -> str:
    """Return the name of the VM that a disk or card goes with."""
    owner = getattr(attached.instance, 'id', None) if attached else None
    vm = next((each for each in ec2.all_instances() if each.id == owner), None)
    return f' of {_name(vm)}' if vm else ''


def add_images() -> None:
    """Put the well-known images among those of moto, an older one of each as well."""
    from moto.ec2.models import ec2_backends
    from moto.ec2.models.amis import Ami
    backend = ec2_backends[ACCOUNT][REGION]
    words = {'*.*.3': '42.20260101.3', '*': '2026'}
    for number, short in enumerate(IMAGES):
        source = WELL_KNOWN[short]
        for arch, native in (('x86_64', 'x86_64'), ('aarch64', 'arm64')):
            for age, date in enumerate((datetime(2026, 6, 1), datetime(2025, 6, 1))):
                name = source.name(arch)
                for pattern, text in words.items():
                    name = name.replace(pattern, text)
                native_id = f'ami-{number:05x}{age}{"a1" if native == "arm64" else "86"}'
                backend.amis[native_id] = Ami(
                    backend, ami_id=native_id, name=name, owner_id=source.owner,
                    architecture=native, creation_date=date, root_device_name='/dev/xvda', root_device_type='ebs',
                    virtualization_type='hvm', state='available', public=True, description=short)
                backend.amis[native_id].ebs_snapshot.volume.size = IMAGE_GIB


class Hurried:
    """A clock by which waits take next to no time: moto does at once what it is asked for."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.ahead += seconds
        threading.Event().wait(0.002)


def refusal(status: int) -> bytes:
    """Return what AWS says when it refuses a call, in the forms of EC2 and of its other services that speak XML."""
    known = {422: 'InvalidParameterCombination', 429: 'RequestLimitExceeded', 500: 'InternalError'}
    code = known.get(status, 'Unavailable')
    error = f'<Error><Code>{code}</Code><Message>broken by a test</Message></Error>'
    return f'<Response><Errors>{error}</Errors>{error}</Response>'.encode()


def connect(url: str, **options: Any) -> Kaws:
    """Return a connection to the account behind a wire at *url*."""
    return Kaws(**{**CREDENTIALS, 'location': REGION, 'zone': ZONE, 'endpoint_url': url, **options})


def operation_of(request: Request) -> str:
    """Return which operation of AWS a request is: ``RunInstances``."""
    match = re.search(rb'(?:^|&)Action=(\w+)', request.body)
    return match[1].decode() if match else request.headers.get('x-amz-target', '').partition('.')[2] or str(request)
