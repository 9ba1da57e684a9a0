"""Configuration: files and environment become clients with their options, defaults and secrets.

Home is ``$KVIRT_HOME`` or ``~/.kvirt``. Where it holds no configuration and ``$KVIRT_HOME`` is not set, ``~/.kcli`` is
read instead, so that a user of kcli starts with what they have; nothing is ever written there.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvirt import redact, yamlfile
from kvirt.errors import InvalidInput, NotFound, Problem, Unauthorized
from kvirt.names import did_you_mean
from kvirt.profiles import Layer, Profiles
from kvirt.providers.catalog import CATALOG

GENERIC = ('type', 'enabled', 'client', 'profiles', 'flavors', 'confpools', 'clusterprofiles', 'members', 'algorithm',
           'tunnel', 'tunnelhost', 'tunnelport', 'tunneluser', 'tunneldir', 'dnsclient', 'keep_networks',
           'vmrules')
"""Keys of a section that are neither an option of a provider nor a keyword of a VM."""

KCLIS = frozenset("""ansible asyncwait bmc_model bmc_password bmc_user confpool containerclient containerengine
    guestid ippool jenkinsmode k8s mailfrom mailserver mailto namepool notify notifycmd notifymethods notifyscript
    planview playbook pushbullettoken redfish_iso reservehost rhnactivationkey rhnorg rhnpassword rhnpool
    rhnregister rhnserver rhnunregister rhnuser slackchannel slacktoken unplugcd vmrules_strict yamlinventory""".split())  # noqa: SIM905
"""Keys that mean something to kcli in section ``default``, and nothing there to us."""

BUILT_IN = {'fake': 'fake', 'local': 'kvm'}
"""Clients that need no configuration, and the provider of each. Providers are clients by their own name as well."""

PROVIDERS = {name: entry.name for entry in CATALOG for name in (entry.name, *entry.aliases)}
"""Providers by their names and aliases."""

_VARIABLE = re.compile(r'\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}')
_ADHOC = re.compile(r'(?:(?P<user>[A-Za-z0-9_.-]+)@)?(?P<host>[A-Za-z0-9.:_-]+)')
_LOCAL_SOCKETS = ('/run/libvirt/libvirt-sock', '/var/run/libvirt/libvirt-sock', '/run/libvirt/virtqemud-sock')


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Client:
    """A client: a provider and how to reach it. ``values`` are its own keys as written, not yet expanded."""

    name: str
    type: str
    values: Mapping[str, Any]
    enabled: bool = True
    members: tuple[str, ...] = ()
    algorithm: str = 'random'


class Settings:
    """What the files under home say. Reading is lazy and changes nothing; secrets are fetched when they are used."""

    def __init__(self, home: Path | None = None, environ: Mapping[str, str] | None = None) -> None:
        self.environ = dict(os.environ) if environ is None else dict(environ)
        chosen = home or (Path(self.environ['KVIRT_HOME']) if self.environ.get('KVIRT_HOME') else None)
        self.home = (chosen or Path.home() / '.kvirt').expanduser()
        self._kcli = None if chosen else Path.home() / '.kcli'
        self._warned = False
        self._left_out: set[tuple[str, str]] = set()
        self.reload()

    def reload(self) -> None:
        """Read the files anew."""
        self.config = self._read('config.yml') or self._read('config.yaml')
        self.sections = self._sections()
        self.defaults: dict[str, Any] = self.sections.pop('default', None) or {}

    # files

    def path(self, name: str) -> Path | None:
        """Return the file called *name*: in home, or in kcli's home when ours has no configuration; None if absent."""
        for folder in (self.home, self._kcli):
            if folder is not None and (folder / name).is_file():
                return folder / name
            if folder == self.home and any((self.home / own).exists() for own in ('config.yml', 'config.yaml')):
                break
        return None

    @property
    def compat(self) -> bool:
        """True when the configuration in use is kcli's own: what it has and we don't know is then left alone."""
        return bool(self.config and self._kcli and Path(self.config.source).parent == self._kcli)

    def _read(self, name: str) -> yamlfile.Document | None:
        path = self.path(name)
        return yamlfile.load_file(path) if path else None

    def _sections(self) -> dict[str, Any]:
        if self.config is None or self.config.data is None:
            return {}
        if not isinstance(self.config.data, dict):
            raise InvalidInput(Problem('expected a mapping of clients by name', self.config.where()))
        problems = [Problem(f"section '{name}' must be a mapping", self.config.where(name))
                    for name, section in self.config.data.items() if not isinstance(section, (dict, type(None)))]
        if problems:
            raise InvalidInput(problems)
        return {str(name): section or {} for name, section in self.config.data.items()}

    def profiles(self) -> Profiles:
        """Return the profiles of ``profiles.yml``, or of the file that ``default.profiles`` names."""
        named = self.defaults.get('profiles')
        if named:
            return Profiles(yamlfile.load_file(Path(str(named)).expanduser()))
        return Profiles(self._read('profiles.yml') or self._read('profiles.yaml'))

    def where(self, section: str, key: str = '') -> str:
        """Return ``file:line`` of a key of a section."""
        if self.config is None:
            return ''
        return self.config.where(section, key) if key else self.config.where(section)

    # clients

    def clients(self) -> dict[str, Client]:
        """Return the clients that are configured; when none is, what works without: ``local`` where libvirt runs."""
        found = {name: self._client(name, section) for name, section in self.sections.items()}
        if not found and self.has_local_libvirt():
            found['local'] = Client('local', 'kvm', {})
        return found

    def client(self, name: str) -> Client:
        """Return client *name*: configured, ``local``, a libvirt URI, ad-hoc ``user@host``, or a provider by its name."""
        known = self.clients()
        if name in known:
            return known[name]
        if name in BUILT_IN:
            return Client(name, BUILT_IN[name], {})
        if '://' in name:
            return Client(name, 'kvm', {'url': name})
        adhoc = _ADHOC.fullmatch(name)
        if adhoc and (adhoc['user'] or re.fullmatch(r'\d+(\.\d+){3}', name)):
            return Client(name, 'kvm', {'host': adhoc['host'], **({'user': adhoc['user']} if adhoc['user'] else {})})
        if name in PROVIDERS:  # what it needs may all come from the environment
            return Client(name, PROVIDERS[name], {})
        raise NotFound(f"client '{name}' does not exist{did_you_mean(name, [*known, *BUILT_IN, *PROVIDERS])}",
                       hint="'kvirt list client' shows them all; 'kvirt create client' adds one")

    def select(self, wanted: str | None) -> list[str]:
        """Return the clients that *wanted* means: one, a list ``a,b``, ``all`` enabled ones, or the default one."""
        if wanted == 'all':
            return [name for name, client in self.clients().items() if client.enabled and client.type != 'group']
        if wanted:
            names = [name.strip() for name in wanted.split(',') if name.strip()]
            return list(dict.fromkeys(names))
        return [self.default_client()]

    def targets(self, wanted: str | None) -> list[str]:
        """Return the clients that *wanted* means, with the enabled members of each group in its place."""
        names: list[str] = []
        for name in self.select(wanted):
            client = self.client(name)
            names += [name] if client.type != 'group' else [
                member for member in client.members if self.client(member).enabled]
        if not names:
            raise NotFound('no client is enabled', hint="'kvirt enable client NAME' enables one")
        return list(dict.fromkeys(names))

    def default_client(self) -> str:
        """Return the client in use when none is named; NotFound tells how to make one."""
        named = self.environ.get('KVIRT_CLIENT') or self.defaults.get('client')
        if named:
            return str(named)
        known = self.clients()
        enabled = [name for name, client in known.items() if client.enabled]
        if len(enabled) == 1 or 'local' in enabled:
            return 'local' if 'local' in enabled else enabled[0]
        if not enabled:
            raise NotFound('there is no configuration, and libvirt does not run here',
                           hint="'kvirt init' writes one; 'kvirt -C fake list vm' works without")
        raise InvalidInput(f"there are several clients ({', '.join(sorted(enabled))}) and no default one",
                           hint="Name one with -C, or set it: 'kvirt switch client NAME'")

    @staticmethod
    def has_local_libvirt() -> bool:
        """Tell if libvirt runs on this machine."""
        return any(Path(socket).exists() for socket in _LOCAL_SOCKETS)

    def _client(self, name: str, section: Mapping[str, Any]) -> Client:
        members = section.get('members') or ()
        if not isinstance(members, (list, tuple)):
            raise InvalidInput(Problem('members must be a list of clients', self.where(name, 'members')))
        algorithm = section.get('algorithm', 'random')
        if algorithm not in ('random', 'free', 'balance'):
            raise InvalidInput(Problem(f"unknown algorithm '{algorithm}': random, free or balance",
                                       self.where(name, 'algorithm')))
        return Client(name, str(section.get('type', 'kvm')), section, bool(section.get('enabled', True)),
                      tuple(str(member) for member in members), str(algorithm))

    # changes

    def change(self, file: str, section: str, values: Mapping[str, Any] | None) -> Path:
        """Write *section* of *file* in home anew, or with None remove it; return the file.

        Everything else in the file stays as it is. When kcli's file was in use, ours begins as a copy of it.
        """
        path = self.home / file
        with yamlfile.locked(path):
            known = path if path.is_file() else self.path(file)
            text = known.read_text(encoding='utf-8') if known else ''
            yamlfile.write_private(path, yamlfile.edit_section(text, section, dict(values) if values is not None else None))
        return path

    # values

    def check_defaults(self) -> None:
        """Raise InvalidInput for keys of section ``default`` that mean nothing; in kcli's own file they are warned of."""
        from kvirt.spec import KEYWORDS, is_keyword
        problems = [Problem(f"kcli's key '{key}' is not supported in section default" if key in KCLIS else
                            f"unknown key '{key}' in section default{did_you_mean(key, [*GENERIC, *KEYWORDS])}",
                            self.where('default', key))
                    for key in self.defaults if key not in GENERIC and not is_keyword(key)]
        if problems and not self.compat:
            raise InvalidInput(problems)
        for problem in problems if not self._warned else ():
            log.warning('%s', problem)
        self._warned = True

    def layers(self, client: Client, keywords: frozenset[str], useless: frozenset[str] = frozenset()) -> list[Layer]:
        """Return what the ``default`` section and *client*'s own say of VMs, as layers.

        A default is no demand: there the *useless* keywords, which the platform does not honour, are left out.
        """
        layers = []
        for key in [key for key in self.defaults if key in useless and (client.type, key) not in self._left_out]:
            log.info('%s: keyword %s is left out: it means nothing to %s', self.where('default', key), key, client.type)
            self._left_out.add((client.type, key))
        defaults = {key: value for key, value in self.defaults.items() if key not in useless}
        for name, section in (('default', defaults), (client.name, client.values)):
            values = {key: self.expand(value, name, key) for key, value in section.items()
                      if key in keywords or key.isupper()}
            if values:
                layers.append(Layer(f'section {name}', values, {key: self.where(name, key) for key in values}, common=True))
        return layers

    def expand(self, value: Any, section: str, key: str = '') -> Any:
        """Return *value* with variables and secrets in place of what stands for them.

        ``${VAR}`` and ``${VAR:-default}`` come from the environment; ``?secret`` from the same key of secrets.yml;
        ``?command:...`` from the output of a command; ``?file:...`` from a file. Files of secrets must be readable by
        their owner only.
        """
        if isinstance(value, dict):
            return {name: self.expand(item, section, str(name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self.expand(item, section, key) for item in value]
        if not isinstance(value, str):
            return value
        where = self.where(section, key)
        if value == '?secret':
            return self._remember(self._from_secrets(section, key, where))
        if value.startswith('?command:'):
            return self._remember(_output(value.removeprefix('?command:'), where))
        if value.startswith('?file:'):
            return self._remember(private_text(Path(value.removeprefix('?file:').strip()).expanduser(), where).strip())
        return self._variables(value, where)

    def _variables(self, text: str, where: str) -> str:
        def value(match: re.Match[str]) -> str:
            found = self.environ.get(match['name'])
            if found:
                return found
            if match['default'] is None:
                raise InvalidInput(Problem(f"the environment variable {match['name']} is not set", where),
                                   hint=f"Set it, or write ${{{match['name']}:-default}}")
            return match['default']
        return _VARIABLE.sub(value, text)

    def _from_secrets(self, section: str, key: str, where: str) -> Any:
        path = self.path('secrets.yml') or self.path('secrets.yaml')
        if path is None:
            raise NotFound(f'{where}: {key} is ?secret, but there is no {self.home / "secrets.yml"}')
        data = yamlfile.load(private_text(path, where), str(path)).data
        try:
            return data[section][key]
        except (KeyError, TypeError):
            raise NotFound(f'{where}: {key} is ?secret, but {path} has no {section}: {key}') from None

    @staticmethod
    def _remember(secret: Any) -> Any:
        redact.remember(secret)
        return secret


def private_text(path: Path, where: str = '') -> str:
    """Return the content of a file of secrets; Unauthorized when others than its owner can read it."""
    try:
        with path.open(encoding='utf-8') as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_IMODE(mode) & 0o077:
                raise Unauthorized(f'{path} holds secrets and others can read it', hint=f'Run: chmod 600 {path}')
            return file.read()
    except OSError as error:
        raise NotFound(f'{where}: {path} can not be read: {error.strerror}'.removeprefix(': ')) from None


def _output(command: str, where: str) -> str:
    import subprocess
    try:
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=60, check=True)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # The command's own output may hold the secret, so only its outcome is told.
        raise Unauthorized(f'{where}: the command for a secret failed: {type(error).__name__}'.removeprefix(': ')) from None
    return done.stdout.rstrip('\n')


def specs() -> Path | None:
    """Return the folder with the vendors' own descriptions of their APIs, which tests judge by; None when not given."""
    named = os.environ.get('KVIRT_SPECS')
    return Path(named).expanduser() if named else None
