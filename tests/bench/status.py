#!/usr/bin/env python3
"""status.py OFFSITE : how long `offsite status`, and a start of the daemon with nothing owed, take on a Mac's worth of state: three jobs of ten archives of 50,000 files, and a journal of ten
years of nights. Makes all of it in a temporary folder. Prints a table in milliseconds, of whole processes.

Manifests are as long as those of 50,000 files and hold noise: whoever opened one would stumble.
"""
import datetime, json, os, pathlib, resource, statistics, subprocess, sys, tempfile, time

JOBS, YEARS, KEPT, MANIFEST, TIMES = ["configurations", "immich", "services"], 10, 10, 4_500_000, 40
NIGHT = datetime.timedelta(days=1)


def stamp(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def name(job, night):
    return f"{job}/{night.strftime('%Y-%m-%dT%H%M%SZ')}"


def night_lines(nights, at):
    """The receipts of one night, as a night writes them."""
    night = nights[at]
    clock = lambda seconds: stamp(night + datetime.timedelta(minutes=30, seconds=seconds))
    holds = lambda count: {job: {"count": count, "newest": name(job, night)} for job in JOBS}
    mass = lambda raw: {"frames": raw // 190_000, "raw": raw, "data": raw, "kept": raw // 2}
    yield {"time": clock(5), "kind": "seen", "place": "pi", "jobs": holds(3)}
    for job in JOBS:
        new, old = name(job, night), nights[at - 1] if at else None
        if old:
            change = {"earlier": mass(9_400_000_000), "gone": mass(212_000_000), "fresh": mass(212_000_000)}
            yield {"time": clock(60), "kind": "compared", "archive": new, "with": name(job, old), "change": change}
        yield {"time": clock(61), "kind": "pulled", "pi": "pi", "archive": new, "sequence": at + 1, "moved": 212_000_000, "total": 9_400_000_000,
               "verified": False, "complete": True}
        yield {"time": clock(80), "kind": "verified", "place": "mac", "archive": new}
        for place in ("mac", "cold") if at >= KEPT else ():
            yield {"time": clock(90), "kind": "forgot", "place": place, "archives": [name(job, nights[at - KEPT])]}
        yield {"time": clock(95), "kind": "pushed", "cloud": "cold", "archive": new, "sequence": at + 1, "moved": 208_000_000, "total": 9_400_000_000}
    for place in ("mac", "cold"):
        yield {"time": clock(100), "kind": "seen", "place": place, "jobs": holds(min(at + 1, KEPT))}
    yield {"time": clock(101), "kind": "ran", "owed": night.strftime("%Y-%m-%d"), "outcome": "fine", "began": clock(1)}


def house(root):
    last = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0) - datetime.timedelta(hours=6)
    nights = [last - NIGHT * (YEARS * 365 - at) for at in range(YEARS * 365 + 1)]
    repository, state = root / "repository", root / "state"
    for folder in [repository, state, *(repository / "manifests" / job for job in JOBS)]:
        folder.mkdir(parents=True)
    (repository / "repository.json").write_text(
        json.dumps({"offsite": "repository", "version": 1, "layout": "packs", "id": "00112233445566778899aabbccddeeff"}) + "\n")
    for job in JOBS:
        for night in nights[-KEPT:]:
            (repository / "manifests" / f"{name(job, night)}.zst").write_bytes(os.urandom(MANIFEST))
    lines = [json.dumps(line, separators=(",", ":")) for at in range(len(nights)) for line in night_lines(nights, at)]
    (state / "journal.jsonl").write_text("\n".join(lines) + "\n")
    (root / "offsite.yaml").write_text(
        f"repository: {repository}\nstate: {state}\nat: '{last.strftime('%H:%M')}'\nplain: none\npi: {{host: pi.invalid, user: u, path: /p}}\nclouds:\n- {{name: cold, url: 's3://bucket'}}\n")
    return state, len(lines)


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        state, lines = house(root)
        journal, cache = state / "journal.jsonl", state / "standing.json"
        command = [program, "--config", root / "offsite.yaml", "status", "--json"]

        odd = datetime.datetime(2026, 1, 1)

        def timed(command):
            """Wall and processor time of a whole process, in ms."""
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            ended = subprocess.run(command, env={"HOME": folder, "PATH": os.environ["PATH"], "TZ": "UTC"}, capture_output=True)
            wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
            return ended, wall * 1000, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000

        def look():
            ended, *took = timed(command)
            said = json.loads(ended.stdout)
            assert ended.returncode == 0 and all(job["places"][1]["count"] == KEPT for job in said["jobs"]), ended
            return took

        def start():
            ended, *took = timed([*command[:3], "daemon"])
            said = json.loads(timed(command)[0].stdout)
            assert (ended.returncode, ended.stderr, said["run"]["owed"]) == (0, b"", None), (ended, said["run"])
            return took

        def append():
            """A line that no offsite wrote."""
            with open(journal, "a") as file:
                file.write('{"time":"2026-01-01T00:00:00Z","kind":"accepted","archive":"services/2026-01-01T000000Z"}\n')

        def accept():
            """A receipt that offsite writes, after a look."""
            nonlocal odd
            odd += datetime.timedelta(seconds=1)
            name = f"services/{odd.strftime('%Y-%m-%dT%H%M%SZ')}"
            with open(journal, "a") as file:
                file.write(json.dumps({"time": stamp(odd), "kind": "suspicious", "archive": name, "why": {"what": "empty"}}) + "\n")
            timed(command)
            ended, *_ = timed([*command[:3], "accept", name])
            assert ended.returncode == 0, ended

        def row(what, before, look=look, times=TIMES):
            took = []
            for _ in range(times):
                before()
                took.append(look())
            wall, processor = zip(*took)
            print(f"| {what} | {statistics.median(wall):.1f} | {max(wall):.1f} | {statistics.median(processor):.1f} |")

        print(f"{lines} receipts, {journal.stat().st_size / 1e6:.1f} MB; {len(JOBS) * KEPT} manifests of {MANIFEST / 1e6:.1f} MB\n")
        print("| ms, whole process | median | slowest | processor |\n|---|---|---|---|")
        look()
        row("`offsite --version`, for comparison", lambda: None, lambda: timed([program, "--version"])[1:])
        row("nothing happened since the last look", lambda: None)
        start()
        row("`offsite daemon`, nothing owed", lambda: None, start)
        row("offsite wrote a receipt since", accept)
        row("something else wrote a line since", append)
        row("no cache: all of the journal", lambda: cache.unlink(missing_ok=True), times=5)


main()
