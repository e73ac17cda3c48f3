#!/bin/sh
# The first process in the initial RAM disk: loads the virtio drivers, then goes on to the disk named by root=, or runs the
# shell command of run=..., or starts a shell.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "/lib/modules/$module.ko"
done < /lib/modules/order
echo "busybox on Linux $(uname -r), $(nproc) CPUs, up for $(cut -d' ' -f1 /proc/uptime) s"
root= run=
for word in $(cat /proc/cmdline); do
    case "$word" in
        root=*) root=${word#root=} ;;
        run=*) run=${word#run=} ;;
    esac
done
if [ -n "$root" ]; then
    mount -t ext2 "$root" /root && exec switch_root /root /sbin/init
    echo "no root on $root"
fi
if [ -n "$run" ]; then
    sh -c "$(echo "$run" | sed 's/+/ /g')"
    poweroff -f
fi
exec setsid cttyhack sh
