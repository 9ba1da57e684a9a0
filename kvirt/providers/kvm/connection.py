"""The connection to libvirt: its options, how it is opened, and what libvirt's errors mean."""

from __future__ import annotations

import functools
import logging
import threading
import xml.etree.ElementTree as ET
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

import libvirt

from kvirt import errors
from kvirt.base import Kbase, Options, option

log = logging.getLogger(__name__)

_LOCAL_HOSTS = ('', '127.0.0.1', 'localhost', '::1')
KEEPALIVE = (5, 5)  # seconds between probes of a remote connection, and how many may stay unanswered

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
        query['keyfile'] = options.keyfile
    return f"qemu+{options.protocol}://{user}{host}{port}/{path}{'?' + urlencode(query) if query else ''}"


def meaning(error: libvirt.libvirtError) -> errors.KvirtError:
    """Return what an error of libvirt means."""
    code, text = error.get_error_code(), (error.get_error_message() or str(error)).strip()
    kind = _MEANING.get(code, errors.KvirtError)
    if 'already exists with uuid' in text or 'already exists' in text:
        kind = errors.AlreadyExists
    elif 'unable to connect to server' in text or 'Cannot recv data' in text or 'socket is closed' in text:
        kind = errors.Unavailable
    elif 'Permission denied' in text and code != libvirt.VIR_ERR_NO_CONNECT:
        kind = errors.Unauthorized
    elif 'is already in use' in text or 'is in use' in text or 'in the process of unplug' in text:
        kind = errors.Conflict
    return kind(f'libvirt: {text[:1].lower()}{text[1:]}')


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
                 keyfile: str | None = None, home: str | None = None, debug: bool = False) -> None:
        self.debug = debug
        self.home = home
        self.host = host
        self.uri = uri_of(KvmOptions(url=url, host=host, port=port, user=user, protocol=protocol, session=session,
                                     insecure=insecure, keyfile=keyfile))
        self.remote = '+' in self.uri.partition('://')[0] or not self.uri.partition('://')[2].startswith('/')
        self._open()

    def _open(self) -> None:
        if self.remote:
            EventLoop.start()
        try:
            self.conn = libvirt.open(self.uri)
            if self.remote:
                self.conn.setKeepAlive(*KEEPALIVE)
        except libvirt.libvirtError as error:
            self.conn = None
            self.unreachable = f'{self.uri} can not be reached: {_reason(error)}'

    @property
    def driver(self) -> str:
        """The name of libvirt's driver: ``qemu``, or ``test`` for the one that only pretends."""
        return str(self.libvirt.getType()).lower()

    @property
    def libvirt(self) -> libvirt.virConnect:
        """The connection, or Unavailable with the reason why there is none."""
        if self.conn is None:
            raise errors.Unavailable(self.unreachable or 'not connected')
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


def _reason(error: libvirt.libvirtError) -> str:
    text = (error.get_error_message() or str(error)).strip()
    if 'No such file or directory' in text or 'Connection refused' in text:
        return f"{text}. Is libvirt running there? On Debian: apt install libvirt-daemon-system"
    if 'Permission denied' in text or 'authentication' in text.lower():
        return f"{text}. Is this user in the group libvirt?"
    return text
