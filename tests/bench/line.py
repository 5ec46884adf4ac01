#!/usr/bin/env python3
"""line.py NAMESPACE RATE DELAY : a slow line to another network namespace, for kernels without netem. Linux, as root.

Between 10.77.5.1 here and 10.77.5.2 there lie a TUN device on each side and this process, which passes packets on at RATE Mbit/s, each
DELAY ms late, and drops what would wait longer than 200 ms, as a router does. Packets are large, so that this process is not the brake.
Says "ready"; ends with its input.
"""
import fcntl, heapq, os, select, struct, subprocess, sys, time

HERE, THERE, MTU, QUEUE = "10.77.5.1", "10.77.5.2", 9000, 0.2


def device(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1001))  # TUNSETIFF: IFF_TUN | IFF_NO_PI
    return fd


def up(name, own, other, *where):
    for words in (["link", "set", name, "mtu", str(MTU), "up"], ["addr", "add", own, "peer", other, "dev", name]):
        subprocess.run(["ip", *where, *words], check=True)


def main():
    namespace, rate, delay = sys.argv[1], float(sys.argv[2]) * 1e6, float(sys.argv[3]) / 1000
    near, far = f"bench-a{os.getpid()}", f"bench-b{os.getpid()}"
    here = device(near)
    up(near, HERE, THERE)
    there = device(far)
    subprocess.run(["ip", "link", "set", far, "netns", namespace], check=True)  # the open file stays with this process
    up(far, THERE, HERE, "-n", namespace)
    print("ready", flush=True)
    waiting, free, number = [], {here: 0.0, there: 0.0}, 0
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, to, packet = heapq.heappop(waiting)
            try:
                os.write(to, packet)
            except OSError:
                pass  # lost, as packets are
        found = select.select([here, there, 0], [], [], max(0.0, waiting[0][0] - now) if waiting else None)[0]
        if 0 in found and not os.read(0, 1):
            return
        now = time.monotonic()
        for fd in found:
            to = there if fd == here else here
            for _ in range(64 if fd else 0):
                try:
                    packet = os.read(fd, 65536)
                except BlockingIOError:
                    break
                begins = max(now, free[to])
                if begins - now > QUEUE:
                    continue
                free[to] = begins + len(packet) * 8 / rate
                number += 1
                heapq.heappush(waiting, (free[to] + delay, number, to, packet))


main()
