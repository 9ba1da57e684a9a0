#!/bin/bash
# Install the newest runner, register it, and run it as a service of a user of its own.
set -euo pipefail
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y curl git sudo

# The address of the newest release ends with its version: .../tag/v2.319.1
latest=$(curl -fsSLo /dev/null -w '%{url_effective}' https://github.com/actions/runner/releases/latest)
version=${latest##*/v}
case $(uname -m) in aarch64) arch=arm64 ;; *) arch=x64 ;; esac

id runner >/dev/null 2>&1 || useradd --create-home --shell /bin/bash runner
cd /home/runner
curl -fsSLO "https://github.com/actions/runner/releases/download/v$version/actions-runner-linux-$arch-$version.tar.gz"
tar -xzf "actions-runner-linux-$arch-$version.tar.gz"
rm "actions-runner-linux-$arch-$version.tar.gz"
chown -R runner: .
./bin/installdependencies.sh
sudo -u runner ./config.sh --unattended --replace --name '{{ name }}' --url '{{ url }}' --token '{{ token }}' \
  --labels '{{ labels | join(",") }}'
./svc.sh install runner
./svc.sh start
rm /root/runner.sh  # it holds the token
