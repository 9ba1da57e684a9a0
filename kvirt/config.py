"""Kconfig: what scripts and the command line hold in their hands.

    config = Kconfig(client='lab')
    config.create_vm('web', profile='small', overrides={'memory': 2048}).expect()
    for row in config.k.list(): ...

It never prints, never exits, never changes folder, and may be used by several threads at once.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from kvirt import redact
from kvirt.base.options import decode_options, meant, meta_of
from kvirt.copies import DISTINCT, copy_names, copy_values
from kvirt.decode import field_types
from kvirt.errors import AlreadyExists, InvalidInput, KvirtError, NotFound, Problem, Unauthorized, Unavailable
from kvirt.keywords import table
from kvirt.names import did_you_mean, safe_name
from kvirt.parallel import in_parallel
from kvirt.plan.facade import Plans
from kvirt.profiles import Layer, Merged, Profiles, merge
from kvirt.providers import registry
from kvirt.reach import Reach, Tick
from kvirt.result import Result
from kvirt.settings import GENERIC, Client, Settings
from kvirt.spec import KEYWORDS, SPECIAL, VmSpec, decode_vm, is_keyword
from kvirt.update import update_vm

if TYPE_CHECKING:
    from kvirt.offers import Offers

log = logging.getLogger(__name__)

AT_ONCE, WAITING_AT_ONCE = 10, 30
"""How many of several VMs are made at the same time, without and with a wait for their guests, which costs nobody much."""

_NONE: Mapping[str, Any] = {}



class Kconfig(Reach, Plans):
    """A client of the configuration, its provider in ``k``, and what concerns both.

    The provider is connected to when ``k`` is first used. *client* is a name of the configuration, ``fake``, a libvirt
    URI, ``user@host``, or the default one when absent; of several (``a,b`` or ``all``) the first is meant, and ``clients``
    holds all. *region*, *zone*, *namespace* and *resource_group* take the place of the client's own options.
    """

    def __init__(self, client: str | None = None, debug: bool = False, quiet: bool = False, region: str | None = None,
                 zone: str | None = None, namespace: str | None = None, resource_group: str | None = None,
                 settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.settings.check_defaults()
        self.debug = debug
        self.clients = self.settings.select(client)
        if not self.clients:
            raise NotFound('no client is enabled', hint="'kvirt enable client NAME' enables one")
        self._given = {key: value for key, value in (('region', region), ('zone', zone), ('namespace', namespace),
                                                     ('resource_group', resource_group)) if value}
        self._section = self._member_of(self.settings.client(self.clients[0]))
        self.client = self._section.name
        self.type = registry.find(self._section.type).name if self._section.type != 'group' else 'group'
        self._lock = threading.Lock()
        self._provider: Any = None
        self._profiles: Profiles | None = None

    def for_client(self, client: str) -> Kconfig:
        """Return the same for another client."""
        other = Kconfig(client, debug=self.debug, settings=self.settings)
        other._given = self._given
        return other

    @property
    def k(self) -> Any:
        """The provider, connected. Raises what hinders it: MissingDependency, Unauthorized, Unavailable, InvalidInput."""
        with self._lock:
            if self._provider is None:
                self._provider = self._connect()
            return self._provider

    @property
    def profiles(self) -> Profiles:
        """The profiles of the configuration."""
        if self._profiles is None:
            self._profiles = self.settings.profiles()
        return self._profiles

    def close(self) -> None:
        """Let go of the provider's connection."""
        with self._lock:
            if self._provider is not None:
                self._provider.close()
                self._provider = None

    def __enter__(self) -> Kconfig:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    # the provider

    def _member_of(self, client: Client) -> Client:
        """Return *client*, or of a group the member that its algorithm chooses."""
        if client.type != 'group':
            return client
        members = [self.settings.client(member) for member in client.members]
        usable = [member for member in members if member.enabled and member.type != 'group']
        if not usable:
            raise NotFound(f'group {client.name} has no enabled member')
        from kvirt.groups import choose
        names = [member.name for member in usable]
        return self.settings.client(choose(client.name, names, client.algorithm, self.for_client))

    def _connect(self) -> Any:
        provider = registry.load(self._section.type)
        options = self.options(provider)
        accepted = inspect.signature(provider).parameters
        if 'debug' in accepted:
            options['debug'] = self.debug
        connected = provider(**options)
        if getattr(connected, 'conn', True) is None:
            reason = getattr(connected, 'unreachable', None) or 'the backend can not be reached'
            kind = Unauthorized if getattr(connected, 'rejected', False) else Unavailable
            raise kind(f'client {self.client}: {reason}')
        return connected

    def options(self, provider: type[Any]) -> dict[str, Any]:
        """Return the options that the client's section gives *provider*; InvalidInput names every fault and its place."""
        name, section = self.client, {**self._section.values}
        struct = getattr(provider, 'Options', None)
        known = set(field_types(struct)) if struct else set(inspect.signature(provider).parameters)
        mine = {key: self.settings.expand(value, name, key) for key, value in section.items() if key in known}
        mine.update({key: value for key, value in self._given.items() if key in known})
        problems = [Problem(f"unknown key '{key}' in client {name}{meant(struct, key, [*known, *GENERIC, *KEYWORDS])}",
                            self.settings.where(name, key))
                    for key in section if key not in known and key not in GENERIC and not is_keyword(key)]
        if problems and not self.settings.compat:
            raise InvalidInput(problems)
        for problem in problems:
            log.warning('%s', problem)
        if not struct:
            return mine
        mine.setdefault('home', str(self.settings.home))
        for key in known - set(mine):
            found = next((self.settings.environ[variable] for variable in (meta_of(struct, key).extra or {})['env']
                          if self.settings.environ.get(variable)), None)
            if found is not None:
                mine[key] = found
        missing = [Problem(_needed(name, struct, field.name), self.settings.where(name)) for field in
                   msgspec.structs.fields(struct) if field.required and field.name not in mine]
        if missing:
            raise InvalidInput(missing)
        options = decode_options(struct, mine, client=name, where=lambda key: self.settings.where(name, key))
        for key in known:
            if (meta_of(struct, key).extra or {})['secret']:
                redact.remember(getattr(options, key))
        return {key: getattr(options, key) for key in known}

    @property
    def provider(self) -> type[Any]:
        """The provider's class, which is known without connecting. MissingDependency."""
        return registry.load(self._section.type)

    def context(self) -> dict[str, Any]:
        """Return what the templates of plans may know of the client: ``type``, ``config_*`` for its plain values, and
        ``honours``: the keywords for which only some platforms have a use, and this one has.
        """
        section = {**self.settings.defaults, **self._section.values}
        plain = {key: value for key, value in section.items()
                 if isinstance(value, (str, int, float)) and not redact.is_secret_key(key)}
        return {'type': self.type, 'config_type': self.type, 'config_client': self.client,
                'honours': sorted(getattr(self.provider, 'honours', SPECIAL)),
                **{f'config_{key}': value for key, value in plain.items()}}

    # virtual machines

    def layers(self) -> list[Layer]:
        """Return what the configuration says of all VMs of this client, as layers."""
        useless = SPECIAL - getattr(self.provider, 'honours', SPECIAL)
        return self.settings.layers(self._section, frozenset(KEYWORDS), useless)

    def decoded(self, name: str, merged: Merged, basedir: str | Path) -> tuple[dict[str, Any], dict[str, Any], VmSpec]:
        """Return the keywords of VM *name*, the values that only its templates use, and the keywords decoded.

        Connects to nothing. InvalidInput names every fault and its place.
        """
        return self._decoded(name, merged, self.provider, basedir)

    def vm_values(self, profile: str | None = None, overrides: Mapping[str, Any] | None = None,
                  customprofile: Mapping[str, Any] | None = None, source: str = 'parameter') -> Merged:
        """Return the values of a VM after all layers: built-in, ``default``, client, profile and its bases, *overrides*.

        *profile* may also be the name of an image. *source* says where *overrides* come from, for error messages.
        """
        layers = self.layers()
        if customprofile is not None:
            if customprofile.get('base'):
                layers += self.profiles.layers(str(customprofile['base']))
            layers.append(Layer('profile', {key: value for key, value in customprofile.items()
                                            if key not in ('type', 'base')}))
        elif profile and profile in self.profiles:
            layers += self.profiles.layers(profile)
        elif profile:
            layers.append(Layer('image', {'image': profile}))
        layers.append(Layer(source, dict(overrides or {})))
        merged = merge(layers)
        if profile and profile in self.profiles:
            merged.values.setdefault('profile', profile)
        elif profile and customprofile is None and not merged.values.get('image'):
            self.profiles.raw(profile)  # neither a profile, nor is its name the image: raises what is likely meant
        return merged

    def create_vm(self, name: str, profile: str | None = None, overrides: Mapping[str, Any] | None = None,
                  customprofile: Mapping[str, Any] | None = None, k: Any = None, plan: str | None = None,
                  basedir: str | Path = '.', client: str | None = None, wait: bool = False,
                  tick: Tick | None = None) -> Result:
        """Create VM *name* from *profile* (or an image), with *overrides* on top. See ``Kbase.create`` for the outcome.

        With *wait*, or the keywords ``wait``, ``waitcommand`` and ``finishfiles``, return when the guest has configured
        itself; one that fails to, or does not in time, makes a failure, and stays for a look at it. *tick* is told about
        the wait.
        """
        if client and client != self.client:
            return self.for_client(client).create_vm(name, profile, overrides, customprofile, k, plan, basedir, None,
                                                     wait, tick)
        try:
            merged = self.vm_values(profile, overrides, customprofile)
        except KvirtError as error:
            return Result.failure(error)
        if plan:
            merged.values['plan'] = plan
        return self.create_merged(name, merged, basedir, wait=wait, tick=tick, k=k)

    def create_merged(self, name: str, merged: Merged, basedir: str | Path = '.', *, wait: bool = False,
                      tick: Tick | None = None, k: Any = None, variables: Mapping[str, Any] = _NONE) -> Result:
        """Create VM *name* from values that were already laid over one another; else as ``create_vm``.

        *variables* are further values for templates, where the VM has none of that name.
        """
        from kvirt.confpools import ConfPools, wish_of
        try:
            provider = k or self.k
            pools, wish = ConfPools(self.settings), wish_of(merged.values)[1]
            name = pools.name(wish.name) if wish.name else name
            if wish:
                merged = Merged(pools.fill(name, *wish_of(merged.values)), merged.origins)
            keywords, extra, spec = self._decoded(name, merged, provider, basedir)
            extra = {**{key: value for key, value in variables.items() if key not in keywords}, **extra}
            identity = self._deploy_key(spec, keywords, provider, basedir) if spec.tempkey else None
        except KvirtError as error:
            return Result.failure(error)
        result = Result.of(provider.create(name, **keywords, **self._context(provider, extra, basedir)))
        if not result.ok:
            if wish and result['error'] != AlreadyExists.__name__:
                pools.release(name)
            return result
        if result.get('hostkey') and not spec.insecure:
            self.pin_host_key(result, result['hostkey'])
        if spec.start and (wait or spec.waits):
            return self.wait_vm(name, spec, k=provider, tick=tick, basedir=basedir, identity=identity)
        return result

    def check_vm(self, name: str, profile: str | None = None, overrides: Mapping[str, Any] | None = None,
                 customprofile: Mapping[str, Any] | None = None, basedir: str | Path = '.') -> list[dict[str, Any]]:
        """Return what VM *name* would be made of, without making or connecting to anything: a row for each keyword.

        A row has ``keyword``, ``value``, and ``origin``: the layer that it came from. InvalidInput names every fault.
        """
        merged = self.vm_values(profile, overrides, customprofile)
        self.decoded(name, merged, basedir)
        origins = {key: layer.source for key, layer in merged.origins.items()}
        builtin = {keyword.name: keyword.default for keyword in table()}
        given = [{'keyword': key, 'value': value, 'origin': origins.get(key, 'profile')}
                 for key, value in merged.values.items()]
        return given + [{'keyword': key, 'value': value, 'origin': 'built-in'} for key, value in builtin.items()
                        if key not in merged.values]

    def create_vms(self, name: str, count: int, profile: str | None = None, overrides: Mapping[str, Any] | None = None,
                   customprofile: Mapping[str, Any] | None = None, basedir: str | Path = '.', wait: bool = False,
                   tick_for: Callable[[str], Tick] | None = None) -> dict[str, Result]:
        """Create *count* VMs called ``name-0``, ``name-1``, ..., some at a time; return the outcome of each.

        They belong to the plan *name* unless another is given. Static addresses, MAC addresses and uuid count up.
        """
        def create(copy: str) -> Result:
            return self.create_vm(copy, profile, copies[copy], customprofile, basedir=basedir, wait=wait,
                                  tick=tick_for(copy) if tick_for else None)

        copies = self.copies(name, count, profile, overrides, customprofile)
        return dict(zip(copies, in_parallel(copies, create, workers=WAITING_AT_ONCE if wait else AT_ONCE), strict=True))

    def copies(self, name: str, count: int, profile: str | None = None, overrides: Mapping[str, Any] | None = None,
               customprofile: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
        """Return the *overrides* of each of *count* VMs, by its name. InvalidInput where one can't be counted up."""
        merged = self.vm_values(profile, overrides, customprofile).values
        distinct = {key: merged[key] for key in ('plan', *DISTINCT) if key in merged}
        return {copy: {'plan': name, **(overrides or {}), **copy_values(distinct, index)}
                for index, copy in enumerate(copy_names(name, count))}

    def preview_vms(self, orders: Mapping[str, Mapping[str, Any]], profile: str | None = None,
                    customprofile: Mapping[str, Any] | None = None, basedir: str | Path = '.') -> list[dict[str, Any]]:
        """Return what ``create_vm`` would make of each name of *orders* with its overrides; see :mod:`kvirt.preview`.

        Reads only. InvalidInput, NotFound: what is asked for could not be made.
        """
        from kvirt.preview import Preview
        preview = Preview(self.client, self.type, self.k, self.settings.home, Path(basedir))
        return [preview.of(name, *self._decoded(name, self.vm_values(profile, overrides, customprofile), self.k, basedir))
                for name, overrides in orders.items()]

    def vm_data(self, name: str, profile: str | None = None, overrides: Mapping[str, Any] | None = None,
                customprofile: Mapping[str, Any] | None = None, basedir: str | Path = '.') -> dict[str, Any]:
        """Return what the guest of VM *name* would be told at its first boot; see :func:`kvirt.preview.guest_data`.

        Reads only. InvalidInput names every fault.
        """
        keywords, extra, spec = self._decoded(name, self.vm_values(profile, overrides, customprofile), self.k, basedir)
        return self.guest_data(name, spec, {**keywords, **extra}, basedir)

    def guest_data(self, name: str, spec: VmSpec, variables: Mapping[str, Any],
                   basedir: str | Path = '.') -> dict[str, Any]:
        """Return the same for a VM that was decoded already."""
        from kvirt.preview import guest_data
        return guest_data(self.k, name, spec, variables, self.settings.home, Path(basedir))

    def list_offers(self, numcpus: int | None = None, memory: int | str | None = None, gpus: int | None = None,
                    arch: str | None = None, spot: bool = False, clients: str = 'all') -> Offers:
        """Return what *clients* (as -C takes them) have for a VM of at least this size, the cheapest first.

        Without *gpus*, flavors that have some are left out; *arch* is x86_64 unless another is named. All clients are
        asked at once; those that fail are in ``failures``.
        """
        from kvirt.offers import Wish, collect
        wish = Wish.of(numcpus, memory, gpus or 0, arch or 'x86_64', spot)
        return collect(self.settings.targets(clients), self.for_client, wish)

    def update_vm(self, name: str, values: Mapping[str, Any]) -> Result:
        """Change VM *name* as *values* say; see :func:`kvirt.update.update_vm`."""
        return update_vm(self.k, name, values)

    def download_image(self, image: str | None = None, url: str | None = None, pool: str | None = None,
                       name: str | None = None, size: int | None = None, cmds: Sequence[str] = (),
                       arch: str | None = None, progress: Callable[[int, int | None], None] | None = None,
                       checksum: str | None = None) -> Result:
        """Bring a well-known *image* (``debian12``), or the one at *url*, to *pool*, under *name* or its own name."""
        from kvirt.guest import images
        try:
            provider = self.k
            if not url:
                known = images.current(images.need(image or '', arch or getattr(provider, 'arch', None) or 'x86_64'))
                url, name = known.url, name or known.file or None
        except KvirtError as error:
            return Result.failure(error)
        return Result.of(provider.add_image(url, pool=pool, short=image, cmds=cmds, name=name, size=size,
                                            progress=progress, checksum=checksum))

    def _context(self, provider: Any, extra: Mapping[str, Any], basedir: str | Path) -> dict[str, Any]:
        """Return what ``create`` of our own providers takes beside keywords; one in kcli's manner takes overrides."""
        from kvirt.base import Kbase
        if isinstance(provider, Kbase) and type(provider).create is Kbase.create:
            return {'overrides': extra, 'basedir': str(basedir), 'home': self.settings.home}
        return {'overrides': dict(extra)}

    def _decoded(self, name: str, merged: Merged, provider: Any,
                 basedir: str | Path) -> tuple[dict[str, Any], dict[str, Any], VmSpec]:
        """Return the keywords of VM *name*, the values that only templates use, and the keywords decoded. InvalidInput."""
        safe_name('VM', name)
        keywords, extra = self._split(merged, Path(basedir))
        return keywords, extra, decode_vm(keywords, honoured=getattr(provider, 'honours', SPECIAL), provider=self.type,
                                          where=merged.where)

    def _split(self, merged: Merged, basedir: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """Divide values into keywords and the values that only templates use; InvalidInput for what is neither."""
        from kvirt.confpools import wish_of
        problems = self.unknown(merged, basedir)
        if problems:
            raise InvalidInput(problems.values())
        values = wish_of(merged.values)[0]
        keywords = {key: value for key, value in values.items() if is_keyword(key)}
        return keywords, {key: value for key, value in values.items() if key not in keywords}

    @staticmethod
    def unknown(merged: Merged, basedir: str | Path) -> dict[str, Problem]:
        """Return what is wrong with each value of a VM that is no keyword, and that none of its templates uses."""
        from kvirt.confpools import wish_of
        from kvirt.guest.content import template_variables
        others = [key for key in wish_of(merged.values)[0] if not is_keyword(key)]
        used = template_variables(merged.values, Path(basedir)) if others else set()
        return {key: Problem(f"unknown keyword '{key}'{did_you_mean(key, KEYWORDS)}", merged.where(key))
                for key in others if key not in used}

    def delete_vm(self, name: str, snapshots: bool = False, keep_disks: bool = False) -> Result:
        """Delete VM *name* and forget its ssh host key. With *keep_disks* all its disks but the root one stay."""
        from kvirt.guest import hostkeys
        known = self.k.info(name)
        if keep_disks:
            detached = Result.of(self.k.detach_disks(name))
            if not detached.ok:
                return detached
        result = Result.of(self.k.delete(name, snapshots=snapshots))
        if result.ok and known:
            from kvirt.confpools import ConfPools
            hostkeys.forget(self.known_hosts, self.ssh_alias(known))
            ConfPools(self.settings).release(known['name'])
            if known.get('dnsclient') and known.get('domain'):
                return self._forget_record(known, result)
        return result

    def _forget_record(self, known: Mapping[str, Any], result: Result) -> Result:
        """Delete what another client recorded of a VM that is gone; a record that points elsewhere is not of it."""
        from kvirt.plan.ledger import Ledger
        name, client, zone = known['name'], str(known['dnsclient']), str(known['domain'])
        try:
            dns = self.for_client(client).k
            mine = [record for record in dns.list_dns(zone) if record['name'].rstrip('.') in (name, f'{name}.{zone}')
                    and known.get('ip') in record['data']]
            if mine:
                Result.of(dns.delete_dns(name, zone)).expect()
            Ledger(self.settings.home, str(known.get('plan'))).forget(
                {'type': 'dns', 'client': client, 'name': name, 'zone': zone})
        except KvirtError as error:
            return Result.failure(error, name=name)
        return result


def _needed(client: str, struct: type[Any], option: str) -> str:
    """Return what says that a client lacks an option, and where it may come from."""
    variables = (meta_of(struct, option).extra or {})['env']
    return f"client {client} needs {option}: write it in its section{''.join(f', or set {name}' for name in variables)}"
