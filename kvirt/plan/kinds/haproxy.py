"""A load balancer for platforms that have none: a VM with haproxy."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

_INSTALL = ('if command -v apt-get; then apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y haproxy; '
            'else dnf install -y haproxy || yum install -y haproxy; fi')
_STATS_PORT = 1936


def values(*, image: str, ports: Sequence[int], backends: Mapping[str, str], checkpath: str, checkport: int,
           nets: Sequence[str], ip: str | None) -> tuple[dict[str, Any], str]:
    """Return the keywords of the VM, and the password of its page of statistics.

    *backends* are the addresses of the VMs behind it, by name.
    """
    password = secrets.token_urlsafe(18)
    config = configuration(ports, backends, checkpath, checkport, password)
    keywords: dict[str, Any] = {
        'image': image, 'numcpus': 1, 'memory': 1024, 'nets': list(nets),
        'files': [{'path': '/etc/haproxy/haproxy.cfg', 'content': config, 'mode': '0640', 'render': False}],
        # Installed first, since a package does not take kindly to a configuration that is there before it.
        'cmds': ['cp /etc/haproxy/haproxy.cfg /root/haproxy.cfg', _INSTALL, 'cp /root/haproxy.cfg /etc/haproxy/haproxy.cfg',
                 'systemctl enable haproxy', 'systemctl restart haproxy']}
    if ip:
        keywords['ips'] = [ip]
    return keywords, password


def configuration(ports: Sequence[int], backends: Mapping[str, str], checkpath: str, checkport: int, password: str) -> str:
    """Return haproxy's configuration. https://docs.haproxy.org/2.6/configuration.html"""
    lines = ['global', '    log /dev/log local0', '    maxconn 4000', '', 'defaults', '    mode tcp', '    log global',
             '    option tcplog', '    timeout connect 10s', '    timeout client 5m', '    timeout server 5m', '',
             'listen statistics', f'    bind 127.0.0.1:{_STATS_PORT}', '    mode http', '    stats enable',
             '    stats uri /', f'    stats auth kvirt:{password}']
    for port in ports:
        lines += ['', f'listen port-{port}', f'    bind :::{port} v4v6', '    balance roundrobin']
        check = f'check port {checkport}' if checkport else 'check'
        if checkport:
            lines.append(f'    option httpchk GET {checkpath}')
        lines += [f'    server {name} {address}:{port} {check}' for name, address in backends.items()]
    return '\n'.join([*lines, ''])
