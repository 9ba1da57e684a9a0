#!/usr/bin/env python3
"""Measure kvirt beside kcli on AWS as moto pretends it, in one run, with 100 ms added to each call: as from afar.

    python extras/bench/aws.py                   a plan of 20 VMs made, and listed
    python extras/bench/aws.py --vms 5           a smaller one

Both get the same plan and make it with ``create plan``; ours with ``--parallel``, theirs one VM after another, since it
knows no other way. Seconds are those of the whole command, calls are counted at the server. Nothing is judged here.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests
from run import KEY, PREFIX, Runner, install, version_of

from kvirt.testing.wire import Forward, Wire

REGION, FLAVOR = 'us-east-1', 't3.micro'
KEYS = {'access_key_id': 'AKIAIOSFODNN7EXAMPLE', 'access_key_secret': 'wJalrXUtnFEMIexample'}


@dataclass
class Pretended:
    """The account: where it is *past* the wire, and what was counted, by case and program."""

    wire: Wire
    past: str
    calls: dict[tuple[str, str], int] = field(default_factory=dict)

    def measure(self, runner: Runner, case: str, arguments: list[str]) -> str:
        """Run a program once, note its time and its calls, and return the output."""
        with self.wire.counting() as calls:
            output = runner.measure(case, arguments)
        self.calls[case, runner.name] = len(calls)
        return output

    def reset(self) -> None:
        """Begin anew."""
        requests.post(f'{self.past}/moto-api/reset', timeout=60).raise_for_status()

    def image(self) -> str:
        """Return the id of an image that is there."""
        import boto3
        ec2 = boto3.client('ec2', region_name=REGION, endpoint_url=self.past, aws_access_key_id='a',
                           aws_secret_access_key='b')
        images = ec2.describe_images(Filters=[{'Name': 'architecture', 'Values': ['x86_64']}])['Images']
        return str(next(image['ImageId'] for image in images if image['Name'].startswith('amzn')))


@contextmanager
def pretended(latency: float) -> Iterator[Pretended]:
    """Give an account whose every call takes *latency* seconds more."""
    from moto.server import ThreadedMotoServer
    server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
    server.start()
    logging.getLogger('werkzeug').setLevel(logging.ERROR)
    host, port = server.get_host_and_port()
    url = f'http://{host}:{port}'
    try:
        with Wire(Forward(url), latency=latency) as wire:
            yield Pretended(wire, url)
    finally:
        server.stop()


def programs(folder: Path, url: str) -> list[Runner]:
    """Install both programs, each in an environment of its own, and return them, configured for the account at *url*."""
    theirs, ours = install(folder / 'kcli', 'kcli', 'boto3'), install(folder / 'kvirt', f'{Path(__file__).parents[2]}[aws]')
    for name in ('.kcli', '.ssh', 'home'):
        (folder / name).mkdir()
    (folder / '.ssh/id_ed25519.pub').write_text(f'{KEY}\n')
    client = ''.join(f'  {key}: {value}\n' for key, value in {'type': 'aws', **KEYS}.items())
    (folder / '.kcli/config.yml').write_text(f'default:\n  client: far\nfar:\n{client}  region: {REGION}\n')
    (folder / 'home/config.yml').write_text(f'default:\n  client: far\nfar:\n{client}  location: {REGION}\n'
                                            f'  endpoint_url: {url}\n')
    return [Runner('kcli', [str(theirs / 'kcli')], {'HOME': str(folder), 'AWS_ENDPOINT_URL': url}),
            Runner('kvirt', [str(ours / 'kvirt')], {'HOME': str(folder), 'KVIRT_HOME': str(folder / 'home')})]


def plan(folder: Path, image: str, names: list[str]) -> Path:
    """Write the plan that both make, and return its file."""
    file = folder / 'plan.yml'
    file.write_text(''.join(f'{name}:\n  image: {image}\n  flavor: {FLAVOR}\n  keys: ["{KEY}"]\n' for name in names))
    return file


def measure(account: Pretended, runner: Runner, file: Path, names: list[str]) -> None:
    """Let one program make the plan in an empty account, and list it."""
    account.reset()
    parallel = ['--parallel', str(len(names))] if runner.name == 'kvirt' else []
    account.measure(runner, 'create', ['create', 'plan', '-f', str(file), *parallel, f'{PREFIX}plan'])
    output = account.measure(runner, 'list', ['list', 'vm'])
    missing = [name for name in names if name not in output]
    if missing:
        raise SystemExit(f"{runner.name} does not list {', '.join(missing)}:\n{output}")


def report(account: Pretended, runners: list[Runner], count: int) -> None:
    """Print a line for each case."""
    theirs, ours = runners
    for case, calls in (('create', 2 * count + 10), ('list', 3)):
        seconds = [statistics.median(runner.seconds[case]) for runner in runners]
        made = [account.calls[case, runner.name] for runner in runners]
        print(f'{case:8} kcli {seconds[0]:7.2f} s {made[0]:4} calls   kvirt {seconds[1]:7.2f} s {made[1]:4} calls   '
              f'ratio {seconds[1] / seconds[0]:5.3f} (goal 0.1)   calls of ours at most {calls}')


def run(folder: Path, count: int, latency: float, rounds: int) -> None:
    """Measure both programs and print the table."""
    with pretended(latency) as account:
        runners = programs(folder, account.wire.url)
        names = [f'{PREFIX}{number:02}' for number in range(count)]
        file = plan(folder, account.image(), names)
        print(f'{count} VMs, {latency * 1000:g} ms a call; kcli {version_of(runners[0])}, kvirt {version_of(runners[1])}; '
              f'median of {rounds}')
        for runner in runners:
            runner.measure('version', ['--help'])  # what Python compiles once is not counted
            for _ in range(rounds):
                measure(account, runner, file, names)
        report(account, runners, count)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--vms', type=int, default=20)
    parser.add_argument('--latency', type=float, default=0.1, help='seconds added to each call')
    parser.add_argument('--rounds', type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as temporary:
        run(Path(temporary), asked.vms, asked.latency, asked.rounds)


if __name__ == '__main__':
    main()
