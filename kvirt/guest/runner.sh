#!/bin/sh
# Does at first boot what a VM was asked to do: the lines of `steps`, in order. A step that fails does not keep the next
# from running. Its status stands in `result`, one line a step; what it says goes to /var/log/kvirt.log.
[ ! -r /etc/profile.d/kvirt.sh ] || . /etc/profile.d/kvirt.sh
state=/var/lib/kvirt
result=$state/result
afterwards=
umask 022
HOME=/root
export HOME
cd /
: >"$result"
touch /var/log/kvirt.log
chmod 600 /var/log/kvirt.log
exec >>/var/log/kvirt.log 2>&1 </dev/null

step() { # step NAME COMMAND...
    name=$1
    shift
    echo "--- $name"
    "$@"
    printf '%s %s\n' "$?" "$name" >>"$result"
}

place() { # place STAGED PATH OWNER MODE: put a file where it belongs, now that the users exist
    folder=$(dirname -- "$2")
    top=
    while [ ! -d "$folder" ]; do
        top=$folder
        folder=$(dirname -- "$folder")
    done
    mkdir -p -- "$(dirname -- "$2")" && mv -f -- "$1" "$2" && chmod "$4" "$2" && chown "$3" "$2" &&
        { [ -z "$top" ] || chown -R "$3" "$top"; }
}

link() { # link TARGET PATH
    mkdir -p -- "$(dirname -- "$2")" && ln -sfn -- "$1" "$2"
}

share() { # share PATH LINE-OF-FSTAB
    mkdir -p -- "$1" && { grep -qxF -- "$2" /etc/fstab || printf '%s\n' "$2" >>/etc/fstab; } && mount "$1"
}

password() { # set the passwords that stand in a file, and remove it
    chpasswd <"$1"
    status=$?
    rm -f -- "$1"
    return $status
}

commands() { # commands COUNT: one shell runs them all; a command may end it
    sh "$state/commands/all"
    status=$?
    ran=$(grep -c ' command [0-9]*$' "$result")
    [ "$ran" -ge "$1" ] || printf '%s command %s\n' "$status" "$((ran + 1))" >>"$result"
}

. "$state/steps"

echo finished >>"$result"
sync
if [ "$afterwards" = reboot ]; then
    reboot
    sleep 600
fi
! grep -q '^[1-9]' "$result"
