"""Entries that are VMs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from kvirt.errors import InvalidInput, Problem
from kvirt.guest.content import gather, template_variables
from kvirt.guest.keys import private_faults
from kvirt.plan.events import Key
from kvirt.plan.kinds.item import Change, Cost, Difference, Item, NamedKeys, Tell
from kvirt.plan.rules import rule_layers
from kvirt.profiles import Layer, merge
from kvirt.result import Result
from kvirt.spec import DiskSpec, doc, files, is_keyword

log = logging.getLogger(__name__)

_OF_THIS_MACHINE = frozenset({'scripts', 'cloudinit_file', 'ignition_file', 'sharedfolders', 'emulator', 'kernel', 'initrd',
                              'iso', 'extra_iso', 'floppy', 'uefi_firmware', 'uefi_nvtemplate', 'seriallog', 'pcidevices',
                              'qemuextra', 'finishfiles', 'privatekey'})
"""Keywords that name files of this machine, or of the host."""

_IN_METADATA = ('profile', 'owner', 'domain')


class VmKeys(NamedKeys, frozen=True, kw_only=True):
    """The keys of a VM that are not keywords of ``create``."""

    profile: Annotated[str | None, doc('plan', 'Profile that the values build on: of the plan, or of profiles.yml')] = None
    role: Annotated[str | None, doc('plan', 'Role of the VM in a cluster')] = None
    dnsclient: Annotated[str | None, doc('plan', 'Client that records its name in its domain')] = None


class VmItem(Item):
    """A VM."""

    kind = 'vm'
    Keys = VmKeys
    open_keys = True

    def _check(self) -> None:
        scope, entry = self.scope, self.entry
        given = {key: value for key, value in scope.given.items() if is_keyword(key)}
        layers = [*self.config.layers(),
                  *(scope.profile_layers(self.keys.profile, entry.where('profile')) if self.keys.profile else []),
                  Layer('-P', given),
                  Layer(str(entry), self.settings, {key: entry.where(key) for key in self.settings})]
        self.merged = merge([*layers, *rule_layers(self.name, scope.rules, layers)])
        self.merged.values['plan'] = scope.name
        if self.keys.profile:
            self.merged.values['profile'] = self.keys.profile
        self.dns = self._dns()
        self._check_trust()
        for key in [key for key in self.merged.values if key in scope.variables and not is_keyword(key)]:
            del self.merged.values[key]  # a parameter may be set on one VM, for its templates
        if entry.compat:  # what kcli passed over in silence
            for key, problem in self.config.unknown(self.merged, entry.folder).items():
                log.warning('%s', Problem(f'{entry}: {problem.message}', problem.where))
                del self.merged.values[key]
        keywords, extra, self.spec = self.config.decoded(self.name, self.merged, entry.folder)
        faults = list(private_faults(self.spec))
        if faults:
            raise InvalidInput(faults)
        own = {key: self.settings[key] for key in scope.variables if key in self.settings}
        self.variables = {**scope.variables, **own}
        gather(self.spec, entry.folder, {**self.variables, **keywords, **extra, 'name': self.name})
        self.given = frozenset(keywords)

    def _dns(self) -> dict[str, Any] | None:
        """Return the keys of the DNS entry that names it on another client, None when it has none.

        Its own client then finds the record by what the VM says of it, were the plan's file lost.
        """
        values = self.merged.values
        said = values.pop('dnsclient', None) or self.keys.dnsclient
        wanted, domain = said or self.config.dnsclient, values.get('domain')
        if not wanted or not domain and not said:
            return None
        where = self.entry.where('dnsclient')
        if not domain:
            raise InvalidInput(Problem(f'it needs a domain for {wanted} to record it in', where))
        values['metadata'] = {**(values.get('metadata') or {}), 'dnsclient': str(wanted)}
        return {'domain': domain, 'dnsclient': wanted}

    def _check_trust(self) -> None:
        """Raise InvalidInput where a plan from elsewhere reaches for files of this machine, or of the host."""
        profiles = self.scope.profiles.values() if self.keys.profile else ()
        if self.entry.trusted and all(profile.trusted for profile in profiles):
            return
        self.entry = replace(self.entry, trusted=False)
        said = {key: value for key, value in self.merged.values.items()
                if key in self.merged.origins and not self.merged.origins[key].common}
        for key in _OF_THIS_MACHINE & said.keys():
            self._need_trust(f'has {key}, and so reads files of this machine', key)
        for key in ('files', 'extra_files'):
            if any(file.origin for file in files(said.get(key) or ())):
                self._need_trust('reads files of this machine', key)

    def uses(self) -> set[str]:
        return template_variables(self.merged.values, self.entry.folder)

    def refers(self) -> Iterator[Key]:
        for net in self.spec.nets:
            yield 'network', net.name
        for disk in self.spec.disks:
            yield 'pool', disk.pool or self.spec.pool
            if disk.image:
                yield 'image', disk.image
            if disk.volume:
                yield 'disk', disk.volume
        yield 'pool', self.spec.pool
        if self.spec.image:
            yield 'image', self.spec.image
        for group in self.spec.securitygroups:
            yield 'securitygroup', group

    def exists(self) -> bool:
        return self.name in self.live.vms()

    def made(self, *, unmarked: bool = False) -> bool:
        return bool(self.live.vms().get(self.name, {}).get('plan') == self.scope.name)

    def create(self, tell: Tell) -> Result:
        waits = self.spec.waits
        result = self.config.create_merged(self.name, self.merged, self.entry.folder, wait=waits, variables=self.variables,
                                           tick=lambda what, seconds: tell(f'waiting for its {what}, {seconds:.0f} s'))
        if result.ok:
            self.scope.made.add(self.entry.name)
        return result

    def delete(self, tell: Tell) -> Result:
        return self.config.delete_vm(self.name, snapshots=True)

    def cost(self, change: Change) -> Cost:
        if change.action == 'nothing' or not self.k.supports('estimate'):
            return Cost(0.0) if change.action == 'nothing' else Cost(unknown=(f'VM {self.name}',))
        if change.action == 'create':
            told = self.k.estimate(self.name, **{key: self.merged.values[key] for key in self.given})
            return Cost(told['monthly'], told['currency'], tuple(f'VM {self.name}: {what}' for what in told['unknown']))
        resized = next((each for each in change.differences if each.what == 'flavor'), None)
        if resized is None:
            return Cost(0.0)
        now, then = self.k.info_flavor(resized.now), self.k.info_flavor(resized.wanted)
        if now is None or then is None or now.price_monthly is None or then.price_monthly is None:
            return Cost(unknown=(f'VM {self.name}: flavor {resized.wanted}',))
        return Cost(round(then.price_monthly - now.price_monthly, 2), then.currency)

    # comparing

    def compare(self) -> Change:
        if not self.exists():
            return Change('create')
        info: Mapping[str, Any] = self.k.info(self.name)
        if not info:
            return Change('create')
        if info.get('plan') != self.scope.name:
            owner = f"plan {info['plan']}" if info.get('plan') else 'no plan'
            return Change('nothing', reason=f'VM {self.name} is there, and belongs to {owner}')
        if self.spec.image and info.get('image') and info['image'] != self.spec.image:
            return Change('replace', (Difference('image', info['image'], self.spec.image),),
                          'the image of a VM can not be changed')
        found = (*self._size(info), *self._plain(info), *self._disks(info), *self._nets(info))
        return Change('update' if any(each.mend for each in found) else 'nothing', found)

    def _size(self, info: Mapping[str, Any]) -> Iterator[Difference]:
        k, name, spec = self.k, self.name, self.spec
        if info.get('flavor'):
            wanted = spec.flavor if spec.flavor and spec.flavor != 'cheapest' else None
            if wanted is None and not (info['numcpus'] >= spec.numcpus and info['memory'] >= spec.memory):
                flavor = k.flavor_for(spec)
                wanted = flavor.name if flavor else None
            if wanted is not None and wanted != info['flavor']:
                yield Difference('flavor', info['flavor'], wanted, partial(k.update_flavor, name, wanted))
            return
        if 'numcpus' in self.given and info.get('numcpus') != spec.numcpus:
            yield Difference('numcpus', info.get('numcpus'), spec.numcpus, partial(k.update_cpus, name, spec.numcpus))
        if 'memory' in self.given and info.get('memory') != spec.memory:
            yield Difference('memory', info.get('memory'), spec.memory, partial(k.update_memory, name, spec.memory))

    def _plain(self, info: Mapping[str, Any]) -> Iterator[Difference]:
        k, name, spec = self.k, self.name, self.spec
        if 'autostart' in self.given and 'autostart' in info and info['autostart'] != spec.autostart:
            yield Difference('autostart', info['autostart'], spec.autostart, partial(k.update_start, name, spec.autostart))
        wanted: dict[str, Any] = {field: getattr(spec, field) for field in _IN_METADATA if field in self.given}
        wanted |= spec.metadata
        if 'tags' in self.given:
            wanted['tags'] = ','.join(spec.tags)
        for field, value in wanted.items():
            if (info.get(field) or None) != (value or None):
                yield Difference(field, info.get(field), value,
                                 partial(k.update_metadata, name, field, value or None))

    def _disks(self, info: Mapping[str, Any]) -> Iterator[Difference]:
        if 'disks' not in self.given:
            return
        k, name, spec = self.k, self.name, self.spec
        live = [there for there in info.get('disks') or [] if not self._is_an_entry(there)]
        for index, (disk, there) in enumerate(zip(spec.disks, live, strict=False)):
            size = spec.disk_size(disk)
            if disk.size is not None and there.get('size') and there['size'] != size:
                grow = partial(k.resize_disk, name, there['device'], size)
                yield Difference(f'size of disk {index}', there['size'], size, grow if size > there['size'] else None)
        for disk in spec.disks[len(live):]:
            yield Difference('a further disk', None, disk.existing or spec.disk_size(disk), partial(self._add_disk, disk))
        for there in live[max(len(spec.disks), 1):]:
            yield Difference(f"disk {there['device']}", there.get('size'), None,
                             partial(k.delete_disk, name, there['device']))

    def _add_disk(self, disk: DiskSpec) -> Any:
        """Give the VM that exists a disk, as its create would have done: a volume that is there, or a new one."""
        k, spec = self.k, self.spec
        pool = disk.pool or spec.pool
        there = disk.existing or (disk.name if disk.name and k.disk_exists(pool, disk.name) else None)
        overrides = {key: getattr(disk, key) for key in ('serial', 'wwn', 'format', 'cache', 'discard')}
        overrides['diskname'] = None if there else disk.name
        return k.add_disk(self.name, spec.disk_size(disk), pool=disk.pool if disk.existing else pool,
                          thin=spec.diskthin if disk.thin is None else disk.thin, image=disk.image,
                          shareable=bool(disk.shareable), existing=there, interface=disk.interface or spec.diskinterface,
                          overrides={key: value for key, value in overrides.items() if value is not None})

    def _is_an_entry(self, there: Mapping[str, Any]) -> bool:
        """Tell if a disk is one of those that stand in the plan by themselves."""
        name = str(there.get('path') or '').rpartition('/')[2]
        return any(name == entry.called for entry in self.scope.entries if entry.kind == 'disk')

    def _nets(self, info: Mapping[str, Any]) -> Iterator[Difference]:
        if 'nets' not in self.given:
            return
        k, name, live = self.k, self.name, info.get('nets') or []
        for index, (net, there) in enumerate(zip(self.spec.nets, live, strict=False)):
            if net.name != there.get('net') and net.name != 'default':
                yield Difference(f'network of card {index}', there.get('net'), net.name,
                                 partial(k.update_nic, name, index, net.name))
        for net in self.spec.nets[len(live):]:
            yield Difference('a further card', None, net.name, partial(k.add_nic, name, net.name, net.type))
        for there in live[len(self.spec.nets):]:
            yield Difference(f"card {there.get('device')}", there.get('net'), None,
                             partial(k.delete_nic, name, there.get('device') or there['mac']))


