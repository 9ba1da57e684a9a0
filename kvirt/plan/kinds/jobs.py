"""Entries that are done and leave nothing on a platform: Ansible playbooks, and workflows of scripts and commands."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml

from kvirt.errors import Cancelled, Conflict, InvalidInput, KvirtError, MissingDependency, Problem, TimedOut, Unavailable
from kvirt.guest.content import gather, template_variables
from kvirt.names import counted
from kvirt.plan.events import Key
from kvirt.plan.kinds.item import Change, Item, Keys, Tell
from kvirt.readers import texts
from kvirt.result import Result
from kvirt.spec import FileSpec, VmSpec, doc, files
from kvirt.wait import CANCEL

_TAIL = 20
"""The last lines of an output that a failure shows."""


class Job(Item):
    """Something that is run. A deletion of its plan has nothing to do with it."""

    def _check_name(self) -> None:
        """Accept any: a job leaves nothing that would bear its name."""

    def exists(self) -> bool:
        return False

    def present(self) -> bool:
        return False

    def compare(self) -> Change:
        return Change('nothing')

    def _check(self) -> None:
        self._need_trust('runs commands on this machine')

    def delete(self, tell: Tell) -> Result:
        return Result.success(changed=False)


class AnsibleKeys(Keys, frozen=True, kw_only=True):
    """The keys of a playbook."""

    playbook: Annotated[str, doc('plan', 'File of the playbook')]
    vms: Annotated[tuple[str, ...], doc('plan', 'VMs that it is for; all of the plan when absent', texts)] = ()
    variables: Annotated[dict[str, Any], doc('plan', 'Further variables')] = {}
    verbose: Annotated[bool, doc('plan', 'Let Ansible tell more')] = False


class AnsibleItem(Job):
    """A playbook, run when one of its VMs is new."""

    kind = 'ansible'
    Keys = AnsibleKeys

    def _check(self) -> None:
        super()._check()
        if not (self.entry.folder / self.keys.playbook).is_file():
            raise InvalidInput(Problem(f'{self.keys.playbook} is no file', self.entry.where('playbook')))

    def _vms(self) -> list[str]:
        """Return the VMs that it is for: entries of the plan, or others by their name on its client."""
        return list(self.keys.vms) or [entry.name for entry in self.scope.entries if entry.kind == 'vm']

    def refers(self) -> Iterator[Key]:
        yield from (('vm', vm) for vm in self._vms())

    def exists(self) -> bool:
        return not set(self._vms()) & self.scope.made

    def create(self, tell: Tell) -> Result:
        program = shutil.which('ansible-playbook')
        if program is None:
            raise MissingDependency('ansible-playbook is not installed', hint='Run: pip install ansible-core')
        with tempfile.TemporaryDirectory(prefix='kvirt-') as folder:
            inventory, variables = Path(folder, 'inventory.yml'), Path(folder, 'variables.yml')
            inventory.write_text(yaml.safe_dump(self._inventory()))
            variables.write_text(yaml.safe_dump({**self.scope.variables, **self.keys.variables}))
            return run([program, '-i', str(inventory), '-e', f'@{variables}', *(['-v'] if self.keys.verbose else []),
                        str((self.entry.folder / self.keys.playbook).resolve())], tell, folder=self.entry.folder)

    def _inventory(self) -> dict[str, Any]:
        """Return Ansible's inventory of the VMs, with how each is reached."""
        entries = {entry.name: entry for entry in self.scope.entries if entry.kind == 'vm'}
        hosts = {}
        for vm in self._vms():
            entry = entries.get(vm)
            hosts[vm] = (self.scope.client(entry.values.get('client')).ansible_host(entry.called) if entry
                         else self.config.ansible_host(vm))
        group = self.scope.name.replace('-', '_')
        return {'all': {'hosts': hosts, 'children': {group: {'hosts': dict.fromkeys(hosts)}}}}


class WorkflowKeys(Keys, frozen=True, kw_only=True):
    """The keys of a workflow."""

    cmds: Annotated[tuple[str, ...], doc('plan', 'Shell commands, in order', texts)] = ()
    scripts: Annotated[tuple[str, ...], doc('plan', 'Script files, after the commands', texts)] = ()
    files: Annotated[tuple[FileSpec, ...], doc('plan', 'Files to have beside them', files)] = ()
    target: Annotated[str | None, doc('plan', '[user@]host, or a VM of the plan; this machine when absent')] = None
    destdir: Annotated[str | None, doc('plan', 'Folder to run in; a temporary one when absent')] = None
    requirefile: Annotated[str | None, doc('plan', 'Local file to wait for before')] = None
    timeout: Annotated[int, doc('plan', 'Seconds that it may take')] = 3600


class WorkflowItem(Job):
    """Commands and scripts, run here or over ssh, each time the plan is created."""

    kind = 'workflow'
    Keys = WorkflowKeys

    def _check(self) -> None:
        super()._check()
        keys = self.keys
        if not keys.cmds and not keys.scripts:
            raise InvalidInput(Problem(f'{self.entry} needs cmds or scripts', self.entry.where()))
        spec = VmSpec(cmds=keys.cmds, scripts=keys.scripts, files=tuple(
            file if file.path else FileSpec(**{**_fields(file), 'path': f"/{Path(file.origin or '').name}"})
            for file in keys.files))
        self.content = gather(spec, self.entry.folder, {**self.scope.variables, 'plan': self.scope.name})

    def uses(self) -> set[str]:
        return template_variables({key: self.entry.values.get(key) for key in ('cmds', 'scripts', 'files')},
                                  self.entry.folder)

    def refers(self) -> Iterator[Key]:
        if self.keys.target:
            yield 'vm', self.keys.target.rpartition('@')[2]

    def create(self, tell: Tell) -> Result:
        if self.keys.requirefile:
            self._await(self.entry.folder / self.keys.requirefile, tell)
        with tempfile.TemporaryDirectory(prefix='kvirt-') as temporary:
            folder = Path(self.keys.destdir).expanduser() if self.keys.destdir and not self.keys.target else Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            for file in (*self.content.files, *self.content.scripts):
                path = folder / Path(file.path).name
                path.write_bytes(file.content)
                path.chmod(int(file.mode, 8))
            script = folder / 'workflow.sh'
            script.write_text(self._script())
            if self.keys.target:
                return self._over_ssh(folder, tell)
            return run(['bash', str(script)], tell, folder=folder, timeout=self.keys.timeout)

    def _script(self) -> str:
        lines = ['set -e', 'cd "$(dirname "$0")"', *self.content.cmds]
        return '\n'.join([*lines, *(f'./{Path(file.path).name}' for file in self.content.scripts), ''])

    def _over_ssh(self, folder: Path, tell: Tell) -> Result:
        """Send the folder to the target and run it there; it goes again unless it was asked for by name."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode='w') as archive:
            for path in sorted(folder.iterdir()):
                archive.add(path, path.name)
        made = f'd={shlex.quote(self.keys.destdir)}; mkdir -p "$d"' if self.keys.destdir else 'd=$(mktemp -d)'
        gone = '' if self.keys.destdir else 'rm -rf "$d"; '
        remote = f'{made} && tar -xf - -C "$d" && bash "$d/workflow.sh"; code=$?; {gone}exit $code'
        return run([*self.config.ssh_words(str(self.keys.target)), remote], tell, folder=folder, stdin=packed.getvalue(),
                   timeout=self.keys.timeout)

    def _await(self, path: Path, tell: Tell) -> None:
        from kvirt.wait import until
        until(path.exists, what=f'{path} being there', timeout=self.keys.timeout, interval=1,
              tick=lambda gone: tell(f'waiting for {path}, {gone:.0f} s'))


def _fields(file: FileSpec) -> dict[str, Any]:
    return {name: getattr(file, name) for name in file.__struct_fields__}


def run(command: Sequence[str], tell: Tell, *, folder: Path, timeout: float = 3600, stdin: bytes = b'') -> Result:
    """Run a program, and tell each line that it prints. A failure shows the last ones. Ends it when cancelled."""
    lines: list[str] = []
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        try:
            process = subprocess.Popen(command, cwd=folder, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       text=True, errors='replace', start_new_session=True)
        except OSError as error:
            return Result.failure(Unavailable(f'{command[0]} can not be run: {error.strerror}'))
    assert process.stdout
    with process, _Watch(process, timeout) as watch:
        for line in process.stdout:
            lines.append(line.rstrip('\n'))
            if line.strip():
                tell(line.rstrip('\n'))
    if watch.trouble is not None:
        return Result.failure(watch.trouble)
    if process.returncode:
        shown = ' | '.join(lines[-_TAIL:])[-500:]
        return Result.failure(Conflict(f'{Path(command[0]).name} ended with {process.returncode}: {shown}'))
    return Result.success(output='\n'.join(lines))


class _Watch:
    """Ends a process, and all that it started, when it takes too long or the work is cancelled."""

    def __init__(self, process: subprocess.Popen[str], timeout: float) -> None:
        self._process, self._timeout = process, timeout
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.trouble: KvirtError | None = None

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        waited = 0.0
        while not self._over.wait(0.1):
            waited += 0.1
            try:
                CANCEL.check()
            except Cancelled as error:
                self._end(error)
                return
            if waited > self._timeout:
                self._end(TimedOut(f'it did not end within {counted(self._timeout, "second")}'))
                return

    def _end(self, trouble: KvirtError) -> None:
        self.trouble = trouble
        try:
            os.killpg(self._process.pid, signal.SIGTERM)
            if not self._over.wait(5):
                os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
