#!/bin/bash
# Install k3s as what $1 says, server or agent, with the further arguments; an agent goes on asking until its server is there.
set -euo pipefail
command -v curl >/dev/null || { apt-get update; DEBIAN_FRONTEND=noninteractive apt-get install -y curl; }
export K3S_TOKEN='{{ token }}' INSTALL_K3S_CHANNEL='{{ channel }}'
curl -fsSL https://get.k3s.io -o /root/install-k3s.sh
sh /root/install-k3s.sh "$@"
rm /root/install-k3s.sh /root/k3s.sh  # the latter holds the token
