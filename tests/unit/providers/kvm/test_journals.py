import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from kvirt.providers.families.makers import start_time
from kvirt.providers.kvm import journals

VOLUMES = [('default', 'web_0.img'), ('default', 'web.iso')]


def test_the_work_of_a_living_process_is_not_abandoned():
    journal = journals.begin(VOLUMES)
    assert journal.pid == os.getpid()
    assert not journals.abandoned(journal)


def test_the_work_of_a_dead_process_is():
    child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
    journal = replace(journals.begin(VOLUMES), pid=child.pid, started=start_time(child.pid))
    assert not journals.abandoned(journal)
    child.communicate(b'\n')
    assert journals.abandoned(journal)


def test_another_process_with_the_same_number_is_not_the_maker():
    assert journals.abandoned(replace(journals.begin(VOLUMES), started='1'))


def test_what_is_done_is_never_abandoned():
    assert not journals.abandoned(journals.done(replace(journals.begin(VOLUMES), pid=0, started='')))


def test_a_maker_on_another_machine_is_given_an_hour():
    elsewhere = replace(journals.begin(VOLUMES), host='another')
    now = datetime.now(timezone.utc)
    assert not journals.abandoned(elsewhere, now + timedelta(minutes=59))
    assert journals.abandoned(elsewhere, now + timedelta(minutes=61))
    assert journals.abandoned(replace(elsewhere, since='yesterday'))


def test_volumes_come_and_go():
    journal = journals.adding(journals.begin(VOLUMES), 'other', 'data')
    assert journal.volumes == (*VOLUMES, ('other', 'data'))
    assert journals.without(journal, 'default', 'web.iso').volumes == (VOLUMES[0], ('other', 'data'))
