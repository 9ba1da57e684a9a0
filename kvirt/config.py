"""Kconfig: what scripts and the command line hold in their hands.

    config = Kconfig(client='lab')
    config.create_vm('web', profile='small', overrides={'memory': 2048}).expect()
    for row in config.k.list(): ...

It never prints, never exits, never changes folder, and may be used by several threads at once.
"""

from __future__ import annotations

import inspect
import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kvirt import redact
from kvirt.base.options import decode_options, meta_of
from kvirt.copies import DISTINCT, copy_names, copy_values
from kvirt.decode import field_types
from kvirt.errors import Conflict, InvalidInput, KvirtError, NotFound, NotSupported, Problem, Unavailable
from kvirt.keywords import table
from kvirt.names import did_you_mean, safe_name
from kvirt.parallel import in_parallel
from kvirt.profiles import Layer, Merged, Profiles, merge
from kvirt.providers import registry
from kvirt.result import Result
from kvirt.settings import GENERIC, Client, Settings
from kvirt.spec import HARDWARE, KEYWORDS, VmSpec, decode_vm, is_keyword
from kvirt.update import update_vm

log = logging.getLogger(__name__)

_LOOK_AGAIN = 15.0
"""Seconds between looks at whether a VM that is waited for still runs."""

Tick = Callable[[str, float], None]
"""Told what is waited for, and the seconds gone by."""


class Kconfig:
    """A client of the configuration, its provider in ``k``, and what concerns both.

    The provider is connected to when ``k`` is first used. *client* is a name of the configuration, ``fake``, a libvirt
    URI, ``user@host``, or the default one when absent; of several (``a,b`` or ``all``) the first is meant, and ``clients``
    holds all. *region*, *zone*, *namespace* and *resource_group* take the place of the client's own options.
    """

    def __init__(self, client: str | None = None, debug: bool = False, quiet: bool = False, region: str | None = None,
                 zone: str | None = None, namespace: str | None = None, resource_group: str | None = None,
                 settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
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
        if client.algorithm == 'random':
            return random.choice(usable)
        counts = {member.name: sum(row['status'] == 'running' for row in self.for_client(member.name).k.list())
                  for member in usable}
        return min(usable, key=lambda member: counts[member.name])

    def _connect(self) -> Any:
        provider = registry.load(self._section.type)
        options = self.options(provider)
        accepted = inspect.signature(provider).parameters
        if 'debug' in accepted:
            options['debug'] = self.debug
        connected = provider(**options)
        if getattr(connected, 'conn', True) is None:
            reason = getattr(connected, 'unreachable', None) or 'the backend can not be reached'
            raise Unavailable(f'client {self.client}: {reason}')
        return connected

    def options(self, provider: type[Any]) -> dict[str, Any]:
        """Return the options that the client's section gives *provider*; InvalidInput names every fault and its place."""
        name, section = self.client, {**self._section.values}
        struct = getattr(provider, 'Options', None)
        known = set(field_types(struct)) if struct else set(inspect.signature(provider).parameters)
        mine = {key: self.settings.expand(value, name, key) for key, value in section.items() if key in known}
        mine.update({key: value for key, value in self._given.items() if key in known})
        problems = [Problem(f"unknown key '{key}' in client {name}{did_you_mean(key, [*known, *GENERIC, *KEYWORDS])}",
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
        options = decode_options(struct, mine, client=name, where=lambda key: self.settings.where(name, key))
        for key in known:
            if (meta_of(struct, key).extra or {})['secret']:
                redact.remember(getattr(options, key))
        return {key: getattr(options, key) for key in known}

    # virtual machines

    def vm_values(self, profile: str | None = None, overrides: Mapping[str, Any] | None = None,
                  customprofile: Mapping[str, Any] | None = None, source: str = 'parameter') -> Merged:
        """Return the values of a VM after all layers: built-in, ``default``, client, profile and its bases, *overrides*.

        *profile* may also be the name of an image. *source* says where *overrides* come from, for error messages.
        """
        layers = self.settings.layers(self._section, frozenset(KEYWORDS))
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
        return merged

    def create_vm(self, name: str, profile: str | None = None, overrides: Mapping[str, Any] | None = None,
                  customprofile: Mapping[str, Any] | None = None, k: Any = None, plan: str | None = None,
                  basedir: str | Path = '.', client: str | None = None, wait: bool = False,
                  tick: Tick | None = None) -> Result:
        """Create VM *name* from *profile* (or an image), with *overrides* on top. See ``Kbase.create`` for the outcome.

        With *wait*, or the keywords ``wait`` and ``waitcommand``, return when the guest has configured itself; a guest
        that fails to, or does not in time, makes a failure, and stays for a look at it. *tick* is told about the wait.
        """
        if client and client != self.client:
            return self.for_client(client).create_vm(name, profile, overrides, customprofile, k, plan, basedir, None,
                                                     wait, tick)
        try:
            safe_name('VM', name)
            merged = self.vm_values(profile, overrides, customprofile)
            if plan:
                merged.values['plan'] = plan
            if not merged.values.get('image') and profile and not customprofile and profile not in self.profiles:
                self.profiles.raw(profile)
            keywords, extra = self._split(merged, Path(basedir))
            provider = k or self.k
            spec = decode_vm(keywords, honoured=getattr(provider, 'honours', HARDWARE), provider=self.type,
                             where=merged.where)
        except KvirtError as error:
            return Result.failure(error)
        result = Result.of(provider.create(name, **keywords, **self._context(provider, extra, basedir)))
        if not result.ok:
            return result
        if result.get('hostkey') and not spec.insecure:
            self.pin_host_key(result, result['hostkey'])
        if spec.start and (wait or spec.wait or spec.waitcommand):
            return self.wait_vm(name, spec, k=provider, tick=tick)
        return result

    def check_vm(self, name: str, profile: str | None = None, overrides: Mapping[str, Any] | None = None,
                 customprofile: Mapping[str, Any] | None = None, basedir: str | Path = '.') -> list[dict[str, Any]]:
        """Return what VM *name* would be made of, without making or connecting to anything: a row for each keyword.

        A row has ``keyword``, ``value``, and ``origin``: the layer that it came from. InvalidInput names every fault.
        """
        safe_name('VM', name)
        merged = self.vm_values(profile, overrides, customprofile)
        keywords, _ = self._split(merged, Path(basedir))
        decode_vm(keywords, honoured=getattr(registry.load(self._section.type), 'honours', HARDWARE), provider=self.type,
                  where=merged.where)
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
        def create(index: int) -> Result:
            try:
                values = {'plan': name, **(overrides or {}), **copy_values(merged, index)}
            except KvirtError as error:
                return Result.failure(error)
            return self.create_vm(names[index], profile, values, customprofile, basedir=basedir, wait=wait,
                                  tick=tick_for(names[index]) if tick_for else None)

        names = copy_names(name, count)
        merged = self.vm_values(profile, overrides, customprofile).values
        merged = {key: merged[key] for key in ('plan', *DISTINCT) if key in merged}
        return dict(zip(names, in_parallel(range(count), create), strict=True))

    def update_vm(self, name: str, values: Mapping[str, Any]) -> Result:
        """Change VM *name* as *values* say; see :func:`kvirt.update.update_vm`."""
        return update_vm(self.k, name, values)

    def download_image(self, image: str | None = None, url: str | None = None, pool: str | None = None,
                       name: str | None = None, size: int | None = None, cmds: Sequence[str] = (),
                       arch: str | None = None, progress: Callable[[int, int | None], None] | None = None) -> Result:
        """Bring a well-known *image* (``debian12``), or the one at *url*, to *pool*, under *name* or its own name."""
        from kvirt.guest import images
        try:
            provider = self.k
            if not url:
                known = images.find(image or '', arch or getattr(provider, 'arch', None) or 'x86_64')
                if known is None:
                    raise NotFound(f"there is no well-known image '{image}'{did_you_mean(image or '', images.names())}",
                                   hint='Any other one can be had with its URL')
                known = images.current(known)
                url, name = known.url, name or known.file or None
        except KvirtError as error:
            return Result.failure(error)
        return Result.of(provider.add_image(url, pool=pool, short=image, cmds=cmds, name=name, size=size,
                                            progress=progress))

    def _context(self, provider: Any, extra: Mapping[str, Any], basedir: str | Path) -> dict[str, Any]:
        """Return what ``create`` of our own providers takes beside keywords; one in kcli's manner takes overrides."""
        from kvirt.base import Kbase
        if isinstance(provider, Kbase) and type(provider).create is Kbase.create:
            return {'overrides': extra, 'basedir': str(basedir), 'home': self.settings.home}
        return {'overrides': dict(extra)}

    def _split(self, merged: Merged, basedir: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """Divide values into keywords and the values that only templates use; InvalidInput for what is neither."""
        from kvirt.guest.content import template_variables
        keywords = {key: value for key, value in merged.values.items() if is_keyword(key)}
        extra = {key: value for key, value in merged.values.items() if key not in keywords}
        used = template_variables(keywords, basedir) if extra else set()
        problems = [Problem(f"unknown keyword '{key}'{did_you_mean(key, KEYWORDS)}", merged.where(key))
                    for key in extra if key not in used]
        if problems:
            raise InvalidInput(problems)
        return keywords, extra

    def wait_vm(self, name: str, spec: VmSpec | None = None, *, k: Any = None, tick: Tick | None = None) -> Result:
        """Wait until the guest of VM *name* has configured itself, and ``waitcommand`` of *spec* succeeds."""
        from kvirt.guest import ssh
        from kvirt.wait import SYSTEM, StatusBoard, until
        provider, spec = k or self.k, spec or VmSpec()
        deadline = SYSTEM.now() + spec.wait_seconds

        seen = [SYSTEM.now()]

        def told(what: str) -> Callable[[float], None]:
            def each(gone: float) -> None:
                if tick:
                    tick(what, gone)
                if SYSTEM.now() - seen[0] > _LOOK_AGAIN:  # a guest that died does not answer; its host knows
                    seen[0] = SYSTEM.now()
                    _address(provider, name)
            return each

        def left() -> float:
            return max(1.0, deadline - SYSTEM.now())

        try:
            if getattr(provider, 'pretends', False):
                StatusBoard(provider).wait(name, {'running'}, timeout=left(), tick=told('status'))
                return Result.success(name=name, ip=provider.ip(name))
            if not provider.supports('ip'):
                raise NotSupported(f'{self.type} does not tell addresses, so there is nothing to wait on')
            until(lambda: _address(provider, name), what=f'VM {name} getting an address', timeout=left(),
                  tick=told('address'))
            target = self.ssh_target(name, k=provider, identity=self._identity(spec))
            ssh.wait_configured(target, self.known_hosts, timeout=left(), cmds=spec.cmds, tick=told('configuration'))
            if spec.waitcommand:
                ssh.wait_command(target, self.known_hosts, spec.waitcommand, timeout=left(), tick=told('command'))
        except KvirtError as error:
            return Result.failure(error, name=name)
        return Result.success(name=name, ip=target.host)

    def _identity(self, spec: VmSpec) -> str | None:
        """Return the private key beside a public one that *spec* names by its file, None when ssh is to find its own."""
        files = (Path(key).expanduser() for key in spec.keys if key.endswith('.pub'))
        return next((str(file.with_suffix('')) for file in files if file.with_suffix('').is_file()), None)

    def ssh_target(self, name: str, user: str | None = None, k: Any = None, identity: str | None = None) -> Any:
        """Return how to reach VM *name* by ssh, as a :class:`kvirt.guest.ssh.Target`.

        *identity* is a private key file; without it the key of kvirt's home is offered, or what ssh finds by itself.
        NotFound when there is no such VM, Conflict when it has no address.
        """
        from kvirt.guest.images import login_user
        from kvirt.guest.keys import private_key_for
        from kvirt.guest.ssh import Target
        provider = k or self.k
        known = provider.info(name)
        if not known:
            raise NotFound(f'VM {name} does not exist on client {self.client}')
        if not known.get('ip'):
            raise Conflict(f"VM {name} is {known['status']} and has no address yet")
        if getattr(provider, 'pretends', False):
            raise NotSupported(f'VM {name} only exists on paper, so there is nothing to reach by ssh')
        key = identity or private_key_for(self.settings.home)
        return Target(host=known['ip'], user=user or known.get('user') or login_user(known.get('image') or ''),
                      port=int(known.get('userport') or 22), alias=self.ssh_alias(known),
                      fingerprint=known.get('hostkey'), identity=str(key) if key else None, jump=self._jump(provider),
                      insecure=not known.get('hostkey') and bool(known.get('insecure')))

    def _jump(self, provider: Any) -> str | None:
        """Return the host to reach VMs over, where the client says ``tunnel``; the provider's own by default."""
        section = {**self.settings.defaults, **self._section.values}
        if not section.get('tunnel'):
            return None
        host = section.get('tunnelhost') or getattr(provider, 'host', None)
        return f"{section.get('tunneluser', 'root')}@{host}:{section.get('tunnelport', 22)}" if host else None

    @property
    def known_hosts(self) -> Path:
        """kvirt's own file of ssh host keys."""
        return self.settings.home / 'known_hosts'

    def ssh_alias(self, known: Mapping[str, Any]) -> str:
        """Return the name under which a VM's host key is kept: its id, so that a reused address or name is no matter."""
        return f"{known.get('id') or known['name']}.kvirt"

    def pin_host_key(self, known: Mapping[str, Any], public_key: str) -> None:
        """Record the ssh host key of a VM (its ``id`` and ``name``), so that the first connection is already verified."""
        from kvirt.guest import hostkeys
        hostkeys.pin(self.known_hosts, self.ssh_alias(known), public_key)

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
            hostkeys.forget(self.known_hosts, self.ssh_alias(known))
        return result


def _address(provider: Any, name: str) -> str | None:
    """Return the address of a VM that is starting, None while it has none. Raises for one that will never have one."""
    known = provider.info(name)
    if not known:
        raise NotFound(f'VM {name} went away')
    if known['status'] in ('failed', 'stopped', 'terminated'):
        raise Conflict(f"VM {name} is {known['status']}: its operating system did not come up",
                       hint="Look at its serial console, and at the hypervisor's log")
    ip: str | None = known.get('ip')
    return ip
