#!/usr/bin/env python3
"""pull.py [--markdown] [--steps loopback,line,nights] [--keep] : the pull's measures of docs/performance.md, in one run.

`offsite sync` against rsync, scp, sftp and rclone, all from the same sshd: a whole archive on this machine, the same and a night's
changes over a line of 200 Mbit/s and 40 ms, and what a night moves against rsync of other kinds of archives. Medians; a table at the end.
Debian 12, as root, with what tests/lab/setup.sh and tests/bench/setup.sh install.
  SCALE      1 is 5.2 GB in 53,000 files, and needs 30 GB of disk; 0.1 is quick
  REPEAT     runs of which each figure on this machine is the median: 3
  BENCH_DIR  where everything lies and is removed at the end: target/bench
  AGENT, OFFSITE  the programs: target/release/offsite-agent, target/release/offsite
"""
import argparse, os, shutil, signal, subprocess, sys, time
from contextlib import contextmanager
from pathlib import Path

import bench
from bench import REPEAT, ROOT, SCALE, folder, say, turned
from data import Data
from measure import Failed, cost, do, length, middle
from report import Row, table
from rivals import Agent

PORT, RATE, RTT = 2022, 200, 40
FAR = "10.77.5.2"


class Ssh:
    """Keys, configurations and the sshd, which hears on this machine and, while there is a line, at its other end."""

    def __init__(self, work):
        self.dir, self.run, self.daemons = work / "ssh", work / "run", []
        self.dir.mkdir(mode=0o700)
        for name in ("host", "id"):
            do(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.dir / name])
        key = " ".join((self.dir / "host.pub").read_text().split()[:2])
        (self.dir / "known_hosts").write_text("".join(f"[{host}]:{PORT} {key}\n" for host in ("127.0.0.1", FAR)))
        (self.dir / "config").write_text("".join(
            f"Host {name}\n  HostName {host}\n  Port {PORT}\n  User root\n  IdentityFile {self.dir}/id\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self.dir}/known_hosts\n" for name, host in (("near", "127.0.0.1"), ("far", FAR))))
        shutil.copy(self.dir / "id.pub", self.dir / "authorized")
        Path("/run/sshd").mkdir(exist_ok=True)

    def listen(self, host, *where):
        config = self.dir / f"sshd-{host}"
        config.write_text(f"ListenAddress {host}\nPort {PORT}\nHostKey {self.dir}/host\nAuthorizedKeysFile {self.dir}/authorized\nPidFile none\n"
                          "UsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n")
        daemon = subprocess.Popen([*where, "/usr/sbin/sshd", "-D", "-e", "-f", config], stderr=subprocess.PIPE, text=True)
        self.daemons.append(daemon)
        for line in daemon.stderr:
            if "listening" in line:
                break
        else:
            raise Failed("sshd does not start")
        # It goes on talking, and must not stop because nobody listens.
        subprocess.Popen(["cat"], stdin=daemon.stderr, stdout=subprocess.DEVNULL)
        return daemon

    def end(self):
        for daemon in self.daemons:
            daemon.terminate()
            daemon.wait()


class Puller:
    """`pull` fetches the file `source`, or the newest archive, into an empty place, and makes sure of it."""

    def __init__(self, work, name, command):
        self.name, self.home, self.scratch, self.command = name, work / "pulled" / name, work / "home", command

    def empty(self):
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)

    def pull(self, host, source):
        # What is not on the disk was not fetched: all are measured until it is.
        command = " ".join(map(str, self.command(host, source, self.home))) + f" && sync -f {self.home}"
        return cost(["bash", "-o", "pipefail", "-c", command], self.scratch)


class Offsite(Puller):
    """`offsite sync` without the plain copy, which no other makes."""

    def __init__(self, work, program, ssh):
        super().__init__(work, "offsite", lambda *_: [program, "--config", self.config, "sync"])
        self.ssh, self.program, self.config = ssh, program, work / "home/offsite.yaml"
        self.agent = None

    def configure(self, host):
        self.config.write_text(f"repository: {self.home}/repository\nstate: {self.home}/state\nplain: none\nverify: none\npis:\n"
                               f"- {{name: pi, host: {host}, path: {self.agent.home}/repository, ssh_config: {self.ssh.dir}/config}}\n")

    def empty(self):
        super().empty()
        self.configure("near")
        do([self.program, "--config", self.config, "init"])

    def pull(self, host, source):
        self.configure(host)
        return super().pull(host, source)


def others(work, ssh):
    config = ["-F", ssh.dir / "config"]
    hosts = {"near": "127.0.0.1", "far": FAR}
    rclone = lambda host: (f":sftp,host={hosts[host]},port={PORT},user=root,key_file={ssh.dir}/id,"
                           f"known_hosts_file={ssh.dir}/known_hosts,shell_type=none:")
    return [
        Puller(work, "rsync", lambda host, source, to: ["rsync", "-a", "-e", f"'ssh -F {ssh.dir}/config'", f"{host}:{source}", f"{to}/"]),
        Puller(work, "scp", lambda host, source, to: ["scp", "-q", *config, f"{host}:{source}", f"{to}/"]),
        Puller(work, "sftp", lambda host, source, to: ["echo", f"get {source} {to}/", "|", "sftp", "-q", *config, "-B", 262144, "-R", 64, "-b", "-", host]),
        Puller(work, "rclone", lambda host, source, to: ["rclone", "copy", "--config", "/dev/null", rclone(host) + str(source), f"{to}/"]),
    ]


def archive(agent):
    return sorted((agent.home / "repository/archives/bench").glob("*.tar.zst"))[-1]


def loopback(rows, tools, source):
    ours, *theirs = tools
    costs = {tool.name: [] for tool in tools}
    for n in range(int(REPEAT)):
        for tool in turned(tools, n):
            tool.empty()
            costs[tool.name].append(tool.pull("near", source))
            say(f"whole archive: {tool.name:8} {costs[tool.name][-1]}")
    gigabytes = source.stat().st_size / 1e9
    for name, field, unit, goal, limit in (("wall, s", "wall", 1, 1, 0), ("client's CPU, s per GB", "cpu", gigabytes, 0, 0), ("peak memory, MB", "peak", 1e6, 0, 128)):
        figures = {tool: middle(found, field) / unit for tool, found in costs.items()}
        rows.append(Row(f"whole archive, {gigabytes:.2f} GB: {name}", figures[ours.name], {tool.name: figures[tool.name] for tool in theirs}, goal, limit))


@contextmanager
def line(ssh):
    """The other end is a namespace of its own, with an sshd in it."""
    namespace = f"offsite-bench-{os.getpid()}"
    do(["ip", "netns", "add", namespace])
    try:
        do(["ip", "-n", namespace, "link", "set", "lo", "up"])
        between = subprocess.Popen([sys.executable, ROOT / "tests/lab/line.py", namespace, str(RATE), str(RTT / 2)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if between.stdout.readline().strip() != "ready":
                raise Failed("the line does not come up")
            ssh.listen(FAR, "ip", "netns", "exec", namespace)
            yield
        finally:
            between.stdin.close()
            between.wait()
    finally:
        do(["ip", "netns", "del", namespace])


def share(bytes_, spent):
    """Of the line's rate, in percent."""
    return bytes_ * 8 / spent.wall / (RATE * 1e6) * 100


def over_the_line(rows, tools, source, agent, night):
    ours, *theirs = tools
    whole = source.stat().st_size
    shares = {}
    for tool in tools:
        tool.empty()
        spent = tool.pull("far", source)
        shares[tool.name] = share(whole, spent)
        say(f"{RATE} Mbit/s, {RTT} ms, whole archive: {tool.name:8} {spent}, {shares[tool.name]:.1f} %")
    rows.append(Row(f"{RATE} Mbit/s, {RTT} ms, whole archive: % of the line", shares.pop(ours.name), shares, limit=90, digits=1, more=True))
    rsync, scp = (next(tool for tool in theirs if tool.name == name) for name in ("rsync", "scp"))
    for percent in (1, 5):
        before, _ = archive(agent), night(percent)
        spent, moved = ours.pull("far", None), agent.last_new
        # The night before is beside it, under the new name: the most that rsync can know.
        do(["cp", rsync.home / before.name, rsync.home / archive(agent).name])
        rivals = {"rsync": rsync.pull("far", archive(agent))}
        # What nobody can do: it is told which bytes are new, and they lie in one file.
        new = source.with_name("new")
        new.write_bytes(os.urandom(moved))
        rivals["scp"] = scp.pull("far", new)
        new.unlink()
        name = f"· a night of {moved / 1e6:.0f} MB"
        rows.append(Row(f"{name}: wall, s", spent.wall, {tool: rival.wall for tool, rival in rivals.items()}))
        rows.append(Row(f"{name}: % of the line", share(moved, spent), {tool: share(moved, rival) for tool, rival in rivals.items()}, limit=90, digits=1, more=True))
        say(f"{RATE} Mbit/s, {RTT} ms, a night of {moved / 1e6:.0f} MB: {spent}, {share(moved, spent):.1f} %")


def nights(rows, work, ssh, ours, agent, night):
    """Bytes from the Pi, by its own count: what rsync sends of other kinds of archives of the same two nights."""
    tree, there, here = agent.tree, work / "kinds", work / "pulled/kinds"
    there.mkdir()
    here.mkdir()
    # The fastest gzip: a better one costs minutes, and makes no difference to what rsync finds in it.
    kinds = {".tar.gz": ("a.tar.gz", "gzip -1"), ".tar.gz --rsyncable": ("b.tar.gz", "gzip -1 --rsyncable"), ".tar": ("c.tar", "cat")}

    def made(name, command):
        do(["bash", "-o", "pipefail", "-c", f'tar -C "$0" -c . | {command} > "$1"', tree, there / name])

    for kind, (name, command) in kinds.items():
        made(name, command)
        do(["cp", there / name, here / name])
        say(f"made {kind}")
    ours.empty()
    ours.pull("near", None)
    night()
    theirs = {}
    for kind, (name, command) in kinds.items():
        made(name, command)
        said = do(["rsync", "-a", "--no-whole-file", "--stats", "-e", f"ssh -F {ssh.dir}/config", f"near:{there / name}", here / name])
        received = next(text for text in said.splitlines() if "bytes received" in text)
        theirs[f"rsync {kind}"] = int(received.split(":")[1].replace(",", "")) / 1e6
        say(f"a night by rsync {kind}: {theirs[f'rsync {kind}']:.1f} MB")
    before = length(ours.home / "repository")[0]
    ours.pull("near", None)
    rows.append(Row("a night of 1 %: moved, MB", (length(ours.home / "repository")[0] - before) / 1e6, theirs, 1, digits=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", default="loopback,line,nights", help="which of loopback,line,nights")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    parser.add_argument("--keep", action="store_true", help="leave the work folder")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    programs = {name: Path(os.environ.get(name.rsplit("-")[-1].upper(), ROOT / "target/release" / name)) for name in ("offsite-agent", "offsite")}
    steps, rows = chosen.steps.split(","), []
    with folder(chosen.keep) as work:
        for name in ("tree", "run", "home", "pulled"):
            (work / name).mkdir()
        data = Data(work / "tree", work / "run", SCALE, 1)
        data.make(say)
        total, files = length(work / "tree")
        say(f"{total / 1e9:.2f} GB in {files:,} files")
        agent = Agent(work / "home", work / "tree", programs["offsite-agent"])
        agent.empty()
        agent.last_new = agent.backup().new

        def night(percent=1):
            data.night(total * percent / 100)
            agent.last_new = agent.backup().new
            say(f"a night: {agent.last_new / 1e6:.1f} MB new")

        ssh = Ssh(work)
        ours = Offsite(work, programs["offsite"], ssh)
        ours.agent = agent
        tools = [ours, *others(work, ssh)]
        try:
            ssh.listen("127.0.0.1")
            if "loopback" in steps:
                loopback(rows, tools, archive(agent))
            if "line" in steps:
                with line(ssh):
                    over_the_line(rows, tools, archive(agent), agent, night)
            if "nights" in steps:
                nights(rows, work, ssh, ours, agent, night)
        finally:
            ssh.end()
    print()
    print(table(rows, "offsite", chosen.markdown))


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"bench: {failed}")
