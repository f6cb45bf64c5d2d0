#!/bin/sh
# What `ingot deploy` is measured against: the same VMM, kernel, initrd, root file system and VM
# configuration, started by hand. Prints the milliseconds from the start of this script to the first
# 200 from inside the guest.
#
#   bare-boot.sh DIRECTORY PORT
#
# DIRECTORY holds vmlinux, initrd, rootfs and mailbox.img of a VM that Ingot has made.
set -eu
started=$(date +%s%N)
directory=$1
port=$2
netns=ingot-bare-$$
vmm=

clean_up() {
  if [ -n "$vmm" ]; then kill -9 "$vmm" 2>/dev/null || true; wait "$vmm" 2>/dev/null || true; fi
  ip netns del "$netns"
  rm -f "$directory/bare-overlay.img"
}
ip netns add "$netns"
trap clean_up EXIT
ip -n "$netns" tuntap add tap0 mode tap
ip -n "$netns" addr add 172.30.0.1/30 dev tap0
ip -n "$netns" link set tap0 up
ip -n "$netns" neigh replace 172.30.0.2 lladdr "$GUEST_MAC" dev tap0 nud permanent

truncate -s "${DISK_MIB}M" "$directory/bare-overlay.img"
mke2fs -q -F -t ext4 -E lazy_itable_init=1,lazy_journal_init=1 "$directory/bare-overlay.img"

ip netns exec "$netns" qemu-system-x86_64 -M microvm,acpi=on -accel "$ACCELERATOR" -cpu "$CPU" \
  -nodefaults -no-user-config -display none -no-reboot -m "${MEMORY_MIB}M" -smp 1 \
  -kernel "$directory/vmlinux" -initrd "$directory/initrd" -append "$KERNEL_COMMAND_LINE" \
  -drive "if=none,id=rootfs,format=raw,file=$directory/rootfs,readonly=on" \
  -device virtio-blk-device,drive=rootfs,serial=rootfs \
  -drive "if=none,id=overlay,format=raw,file=$directory/bare-overlay.img" \
  -device virtio-blk-device,drive=overlay,serial=overlay \
  -drive "if=none,id=mailbox,format=raw,file=$directory/mailbox.img" \
  -device virtio-blk-device,drive=mailbox,serial=mailbox \
  -netdev tap,id=net,ifname=tap0,script=no,downscript=no \
  -device "virtio-net-device,netdev=net,mac=$GUEST_MAC" \
  -serial null &
vmm=$!

tries=0
until ip netns exec "$netns" curl -sf -o /dev/null --connect-timeout 0.1 "http://172.30.0.2:$port/"; do
  tries=$((tries + 1))
  [ "$tries" -lt 600 ] || { echo 'the guest did not answer' >&2; exit 1; }
  sleep 0.01
done
finished=$(date +%s%N)
echo $(((finished - started) / 1000000))
