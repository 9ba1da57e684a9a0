"""Reaching guests: waiting until one has configured itself, how to log in to it, and its pinned host key."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvirt.errors import Conflict, InvalidInput, KvirtError, NotFound, NotSupported, TimedOut
from kvirt.names import counted
from kvirt.result import Result
from kvirt.settings import Client, Settings
from kvirt.spec import VmSpec

if TYPE_CHECKING:
    from kvirt.guest.jump import Jump

_LOOK_AGAIN = 15.0
"""Seconds between looks at whether a VM that is waited for still runs, where the platform does not tell of it."""

_TO_BE_SAFE = 30.0
"""Seconds between looks at what one is rung for when it changes."""

Tick = Callable[[str, float], None]
"""Told what is waited for, and the seconds gone by."""


class Reach:
    """The part of :class:`kvirt.config.Kconfig` that concerns guests."""

    settings: Settings
    client: str
    type: str
    _section: Client

    @property
    def k(self) -> Any:
        """The provider."""
        raise NotImplementedError

    def wait_vm(self, name: str, spec: VmSpec | None = None, *, k: Any = None, tick: Tick | None = None,
                basedir: str | Path = '.', identity: str | None = None) -> Result:
        """Wait until the guest of VM *name* has configured itself, and ``waitcommand`` of *spec* succeeds.

        Then bring its ``finishfiles`` here: to paths that are looked for in *basedir*. *identity* is the text of a private
        key to log in with, which is in a file of its own for as long as that takes.
        """
        if identity is not None:
            import tempfile
            with tempfile.TemporaryDirectory(prefix='kvirt-') as folder:
                path = Path(folder, 'id_ed25519')
                path.touch(mode=0o600)
                path.write_text(identity)
                return self._waited(name, spec, k, tick, basedir, str(path))
        return self._waited(name, spec, k, tick, basedir, None)

    def _waited(self, name: str, spec: VmSpec | None, k: Any, tick: Tick | None, basedir: str | Path,
                identity: str | None) -> Result:
        from kvirt.guest import ssh
        from kvirt.wait import StatusBoard, until
        provider, spec = k or self.k, spec or VmSpec()
        try:
            with _Vigil(provider, name, spec.wait_seconds, tick) as vigil:
                if getattr(provider, 'pretends', False):
                    StatusBoard(provider).wait(name, {'running'}, timeout=vigil.left(), tick=vigil.told('status'))
                    return Result.success(name=name, ip=provider.ip(name))
                if not provider.supports('ip'):
                    raise NotSupported(f'{self.type} does not tell addresses, so there is nothing to wait on')
                until(lambda: _address(provider, name), what=f'VM {name} getting an address', timeout=vigil.left(),
                      clock=vigil.clock, tick=vigil.told('address'))
                target = self.ssh_target(name, k=provider, identity=identity or self._identity(spec))
                ssh.wait_configured(target, self.known_hosts, timeout=vigil.left(), cmds=spec.cmds, clock=vigil.clock,
                                    tick=vigil.told('configuration'))
                if spec.waitcommand:
                    ssh.wait_command(target, self.known_hosts, spec.waitcommand, timeout=vigil.left(), clock=vigil.clock,
                                     tick=vigil.told('command'))
                for file in spec.finishfiles:
                    here = Path(basedir, Path(file.path).expanduser())
                    ssh.fetch(target, self.known_hosts, file.origin, here, timeout=vigil.left())
        except KvirtError as error:
            return Result.failure(error, name=name)
        return Result.success(name=name, ip=target.host)

    def wait_status(self, names: Sequence[str], wanted: Collection[str], *, timeout: float,
                    tick: Tick | None = None) -> dict[str, Result]:
        """Wait until each of the VMs *names* has one of the *wanted* statuses, and return how that went, by name.

        Beside the words of :data:`kvirt.shapes.STATUSES`, ``deleted`` is the one of a VM that does not exist. *timeout* is
        in seconds, for all of them. *tick* is told what is waited for, and the seconds gone by. Where the platform tells of
        changes it is asked only then. NotFound for a VM that does not exist, or went away; Conflict for one that failed
        instead; TimedOut.
        """
        from kvirt.wait import Alarm, until
        alarm = Alarm()
        told = ' or '.join(sorted(wanted))
        settled: dict[str, Result] = {}

        def settle(name: str, status: str) -> None:
            if status in wanted:
                settled[name] = Result.success(name=name, status=status)
            elif status == 'deleted':
                settled[name] = Result.failure(NotFound(f'VM {name} does not exist on client {self.client}'), name=name)
            elif status == 'failed':
                settled[name] = Result.failure(Conflict(f'VM {name} failed, and will not be {told}'), name=name)

        def look() -> bool:
            known = {word: row['status'] for row in self.k.list() for word in (row.get('id'), row['name']) if word}
            for name in set(names) - settled.keys():
                settle(name, known.get(name, 'deleted'))
            return settled.keys() >= set(names)

        try:
            with self.k.watching(alarm.ring):
                until(look, what=told, timeout=timeout, interval=_TO_BE_SAFE, clock=alarm,
                      tick=(lambda gone: tick(told, gone)) if tick else None)
        except KvirtError as error:
            for name in set(names) - settled.keys():
                if isinstance(error, TimedOut):
                    error = TimedOut(f'VM {name} was not {told} within {counted(timeout, "second")}')
                settled[name] = Result.failure(error, name=name)
        return {name: settled[name] for name in names}

    def _identity(self, spec: VmSpec) -> str | None:
        """Return the private key beside a public one that *spec* names by its file, None when ssh is to find its own."""
        files = (Path(key).expanduser() for key in spec.keys if key.endswith('.pub'))
        return next((str(file.with_suffix('')) for file in files if file.with_suffix('').is_file()), None)

    def _deploy_key(self, spec: VmSpec, keywords: dict[str, Any], provider: Any, basedir: str | Path) -> str:
        """Add a fresh public key to the *keys* of a VM, and return the private one, which is written nowhere to stay."""
        from kvirt.guest.keys import HostKey, public_keys
        pretends = getattr(provider, 'pretends', False) and not spec.keys
        own = () if pretends else public_keys(spec, home=self.settings.home, basedir=Path(basedir))
        pair = HostKey.generate()
        keywords.update(keys=[*own, f'{pair.public} temporary'], nokeys=False)
        return pair.private

    def ssh_target(self, name: str, user: str | None = None, k: Any = None, identity: str | None = None,
                   known: Mapping[str, Any] | None = None) -> Any:
        """Return how to reach VM *name* by ssh, as a :class:`kvirt.guest.ssh.Target`.

        *identity* is a private key file; without it the key of kvirt's home is offered, or what ssh finds by itself.
        *known* is what ``info`` told of the VM, where that was asked already. NotFound when there is no such VM, Conflict
        when it has no address.
        """
        from kvirt.guest.images import login_user
        from kvirt.guest.keys import private_key_for
        from kvirt.guest.ssh import Target
        provider = k or self.k
        known = known or provider.info(name)
        if not known:
            raise NotFound(f'VM {name} does not exist on client {self.client}')
        if not known.get('ip'):
            raise Conflict(f"VM {name} is {known['status']} and has no address yet")
        if getattr(provider, 'pretends', False):
            raise NotSupported(f'VM {name} only exists on paper, so there is nothing to reach by ssh')
        key = identity or private_key_for(self.settings.home)
        return Target(host=known['ip'], user=user or known.get('user') or login_user(known.get('image') or ''),
                      port=int(known.get('userport') or 22), alias=self.ssh_alias(known),
                      fingerprint=known.get('hostkey'), identity=str(key) if key else None,
                      jump=self._jump(provider, known['ip']),
                      insecure=not known.get('hostkey') and bool(known.get('insecure')))

    def ansible_host(self, name: str, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what Ansible has to know to reach VM *name*, whose host key is verified; see ``ssh_target``."""
        import shlex

        from kvirt.guest import ssh
        target = self.ssh_target(name, known=known)
        if not target.insecure:
            ssh.learn(target, self.known_hosts)
        return {'ansible_host': target.host, 'ansible_user': target.user, 'ansible_port': target.port,
                'ansible_ssh_common_args': shlex.join(ssh.options(target, self.known_hosts))}

    def ssh_words(self, where: str) -> list[str]:
        """Return the words of ssh to *where*: a VM of this client, with its verified host key, or ``[user@]host``."""
        from kvirt.guest import ssh
        user, _, name = where.rpartition('@')
        if self.k.exists(name):
            target = self.ssh_target(name, user=user or None)
            if not target.insecure:
                ssh.learn(target, self.known_hosts)
            return ssh.command(target, self.known_hosts, extra=['-T'])
        if not re.fullmatch(r'(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.:-]*', where):
            raise InvalidInput(f'{where!r} is no host to reach by ssh', hint='Write user@host, or the name of a VM')
        return ['ssh', '-T', '-o', 'BatchMode=yes', '--', where]

    def host_words(self) -> list[str]:
        """Return the words that run a command on the host of the client: none where that is this machine."""
        provider = self.k
        jump = self._host(provider) if getattr(provider, 'remote', False) else None
        return jump.words('-T', '-o', 'BatchMode=yes') if jump else []

    def _host(self, provider: Any) -> Jump | None:
        """Return how ssh reaches the provider's own host, None where it has none but this machine."""
        from kvirt.guest.jump import Jump
        jump: Jump | None = getattr(provider, 'jump', None)
        host = getattr(provider, 'host', None)
        return Jump(str(host), 'root') if jump is None and host and getattr(provider, 'remote', True) else jump

    def _jump(self, provider: Any, address: str) -> Jump | None:
        """Return the host to reach the VM at *address* over, the provider's own by default; None for the straight way.

        That is where the client says ``tunnel``, or where the address is one of the loopback of another host.
        """
        from dataclasses import replace

        from kvirt.guest.jump import Jump
        section = {**self.settings.defaults, **self._section.values}
        named, user, port = (section.get(f'tunnel{key}') for key in ('host', 'user', 'port'))
        jump = Jump(str(named), 'root') if named else self._host(provider)
        beyond = address.startswith('127.') and jump is not None and jump.host not in ('127.0.0.1', 'localhost')
        if jump is None or not (section.get('tunnel') or beyond):
            return None
        return replace(jump, user=str(user) if user else jump.user, port=int(port) if port else jump.port)

    def forward_words(self, host: str, port: int, local: int) -> list[str]:
        """Return the words of ssh that bring *port* of *host*, as the client's own host knows it, to *local* here."""
        jump = self._host(self.k)
        if jump is None:
            raise NotSupported(f'client {self.client} has no host of its own to go over')
        return jump.words('-N', '-T', '-o', 'ExitOnForwardFailure=yes', '-L', f'127.0.0.1:{local}:{host}:{port}')

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


class _Vigil:
    """The wait for one guest: what time is left for it, and looks at whether its VM still runs.

    A guest that died does not answer, but its host knows; of most platforms it has to be asked now and then.
    """

    def __init__(self, provider: Any, name: str, seconds: float, tick: Tick | None) -> None:
        from kvirt.wait import Alarm
        self.clock = Alarm()
        self._provider, self._name, self._tick = provider, name, tick
        self._deadline = self.clock.now() + seconds
        self._looked = self.clock.now()
        self._changed = False
        self._watching = ExitStack()

    def __enter__(self) -> _Vigil:
        if getattr(self._provider, 'tells_of_changes', False):
            self._watching.enter_context(self._provider.watching(self._ring))
        return self

    def __exit__(self, *error: object) -> None:
        self._watching.close()

    def _ring(self) -> None:
        self._changed = True
        self.clock.ring()

    def left(self) -> float:
        """Return the seconds that are left."""
        return max(1.0, self._deadline - self.clock.now())

    def told(self, what: str) -> Callable[[float], None]:
        """Return what a wait for *what* tells the seconds gone by."""
        def each(gone: float) -> None:
            if self._tick:
                self._tick(what, gone)
            if self._changed or self.clock.now() - self._looked > _LOOK_AGAIN:
                self._looked, self._changed = self.clock.now(), False
                _address(self._provider, self._name)
        return each


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
