import libvirt
import pytest

from kvirt.providers.kvm.mapping import NATIVE, STATUS, status_of
from kvirt.shapes import STATUSES

STATES = {name: value for name, value in vars(libvirt).items()
          if name in ('VIR_DOMAIN_NOSTATE', 'VIR_DOMAIN_RUNNING', 'VIR_DOMAIN_BLOCKED', 'VIR_DOMAIN_PAUSED',
                      'VIR_DOMAIN_SHUTDOWN', 'VIR_DOMAIN_SHUTOFF', 'VIR_DOMAIN_CRASHED', 'VIR_DOMAIN_PMSUSPENDED')}


def test_every_state_of_libvirt_is_known():
    assert set(STATUS) == set(NATIVE) == set(STATES.values()) == set(range(len(STATES)))
    assert set(STATUS.values()) <= set(STATUSES)


@pytest.mark.parametrize(('state', 'reason', 'status'), [
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER, 'suspended'),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_UNKNOWN, 'failed'),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR, 'failed'),
    (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED, 'running'), (99, None, 'unknown')])
def test_states_and_reasons(state, reason, status):
    assert status_of(state, reason) == status
