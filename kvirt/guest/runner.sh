#!/bin/sh
# Runs, at first boot, the commands and then the scripts that a VM was given. One that fails does not keep the next from
# running, but it is recorded: `kvirt create vm --wait` and `kvirt wait` tell it.
state=/var/lib/kvirt
exec >> /var/log/kvirt.log 2>&1
: > "$state/failures"
[ ! -r /etc/profile.d/kvirt.sh ] || . /etc/profile.d/kvirt.sh

# The commands share one shell, so that cd and variables hold from one to the next. It may be ended by any of them.
(
    trap 'code=$?; [ "$kvirt_step" = end ] || echo "$code $kvirt_step" >> "$state/failures"' EXIT
    for kvirt_step in "$state"/cmds/*; do
        [ -f "$kvirt_step" ] || continue
        . "$kvirt_step"
        code=$?
        [ "$code" = 0 ] || echo "$code $kvirt_step" >> "$state/failures"
    done
    kvirt_step=end
)
for script in "$state"/scripts/*; do
    [ -f "$script" ] || continue
    "$script"
    code=$?
    [ "$code" = 0 ] || echo "$code $script" >> "$state/failures"
done
touch "$state/finished"
