"""What a command costs: CPU seconds (user + system, with all children), wall seconds, peak resident memory.

Wall time on a shared machine is noise; CPU seconds are the figure to trust. Peak memory is the largest of any one process of the
command, as the kernel keeps it (VmHWM); /usr/bin/time asks for it because a child of Python begins with Python's own.
"""
import os, signal, statistics, subprocess, time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Cost:
    cpu: float  # seconds
    wall: float  # seconds
    peak: int  # bytes
    new: int = 0  # bytes stored that were not stored before

    def __str__(self):
        new = f", {self.new / 1e6:8.1f} MB new" if self.new else ""
        return f"{self.cpu:7.2f} s CPU, {self.wall:7.2f} s, {self.peak / 1e6:6.0f} MB memory{new}"


def middle(costs, field):
    return statistics.median(getattr(cost, field) for cost in costs)


class Failed(Exception):
    """A command that the bench needs did not do its work: the figures would be of something else."""


def cost(command, scratch, env=None):
    """Runs `command` and says what it cost. Its output goes to `scratch`/log, and its end into the error if it fails."""
    log, peak = Path(scratch) / "log", Path(scratch) / "peak"
    with open(log, "wb") as out:
        began = time.monotonic()
        child = subprocess.Popen(["/usr/bin/time", "-f", "%M", "-o", str(peak), *map(str, command)],
                                 stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **(env or {})}, start_new_session=True)
        try:
            _, status, used = os.wait4(child.pid, 0)
        except BaseException:
            stop(child)
            raise
        wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        end = log.read_text(errors="replace").strip()[-1500:]
        raise Failed(f"{' '.join(map(str, command))}: exit {child.returncode}\n{end}")
    return Cost(used.ru_utime + used.ru_stime, wall, int(peak.read_text().split()[-1]) * 1024)


def stop(child):
    """Ends a command that is no longer wanted, with all its children, and waits for them: what it stopped, it brings back first."""
    try:
        while True:
            os.killpg(child.pid, signal.SIGTERM)
            child.poll()
            time.sleep(0.2)
    except ProcessLookupError:
        pass


def do(command, **options):
    """Runs a command that is not measured, and gives its output."""
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit {done.returncode}\n{(done.stdout + done.stderr).strip()[-1500:]}")
    return done.stdout


def cold():
    """Everything is on the disk and nothing is in the page cache, as on a small server at night."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def length(folder):
    """Bytes in all files below `folder`, by their length, and how many files."""
    found = [os.lstat(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names]
    return sum(stat.st_size for stat in found), len(found)
