"""The suite: what every provider promises, written once. See :mod:`kvirt.testing`.

Each class is an area. Star-import them into a test module that overrides the fixture ``harness``.
"""

from __future__ import annotations

from kvirt.testing.conformance.buckets import TestBuckets
from kvirt.testing.conformance.coverage import TestCoverage
from kvirt.testing.conformance.create import TestCreate
from kvirt.testing.conformance.disks import TestDisks
from kvirt.testing.conformance.dns import TestDns
from kvirt.testing.conformance.errors import TestHostileNames, TestUnknownNames, TestUnsupported
from kvirt.testing.conformance.existing import TestExisting
from kvirt.testing.conformance.flavors import TestEstimate, TestFlags, TestFlavors
from kvirt.testing.conformance.host import TestHost
from kvirt.testing.conformance.images import TestImages
from kvirt.testing.conformance.keys import TestKeys
from kvirt.testing.conformance.life import TestClone, TestLife
from kvirt.testing.conformance.loadbalancers import TestLoadBalancers
from kvirt.testing.conformance.metadata import TestMetadata
from kvirt.testing.conformance.networks import TestFloatingIps, TestNetworks, TestNics, TestSubnets
from kvirt.testing.conformance.pools import TestPools
from kvirt.testing.conformance.reads import TestReads
from kvirt.testing.conformance.securitygroups import TestFirewallOfVms, TestSecurityGroups
from kvirt.testing.conformance.snapshots import TestSnapshots
from kvirt.testing.conformance.threads import TestThreads
from kvirt.testing.conformance.updates import TestUpdates

__all__ = [
    'TestReads', 'TestCreate', 'TestLife', 'TestClone', 'TestUpdates', 'TestExisting', 'TestMetadata', 'TestDisks',
    'TestPools', 'TestImages', 'TestNetworks', 'TestNics', 'TestSubnets', 'TestFloatingIps', 'TestSnapshots', 'TestBuckets',
    'TestSecurityGroups', 'TestFirewallOfVms', 'TestDns', 'TestLoadBalancers', 'TestFlavors', 'TestFlags', 'TestEstimate',
    'TestKeys', 'TestHost', 'TestUnknownNames', 'TestHostileNames', 'TestUnsupported', 'TestThreads', 'TestCoverage']
