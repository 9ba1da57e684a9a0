"""What a create would make: the flavor, the disks, the networks, who can reach it, and what a month of it costs.

Everything here reads. What would fail for sure raises or stands in ``problems``; what can't be told from outside of the
provider (its own names for an image, a bridge in place of a network) stands in ``notes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from kvirt.base import Kbase
from kvirt.guest import images
from kvirt.names import did_you_mean
from kvirt.offers import facts, place_of
from kvirt.shapes import Rule
from kvirt.spec import VmSpec

if TYPE_CHECKING:
    from kvirt.guest.guest import Guest

_SAID_IF_SET = ('sublocation', 'placement', 'securitygroups', 'spot', 'iso')


class Preview:
    """Previews of VMs of one client. What is read of the platform is read once, however many VMs are asked for."""

    def __init__(self, client: str, kind: str, provider: Any, home: Path, basedir: Path) -> None:
        self._client, self._kind, self._k = client, kind, provider
        self._home, self._basedir = home, basedir
        self._estimate: dict[str, Any] | None = None

    def of(self, name: str, keywords: Mapping[str, Any], extra: Mapping[str, Any], spec: VmSpec) -> dict[str, Any]:
        """Return what would be made of VM *name*; copies are taken to cost what the first one does.

        ``name client provider location image user flavor numcpus memory disks nets start``, what is let in (``inbound``)
        where the platform has a firewall, ``items monthly currency unknown`` of :class:`kvirt.shapes.Estimate`,
        ``problems`` and ``notes``. InvalidInput, NotFound.
        """
        estimate = self._estimated(name, keywords, spec)
        user = self._login(name, keywords, extra, spec)
        flavor = self._flavor(estimate['flavor'])
        made: dict[str, Any] = {
            'name': name, 'client': self._client, 'provider': self._kind,
            'location': flavor.get('location') or place_of(self._k),
            'image': spec.image, 'user': user, 'flavor': estimate['flavor'], 'numcpus': estimate['numcpus'],
            'memory': estimate['memory'], 'gpus': flavor.get('gpus') or None, 'arch': flavor.get('arch'),
            'disks': self._disks(spec, flavor), 'nets': self._nets(spec), 'start': spec.start}
        made |= {key: getattr(spec, key) for key in _SAID_IF_SET if getattr(spec, key)}
        honoured: frozenset[str] = getattr(self._k, 'honours', frozenset())
        if 'ports' in honoured:
            made['inbound'] = [f'{spec.vmport or 22}/tcp', *(rule_text(rule) for rule in spec.ports)]
        if 'publicip' in honoured:
            made['publicip'] = spec.publicip
        return {**{key: value for key, value in made.items() if value is not None},
                'items': estimate['items'], 'monthly': estimate['monthly'], 'currency': estimate['currency'],
                'unknown': estimate['unknown'], 'problems': self._problems(name), 'notes': self._notes(spec)}

    # what is read

    def _estimated(self, name: str, keywords: Mapping[str, Any], spec: VmSpec) -> dict[str, Any]:
        if self._estimate is None:
            self._estimate = self._asked(name, keywords, spec)
        return self._estimate

    def _asked(self, name: str, keywords: Mapping[str, Any], spec: VmSpec) -> dict[str, Any]:
        if isinstance(self._k, Kbase) and self._k.supports('estimate'):
            return dict(self._k.estimate(name, **keywords))
        return {'flavor': None, 'numcpus': spec.numcpus, 'memory': spec.memory, 'items': [], 'monthly': None,
                'currency': None, 'unknown': [f'{spec.numcpus} CPUs, {spec.memory} MiB']}

    def _flavor(self, name: str | None) -> Mapping[str, Any]:
        """Return what is known of a flavor; the copies of a VM all have the same."""
        if name is None or not self._can('list_flavors'):
            return {}
        return self._flavors.get(name, {})

    @cached_property
    def _flavors(self) -> dict[str, Mapping[str, Any]]:
        return {known['name']: known for known in map(facts, self._k.list_flavors())}

    @cached_property
    def _taken(self) -> frozenset[str]:
        return frozenset(row['name'] for row in self._k.list())

    @cached_property
    def _images(self) -> list[Mapping[str, Any]] | None:
        """The images, None where the platform lists none."""
        return self._k.volumes(extended=True) if self._can('volumes') else None

    @cached_property
    def _networks(self) -> frozenset[str] | None:
        """The names of networks and subnets, None where the platform lists none."""
        reads = [operation for operation in ('list_networks', 'list_subnets') if self._can(operation)]
        return frozenset(name for read in reads for name in getattr(self._k, read)()) if reads else None

    def _can(self, operation: str) -> bool:
        return isinstance(self._k, Kbase) and self._k.supports(operation)

    # what is told

    def _login(self, name: str, keywords: Mapping[str, Any], extra: Mapping[str, Any], spec: VmSpec) -> str | None:
        """Return who would log in, having read all that goes into the guest. InvalidInput as in a create."""
        if not isinstance(self._k, Kbase):
            return None
        guest = guest_of(self._k, name, spec, {**keywords, **extra}, self._home, self._basedir)
        return guest.user if guest.kind else None

    def _disks(self, spec: VmSpec, flavor: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the disks. Where there are no pools to make it in, the root disk is the one that comes with the flavor."""
        disks, pools = [], self._can('list_pools')
        for index, disk in enumerate(spec.disks):
            own = flavor.get('disk') if index == 0 and (disk.size is None or not pools) else None
            told = {'size': None if disk.existing else own or spec.disk_size(disk), 'name': disk.volume,
                    'pool': disk.pool or spec.pool if pools else None,
                    'image': disk.image or (spec.image if index == 0 else None)}
            disks.append({key: value for key, value in told.items() if value is not None})
        return disks

    def _nets(self, spec: VmSpec) -> list[dict[str, Any]]:
        return [{key: value for key, value in (('net', card.name), ('ip', card.ip), ('mac', card.mac)) if value}
                for card in spec.cards()]

    def _problems(self, name: str) -> list[str]:
        return [f'VM {name} exists'] if name in self._taken else []

    def _notes(self, spec: VmSpec) -> list[str]:
        notes = []
        if spec.flavor and not self._can('list_flavors'):
            notes.append(f"flavor '{spec.flavor}' means nothing to {self._kind}, which does not tell of any")
        if spec.image and self._images is not None:
            known = {str(row[key]) for row in self._images for key in ('name', 'short', 'id') if row.get(key)}
            # Where the list does not tell short names, only the provider knows which of them it has.
            portable = images.find(spec.image) and not any(row.get('short') for row in self._images)
            if spec.image not in known and not portable:
                notes.append(f"image '{spec.image}' is not in the list of images{did_you_mean(spec.image, known)}")
        notes += [f"network '{net.name}' is not in the list of networks{did_you_mean(net.name, self._networks)}"
                  for net in spec.nets if net.name != 'default' and self._networks is not None
                  and net.name not in self._networks]
        return notes


def guest_of(provider: Kbase, name: str, spec: VmSpec, variables: Mapping[str, Any], home: Path, basedir: Path) -> Guest:
    """Return the guest that VM *name* would have. InvalidInput as in a create."""
    from kvirt.guest.guest import Guest
    image = provider.image_behind(spec.image)
    if provider.pretends and not spec.keys:
        spec = msgspec.structs.replace(spec, nokeys=True)  # nobody logs in there
    # Private keys are shown nowhere, and the pair of a plan is made when its first VM is.
    spec = msgspec.structs.replace(spec, sharedkey=False, privatekey=False)
    return Guest.prepare(name, spec, basedir=basedir, variables={**variables, 'name': name}, home=home, image=image,
                         native_user=provider.login_user(image))


def guest_data(provider: Kbase, name: str, spec: VmSpec, variables: Mapping[str, Any], home: Path,
               basedir: Path) -> dict[str, Any]:
    """Return what the guest of VM *name* would be told at its first boot.

    ``name``, ``kind`` (None for a guest that is told nothing), ``user``, and ``userdata``, ``metadata``, ``networkdata``
    where there are some. A VM's host key, id and MAC addresses come with its birth: private keys are left out, its own name
    stands for the id, and cards without an address of their own have made-up ones.
    """
    guest = guest_of(provider, name, msgspec.structs.replace(spec, insecure=True), variables, home, basedir)
    told: dict[str, Any] = {'name': name, 'kind': guest.kind, 'user': guest.user}
    if guest.kind is None:
        return told
    macs = [card.mac or f'52:54:00:00:00:{index:02x}' for index, card in enumerate(spec.cards())]
    told['userdata'] = guest.user_data(macs)
    if guest.kind != 'ignition':
        told |= {'metadata': guest.meta_data(name), 'networkdata': guest.network_config(macs)}
    return told


def rule_text(rule: Rule) -> str:
    """Return a rule as people write it: ``22/tcp``, ``8000-8100/tcp from 10.0.0.0/8``."""
    first, last = rule.get('from_port'), rule.get('to_port')
    ports = '' if first is None else f'{first}/' if last in (None, first) else f'{first}-{last}/'
    source = rule.get('cidr', '')
    return f"{ports}{rule.get('protocol', 'tcp')}{'' if source in ('', '0.0.0.0/0', '::/0') else f' from {source}'}"


def total(previews: list[dict[str, Any]]) -> tuple[float | None, str | None]:
    """Return what a month of all *previews* costs as far as it is known, and the currency."""
    known = [made['monthly'] for made in previews if made['monthly'] is not None]
    currency = next((made['currency'] for made in previews if made['currency']), None)
    return (round(sum(known), 2) if known else None), currency

