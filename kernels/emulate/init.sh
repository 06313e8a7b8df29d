#!/bin/busybox sh
# The emulated machine's first process: runs the test, tells amx.sh its exit status over the serial port and restarts,
# which ends Bochs (amx.sh has Linux restart by a triple fault).
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
echo "emulate: start"
(. /run/command)
echo "emulate: exit $?"
/bin/busybox sleep 0.1
/bin/busybox reboot -f
