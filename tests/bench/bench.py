#!/usr/bin/env python3
"""bench.py [--markdown] [--big] [--steps first,nights,downtime] [--keep] : the measures of docs/performance.md, in one run.

offsite-agent against tar, restic and borg over one made-up home server; medians; a table at the end. Debian 12, as root, with what
tests/lab/setup.sh and tests/bench/setup.sh install, and a docker engine for the downtime. `make bench` does it all.
  SCALE      1 is 5.2 GB in 53,000 files, and needs 30 GB of disk; 0.1 is quick
  REPEAT     runs of which each figure is the median: 3
  BIG_GB     the larger tree of --big, which tells only about memory: 50. It needs btrfs, to hold that much on a small disk
  BENCH_DIR  where everything lies and is removed at the end: target/bench. It must be one that other accounts may enter
  AGENT      the program: target/release/offsite-agent
"""
import argparse, fcntl, os, platform, shutil, signal, sys, time
from contextlib import contextmanager
from pathlib import Path

import services
from data import SKEWED, Changed, Data
from measure import Failed, cold, do, length, middle
from report import Row, table
from rivals import Agent, Borg, Restic, Tar

ROOT = Path(__file__).resolve().parents[2]
SCALE, REPEAT, BIG_GB = (float(os.environ.get(name, default)) for name, default in (("SCALE", 1), ("REPEAT", 3), ("BIG_GB", 50)))
MARK = "made-by-bench"  # only a folder that holds this is removed
BEGAN = time.monotonic()


def say(text):
    print(f"{time.monotonic() - BEGAN:6.0f} s  {text}", flush=True)


@contextmanager
def folder(keep):
    """The work folder: ours alone, and gone afterwards. What a killed run left is removed first."""
    work = Path(os.environ.get("BENCH_DIR") or ROOT / "target/bench").resolve()
    if work.exists() and any(work.iterdir()) and not (work / MARK).exists():
        raise Failed(f"{work} holds something that the bench did not make")
    work.mkdir(parents=True, exist_ok=True)
    with open(work / MARK, "w") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"another bench is at work in {work}") from None
        clear(work)
        try:
            yield work
        finally:
            if not keep:
                clear(work)
                shutil.rmtree(work)


def clear(work):
    if os.path.ismount(work / "big"):
        do(["umount", work / "big"])
    if (work / "tree/compose.yaml").exists():
        services.remove(work / "tree")
    if (work / "tree/db/data/postmaster.pid").exists():
        stop_postgres(work)
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != MARK:
            path.unlink()


def first(rows, agents, tar, others):
    """The first archive, into an empty repository each time."""
    agent, packs = agents
    costs = {tool.name: [] for tool in (*agents, tar, *others)}
    for n in range(int(REPEAT)):
        # The others' first night is asked once: it is no measure, and slow.
        for tool in turned([agent, tar], n) + ([packs, *others] if n == 0 else []):
            tool.empty()
            cold()
            costs[tool.name].append(tool.backup())
            say(f"first archive: {tool.name:20} {costs[tool.name][-1]}")
    tar.empty()
    for name, field, unit, goal, limit in (("wall, s", "wall", 1, 1, 0), ("CPU, s", "cpu", 1, 0, 0), ("size, MB", "new", 1e6, 0.98, 0),
                                           ("peak memory, MB", "peak", 1e6, 0, 100)):
        figures = {tool: middle(found, field) / unit for tool, found in costs.items()}
        theirs = {tool.name: figures[tool.name] for tool in others}
        rows.append(Row(f"first archive: {name}", figures[agent.name], {tar.name: figures[tar.name]}, goal, limit, 1))
        if field != "peak":
            rows.append(Row("· restic, borg, once", rows[-1].ours, theirs, digits=1))
        rows.append(Row("· layout: packs, once", figures[packs.name], {tar.name: figures[tar.name], **theirs}, digits=1))


def turned(tools, n):
    """Nobody always goes first."""
    n %= len(tools)
    return tools[n:] + tools[:n]


def nights(rows, data, changed, agents, others, total):
    agent, packs = agents
    tools = [*agents, *others]
    for tool in tools:
        if not tool.home.exists():
            tool.empty()
            tool.backup()
    for percent in (0, 1, 5):
        costs, new = {tool.name: [] for tool in tools}, []
        for n in range(int(REPEAT)):
            if percent:
                data.night(total * percent / 100)
                new.append(changed.look() / total * 100)
            what = f"{new[-1]:.2f} % changed" if percent else "unchanged"
            for tool in turned(tools, n):
                cold()
                costs[tool.name].append(tool.backup())
                say(f"night, {what}: {tool.name:20} {costs[tool.name][-1]}")
        night = f"night, {sorted(new)[len(new) // 2]:.1f} % changed" if percent else "unchanged night"
        for name, field, unit, goal, limit, digits in (("CPU, s", "cpu", 1, 3, 0, 2), ("wall, s", "wall", 1, 3, 0, 2), ("new, MB", "new", 1e6, 0.9, 0, 2),
                                                       ("peak memory, MB", "peak", 1e6, 0, 100, 1)):
            figures = {tool: middle(found, field) / unit for tool, found in costs.items()}
            theirs = {tool.name: figures[tool.name] for tool in others}
            # The goal of speed is the unchanged night's, and of what moves no frame.
            speed = field in ("cpu", "wall")
            goal = 0 if speed and percent else goal
            rows.append(Row(f"{night}: {name}", figures[agent.name], theirs, 0 if speed else goal, limit, digits))
            rows.append(Row("· layout: packs", figures[packs.name], theirs, goal, limit, digits))
    for tool in agents:
        tool.compare()
    say("the last archives are the tree, by tar's own comparison")


def downtime(rows, data, agent, work):
    do([ROOT / "tests/lab/images.sh"])
    agent.docker, script = work / "docker", work / "run/night.sql"
    agent.docker.write_text(services.NOTING.format(log=agent.home / "docker.log"))
    agent.docker.chmod(0o755)
    script.write_text(SKEWED.replace(":scale", str(max(1, int(45 * SCALE)))))
    script.chmod(0o644)
    if not agent.home.exists():
        agent.empty()
        agent.backup()
    tree, out = data.root, work / "tar.gz"
    ours, theirs, alone = [], [], []
    with services.running(tree, script):
        agent.configure("down")
        for _ in range(int(REPEAT)):
            ours.append(services.by_agent(tree, agent))
            theirs.append(services.by_tar(tree, out))
            alone.append(services.by_tar(tree, None))
            out.unlink()
            say("downtime: agent {:.2f} s, {:.2f} of it between down and up; tar: down {:.2f} s, tar {:.2f} s, up {:.2f} s; "
                "down and up alone {:.2f} s".format(*ours[-1], *theirs[-1], sum(alone[-1])))
    median = lambda figures: sorted(figures)[len(figures) // 2]
    name = "down; tar czf; up"
    rows.append(Row("downtime, all of it, s", median([away for away, _ in ours]), {name: median([sum(parts) for parts in theirs])}))
    rows.append(Row("· compose's own: down and up alone, s", median([sum(parts) for parts in alone])))
    rows.append(Row("· between down and up, s", median([gap for _, gap in ours]), {name: median([packed for _, packed, _ in theirs])}, 50))


def big(rows, work, program):
    """Memory does not grow with the data: a tree of 5 GB and one of BIG_GB, all of it different, that compress well."""
    image, at = work / "big.img", work / "big"
    at.mkdir()
    do(["truncate", "-s", f"{int(BIG_GB * 1.2) + 8}G", image])
    do(["mkfs.btrfs", "-q", image])
    do(["mount", "-o", "loop,compress-force=zstd:1,noatime", image, at])
    try:
        agents = [Agent(work / "memory", at / "data", program, layout) for layout in ("plain", "packs")]
        for agent in agents:
            agent.empty()
        made, number, text = 0.0, 0, bytearray(os.urandom(4096) + b"a line that compresses\n" * 45_000)
        for gigabytes in (BIG_GB / 10, BIG_GB):
            while made < gigabytes * 1e9:  # half of it in files of 64 MB, half in files of 96 KiB
                large = number % 700 == 0
                number += 1
                path = at / f"data/{number // 700:04}/{number}.bin"
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(path, "wb") as out:
                    for part in range(64 if large else 1):
                        for place in range(0, len(text), 32_768):
                            text[place:place + 16] = number.to_bytes(8, "big") + part.to_bytes(4, "big") + place.to_bytes(4, "big")
                        out.write(text if large else text[:98_304])
                        made += len(text) if large else 98_304
            for agent in agents:
                for night in ("first archive", "unchanged night"):
                    cold()
                    spent = agent.backup()
                    frames = sum(len(frames) for frames, _ in agent.seen.values())
                    say(f"{agent.name}, {made / 1e9:.0f} GB, {number:,} files, {frames:,} frames: {night}: {spent}")
                    layout = ": layout: packs" if agent is agents[1] else ""
                    rows.append(Row(f"{made / 1e9:.0f} GB, {night}{layout}: peak memory, MB", spent.peak / 1e6, limit=100, digits=1))
    finally:
        do(["umount", at])


def stop_postgres(work):
    """What a killed run may have left; one that is not alive any more is no fault."""
    try:
        Data(work / "tree", work / "run", SCALE, 0).pg("pg_ctl", "-D", work / "tree/db/data", "-w", "-m", "immediate", "stop")
    except Failed:
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", default="first,nights,downtime", help="which of first,nights,downtime")
    parser.add_argument("--big", action="store_true", help="also the memory for BIG_GB, which takes longest")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    parser.add_argument("--keep", action="store_true", help="leave the work folder")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    program = Path(os.environ.get("AGENT", ROOT / "target/release/offsite-agent"))
    rows = []
    with folder(chosen.keep) as work:
        for name in ("tree", "run", "home"):
            (work / name).mkdir()
        agents = agent, _ = [Agent(work / "home", work / "tree", program, layout) for layout in ("plain", "packs")]
        tar, others = Tar(work / "home", work / "tree"), [Restic(work / "home", work / "tree"), Borg(work / "home", work / "tree")]
        steps = [step for step in chosen.steps.split(",") if step]
        if steps:
            data = Data(work / "tree", work / "run", SCALE, 1)
            data.make(say)
            total, files = length(work / "tree")
            say(f"{total / 1e9:.2f} GB in {files:,} files")
        if "first" in steps:
            first(rows, agents, tar, others)
        if "nights" in steps:
            nights(rows, data, Changed(data.root), agents, others, total)
        if "downtime" in steps:
            downtime(rows, data, agent, work)
        if chosen.big:
            big(rows, work, program)
    print()
    if steps:
        print(f"{time.strftime('%Y-%m-%d')}; {total / 1e9:.2f} GB in {files:,} files; medians of {int(REPEAT)}; {os.cpu_count()} cores, "
              f"{platform.machine()}, Linux {platform.release()}; {do(['restic', 'version']).split(' compiled')[0]}, {do(['borg', '--version']).strip()}\n")
    print(table(rows, agent.name, chosen.markdown))


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"bench: {failed}")
