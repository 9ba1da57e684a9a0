#!/bin/sh
# Does at first boot what a VM was asked to do: the lines of `steps`, in order. A step that fails does not keep the next
# from running. Its status stands in `result`, one line a step; what it says goes to /var/log/kvirt.log.
[ ! -r /etc/profile.d/kvirt.sh ] || . /etc/profile.d/kvirt.sh
kvirt_state=/var/lib/kvirt
kvirt_result=$kvirt_state/result
kvirt_afterwards=
umask 022
HOME=/root
export HOME
cd /
: >"$kvirt_result"
touch /var/log/kvirt.log
chmod 600 /var/log/kvirt.log
exec >>/var/log/kvirt.log 2>&1 </dev/null

step() { # step NAME COMMAND...
    kvirt_name=$1
    shift
    echo "--- $kvirt_name"
    "$@"
    printf '%s %s\n' "$?" "$kvirt_name" >>"$kvirt_result"
}

place() { # place STAGED PATH OWNER MODE: put a file where it belongs, now that the users exist
    kvirt_folder=$(dirname -- "$2")
    kvirt_top=$2
    while [ ! -d "$kvirt_folder" ]; do
        kvirt_top=$kvirt_folder
        kvirt_folder=$(dirname -- "$kvirt_folder")
    done
    mkdir -p -- "$(dirname -- "$2")" && mv -f -- "$1" "$2" && chown -R "$3" "$kvirt_top" && chmod "$4" "$2"
}

link() { # link TARGET PATH
    mkdir -p -- "$(dirname -- "$2")" && ln -sfn -- "$1" "$2"
}

share() { # share PATH LINE-OF-FSTAB
    mkdir -p -- "$1" && { grep -qxF -- "$2" /etc/fstab || printf '%s\n' "$2" >>/etc/fstab; } && mount "$1"
}

password() { # set the passwords that stand in a file, and remove it
    chpasswd <"$1"
    kvirt_status=$?
    rm -f -- "$1"
    return $kvirt_status
}

commands() { # commands COUNT: one shell runs them all; a command may end it
    sh "$kvirt_state/commands/all"
    kvirt_status=$?
    kvirt_ran=$(grep -c ' command [0-9]*$' "$kvirt_result")
    [ "$kvirt_ran" -ge "$1" ] || printf '%s command %s\n' "$kvirt_status" "$((kvirt_ran + 1))" >>"$kvirt_result"
}

. "$kvirt_state/steps"

echo finished >>"$kvirt_result"
sync
if [ "$kvirt_afterwards" = reboot ]; then
    reboot
    sleep 600
fi
! grep -q '^[1-9]' "$kvirt_result"
