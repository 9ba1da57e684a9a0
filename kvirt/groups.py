"""Groups: which member of one a VM is placed on."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from typing import Any

from kvirt.errors import KvirtError, Unavailable
from kvirt.parallel import in_parallel

log = logging.getLogger(__name__)


def choose(group: str, members: Sequence[str], algorithm: str, open_client: Callable[[str], Any]) -> str:
    """Return the one of *members* that *algorithm* chooses; *open_client* gives the Kconfig of a name, to be closed.

    ``free``: the one with the most free memory; where a platform does not tell that, and for ``balance``, the one with the
    fewest VMs that run. All are asked at once, and one that does not answer is left out. Unavailable when none does.
    """
    if algorithm == 'random':
        return random.choice(members)

    def ask(member: str) -> tuple[int | None, int] | KvirtError:
        try:
            with open_client(member) as config:
                return _room(config.k, algorithm == 'free')
        except KvirtError as error:
            return error

    answers = dict(zip(members, in_parallel(members, ask, workers=len(members)), strict=True))
    room = {member: answer for member, answer in answers.items() if not isinstance(answer, KvirtError)}
    failures = {member: answer for member, answer in answers.items() if isinstance(answer, KvirtError)}
    if not room:
        raise Unavailable(f"no member of group {group} answers: {'; '.join(map(str, failures.values()))}")
    for error in failures.values():
        log.warning('group %s goes on without a member: %s', group, error)
    free = {member: memory for member, (memory, _) in room.items() if memory is not None}
    if len(free) == len(room):
        return max(free, key=lambda member: free[member])
    return min(room, key=lambda member: room[member][1])


def _room(provider: Any, wants_memory: bool) -> tuple[int | None, int]:
    """Return the free memory of a platform, None where it does not tell or is not asked; and how many VMs run there."""
    if wants_memory and provider.supports('info_host'):
        known = provider.info_host()
        if known.get('memory_free') is not None:
            return known['memory_free'], known.get('vms_running') or 0
    return None, sum(row['status'] == 'running' for row in provider.list())
