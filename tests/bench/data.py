"""A home server's data: a database under pgbench, metrics, a media library, small files, photos; and what a night changes in them.

Everything comes from one seed, except what PostgreSQL itself decides (its identifier, when it flushes). Shares and entropy are meant
to be those of a home: photos do not compress, metrics hardly, text three times, and changes gather in what is recent.
"""
import json, math, os, random, sqlite3, struct
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from measure import do

PG = Path("/usr/lib/postgresql/15/bin")
AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
# Of the bytes that change in a night, whose they are. Pages of databases are the dear ones: a row costs every tool a chunk.
SHARES = {"photos": 0.30, "metrics": 0.30, "library": 0.15, "small": 0.10, "db": 0.15}
# What a transaction and an update change on the disk, measured: a page of 8 or 4 KiB, and the log's image of it.
# Starting and stopping PostgreSQL costs some by itself.
PER_TRANSACTION, PER_DOCUMENT, PER_START, PER_UPDATE = 9_400, 18_800, 1_100_000, 4_400


class Words:
    """Text as compressible as people's: words of a made-up language by Zipf's law."""

    def __init__(self, rng):
        letters, often = "etaoinshrdlucmfwypvbgkqjxz", [27 - n for n in range(26)]
        self.rng = rng
        self.all = ["".join(rng.choices(letters, often, k=2 + int(rng.expovariate(0.2)))) for _ in range(20_000)]
        self.weights = list(accumulate(1 / (n + 3) for n in range(len(self.all))))

    def some(self, count):
        return self.rng.choices(self.all, cum_weights=self.weights, k=count)

    def text(self, size, kind="md"):
        words, lines, at, length = self.some(size // 5 + 12), [], 0, 0
        while length < size:
            n = 10 if kind == "md" else 3 + at % 3
            part = words[at % len(words):][:n] or self.some(n)
            at += n
            line = {"md": " ".join(part), "yaml": f"  {part[0]}: {' '.join(part[1:])}", "sh": f'{part[0]}="${{{part[-1]}:-{at}}}"'}[kind]
            lines.append(line)
            length += len(line) + 1
        return ("\n".join(lines) + "\n").encode()


def skewed(bits):
    """A table for bytes.translate that makes random bytes compress to about `bits` of 8."""
    symbols = 2 ** bits
    return bytes(int((n / 256) ** 1.5 * symbols) & 255 for n in range(256))


class Data:
    """The tree below `root`, of about `scale` times 5.2 GB in `scale` times 53,000 files. `run` is for PostgreSQL's socket."""

    def __init__(self, root, run, scale, seed):
        self.root, self.run, self.scale, self.seed = Path(root), Path(run), scale, seed
        self.nights = 0
        self.words = Words(random.Random(f"{seed}/words"))
        self.chunks, self.log = skewed(6.6), skewed(5.4)

    def rng(self, part):
        return random.Random(f"{self.seed}/{self.nights}/{part}")

    def make(self, say):
        for name, part in {"photos": self.photos, "metrics": self.metrics, "library": self.library, "small": self.small, "db": self.db}.items():
            (self.root / name).mkdir(parents=True)
            part(self.rng(name))
            say(f"made {name}")

    def night(self, budget):
        """Changes about `budget` bytes, or what is nearest to it in whole photos and pages."""
        self.nights += 1
        for name, share in SHARES.items():
            getattr(self, f"{name}_night")(self.rng(name), budget * share)

    # photos: none changes, some come. What is left of a night's share is carried over, as a photo is larger than a small night.
    def photo(self, rng):
        self.taken = getattr(self, "taken", 0) + 1
        path = self.root / "photos" / f"{2020 + self.taken // 150}" / f"IMG_{self.taken:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        size = rng.randrange(2_000_000, 5_000_000)
        path.write_bytes(b"\xff\xd8\xff\xe1\x01\x00Exif\0\0" + b"Camera".ljust(246, b"\0") + rng.randbytes(size) + b"\xff\xd9")
        return size

    def photos(self, rng):
        self.film = 0
        while self.film < 2.05e9 * self.scale:
            self.film += self.photo(rng)
        self.film = 0

    def photos_night(self, rng, budget):
        self.film += budget
        while self.film > 1_750_000:
            self.film -= self.photo(rng)

    # metrics: Prometheus' layout. Blocks never change, the oldest goes when a new one comes; the log grows and loses its oldest segment.
    def block(self, rng, size):
        name = "01" + "".join(rng.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=24))
        path = self.root / "metrics" / name
        (path / "chunks").mkdir(parents=True)
        (path / "chunks/000001").write_bytes(b"\x85\xbd\x40\xdd\x01\0\0\0" + rng.randbytes(int(size * 0.88)).translate(self.chunks))
        place, index = 8, bytearray(b"\xba\xaa\xd7\x00\x02" + self.words.text(int(size * 0.02), "yaml"))
        for _ in range(int(size * 0.1) // 16):
            place += rng.randrange(40, 400)
            index += struct.pack(">IIII", place, place >> 9, 120, rng.getrandbits(16))
        (path / "index").write_bytes(index)
        (path / "meta.json").write_text(json.dumps({"ulid": name, "minTime": place, "version": 1}))
        (path / "tombstones").write_bytes(b"\x01\x30\xba\x30\x01\0\0\0\0")
        self.blocks.append((path, size))

    def append(self, rng, size):
        while size > 0:
            path = self.root / "metrics/wal" / f"{self.segment:08}"
            held = path.stat().st_size if path.exists() else 0
            some = min(size, self.segment_size - held)
            with open(path, "ab") as out:
                out.write(rng.randbytes(some).translate(self.log))
            size -= some
            if held + some >= self.segment_size:
                self.segment += 1
                (self.root / "metrics/wal" / f"{self.segment - 5:08}").unlink(missing_ok=True)

    def metrics(self, rng):
        self.blocks, self.segment, self.segment_size = [], 1, int(32e6 * self.scale)
        (self.root / "metrics/wal").mkdir()
        for _ in range(16):
            self.block(rng, int(44e6 * self.scale))
        self.append(rng, int(self.segment_size * 3.5))

    def metrics_night(self, rng, budget):
        self.block(rng, int(budget * 0.7))
        grown = sum(size for _, size in self.blocks) - 16 * int(44e6 * self.scale)
        while grown > self.blocks[0][1]:
            path, size = self.blocks.pop(0)
            do(["rm", "-r", path])
            grown -= size
        self.append(rng, int(budget * 0.3))

    # library: a media library's SQLite database, and posters.
    def sqlite(self):
        return sqlite3.connect(self.root / "library/library.db", isolation_level=None)

    def item(self, n, rng):
        return n, " ".join(self.words.some(4)), f"/media/{n % 97}/{n}.mkv", self.words.text(int(rng.expovariate(1 / 1800)) + 300).decode(), 0

    def poster(self, n, rng):
        path = self.root / "library/posters" / f"{n % 64:02}" / f"{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\xd8\xff\xe0" + rng.randbytes(rng.randrange(20_000, 60_000)))

    def library(self, rng):
        self.items, db = int(120_000 * self.scale), self.sqlite()
        db.execute("pragma journal_mode=wal")
        db.execute("create table item (n integer primary key, title text, path text, overview text, played integer)")
        db.execute("begin")
        db.executemany("insert into item values (?,?,?,?,?)", (self.item(n, rng) for n in range(self.items)))
        db.execute("create index item_title on item (title)")
        db.execute("commit")
        db.close()
        self.posters = int(2_500 * self.scale)
        for n in range(self.posters):
            self.poster(n, rng)

    def library_night(self, rng, budget):
        db, updates = self.sqlite(), int(budget * 0.8 / PER_UPDATE)
        db.execute("begin")
        for _ in range(updates):  # what is recent is what is watched
            db.execute("update item set played = played + 1 where n = ?", [self.items - 1 - int(self.items * rng.random() ** 3)])
        added = max(1, updates // 10)
        db.executemany("insert into item values (?,?,?,?,?)", (self.item(self.items + n, rng) for n in range(added)))
        db.execute("commit")
        db.close()
        self.items += added
        for _ in range(int(budget * 0.2 / 40_000) + 1):
            self.poster(self.posters, rng)
            self.posters += 1

    # small: documents, configuration, scripts.
    def file(self, rng):
        n, self.files = self.files, self.files + 1
        kind = rng.choices(["md", "yaml", "sh"], [5, 3, 2])[0]
        path = self.root / "small" / f"{n // 2500:02}" / f"{self.words.all[n // 100 % 5000]}-{n // 100}" / f"{self.words.all[n % 9973]}-{n}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = self.words.text(min(400_000, int(rng.lognormvariate(math.log(4_500), 1.3))), kind)
        path.write_bytes(text)
        self.small_files.append(path)
        return len(text)

    def small(self, rng):
        self.small_files, self.files = [], 0
        for _ in range(int(50_000 * self.scale)):
            self.file(rng)

    def small_night(self, rng, budget):
        while budget > 0:
            at, what = rng.randrange(len(self.small_files)), rng.random()
            path = self.small_files[at]
            if what < 0.08:
                budget -= self.file(rng)
            elif what < 0.12:
                path.unlink()
                del self.small_files[at]
            elif what < 0.18:
                os.utime(path)
            else:  # a line more somewhere: what follows it moves
                lines = path.read_bytes().splitlines(keepends=True)
                lines.insert(rng.randrange(len(lines) + 1), self.words.text(60))
                path.write_bytes(b"".join(lines))
                budget -= sum(map(len, lines)) / 2 + 2048

    # db: PostgreSQL with pgbench's tables and one of documents.
    def pg(self, program, *arguments):
        return do([*AS_POSTGRES, PG / program, *arguments], cwd="/", env={"TZ": "UTC", "PATH": os.environ["PATH"]})

    @contextmanager
    def postgres(self):
        at = self.root / "db/data"
        self.pg("pg_ctl", "-D", at, "-w", "-s", "-l", self.run / "postgres.log", "-o", f"-c listen_addresses= -k {self.run}", "start")
        try:
            yield
        finally:
            self.pg("pg_ctl", "-D", at, "-w", "-s", "-m", "fast", "stop")

    def documents(self, rng, count):
        path = self.run / "documents"
        with open(path, "wb") as out:
            for _ in range(count):
                body = {"title": " ".join(self.words.some(5)), "read": rng.random() < 0.5, "hash": rng.randbytes(16).hex(),
                        "text": self.words.text(int(rng.expovariate(1 / 900)) + 200).decode()}
                out.write(json.dumps(body).replace("\\", "\\\\").encode() + b"\n")
        path.chmod(0o644)
        self.pg("psql", "-q", "-h", self.run, "postgres", "-c", f"\\copy document (body) from {path}")
        path.unlink()

    def db(self, rng):
        at, scale = self.root / "db/data", max(1, int(45 * self.scale))
        do(["chown", "postgres:", self.root / "db", self.run])
        log = max(80, int(256 * self.scale))
        self.pg("initdb", "-D", at, "-A", "trust", "--locale=C.UTF-8", "-E", "UTF8", "--data-checksums", "--no-sync")
        with open(at / "postgresql.conf", "a") as out:
            out.write(f"max_wal_size = {log}MB\nmin_wal_size = {log}MB\nshared_buffers = 64MB\njit = off\n")
        with open(at / "pg_hba.conf", "a") as out:
            out.write("host all all all trust\n")
        with self.postgres():
            self.pg("pgbench", "-q", "-i", "-s", scale, "-h", self.run, "postgres")
            self.pg("psql", "-q", "-h", self.run, "postgres", "-c", "create table document (n serial primary key, body jsonb)")
            self.documents(rng, int(400_000 * self.scale))
            self.pg("psql", "-q", "-h", self.run, "postgres", "-c", "vacuum analyze", "-c", "checkpoint")

    def db_night(self, rng, budget):
        script = self.run / "night.sql"
        script.write_text(SKEWED)
        budget = max(budget - PER_START, budget / 8)
        documents = max(1, int(budget * 0.4 / PER_DOCUMENT))
        with self.postgres():
            self.pg("pgbench", "-n", "-h", self.run, "-f", script, "-t", max(1, int(budget * 0.6 / PER_TRANSACTION)),
                    "--random-seed", rng.randrange(2**31), "postgres")
            self.documents(rng, documents)
            self.pg("psql", "-q", "-h", self.run, "postgres", "-c",
                    f"update document set body = jsonb_set(body, '{{read}}', 'true') where n in "
                    f"(select max(n) - (random() ^ 3 * max(n))::int from document, generate_series(1, {documents}) g group by g)")


# As pgbench's own, with the accounts that are used often used more often.
SKEWED = """\\set aid random_zipfian(1, 100000 * :scale, 1.1)
\\set bid random(1, 1 * :scale)
\\set tid random(1, 10 * :scale)
\\set delta random(-5000, 5000)
begin;
update pgbench_accounts set abalance = abalance + :delta where aid = :aid;
select abalance from pgbench_accounts where aid = :aid;
update pgbench_tellers set tbalance = tbalance + :delta where tid = :tid;
update pgbench_branches set bbalance = bbalance + :delta where bid = :bid;
insert into pgbench_history (tid, bid, aid, delta, mtime) values (:tid, :bid, :aid, :delta, current_timestamp);
end;
"""


class Changed:
    """How much of the tree is new, judged by no tool: bytes in aligned 4 KiB blocks that were nowhere in the tree before."""

    def __init__(self, root):
        self.root, self.files, self.blocks = root, {}, set()
        self.look()

    def look(self):
        new, files = 0, {}
        for at, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(at, name)
                stat = os.lstat(path)
                files[path] = facts = stat.st_size, stat.st_mtime_ns, stat.st_ino
                if self.files.get(path) == facts:
                    continue
                with open(path, "rb") as file:
                    while block := file.read(4096):
                        key = hash(block)
                        if key not in self.blocks:
                            self.blocks.add(key)
                            new += len(block)
        self.files = files
        return new
