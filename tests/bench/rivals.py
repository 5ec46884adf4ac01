"""What is measured: offsite-agent, and what people use instead. Each keeps its own repository and its own caches below `home`."""
import json, os, shutil
from pathlib import Path

from measure import cost, do, length


class Tool:
    """`empty` makes a new repository; `backup` fills it with the state of `tree`, with what was stored anew in the cost."""

    def __init__(self, home, tree):
        self.home, self.tree, self.nights = Path(home) / self.name, Path(tree), 0

    def empty(self):
        if self.home.exists():
            shutil.rmtree(self.home)
        self.home.mkdir(parents=True)
        self.start()

    def start(self):
        pass

    def backup(self):
        before = self.stored()
        self.nights += 1
        spent = cost(self.command(), self.home, self.environment())
        spent.new = self.stored() - before
        return spent

    def environment(self):
        return {}

    def stored(self):
        return length(self.home / "repository")[0]


class Agent(Tool):
    """offsite-agent. New are the frames that a Mac which has all earlier nights would fetch, and the manifest."""

    name = "offsite-agent"

    def __init__(self, home, tree, program, layout="plain"):
        self.program, self.layout, self.docker = program, layout, None
        self.name = {"plain": self.name}.get(layout, f"{self.name}, {layout}")
        super().__init__(home, tree)

    def start(self):
        (self.home / "repository").mkdir()
        self.seen, self.config = {}, self.home / "agent.yaml"
        self.configure("none")
        do([self.program, "--config", self.config, "init"])

    def configure(self, quiesce):
        docker = f"docker: {self.docker}\n" if self.docker else ""
        self.config.write_text(
            f"repository: {self.home}/repository\nlayout: {self.layout}\nstate: {self.home}/state\nkeep: 2\n{docker}"
            f"jobs:\n  bench:\n    sources: [{self.tree}]\n    quiesce: {quiesce}\n")

    def command(self):
        return [self.program, "--config", self.config, "run", "bench"]

    def manifests(self):
        return sorted((self.home / "repository/manifests/bench").glob("*.zst"))

    def stored(self):
        """Not the growth of the folder, where plain archives are whole and packs go with what was forgotten: the sum over frames that were
        new when seen first."""
        for manifest in self.manifests():
            if manifest not in self.seen:
                known = set().union(*(frames for frames, _ in self.seen.values()))
                frames = {}
                for line in do(["zstd", "-dcq", manifest]).splitlines():
                    frame = json.loads(line).get("frame")
                    if frame and frame["id"] not in known:
                        frames[frame["id"]] = frame["len"]
                self.seen[manifest] = frames.keys(), sum(frames.values()) + manifest.stat().st_size
        return sum(new for _, new in self.seen.values())

    def last_run(self):
        """What the journal says of the last archive that was made."""
        records = map(json.loads, (self.home / "state/journal.jsonl").read_text().splitlines())
        return [record for record in records if record["event"] == "made"][-1]

    def compare(self):
        """The last archive is the tree: another tar reads it and finds no difference. Otherwise the figures mean nothing."""
        script = '"$0" --config "$1" export bench - | tar --zstd --compare --file - --directory /'
        do(["bash", "-o", "pipefail", "-c", script, self.program, self.config])


class Tar(Tool):
    name = "tar | zstd -T0 -3"

    def start(self):
        (self.home / "repository").mkdir()

    def command(self):
        script = 'tar -C "$0" -c . | zstd -q -f -T0 -3 -o "$1" && sync "$1"'
        return ["bash", "-o", "pipefail", "-c", script, self.tree, self.home / "repository/archive.tar.zst"]


class Restic(Tool):
    """As it comes: it always encrypts, and compresses by default."""

    name = "restic"

    def start(self):
        do(["restic", "init", "--quiet"], env={**os.environ, **self.environment()})

    def environment(self):
        return {"RESTIC_REPOSITORY": f"{self.home}/repository", "RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": f"{self.home}/cache"}

    def command(self):
        return ["restic", "backup", "--quiet", self.tree]


class Borg(Tool):
    """Without encryption, and with our compression."""

    name = "borg"

    def start(self):
        do(["borg", "init", "--encryption", "none"], env={**os.environ, **self.environment()})

    def environment(self):
        return {"BORG_REPO": f"{self.home}/repository", "BORG_BASE_DIR": f"{self.home}/base", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}

    def command(self):
        return ["borg", "create", "--compression", "zstd,3", f"::night-{self.nights}", self.tree]
