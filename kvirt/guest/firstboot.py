"""What a guest does once, at first boot: place files, run commands and scripts, and write down how each went.

``runner.sh`` does it, in a guest of any kind. It is told what to do by a list of steps, which is always delivered, so that
the clone of a guest does not repeat what its original was asked to do.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from kvirt.guest.content import SCRIPTS, GuestFile

if TYPE_CHECKING:
    from kvirt.guest.guest import Guest

STATE = '/var/lib/kvirt'
RUNNER = f'{STATE}/run.sh'
PROFILE = '/etc/profile.d/kvirt.sh'


def first_boot(guest: Guest) -> list[GuestFile]:
    """Return the files that a guest needs: those it was given, and the runner with all that it is to run."""
    written, steps = _placed(guest)
    if guest.spec.rootpassword:
        written.append(GuestFile(f'{STATE}/password', f'root:{guest.spec.rootpassword}\n'.encode()))
        steps.append(_step('root password', 'password', f'{STATE}/password'))
    for tag, path, kind, options in guest.mounts:
        steps.append(_step(f'folder {path}', 'share', path, f'{tag} {_fstab(path)} {kind} {options} 0 0'))
    if guest.spec.networkwait:
        steps.append(f'sleep {guest.spec.networkwait}')
    commands = [cmd for cmd in guest.cmds if cmd.strip() != 'reboot']
    if commands:
        steps.append(f'commands {len(commands)}')
        written += _commands(commands)
    steps += [_step(f'script {_name(script)}', script.path) for script in guest.scripts]
    if len(commands) < len(guest.cmds):
        steps.append('kvirt_afterwards=reboot')  # any earlier, and what follows would be lost
    if guest.spec.env:
        written.append(GuestFile(PROFILE, profile(guest).encode(), '0644'))
    runner = Path(__file__).with_name('runner.sh').read_bytes()
    return [*written, *guest.scripts, GuestFile(f'{STATE}/steps', ''.join(f'{step}\n' for step in steps).encode()),
            GuestFile(RUNNER, runner, '0700')]


def profile(guest: Guest) -> str:
    """Return the shell profile that gives a guest its environment."""
    return ''.join(f'export {key}={shlex.quote(value)}\n' for key, value in sorted(guest.spec.env.items()))


def _placed(guest: Guest) -> tuple[list[GuestFile], list[str]]:
    """Return the files as they can be written before there are users, and the steps that bring them to their place."""
    written: list[GuestFile] = []
    steps: list[str] = []
    for index, file in enumerate(guest.files, 1):
        if file.target is not None:
            steps.append(_step(f'link {file.path}', 'link', file.target, file.path))
        elif file.owner.split(':')[0] == 'root' and not file.path.startswith('/home/'):
            written.append(file)
        else:
            staged = f'{STATE}/files/{index:03}'
            written.append(GuestFile(staged, file.content))
            owner = file.owner if ':' in file.owner else f'{file.owner}:'  # the user's own group
            steps.append(_step(f'file {file.path}', 'place', staged, file.path, owner, file.mode))
    return written, steps


def _commands(commands: list[str]) -> list[GuestFile]:
    """Return a file for each command, byte for byte, and the program that runs them.

    As in a script, what one command sets the next one sees. A command that no shell understands is passed over; it would
    end the shell otherwise.
    """
    program = []
    files = []
    for index, cmd in enumerate(commands, 1):
        path = f'{STATE}/commands/{index:03}'
        files.append(GuestFile(path, cmd.encode() + (b'' if cmd.endswith('\n') else b'\n')))
        program += [f"echo '--- command {index}'", f'sh -n {path} && . {path}',
                    f'echo "$? command {index}" >>{STATE}/result']
    return [*files, GuestFile(f'{STATE}/commands/all', ''.join(f'{line}\n' for line in program).encode())]


def _step(name: str, *words: str) -> str:
    return shlex.join(['step', name, *words])


def _name(script: GuestFile) -> str:
    return script.path.removeprefix(f'{SCRIPTS}/').partition('-')[2]


def _fstab(path: str) -> str:
    """Return a path as fstab has it: with white space as octal numbers."""
    return path.replace('\\', '\\134').replace(' ', '\\040').replace('\t', '\\011')
