#!/usr/bin/env python3
"""A guest made of namespaces in place of a virtual machine: unshare … python3 namespace-guest.py SOCKET

Runs as the first process of its own network, mount, process and host name namespaces. Its NIC is a TAP whose frames
travel over a Unix socket as those of QEMU's `stream` netdev do: each behind its length in four octets, big-endian.
Reads one command a line from standard input, as JSON: {"command": "…", "seconds": n}, runs it by the shell, and answers
with one line: {"code": n, "output": "…"}. The end of standard input ends the guest, and with it all that runs there.
"""
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def shell(line, seconds=10.0):
    process = subprocess.Popen(
        line, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output.decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        return 124, output.decode(errors="replace")


def prepare():
    # What clients write stays here.
    for line in (
        "mount --make-rprivate /",
        "mount -t tmpfs tmpfs /run",
        "mkdir -p /run/etc/up /run/etc/work /run/lib/up /run/lib/work",
        "mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc/up,workdir=/run/etc/work /etc",
        "mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/run/lib/up,workdir=/run/lib/work /var/lib",
        # Without write access networkd does not wait for udev.
        "mount -t sysfs -o ro sysfs /sys",
        "ip link set lo up",
    ):
        code, output = shell(line)
        if code:
            sys.exit(f"{line}: {output}")


def nic():
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", b"eth0", IFF_TAP | IFF_NO_PI))
    # Nobody else is on the link, so that nobody needs to be asked for leave to use an address.
    shell("sysctl -q -w net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.eth0.router_solicitation_delay=0")
    code, output = shell("ip link set eth0 address 52:54:00:57:52:4e up")
    if code:
        sys.exit(output)
    return tap


def octets(connection, count):
    received = b""
    while len(received) < count:
        more = connection.recv(count - len(received))
        if not more:
            raise ConnectionError
        received += more
    return received


def to_guest(tap, connection):
    try:
        while True:
            (count,) = struct.unpack(">I", octets(connection, 4))
            os.write(tap, octets(connection, count))
    except OSError:
        pass


def from_guest(tap, connection):
    try:
        while True:
            frame = os.read(tap, 65536)
            connection.sendall(struct.pack(">I", len(frame)) + frame)
    except OSError:
        pass


def main():
    prepare()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(1)
    print("ready", flush=True)
    connection, _ = listener.accept()
    tap = nic()
    for way in (to_guest, from_guest):
        threading.Thread(target=way, args=(tap, connection), daemon=True).start()
    for line in sys.stdin:
        request = json.loads(line)
        code, output = shell(request["command"], request["seconds"])
        print(json.dumps({"code": code, "output": output}), flush=True)


main()
