#!/usr/bin/env python3
"""mkimage.py IMAGE PATH... : a container image out of files that this machine already has.

Each PATH (file or directory) goes in at its own place, every ELF file among them brings the shared libraries that it needs, and a
static busybox supplies the shell and the small tools. So the lab needs no registry and no build engine, and what runs in the
containers is the distribution's own program.
An image which was made of the same files (names, sizes, times) by the same script is left as it is.
"""
import hashlib, io, os, stat, subprocess, sys, tarfile

BUSYBOX = "/bin/busybox"
# The accounts under which the upstream images run, and with which their data are owned.
USERS = [("root", 0, 0), ("postgres", 999, 999), ("grafana", 472, 0), ("loki", 10001, 10001), ("app", 1000, 1000), ("nobody", 65534, 65534)]
FOLDERS = ["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/etc", "/run", "/var/lib", "/var/log", "/proc", "/sys", "/dev", "/root"]


def output(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout


def gather(paths):
    """Every file wanted, by its path under merged /usr; links come with what they point to."""
    want = {}

    def add(p):
        p = os.path.join(os.path.realpath(os.path.dirname(p)), os.path.basename(p))
        if p in want or not os.path.lexists(p):
            return
        want[p] = os.lstat(p)
        if stat.S_ISLNK(want[p].st_mode):
            add(os.path.realpath(p))

    for p in paths:
        if not os.path.exists(p):
            sys.exit(f"mkimage: no {p} on this machine; tests/lab/setup.sh installs it")
        if os.path.isdir(p):
            for folder, _, files in os.walk(p):
                for f in files:
                    add(os.path.join(folder, f))
        else:
            add(p)
    elf = [p for p, st in want.items() if stat.S_ISREG(st.st_mode) and st.st_size > 64 and open(p, "rb").read(4) == b"\x7fELF"]
    for i in range(0, len(elf), 50):
        for line in output("ldd", *elf[i : i + 50]).splitlines():
            words = line.split()
            if "=>" in words and len(words) > 2 and words[2].startswith("/"):
                add(words[2])
            elif words and words[0].startswith("/lib"):
                add(words[0])
    add(BUSYBOX)
    return want


def recipe(want):
    """What the image is made of, as one hash: another one means that the image must be made anew."""
    h = hashlib.sha256(open(__file__, "rb").read())
    for p, st in sorted(want.items()):
        h.update(f"{p} {st.st_size} {st.st_mtime_ns}\n".encode())
    return h.hexdigest()


def write(out, want):
    seen = set()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:

        def folder(d, mode=0o755):
            if d in seen or d in ("", "/"):
                return
            folder(os.path.dirname(d))
            seen.add(d)
            i = tarfile.TarInfo(d.lstrip("/"))
            i.type, i.mode = tarfile.DIRTYPE, mode
            tar.addfile(i)

        def text(p, s):
            i = tarfile.TarInfo(p.lstrip("/"))
            i.size, i.mode = len(s), 0o644
            tar.addfile(i, io.BytesIO(s.encode()))

        def link(p, to):
            if p in seen:
                return
            seen.add(p)
            i = tarfile.TarInfo(p.lstrip("/"))
            i.type, i.linkname = tarfile.SYMTYPE, to
            tar.addfile(i)

        for d in FOLDERS:
            folder(d)
        folder("/tmp", 0o1777)
        for l in ("bin", "sbin", "lib", "lib64"):
            link("/" + l, "usr/" + l)
        for p, st in sorted(want.items()):
            folder(os.path.dirname(p))
            seen.add(p)
            i = tarfile.TarInfo(p.lstrip("/"))
            i.mode = stat.S_IMODE(st.st_mode)
            if stat.S_ISLNK(st.st_mode):
                i.type, i.linkname = tarfile.SYMTYPE, os.readlink(p)
                tar.addfile(i)
            elif stat.S_ISREG(st.st_mode):
                i.size = st.st_size
                with open(p, "rb") as f:
                    tar.addfile(i, f)
        busybox = os.path.realpath(BUSYBOX)
        for applet in output(BUSYBOX, "--list").split():
            if f"/usr/sbin/{applet}" not in seen:
                link(f"/usr/bin/{applet}", busybox)
        text("/etc/passwd", "".join(f"{n}:x:{u}:{g}::/:/bin/sh\n" for n, u, g in USERS))
        text("/etc/group", "".join(f"{n}:x:{g}:\n" for n, _, g in USERS if n != "grafana"))
        text("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")


image, paths = sys.argv[1], sys.argv[2:]
want = gather(paths)
made_of = recipe(want)
if output("docker", "image", "inspect", "-f", '{{index .Config.Labels "offsite.recipe"}}', image).strip() == made_of:
    print(f"{image}: there")
    sys.exit()
environment = "ENV PATH=/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin"
load = subprocess.Popen(
    ["docker", "import", "-c", environment, "-c", f"LABEL offsite.recipe={made_of}", "-", image], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
)
write(load.stdin, want)
load.stdin.close()
if load.wait():
    sys.exit(f"mkimage: docker import of {image} failed")
print(f"{image}: made")
