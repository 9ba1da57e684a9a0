"""The connection to libvirt: its options, how it is opened, and what libvirt's errors mean."""

from __future__ import annotations

import errno
import functools
import logging
import os
import queue
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import libvirt

from kvirt import errors
from kvirt.base import Kbase, Options, option
from kvirt.names import counted

if TYPE_CHECKING:
    from kvirt.guest.jump import Jump

log = logging.getLogger(__name__)

_FROM_QEMU = r'(?m)^\d{4}-\d\d-\d\dT[\d:.]+Z qemu-system-\w+: (?:-device \S+: )?'
_LOCAL_HOSTS = ('', '127.0.0.1', 'localhost', '::1')
KEEPALIVE = (5, 5)  # seconds between probes of a remote connection, and how many may stay unanswered
_PATIENCE = 60.0
"""Seconds that opening a remote connection may take, the typing of a passphrase included: libvirt itself would wait on."""

_MEANING: dict[int, type[errors.KvirtError]] = {
    **dict.fromkeys((libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_NETWORK, libvirt.VIR_ERR_NO_STORAGE_POOL,
                     libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT,
                     libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_NWFILTER), errors.NotFound),
    **dict.fromkeys((libvirt.VIR_ERR_DOM_EXIST, libvirt.VIR_ERR_NETWORK_EXIST, libvirt.VIR_ERR_STORAGE_VOL_EXIST),
                    errors.AlreadyExists),
    **dict.fromkeys((libvirt.VIR_ERR_AUTH_FAILED, libvirt.VIR_ERR_AUTH_CANCELLED, libvirt.VIR_ERR_AUTH_UNAVAILABLE,
                     libvirt.VIR_ERR_ACCESS_DENIED, libvirt.VIR_ERR_OPERATION_DENIED), errors.Unauthorized),
    **dict.fromkeys((libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_RESOURCE_BUSY), errors.Conflict),
    **dict.fromkeys((libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_ERR_XML_DETAIL, libvirt.VIR_ERR_XML_INVALID_SCHEMA,
                     libvirt.VIR_ERR_INVALID_ARG), errors.InvalidInput),
    **dict.fromkeys((libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
                     libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, libvirt.VIR_ERR_OPERATION_UNSUPPORTED), errors.NotSupported),
    **dict.fromkeys((libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_RPC, libvirt.VIR_ERR_INVALID_CONN,
                     libvirt.VIR_ERR_SYSTEM_ERROR), errors.Unavailable),
    libvirt.VIR_ERR_OPERATION_TIMEOUT: errors.TimedOut,
    libvirt.VIR_ERR_OPERATION_ABORTED: errors.Cancelled,
}
_SAID: tuple[tuple[str, type[errors.KvirtError], str | None], ...] = (
    ('insufficient free space', errors.OutOfCapacity, 'Make room in the volume group'),
    ('cannot find logical volume group', errors.NotFound, 'Make it on the host first: vgcreate'),
    ('storage pool does not support vol', errors.NotSupported,
     'Its disks are what its server offers: they are attached with existing'),
    ('qdisc kind is unknown', errors.NotSupported, "The host's kernel can not shape traffic: do without bandwidth"),
    ('add bridge .* not supported', errors.NotSupported,
     'For a bridge of Open vSwitch make a network with ovs: true'))
"""What libvirt says under a code that is too general: its words, their meaning, and the next step."""

_CHILD = re.compile(r'Child process \((?P<program>\S+).*?\) unexpected (?:exit status|fatal signal) \d+: (?P<said>.+)',
                    re.DOTALL)
"""What libvirt says of a program that it ran."""


class KvmOptions(Options, frozen=True, kw_only=True):
    """How to reach libvirt. Without any, the system libvirt of this machine."""

    url: Annotated[str | None, option('libvirt URI; takes the place of all that follows')] = None
    host: Annotated[str, option('Host that runs libvirt')] = '127.0.0.1'
    port: Annotated[int | None, option('Port of ssh or TLS on that host')] = None
    user: Annotated[str, option('User of ssh on that host')] = 'root'
    protocol: Annotated[Literal['ssh', 'tls', 'tcp'], option('How to reach another host')] = 'ssh'
    session: Annotated[bool, option("The user's own libvirt instead of the system's")] = False
    insecure: Annotated[bool, option('Do not verify the host (ssh host key, TLS certificate)')] = False
    keyfile: Annotated[str | None, option('Private ssh key for that host')] = None
    known_hosts: Annotated[str | None, option('File with the ssh host keys that are accepted, in place of those that ssh '
                                              'knows; with url as well')] = None


def uri_of(options: KvmOptions) -> str:
    """Return the libvirt URI that *options* mean."""
    if options.url:
        return options.url
    path = 'session' if options.session else 'system'
    if options.host in _LOCAL_HOSTS:
        return f'qemu:///{path}'
    host = f'[{options.host}]' if ':' in options.host else options.host
    user = f'{quote(options.user)}@' if options.protocol == 'ssh' else ''
    port = f':{options.port}' if options.port else ''
    query: dict[str, str] = {}
    if options.insecure:
        query['no_verify'] = '1'
    if options.protocol == 'ssh' and options.keyfile:
        query['keyfile'] = str(Path(options.keyfile).expanduser())
    return f"qemu+{options.protocol}://{user}{host}{port}/{path}{'?' + urlencode(query) if query else ''}"


def jump_of(uri: str, known_hosts: str | None) -> Jump | None:
    """Return how ssh reaches the host of a libvirt URI, None when that is not the way."""
    parts = urlsplit(uri)
    if parts.scheme.rpartition('+')[2] != 'ssh' or not parts.hostname:
        return None
    from kvirt.guest.jump import Jump
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return Jump(unquote(parts.hostname), unquote(parts.username) if parts.username else None, parts.port,
                query.get('keyfile'), str(Path(known_hosts).expanduser()) if known_hosts else None,
                query.get('no_verify', '0') != '0')


def meaning(error: libvirt.libvirtError) -> errors.KvirtError:
    """Return what an error of libvirt means."""
    code, text = error.get_error_code(), _words(error)
    kind = _MEANING.get(code, errors.KvirtError)
    lacks = re.search(r"Unknown driver '(\w+)'", text)
    if lacks:
        return errors.NotSupported(f"QEMU on the hypervisor has no driver for disks on {lacks[1]}",
                                   hint='On Debian it is in the package qemu-block-extra')
    if 'already exists with uuid' in text or 'already exists' in text:
        kind = errors.AlreadyExists
    elif 'unable to connect to server' in text or 'Cannot recv data' in text or 'socket is closed' in text:
        kind = errors.Unavailable
    elif 'Permission denied' in text and code != libvirt.VIR_ERR_NO_CONNECT:
        kind = errors.Unauthorized
    elif 'Operation not supported' in text:  # by the kernel, and no second try changes that
        kind = errors.NotSupported
    elif 'is already in use' in text or 'is in use' in text or 'in the process of unplug' in text:
        kind = errors.Conflict
    hint = None
    for words, means, step in _SAID:
        if re.search(words, text):
            kind, hint = means, step
    child = _CHILD.match(text)  # a program that libvirt ran, which says more than libvirt does
    if child:
        program, said = Path(child['program']).name, ' '.join(child['said'].split()).rstrip('.')
        return kind(said if said.startswith(program) else f'{program}: {said}', hint=hint)
    return kind(f"libvirt: {text if text[:4].isupper() else text[:1].lower() + text[1:]}", hint=hint)


def _words(error: libvirt.libvirtError) -> str:
    """Return what an error of libvirt says, and what QEMU says in it without times and the arguments that it was given."""
    text = (error.get_error_message() or str(error)).strip().removeprefix('internal error: ')
    ended = re.match(r'(?:process exited while connecting to monitor|qemu unexpectedly closed the monitor): (.+)', text,
                     re.DOTALL)
    return f"QEMU ended at once: {re.sub(_FROM_QEMU, '', ended[1])}" if ended else text


class EventLoop:
    """libvirt's event loop, run by one thread for the whole process: keepalive needs it, and so do events."""

    _lock = threading.Lock()
    _running = False

    @classmethod
    def start(cls) -> None:
        """Start the loop if it does not run yet. Before a connection is opened."""
        with cls._lock:
            if not cls._running:
                libvirt.virEventRegisterDefaultImpl()
                threading.Thread(target=cls._loop, name='libvirt-events', daemon=True).start()
                cls._running = True

    @staticmethod
    def _loop() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()


def _silent(context: Any, error: Any) -> None:
    """libvirt would print each error on stderr; they are raised as well, so nothing is lost."""


libvirt.registerErrorHandler(_silent, None)


class Connection(Kbase):
    """What every area of the provider stands on."""

    Options = KvmOptions

    def __init__(self, url: str | None = None, host: str = '127.0.0.1', port: int | None = None, user: str = 'root',
                 protocol: Literal['ssh', 'tls', 'tcp'] = 'ssh', session: bool = False, insecure: bool = False,
                 keyfile: str | None = None, known_hosts: str | None = None, home: str | None = None,
                 debug: bool = False) -> None:
        self.debug = debug
        self.home = home
        self.uri = uri_of(KvmOptions(url=url, host=host, port=port, user=user, protocol=protocol, session=session,
                                     insecure=insecure, keyfile=keyfile))
        self.remote = '+' in self.uri.partition('://')[0] or not self.uri.partition('://')[2].startswith('/')
        self.jump = jump_of(self.uri, known_hosts)
        self.host = (urlsplit(self.uri).hostname or host) if self.remote else host
        self._open()

    def _open(self) -> None:
        if self.remote:
            EventLoop.start()
        try:
            self.conn = self.opened()
            if self.remote:
                self.conn.setKeepAlive(*KEEPALIVE)
        except libvirt.libvirtError as error:
            self._give_up(self._hindrance(error))
        except errors.KvirtError as error:
            self._give_up(error)

    def _give_up(self, error: errors.KvirtError) -> None:
        self.conn = None
        self.unreachable = f'{self.uri} can not be reached: {error}'
        self.rejected = isinstance(error, errors.Unauthorized)

    def opened(self, how: Callable[[str], libvirt.virConnect] = libvirt.open) -> libvirt.virConnect:
        """Open a connection; to another host only for so long, in a thread, since libvirt has no deadline for that."""
        if not self.remote:
            return how(self.uri)
        uri, answers = self.dialled, queue.SimpleQueue[Any]()

        def attempt() -> None:
            try:
                answers.put(how(uri))
            except libvirt.libvirtError as error:
                answers.put(error)

        threading.Thread(target=attempt, name='libvirt-open', daemon=True).start()
        try:
            answer = answers.get(timeout=_PATIENCE)
        except queue.Empty:
            raise errors.TimedOut(f'libvirt did not answer within {counted(_PATIENCE, "second")}') from None
        if isinstance(answer, libvirt.libvirtError):
            raise answer
        return answer

    @property
    def dialled(self) -> str:
        """The URI as libvirt gets it: with a program in the place of ssh that knows what a URI can not tell ssh.

        Those are a deadline, and a file of host keys. It is a script in kvirt's home, the same for the same options.
        """
        if self.jump is None or 'command' in parse_qs(urlsplit(self.uri).query):
            return self.uri
        try:
            program = self.jump.program(Path(self.home, 'cache')) if self.home else None
        except OSError as error:
            log.info('%s: ssh is run without a deadline: %s', self.uri, error)
            program = None
        if program is None and self.jump.known_hosts:
            raise errors.InvalidInput("known_hosts needs a folder of kvirt's own that can be written to (home)")
        return f"{self.uri}{'&' if '?' in self.uri else '?'}{urlencode({'command': program})}" if program else self.uri

    def _hindrance(self, error: libvirt.libvirtError) -> errors.KvirtError:
        """Return what hinders a connection, in one sentence."""
        text = (error.get_error_message() or str(error)).strip()
        if self.jump is not None and text.startswith('Cannot recv data: '):  # what follows is what ssh wrote
            from kvirt.guest.jump import refusal
            said = text.removeprefix('Cannot recv data: ').removesuffix(': Connection reset by peer')
            if said == os.strerror(errno.EOVERFLOW):  # of more than a kilobyte libvirt tells nothing
                said = self.jump.complaint()
            return refusal(self.jump.host, said)
        return errors.Unavailable(_reason(text))

    @property
    def driver(self) -> str:
        """The name of libvirt's driver: ``qemu``, or ``test`` for the one that only pretends."""
        return str(self.libvirt.getType()).lower()

    @property
    def libvirt(self) -> libvirt.virConnect:
        """The connection, or Unavailable with the reason why there is none."""
        if self.conn is None:
            kind = errors.Unauthorized if self.rejected else errors.Unavailable
            raise kind(self.unreachable or 'not connected')
        return self.conn

    @functools.cached_property
    def capabilities_xml(self) -> ET.Element:
        """What libvirt says of its host, read once."""
        return ET.fromstring(self.libvirt.getCapabilities())

    @property
    def arch(self) -> str:
        """The architecture of the host."""
        return self.capabilities_xml.findtext('host/cpu/arch') or 'x86_64'

    def translate(self, error: Exception) -> errors.KvirtError | None:
        """Return what an exception of libvirt means."""
        if isinstance(error, ValueError) and 'embedded null character' in str(error):
            return errors.InvalidInput('a name can not hold a null character')
        return meaning(error) if isinstance(error, libvirt.libvirtError) else None

    def close(self) -> None:
        """Close the connection."""
        conn, self.conn = self.conn, None
        self.unreachable = 'the connection was closed'
        if conn is not None:
            conn.close()


def _reason(text: str) -> str:
    if 'No such file or directory' in text or 'Connection refused' in text:
        return f"{text}. Is libvirt running there? On Debian: apt install libvirt-daemon-system"
    if 'Permission denied' in text or 'authentication' in text.lower():
        return f"{text}. Is this user in the group libvirt?"
    return text

