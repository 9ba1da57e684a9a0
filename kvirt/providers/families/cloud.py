"""What providers of clouds keep doing: refusing what the platform has no notion of, and finding what bears a name."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from kvirt.errors import AlreadyExists, Conflict, InvalidInput, NotFound, Problem
from kvirt.names import did_you_mean
from kvirt.spec import NetSpec, VmSpec

T = TypeVar('T')

_DEFAULTS, _PLAIN_CARD = VmSpec(), NetSpec()

NO_HYPERVISOR = {'iso': 'it has no CD drives', 'autostart': 'it restarts VMs after a fault of its own in any case',
                 'pool': 'it has no storage pools'}
"""Keywords of every provider that clouds usually have no notion of, with the reason."""


def refuse(spec: VmSpec, keywords: Mapping[str, str], platform: str) -> None:
    """Raise InvalidInput for each of *keywords* (with why *platform* can't honour it) that was given."""
    problems = [Problem(f'{platform} can not honour {key}: {why}', key) for key, why in keywords.items()
                if getattr(spec, key) != getattr(_DEFAULTS, key)]
    if problems:
        raise InvalidInput(problems)


def refuse_cards(spec: VmSpec, honoured: Collection[str], platform: str) -> None:
    """Raise InvalidInput for whatever is said of cards beside their network and what is *honoured*."""
    given = {'ips': spec.ips, 'netmasks': spec.netmasks, 'gateway': spec.gateway, 'dns': spec.dns}
    told = [(key, key) for key, value in given.items() if value]
    told += [('nets', f'{key} of card {index}') for index, net in enumerate(spec.nets) for key in NetSpec.__struct_fields__
             if key not in ('name', *honoured) and getattr(net, key) != getattr(_PLAIN_CARD, key)]
    if told:
        raise InvalidInput([Problem(f'{platform} chooses addresses and settings of cards, and can not honour {what}', key)
                            for key, what in told])


def check_user_data(text: str, limit: int, platform: str) -> str:
    """Return *text* if the platform takes that much. It is never put anywhere else: it may hold secrets."""
    size = len(text.encode())
    if size > limit:
        raise InvalidInput(f'the configuration of the guest has {size} bytes, and {platform} takes {limit}',
                           hint='Let the guest fetch large files itself, or bake them into an image')
    return text


def check_name(kind: str, name: str, allowed: str, rule: str) -> str:
    """Return *name* if the expression *allowed* fits it. InvalidInput tells the platform's *rule* for names of a *kind*."""
    if not re.fullmatch(allowed, name):
        raise InvalidInput(f"'{name[:70]}' can not name a {kind} here", hint=rule)
    return name


def check_settings(what: str, given: Mapping[str, Any] | None, known: Iterable[str]) -> Mapping[str, Any]:
    """Return *given*, the overrides for *what*. InvalidInput for one that is not *known*."""
    for key in given or ():
        if key not in known:
            raise InvalidInput(f"unknown setting of {what} '{key}'{did_you_mean(key, known)}")
    return given or {}


def ports_of(ports: Iterable[Any]) -> list[int]:
    """Return the ports of a load balancer sorted, each once; there is at least one. InvalidInput."""
    try:
        found = sorted({int(port) for port in ports})
    except (TypeError, ValueError):
        found = []
    if not found or not 1 <= found[0] <= found[-1] <= 65535:
        raise InvalidInput(f"'{', '.join(map(str, ports))}' are no ports of a load balancer", hint='Give some, 1 to 65535')
    return found


def key_name(line: str) -> str:
    """Return the name of a public ssh key that kvirt stores on a platform: it tells which key it is."""
    return f'kvirt-{hashlib.sha256(base64.b64decode(line.split()[1])).hexdigest()[:8]}'


def find(kind: str, wanted: str, things: Iterable[T], name: Callable[[T], str | None],
         native_id: Callable[[T], Any]) -> T:
    """Return the thing with this id or name. NotFound suggests the likely one; Conflict when several bear the name."""
    known = list(things)
    by_id = [thing for thing in known if str(native_id(thing)) == wanted]
    found = by_id or [thing for thing in known if name(thing) == wanted]
    if not found:
        raise NotFound(f'{kind} {wanted} does not exist{did_you_mean(wanted, filter(None, map(name, known)))}')
    if len(found) > 1:
        ids = ', '.join(sorted(str(native_id(thing)) for thing in found))
        raise Conflict(f'{len(found)} {kind}s are called {wanted}', hint=f'Give the id: {ids}')
    return found[0]


def oldest_stays(kind: str, name: str, ours: str, found: Iterable[tuple[Any, str]]) -> None:
    """Raise AlreadyExists when *ours* (an id) is not the first of those that bear *name*: pairs of birth and id.

    For platforms that allow two VMs of one name: who comes second unmakes its own, so exactly one stays.
    """
    first = min(found, default=None)
    if first is not None and first[1] != ours:
        raise AlreadyExists(f'{kind} {name} exists')
