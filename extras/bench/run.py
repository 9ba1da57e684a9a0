#!/usr/bin/env python3
"""Measure kvirt beside kcli on the same libvirt, in one run, with the bare floor (Python and the libvirt calls alone).

    make bench                         all of it, on qemu:///system, and on AWS as moto pretends it
    make bench ARGS='--only aws'       AWS alone (see aws.py)
    make bench ARGS='--only starts'    how long ten common commands take to start, in processor time
    make bench ARGS='--rounds 9'       more rounds; the median of each is shown
    make bench ARGS='--domains 50'     fewer domains in the list

kcli is installed from PyPI into an environment of its own, in a temporary folder. Everything that is made on the host bears
the prefix kvbench- and is removed at the end.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import libvirt

PREFIX = 'kvbench-'
KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAiG4Fz3qUtUuA1YBTm0oWbDQz0GOx0qRBFwD1Kbd0pN bench'
FLOOR_LIST = """
import sys, libvirt, xml.etree.ElementTree as ET
conn = libvirt.open(sys.argv[1])
leases = [network.DHCPLeases() for network in conn.listAllNetworks(2)]
for domain, stats in conn.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0):
    ET.fromstring(domain.XMLDesc(0))
    print(domain.name(), stats['state.state'])
"""
FLOOR_CREATE = """
import sys, libvirt
conn = libvirt.open(sys.argv[1])
pool = conn.storagePoolLookupByName('default')
image = pool.storageVolLookupByName(sys.argv[3])
pool.createXML(f"<volume><name>{sys.argv[2]}_0.img</name><capacity unit='G'>10</capacity>"
               f"<target><format type='qcow2'/></target><backingStore><path>{image.path()}</path>"
               f"<format type='qcow2'/></backingStore></volume>")
conn.defineXML(f"<domain type='qemu'><name>{sys.argv[2]}</name><memory unit='MiB'>512</memory>"
               f"<os><type arch='x86_64'>hvm</type></os></domain>")
"""

STARTS = ('version', 'list client', 'list profile', 'list keyword', 'list network', 'list pool', 'list image', 'list plan',
          f'info vm {PREFIX}000', 'create plan --help')
"""Commands of which most of the time is the start. Both programs have them under the same words."""


@dataclass
class Runner:
    """A program under measurement: its command line and environment."""

    name: str
    command: list[str]
    env: dict[str, str]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    processor: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    def measure(self, case: str, arguments: list[str]) -> str:
        """Run once, note the time, and that of the processor, and return the output."""
        before, spent = time.perf_counter(), processor_time()
        process = subprocess.Popen([*self.command, *arguments], env={**os.environ, **self.env}, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out, err = process.communicate(timeout=300)
        self.seconds.setdefault(case, []).append(time.perf_counter() - before)
        self.processor.setdefault(case, []).append(processor_time() - spent)
        if process.returncode:
            raise SystemExit(f'{self.name}: {case} failed with {process.returncode}: {err.strip() or out.strip()}')
        return out


def processor_time() -> float:
    """Return what the programs that ended have used of the processor, in seconds. A busy machine hardly changes it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak(command: list[str], env: dict[str, str]) -> int:
    """Return the most memory (KiB) that a command uses, measured in a process of its own."""
    code = 'import resource,subprocess,sys;subprocess.run(sys.argv[1:],stdout=-3,stderr=-3,stdin=-3);' \
           'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)'
    return int(subprocess.run([sys.executable, '-c', code, *command], env={**os.environ, **env}, check=True,
                              capture_output=True, text=True).stdout)


def domain_xml(name: str, number: int) -> str:
    """Return a domain as kcli and kvirt define them: a disk, a card, and metadata."""
    root = ET.Element('domain', type='qemu')
    ET.SubElement(root, 'name').text = name
    info = ET.SubElement(ET.SubElement(root, 'metadata'), '{kvirt}info')
    for key, value in (('plan', f'plan{number % 7}'), ('profile', 'small'), ('image', 'debian12'),
                       ('creationdate', '01-01-2026 00:00'), ('user', 'debian')):
        ET.SubElement(info, f'{{kvirt}}{key}').text = value
    ET.SubElement(root, 'memory', unit='MiB').text = '512'
    ET.SubElement(root, 'vcpu').text = '2'
    ET.SubElement(ET.SubElement(root, 'os'), 'type', arch='x86_64').text = 'hvm'
    devices = ET.SubElement(root, 'devices')
    disk = ET.SubElement(devices, 'disk', type='file', device='disk')
    ET.SubElement(disk, 'driver', name='qemu', type='qcow2')
    ET.SubElement(disk, 'source', file=f'/var/lib/libvirt/images/{name}_0.img')
    ET.SubElement(disk, 'target', dev='vda', bus='virtio')
    card = ET.SubElement(devices, 'interface', type='network')
    ET.SubElement(card, 'source', network='default')
    ET.SubElement(card, 'model', type='virtio')
    return ET.tostring(root, encoding='unicode')


@contextmanager
def many_domains(uri: str, count: int) -> Iterator[None]:
    """Define *count* domains for as long as the block runs."""
    conn = libvirt.open(uri)
    ET.register_namespace('kvirt', 'kvirt')
    made = []
    try:
        for number in range(count):
            made.append(conn.defineXML(domain_xml(f'{PREFIX}{number:03}', number)))
        yield
    finally:
        for domain in made:
            domain.undefine()
        conn.close()


def remove(uri: str, name: str) -> None:
    """Remove a domain and the volumes that begin with its name, past both programs."""
    conn = libvirt.open(uri)
    for domain in conn.listAllDomains():
        if domain.name() == name:
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
    pool = conn.storagePoolLookupByName('default')
    pool.refresh()
    for volume in pool.listAllVolumes():
        if volume.name().startswith((f'{name}_', f'{name}.')):
            volume.delete()
    conn.close()


def install(folder: Path, *requirements: str) -> Path:
    """Install *requirements* in an environment of their own, compiled as pip does, and return its folder of programs."""
    subprocess.run([sys.executable, '-m', 'venv', str(folder)], check=True)
    subprocess.run([str(folder / 'bin/pip'), 'install', '-q', *requirements], check=True, stderr=subprocess.DEVNULL)
    return folder / 'bin'


def kcli(folder: Path) -> Runner:
    """Install kcli and return it, configured for the local libvirt."""
    programs = install(folder / 'kcli', 'kcli')
    (folder / '.kcli').mkdir()
    (folder / '.kcli/config.yml').write_text('default:\n  client: local\nlocal:\n  type: kvm\n  host: 127.0.0.1\n')
    return Runner('kcli', [str(programs / 'kcli')], {'HOME': str(folder)})


def kvirt(folder: Path, uri: str) -> Runner:
    """Install this kvirt and return it, configured for *uri*."""
    programs = install(folder / 'kvirt', f'{Path(__file__).parents[2]}[kvm]')
    home = folder / 'home'
    home.mkdir()
    (home / 'config.yml').write_text(f'default:\n  client: here\nhere:\n  type: kvm\n  url: {uri}\n')
    return Runner('kvirt', [str(programs / 'kvirt')], {'KVIRT_HOME': str(home)})


def rounds(runners: list[Runner], case: str, count: int, arguments: Callable[[Runner], list[str]],
           after: Callable[[Runner], None] | None = None, domains: int = 0) -> None:
    """Run *case* on each program in turn, *count* times after one to warm up."""
    for number in range(count + 1):
        for runner in runners:
            output = runner.measure(case, arguments(runner))
            if case == 'list':
                assert output.count(PREFIX) == domains, f'{runner.name} listed {output.count(PREFIX)} domains'
            if after:
                after(runner)
            if number == 0:
                runner.seconds[case].clear()
                runner.processor[case].clear()


def main() -> None:
    """Run everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--uri', default='qemu:///system')
    parser.add_argument('--domains', type=int, default=300)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--vms', type=int, default=20, help='VMs of the plan')
    parser.add_argument('--image', default='debian12.qcow2')
    parser.add_argument('--only', choices=('libvirt', 'starts', 'aws'), help='measure one part')
    asked = parser.parse_args()
    if asked.only in (None, 'libvirt'):
        on_libvirt(asked)
    if asked.only in (None, 'starts'):
        starts(asked)
    if asked.only in (None, 'aws'):
        on_aws(asked)


def on_aws(asked: argparse.Namespace) -> None:
    """Measure on AWS, far away."""
    import aws  # it needs moto
    with tempfile.TemporaryDirectory(prefix=PREFIX) as temporary:
        aws.run(Path(temporary), asked.vms, latency=0.1, rounds=1)


def starts(asked: argparse.Namespace) -> None:
    """Measure how long commands take to start, beside one VM."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as temporary:
        theirs, ours = kcli(Path(temporary)), kvirt(Path(temporary), asked.uri)
        (Path(temporary) / '.kcli/profiles.yml').write_text('small:\n  memory: 1024\n')
        (Path(temporary) / 'home/profiles.yml').write_text('small:\n  memory: 1024\n')
        print(f'Processor time of commands; median of {asked.rounds} rounds after one to warm up')
        with many_domains(asked.uri, 1):
            for case in STARTS:
                rounds([theirs, ours], case, asked.rounds, lambda _, case=case: case.split())  # type: ignore[misc]
                show(case, 's', 0.6, *(statistics.median(runner.processor[case]) for runner in (theirs, ours)))


def on_libvirt(asked: argparse.Namespace) -> None:
    """Measure on libvirt."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as temporary:
        theirs, ours = kcli(Path(temporary)), kvirt(Path(temporary), asked.uri)
        bare = Runner('floor', [str(Path(ours.command[0]).with_name('python'))], {})
        print(f'kcli {version_of(theirs)}, kvirt {version_of(ours)}; median of {asked.rounds} rounds after one to warm up')
        rounds([theirs, ours, bare], 'help', asked.rounds, lambda runner: ['-c', 'pass'] if runner is bare else ['--help'])
        with many_domains(asked.uri, asked.domains):
            rounds([theirs, ours, bare], 'list', asked.rounds,
                   lambda runner: ['-c', FLOOR_LIST, asked.uri] if runner is bare else ['list', 'vm'],
                   domains=asked.domains)
            for runner in (theirs, ours):
                runner.memory['list'] = peak([*runner.command, 'list', 'vm'], runner.env)
            bare.memory['list'] = peak([*bare.command, '-c', FLOOR_LIST, asked.uri], {})
        create(theirs, ours, bare, asked)
        plan(theirs, ours, bare, asked, Path(temporary))
        for case, goal in (('help', 0.6), ('list', 0.5), ('create', 0.6), ('plan', 0.5)):
            show(case, 's', goal, *(statistics.median(runner.seconds[case]) for runner in (theirs, ours, bare)))
        show('memory of list', 'MiB', None, *(runner.memory['list'] / 1024 for runner in (theirs, ours, bare)))


def create(theirs: Runner, ours: Runner, bare: Runner, asked: argparse.Namespace) -> None:
    """Measure the creation of a VM from an image, with a seed, not started."""
    name = f'{PREFIX}vm'

    def arguments(runner: Runner) -> list[str]:
        if runner is bare:
            return ['-c', FLOOR_CREATE, asked.uri, name, asked.image]
        return ['create', 'vm', name, '-i', asked.image, '-P', 'start=false', '-P', 'virttype=qemu', '-P', f'keys=[{KEY}]']
    try:
        rounds([theirs, ours, bare], 'create', asked.rounds, arguments, after=lambda runner: remove(asked.uri, name))
    finally:
        remove(asked.uri, name)


def plan(theirs: Runner, ours: Runner, bare: Runner, asked: argparse.Namespace, folder: Path) -> None:
    """Measure a plan of VMs from an image, each with a seed, not started. The floor makes them one after another."""
    file = folder / 'plan.yml'
    names = [f'{PREFIX}plan{number:02}' for number in range(asked.vms)]
    file.write_text(''.join(f"{name}:\n  image: {asked.image}\n  start: false\n  virttype: qemu\n  keys: ['{KEY}']\n"
                            for name in names))

    def arguments(runner: Runner) -> list[str]:
        if runner is bare:
            head, connect, *calls = FLOOR_CREATE.strip().splitlines()
            loop = [f'    {line}'.replace('sys.argv[2]', 'name') for line in calls]
            return ['-c', '\n'.join([head, connect, 'for name in sys.argv[2].split(","):', *loop]), asked.uri,
                    ','.join(names), asked.image]
        return ['create', 'plan', '-f', str(file), f'{PREFIX}plan']

    def clean(runner: Runner) -> None:
        for name in names:
            remove(asked.uri, name)
    try:
        rounds([theirs, ours, bare], 'plan', min(asked.rounds, 3), arguments, after=clean)
    finally:
        clean(bare)


def show(case: str, unit: str, goal: float | None, theirs: float, ours: float, floor: float | None = None) -> None:
    """Print a line of the table."""
    wanted = f'goal {goal}' if goal else ''
    least = f'  floor {floor:8.3f} {unit}' if floor is not None else ''
    print(f'{case:20} kcli {theirs:8.3f} {unit:3}  kvirt {ours:8.3f} {unit:3}  ratio {ours / theirs:5.2f}  {wanted:9}'
          f'{least}')


def version_of(runner: Runner) -> str:
    """Return the version of an installed distribution."""
    python = Path(runner.command[0]).parent / 'python'
    code = f"from importlib.metadata import version; print(version('{runner.name}'))"
    return subprocess.run([str(python), '-c', code], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == '__main__':
    main()
