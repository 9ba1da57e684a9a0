"""What several VMs share: the firewall of a rule set, and ssh keys.

Neither can bear a mark, so tags speak for them. A label, ``kvirt-group:<name>:<number>`` or ``kvirt-key:<name>``, is borne
by the droplets that share the thing; ``kvirt-maker:<process>:<label>`` is borne by none, and tells which process made it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from kvirt.errors import NotFound
from kvirt.providers.digitalocean.account import Account
from kvirt.providers.digitalocean.mapping import KVIRT, labelled, plain
from kvirt.providers.families import marks

_MAKER = f'{KVIRT}maker:'


class Shared(Account):
    """Making and reaping what VMs share."""

    shared_at: ClassVar[Mapping[str, tuple[str, str]]] = {'group': ('/firewalls', 'firewalls'),
                                                          'key': ('/account/keys', 'ssh_keys')}
    """Where things of each kind are kept, and under which key they are listed."""

    def shared(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield all firewalls, or all ssh keys."""
        return self.all(*self.shared_at[kind])

    def announce(self, label: str) -> None:
        """Say that this process is about to make what is shared under *label*."""
        self.tag([f"{_MAKER}{plain(marks.maker(time.time()))}:{label.removeprefix(KVIRT)}"])  # first, so that all is ours
        self.tag([label])

    def reap(self, tags: Iterable[str]) -> None:
        """Remove those of *tags* that nothing bears any more, and what was shared under them if kvirt made it."""
        counted = self.counted()
        makers = _makers(counted)
        for tag in sorted(set(tags)):
            if counted.get(tag) and not _is_request(tag):
                continue
            if tag in makers:
                self.unshare(tag, counted)
            elif tag in counted and not tag.startswith(f'{KVIRT}group:'):  # to which the user's own firewall is bound
                self.drop(f'/tags/{tag}')

    def unshare(self, label: str, known: Iterable[str]) -> None:
        """Remove what is shared under *label*, and the tags that speak for it."""
        kind, [name] = label.removeprefix(KVIRT).partition(':')[0], labelled('', [label])
        for thing in list(self.shared(kind)):
            if thing['name'] == name and label in thing.get('tags', [label]):
                self.drop(f"{self.shared_at[kind][0]}/{thing['id']}")
                if kind == 'group' and self._is_borne(label):  # by a VM that was born a moment ago
                    body = {key: thing[key] for key in ('name', 'inbound_rules', 'outbound_rules', 'tags')}
                    self.api.post('/firewalls', body)
                    return
        self.retract(label, known)

    def retract(self, label: str, known: Iterable[str]) -> None:
        """Remove *label*, and those of the *known* tags that tell who made what is shared under it."""
        for tag in [label, *(tag for tag in known if tag in _makers([tag]).get(label, ()))]:
            self.drop(f'/tags/{tag}')

    def abandoned(self) -> list[str]:
        """Return the labels that no VM bears, and whose makers are gone."""
        counted, now = self.counted(), time.time()
        return sorted(label for label, makers in _makers(counted).items() if not counted.get(label)
                      and all(marks.abandoned(marks.decode(maker.split(':')[1]), now) for maker in makers))

    def _is_borne(self, label: str) -> bool:
        try:
            return bool(self.api.get(f'/tags/{label}')['tag']['resources']['count'])
        except NotFound:
            return False


def _is_request(tag: str) -> bool:
    """Tell if a tag is the mark of a request. No other VM can bear it, whatever is counted."""
    return tag.startswith(f'{marks.MARK}:') and tag.count(':') == 1


def _makers(tags: Iterable[str]) -> dict[str, list[str]]:
    """Return the tags that tell who made what, by label."""
    found: dict[str, list[str]] = {}
    for tag in tags:
        if tag.startswith(_MAKER) and tag.count(':') > 2:
            found.setdefault(KVIRT + tag.split(':', 2)[2], []).append(tag)
    return found
