"""How far a guest is with configuring itself: one question to it, and what its answer means."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kvirt.guest.firstboot import RUNNER, STATE

QUESTION = f"""
echo '[kvirt]'
if [ -e {RUNNER} ]; then echo expected; cat {STATE}/result 2>/dev/null; fi
echo '[cloud-init]'
if [ -s /run/cloud-init/result.json ]; then cat /run/cloud-init/result.json
elif [ -e /run/cloud-init/disabled ] || [ -e /etc/cloud/cloud-init.disabled ]; then echo disabled
elif [ -d /run/cloud-init ] || command -v cloud-init >/dev/null 2>&1; then echo working
fi
echo
echo '[end]'
"""
"""Shell that any guest understands, with cloud-init or without, and that any user may run."""

PATIENT_QUESTION = f"""
left=10
while [ -d /run/cloud-init ] && [ ! -s /run/cloud-init/result.json ] && [ ! -e /run/cloud-init/disabled ] && [ $left -gt 0 ]
do left=$((left - 1)); sleep 1; done
{QUESTION}"""
"""The same, which a guest where cloud-init is at work answers when that has ended, or ten seconds later."""

LOGS = '/var/log/kvirt.log and /var/log/cloud-init-output.log'

_STEP = re.compile(r'(?P<status>\d+) (?P<name>.+)')


@dataclass(frozen=True)
class State:
    """``done`` when the guest has nothing left to do; ``failures`` tell what went wrong in it."""

    done: bool
    failures: tuple[str, ...] = ()


def read(answer: str, cmds: Sequence[str] = ()) -> State:
    """Return what *answer* to ``QUESTION`` means. *cmds* are the commands as the user wrote them, to name a failed one."""
    kvirt, cloudinit = _section(answer, 'kvirt'), _section(answer, 'cloud-init')
    if '[end]' not in answer.splitlines() or cloudinit == ['working']:
        return State(False)
    expected, finished = 'expected' in kvirt[:1], 'finished' in kvirt
    over = bool(cloudinit)  # cloud-init was there, and has ended
    if expected and not finished and not over:
        return State(False)
    failures = [_told(match['name'], match['status'], cmds) for match in map(_STEP.fullmatch, kvirt)
                if match and match['status'] != '0']
    errors = _errors(cloudinit)
    if failures:  # cloud-init tells again that its runcmd failed
        errors = [error for error in errors if 'runcmd' not in error and 'scripts' not in error]
    elif expected and not finished:
        errors.append('what was to be done at first boot did not run to its end')
    return State(True, (*failures, *errors))


def _section(answer: str, name: str) -> list[str]:
    found = re.search(rf'^\[{name}\]\n(.*?)^\[', answer, re.MULTILINE | re.DOTALL)
    return [line for line in found[1].splitlines() if line.strip()] if found else []


def _told(name: str, status: str, cmds: Sequence[str]) -> str:
    number = re.fullmatch(r'command (\d+)', name)
    text = ''
    if number:
        run = [cmd for cmd in cmds if cmd.strip() != 'reboot']
        if int(number[1]) <= len(run):
            first = run[int(number[1]) - 1].strip().partition('\n')[0]
            text = f' ({first[:77]}...)' if len(first) > 80 else f' ({first})'
    return f'{name}{text} ended with status {status}'


def _errors(lines: list[str]) -> list[str]:
    """Return the errors in cloud-init's own report."""
    try:
        report = json.loads('\n'.join(lines))
        return [f'cloud-init: {error}' for error in report['v1']['errors']]
    except (ValueError, KeyError, TypeError):
        return []
