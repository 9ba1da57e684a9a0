"""What hinders kvirt, looked for in the order in which one meets it: configuration, keys, this machine, then each client.

Everything here reads. A check is a small function that yields what it finds; one that raises a known error has failed,
and the error's hint is what mends it.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kvirt.config import Kconfig
from kvirt.confpools import ConfPools
from kvirt.errors import KvirtError, Unauthorized
from kvirt.guest import images, keys
from kvirt.names import did_you_mean
from kvirt.parallel import in_parallel
from kvirt.settings import Settings
from kvirt.spec import VmSpec

Verdict = Literal['PASS', 'WARN', 'FAIL']

ROOMY = 10
"""GiB that a pool should have left beside the disks of one VM."""

_GROUP = 'libvirt'
_KVM = Path('/dev/kvm')


@dataclass(frozen=True)
class Finding:
    """What a check found. ``remedy`` is the command or sentence that mends it; ``client`` is empty for this machine."""

    check: str
    verdict: Verdict
    detail: str
    remedy: str = ''
    client: str = ''


Here = Callable[[Settings], Iterator[Finding]]
OnClient = Callable[[Kconfig, VmSpec], Iterator[Finding]]


def examine(open_settings: Callable[[], Settings], open_client: Callable[[str], Kconfig],
            wanted: str | None = None) -> list[Finding]:
    """Return what all checks find, of this machine and of the clients *wanted* (as -C takes them)."""
    try:
        settings = open_settings()
    except KvirtError as error:
        return [failed('config', error, 'Correct the file')]
    found = [finding for name, check in HERE.items() for finding in _tried(name, check, settings)]
    try:
        clients = settings.targets(wanted)
    except KvirtError as error:
        return [*found, failed('clients', error)]
    for findings in in_parallel(clients, lambda client: _client(client, open_client), workers=16):
        found += findings
    return found


def failed(check: str, error: KvirtError, otherwise: str = '') -> Finding:
    """Return the finding that *error* is; its hint is the remedy, or *otherwise* where it has none."""
    return Finding(check, 'FAIL', ' '.join(error.reason.split()), error.hint or otherwise)


def _tried(name: str, check: Here, settings: Settings) -> Iterator[Finding]:
    try:
        yield from check(settings)
    except KvirtError as error:
        yield failed(name, error)
    except OSError as error:
        yield Finding(name, 'FAIL', f'{error.filename}: {error.strerror}')


# this machine

def configuration(settings: Settings) -> Iterator[Finding]:
    """The files of the configuration can be read, all of them."""
    settings.check_defaults()
    settings.profiles()
    ConfPools(settings).all()
    clients = len(settings.clients())
    if settings.config is None:
        yield Finding('config', 'WARN', f'there is no {settings.home / "config.yml"}', 'kvirt init')
    elif settings.compat:
        yield Finding('config', 'PASS', f"kcli's configuration is used: {settings.config.source}, clients: {clients}")
    else:
        yield Finding('config', 'PASS', f'{settings.config.source}, clients: {clients}')


def secrets(settings: Settings) -> Iterator[Finding]:
    """A file of secrets is for its owner alone."""
    path = settings.path('secrets.yml') or settings.path('secrets.yaml')
    if path is None:
        return
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield Finding('secrets', 'FAIL', f'others can read {path}', f'chmod 600 {path}')
    else:
        yield Finding('secrets', 'PASS', str(path))


def ssh_key(settings: Settings) -> Iterator[Finding]:
    """There is a public key to put into guests."""
    found = keys.public_keys(VmSpec(), home=settings.home)[0]
    kind, _, rest = found.partition(' ')
    comment = ' '.join(rest.split()[1:])
    yield Finding('ssh key', 'PASS', f'{kind} {comment}'.rstrip())


def ssh_program(settings: Settings) -> Iterator[Finding]:
    """OpenSSH is here, which `kvirt ssh` runs."""
    if shutil.which('ssh') is None:
        yield Finding('ssh', 'WARN', 'OpenSSH is not installed', 'sudo apt install openssh-client')
    else:
        yield Finding('ssh', 'PASS', 'OpenSSH is installed')


def groups(settings: Settings) -> Iterator[Finding]:
    """Where libvirt runs here, this user may use it."""
    if not settings.has_local_libvirt():
        return
    try:
        group = grp.getgrnam(_GROUP)
    except KeyError:
        return  # this system has another way
    user = pwd.getpwuid(os.getuid()).pw_name
    if os.geteuid() == 0 or group.gr_gid in os.getgroups():
        yield Finding('groups', 'PASS', f'{user} may use the libvirt of this machine')
    elif user in group.gr_mem:
        yield Finding('groups', 'WARN', f'{user} is in group {_GROUP} from the next login on', f'newgrp {_GROUP}')
    else:
        yield Finding('groups', 'WARN', f'{user} is not in group {_GROUP}, which may use the libvirt of this machine',
                      f'sudo usermod -aG {_GROUP} {user}')


def acceleration(settings: Settings) -> Iterator[Finding]:
    """Where libvirt runs here, VMs need not be emulated."""
    if not settings.has_local_libvirt():
        return
    if _KVM.exists():
        yield Finding('acceleration', 'PASS', f'{_KVM} is there')
    else:
        yield Finding('acceleration', 'WARN', f'there is no {_KVM}: VMs of this machine are emulated, which is slow',
                      'sudo modprobe kvm_intel, or kvm_amd; virtualization must be on in the firmware')


HERE: dict[str, Here] = {'config': configuration, 'secrets': secrets, 'ssh key': ssh_key, 'ssh': ssh_program,
                         'groups': groups, 'acceleration': acceleration}


# a client

def _client(name: str, open_client: Callable[[str], Kconfig]) -> list[Finding]:
    return [replace(finding, client=name) for finding in _findings(name, open_client)]


def _findings(name: str, open_client: Callable[[str], Kconfig]) -> Iterator[Finding]:
    """Yield what is found of client *name*; what follows from a failure is not looked at."""
    try:
        config = open_client(name)
        provider = config.provider
    except KvirtError as error:
        yield failed('provider', error)
        return
    yield Finding('provider', 'PASS', config.type)
    spec = VmSpec()
    try:
        spec = config.decoded('doctor', config.vm_values(), '.')[2]
        yield Finding('keywords', 'PASS', 'what is configured for all VMs can be used')
    except KvirtError as error:
        yield failed('keywords', error)
    try:
        config.options(provider)
    except KvirtError as error:
        yield failed('credentials', error, f'kvirt info provider {config.type}')
        return
    try:
        vms = len(config.k.list())
        where = str(config.k.info_host()['connection']) if config.k.supports('info_host') else config.type
    except Unauthorized as error:
        yield failed('credentials', error, f'kvirt info provider {config.type}')
        return
    except KvirtError as error:
        yield failed('hypervisor', error, f'kvirt -d -C {name} info client')
        return
    yield Finding('credentials', 'PASS', 'they are taken')
    yield Finding('hypervisor', 'PASS', f'{where}, VMs: {vms}')
    for operation, (check, look) in ON_CLIENT.items():
        if not config.k.supports(operation):
            continue
        try:
            yield from look(config, spec)
        except KvirtError as error:
            yield failed(check, error)


def pool(config: Kconfig, spec: VmSpec) -> Iterator[Finding]:
    """The pool of VMs exists, and has room for one."""
    name = spec.pool
    known = config.k.info_pool(name)
    if not known:  # a platform may know a name, such as 'default', that it does not list
        mend = f'create pool -p FOLDER {name}' if config.k.supports('create_pool') else 'list pool'
        likely = did_you_mean(name, config.k.list_pools()) if config.k.supports('list_pools') else ''
        yield Finding('pool', 'FAIL', f"there is no pool '{name}'{likely}", f'kvirt -C {config.client} {mend}')
        return
    free = known.get('available')
    needed = sum(spec.disk_size(disk) for disk in spec.disks)
    if free is None:
        yield Finding('pool', 'PASS', name)
    elif free < needed + ROOMY:
        yield Finding('pool', 'WARN', f'{name} has {free:.0f} GiB left, and the disks of a VM may take {needed}',
                      f'kvirt -C {config.client} list disk shows what can go')
    else:
        yield Finding('pool', 'PASS', f'{name}, {free:.0f} GiB left')


def network(config: Kconfig, spec: VmSpec) -> Iterator[Finding]:
    """The networks of VMs exist. Where VMs have public addresses, the platform's own is enough."""
    known = config.k.list_networks()
    mend = f'kvirt -C {config.client} create network -c CIDR'
    absent = [net.name for net in spec.nets if net.name not in known and net.name != 'default']
    for name in absent:
        yield Finding('network', 'WARN', f"there is no network '{name}'{did_you_mean(name, known)}", f'{mend} {name}')
    if not known and 'publicip' not in getattr(config.k, 'honours', ()):
        yield Finding('network', 'WARN', 'there is no network', f'{mend} default')
    elif not absent:
        yield Finding('network', 'PASS', ', '.join(sorted(known)[:5]) or "the platform's own")


def image(config: Kconfig, spec: VmSpec) -> Iterator[Finding]:
    """There is something to boot from."""
    known = config.k.volumes()
    wanted = spec.image or 'debian12'
    mend = f'kvirt -C {config.client} download image {wanted}' if config.k.supports('add_image') else ''
    if not known:
        yield Finding('image', 'WARN', 'there is no image yet', mend)
    elif spec.image and spec.image not in known and not images.find(spec.image):
        yield Finding('image', 'WARN', f"there is no image '{spec.image}'{did_you_mean(spec.image, known)}",
                      f'kvirt -C {config.client} list image')
    else:
        yield Finding('image', 'PASS', f'{len(known)} to choose from')


def quota(config: Kconfig, spec: VmSpec) -> Iterator[Finding]:
    """No limit of the account is reached."""
    full = [row['name'] for row in config.k.list_quotas()
            if row.get('maximum') and row.get('current') is not None and row['current'] >= row['maximum']]
    if full:
        yield Finding('quota', 'WARN', f"the limit is reached of {', '.join(full)}", f'kvirt -C {config.client} list quota')
    else:
        yield Finding('quota', 'PASS', 'no limit is reached')


def orphans(config: Kconfig, spec: VmSpec) -> Iterator[Finding]:
    """Nothing was left behind by creations that were interrupted."""
    left = config.k.list_orphans()
    if left:
        yield Finding('orphans', 'WARN', f'{len(left)} left behind by what was interrupted',
                      f'kvirt -C {config.client} delete orphans')
    else:
        yield Finding('orphans', 'PASS', 'nothing was left behind')


ON_CLIENT: dict[str, tuple[str, OnClient]] = {
    'info_pool': ('pool', pool), 'list_networks': ('network', network), 'volumes': ('image', image),
    'list_quotas': ('quota', quota), 'list_orphans': ('orphans', orphans)}
"""The checks of a client that can be reached, by the operation that each of them needs."""
