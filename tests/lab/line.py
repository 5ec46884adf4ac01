#!/usr/bin/env python3
"""line.py NAMESPACE RATE DELAY [NET] : a slow line to another network namespace, for kernels without netem. Linux, as root.

Between NET.1 here and NET.2 there (10.77.5) lie a TUN device on each side and this process, which passes packets on at RATE Mbit/s, each
DELAY ms late, and drops what would wait longer than 200 ms, as a router does. Packets are large, so that this process is not the brake.
Says "ready"; ends with its input. NAMESPACE `new` is one of its own, of which it says a process ("ready PID"). A line of it that is a number is the rate from then on; 0 loses every packet, and nobody is told.
"""
import fcntl, heapq, os, select, struct, subprocess, sys, time

MTU, QUEUE = 9000, 0.2


def device(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1001))  # TUNSETIFF: IFF_TUN | IFF_NO_PI
    return fd


def up(name, own, other, *ip):
    for words in (["link", "set", name, "mtu", str(MTU), "up"], ["addr", "add", own, "peer", other, "dev", name]):
        subprocess.run([*ip, *words], check=True)


def main():
    namespace, rate, delay = sys.argv[1], float(sys.argv[2]) * 1e6, float(sys.argv[3]) / 1000
    net = sys.argv[4] if len(sys.argv) > 4 else "10.77.5"
    own, other = f"{net}.1", f"{net}.2"
    there_ip, ready = ["ip", "-n", namespace], "ready"
    if namespace == "new":
        # It lasts as long as the process in it, and that one as long as this.
        inside = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat >&2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        inside.stdout.readline()
        namespace = str(inside.pid)
        there_ip, ready = ["nsenter", "--target", namespace, "--net", "ip"], f"ready {namespace}"
    near, far = f"line-a{os.getpid()}", f"line-b{os.getpid()}"
    here = device(near)
    up(near, own, other, "ip")
    there = device(far)
    subprocess.run(["ip", "link", "set", far, "netns", namespace], check=True)  # the open file stays with this process
    up(far, other, own, *there_ip)
    print(ready, flush=True)
    waiting, free, number, told = [], {here: 0.0, there: 0.0}, 0, b""
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, to, packet = heapq.heappop(waiting)
            try:
                os.write(to, packet)
            except OSError:
                pass  # lost, as packets are
        found = select.select([here, there, 0], [], [], max(0.0, waiting[0][0] - now) if waiting else None)[0]
        if 0 in found:
            got = os.read(0, 4096)
            if not got:
                return
            *lines, told = (told + got).split(b"\n")
            for line in lines:
                rate = float(line) * 1e6
        now = time.monotonic()
        for fd in found:
            to = there if fd == here else here
            for _ in range(64 if fd else 0):
                try:
                    packet = os.read(fd, 65536)
                except BlockingIOError:
                    break
                begins = max(now, free[to])
                if not rate or begins - now > QUEUE:
                    continue
                free[to] = begins + len(packet) * 8 / rate
                number += 1
                heapq.heappush(waiting, (free[to] + delay, number, to, packet))


main()
