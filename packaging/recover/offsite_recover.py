#!/usr/bin/env python3
"""Get archives out of an offsite repository without offsite: a sealed vault (the cloud's folder, downloaded) with its recovery key or
passphrase, the Mac's repository of layout "packs", the Pi's of layout "plain". Writes a plain tar.

    python3 -m pip install cryptography zstandard         (and, if it can be had, blake3)
    offsite_recover.py FOLDER                              lists the archives
    offsite_recover.py FOLDER services/2026-11-22T040000Z -o out.tar
    offsite_recover.py FOLDER services/newest -o - | tar --numeric-owner -xpf - -C /somewhere --xattrs --xattrs-include='*' --acls
    offsite_recover.py FOLDER services/newest -o out.tar --skip-damaged    (what is whole, when something is damaged or missing)

Owners are the numbers of the containers, and the machine that restores gives their names to others: hence --numeric-owner. A Mac's tar
has no --xattrs-include. For a sealed vault the recovery key is asked for, in one line or in three as it is printed, or read from
--key-file, or with --passphrase the passphrase is asked for, or taken from OFFSITE_PASSPHRASE. Nothing in FOLDER is changed.
The formats are specified in docs/format.md and docs/format-sealing.md.
"""

import argparse, getpass, hashlib, hmac, json, os, struct, sys

import zstandard
try:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
except ImportError:  # good enough for layouts that are not sealed
    AESGCM = Argon2id = None
try:
    import blake3
except ImportError:
    blake3 = None
try:
    import termios
except ImportError:  # Windows
    termios = None

CHUNK, TAG, MAX_RAW = 16384, 16, 4 << 20
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
KINDS = {"packs": (1, b"pack"), "manifests": (2, b"manifest"), "index": (3, b"index")}

class Refused(Exception): pass

def check(good, message):
    if not good:
        raise Refused(message)

def say(what, error):
    print(error if str(error).startswith(what) else f"{what}: {str(error) or type(error).__name__}", file=sys.stderr)

def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()

def names(*path):
    folder = os.path.join(*path)
    return sorted(name for name in os.listdir(folder) if not name.startswith(".")) if os.path.isdir(folder) else []

# --- keys ---
def expand(key, info, length):
    """HKDF-Expand with SHA-512 (RFC 5869)."""
    block, out, count = b"", b"", 1
    while len(out) < length:
        block = hmac.new(key, block + info + bytes([count]), hashlib.sha512).digest()
        out, count = out + block, count + 1
    return out[:length]

def bare(text):
    typed = "".join(c for c in text.upper() if not c.isspace() and c not in "-–—.,_·").translate(str.maketrans("OIL", "011"))
    return typed[7:] if len(typed) != 65 and typed.startswith("0FFS1TE") else typed

def ask_recovery_key():
    """Lines until all of the key is there; at a terminal hidden, and up to an empty line. getpass takes one: the shell would run the others."""
    person, text, lines = sys.stdin.isatty(), "", 0
    before = termios.tcgetattr(sys.stdin) if person and termios else None
    try:
        if before:
            flags = before[3] & ~termios.ECHO
            termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, [*before[:3], flags, *before[4:]])
        while len(bare(text)) < 65:
            so_far = f"  {len(bare(text))} of 65 characters; the next line, or an empty one to end: "
            prompt = so_far if lines else "recovery key, all of its lines: "
            if person and not before:
                line = getpass.getpass(prompt)
            else:
                print(prompt if person else "", end="", file=sys.stderr, flush=True)
                line = sys.stdin.readline()
                print("\n" if person else "", end="", file=sys.stderr, flush=True)
            if (not line) if not person else (lines and not line.strip()):
                break
            text, lines = text + line, lines + 1
    finally:
        if before:
            termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)
    return text

def recovery_key(text):
    typed, bits = bare(text), 0
    for group in range(min(len(typed), 65) // 5):
        values = [CROCKFORD.find(c) for c in typed[5 * group : 5 * group + 5]]
        total = 0
        for value in reversed(values[:4]):
            total = (total ^ value) << 1
            total ^= 0b100101 if total & 32 else 0
        check(min(values) >= 0 and total ^ group == values[4], f"group {group + 1} of the recovery key has a slip in it")
        for value in values[:4]:
            bits = bits << 5 | value
    check(len(typed) == 65, f"a recovery key has 13 groups of 5 characters; this has {len(typed)} characters")
    check(bits & 15 == 0, "group 13 of the recovery key has a slip in it")
    return (bits >> 4).to_bytes(32, "big")

def open_slot(slot, vault, key, passphrase):
    """The master key in a slot, or None if the slot is for another key."""
    ident, salt, wanted, wrapped = (bytes.fromhex(slot[field]) for field in ("id", "salt", "check", "wrapped"))
    kdf, numbers = slot["kdf"], (0, 0, 0)
    if kdf["name"] == "hkdf-sha-512" and key:
        kind = 1
        derived = expand(hmac.new(salt, key, hashlib.sha512).digest(), b"offsite/v1/recovery\0" + vault + ident, 64)
    elif kdf["name"] == "argon2id" and passphrase:
        kind, numbers = 2, (kdf["passes"], kdf["memory_kib"], kdf["lanes"])
        check(3 <= numbers[0] <= 16 and 65536 <= numbers[1] <= 4194304 and 4 <= numbers[2] <= 16, "its cost is out of bounds")
        derived = Argon2id(salt=salt, length=64, iterations=numbers[0], memory_cost=numbers[1], lanes=numbers[2]).derive(passphrase)
    else:
        return None
    if not hmac.compare_digest(derived[32:], wanted):
        return None
    associated = b"offsite/v1/slot" + bytes([kind]) + vault + ident + salt + wanted + struct.pack("<III", *numbers)
    return AESGCM(derived[:32]).decrypt(bytes(12), wrapped, associated)

# --- repositories: each gives manifests(), packs() and pack(id), which reads (offset, length) ---
class Sealed:
    def __init__(self, folder, key, passphrase):
        check(AESGCM, "a sealed vault needs cryptography 44 or newer: python3 -m pip install cryptography")
        header = json.loads(read(folder, "vault.json"))
        check(header.get("offsite") == "vault" and header.get("version") == 1, "vault.json is not a vault's header of version 1")
        self.folder, self.vault, self.master = folder, bytes.fromhex(header["id"]), None
        for name in names(folder, "slots"):
            try:
                slot = json.loads(read(folder, "slots", name))
                check(slot["version"] == 1 and bytes.fromhex(slot["vault"]) == self.vault, "it is not this vault's, or of another version")
                self.master = self.master or open_slot(slot, self.vault, key, passphrase)
            except Exception as error:  # one damaged slot stops no other
                say(f"slots/{name}", error)
        check(self.master, "no key slot of the vault opens with this key")
        check(hmac.compare_digest(self.sub_key(b"check"), bytes.fromhex(header["check"])), "the master key is another vault's")
    def sub_key(self, label):
        return expand(self.master, b"offsite/v1/" + label + b"\0" + self.vault, 32)
    def manifests(self):
        for name in names(self.folder, "manifests"):
            yield f"manifests/{name}", lambda name=name: self.whole("manifests", name)
    def packs(self):
        return [(name, lambda name=name: self.whole("index", name)) for name in names(self.folder, "packs")]
    def pack(self, name):
        return SealedObject(self, "packs", name).read
    def whole(self, kind, name):
        sealed = SealedObject(self, kind, name)
        return sealed.read(0, sealed.length)

class SealedObject:  # looks like a file of the payload, opened by ranges (Cobblestone-256)
    def __init__(self, vault, kind, name):
        self.name, (code, label), self.last = f"{kind}/{name}", KINDS[kind], (None, b"")
        self.file = open(os.path.join(vault.folder, kind, name), "rb")
        head, ident, size = self.file.read(96), bytes.fromhex(name), os.fstat(self.file.fileno()).st_size
        check(len(head) == 96 and head[:3] == b"OFS", f"{self.name}: not a sealed object, or truncated")
        check(head[3:4] == b"1", f"{self.name}: of a version that this script does not know")
        check(head[:40] == b"OFS1" + bytes([code, 0, 0, 0]) + vault.vault + ident, f"{self.name}: another object, kind or vault: renamed or swapped")
        info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + head[40:64] + b"offsite/v1/" + label + b"\0" + vault.vault + ident
        okm = expand(vault.sub_key(label), info, 76)
        check(hmac.compare_digest(okm[44:], head[64:]), f"{self.name}: not authentic (commitment)")
        self.aead, self.nonce = AESGCM(okm[:32]), int.from_bytes(okm[32:44], "big")
        self.length = int.from_bytes(self.chunk(0)[:8], "little")
        exponent = (self.length + 8).bit_length() - 1
        step = 1 << (exponent - exponent.bit_length())
        padded = (self.length + 8 + step - 1) // step * step  # Padmé
        expected = 96 + padded + TAG * (padded // CHUNK + 1)
        check(size == expected, f"{self.name}: {size} bytes where {expected} were sealed: truncated or extended")
    def chunk(self, number):
        if self.last[0] != number:
            self.file.seek(96 + number * (CHUNK + TAG))
            try:
                self.last = (number, self.aead.decrypt((self.nonce ^ number).to_bytes(12, "big"), self.file.read(CHUNK + TAG), None))
            except Exception:
                raise Refused(f"{self.name}: not authentic (chunk {number})") from None
        return self.last[1]
    def read(self, offset, length):
        check(offset + length <= self.length, f"{self.name}: shorter than its index says")
        at, out = offset + 8, []
        while length > 0:
            piece = self.chunk(at // CHUNK)[at % CHUNK :][:length]
            check(piece, f"{self.name}: malformed")
            out.append(piece)
            at, length = at + len(piece), length - len(piece)
        return b"".join(out)

class Clear:  # layout "packs" or "plain"
    def __init__(self, folder):
        marker = json.loads(read(folder, "repository.json"))
        check(marker.get("version") == 1 and marker.get("layout") in ("packs", "plain"), "repository.json is not of version 1")
        self.folder, self.plain = folder, marker["layout"] == "plain"
    def manifests(self):
        for job in names(self.folder, "manifests"):
            for name in names(self.folder, "manifests", job):
                yield f"manifests/{job}/{name}", lambda job=job, name=name: read(self.folder, "manifests", job, name)
    def packs(self):
        return [] if self.plain else [(name, lambda name=name: self.table(name)) for name in names(self.folder, "packs")]
    def table(self, name):  # from the end of the pack, so that the index folder need not be there
        with open(os.path.join(self.folder, "packs", name), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            check(size >= 12, f"packs/{name}: too short")
            file.seek(size - 12)
            length, magic = struct.unpack("<I8s", file.read(12))
            check(magic == b"offsiteP" and length <= size - 12, f"packs/{name}: no table at its end")
            file.seek(size - 12 - length)
            return file.read(length)
    def pack(self, name):
        path = ("archives", *name.split("/")) if self.plain else ("packs", name)
        file = open(os.path.join(self.folder, *path) + (".tar.zst" if self.plain else ""), "rb")
        return lambda offset, length: (file.seek(offset), file.read(length))[1]

# --- archives ---
def blake(data, wanted, what):
    check(blake3 is None or blake3.blake3(data).digest() == wanted, f"{what}: its BLAKE3 is another")

def bound(frames):  # the digest of a manifest of version 2
    return blake3.blake3(b"".join(ident + struct.pack("<I", raw) for ident, raw, _ in frames)).hexdigest()

def manifest(data, members=None):  # head, frames and end; entries only into a list of whoever wants them
    lines, head, frames, end, rest = zstandard.ZstdDecompressor().stream_reader(data), None, [], None, b""
    while piece := lines.read(1 << 20):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            check(end is None, "a line after the end")
            ((kind, value),) = json.loads(line).items()
            check((kind == "head") == (head is None), "the head is not the first line")
            if kind == "head":
                head = value
                check(head["version"] in (1, 2), "a version that this script does not know")
            elif kind == "frame":
                check(0 < value["raw"] <= MAX_RAW, "a frame that is too long")
                frames.append((bytes.fromhex(value["id"]), value["raw"], value["len"]))
            elif kind == "entry" and members is not None:
                begin, data = value["at"], value["data"]
                check(begin % 512 == data % 512 == 0 and (members[-1][1] if members else 0) <= begin < data, "members that overlap")
                stored = (value.get("stored", 0) + 511) // 512 * 512
                members.append((begin, data + stored, value["path"], value["kind"] == "hardlink" and value["link"]))
            elif kind == "end":
                end = value
    check(end is not None and not rest, "cut short")
    check(end["frames"] == len(frames) and end["raw"] == sum(raw for _, raw, _ in frames), "sums that are not those of its lines")
    check(not members or members[-1][1] <= end["raw"], "a member behind the end of the stream")
    if head["version"] == 2:
        check(blake3 is None or bound(frames) == end["digest"], "the digest is not that of its frames")
    return head, frames, end

def table(data, name):  # frame id to (pack, offset, length), of one pack
    check(len(data) >= 48 and data[:8] == b"offsiteT", f"index/{name}: not a table")
    version, count = struct.unpack_from("<II", data, 8)
    check(version == 1 and len(data) == 48 + 48 * count, f"index/{name}: of another version, or of a wrong length")
    blake(data[:-32], data[-32:], f"index/{name}")
    entries = (struct.unpack_from("<32sQII", data, 16 + 48 * at) for at in range(count))
    return {ident: (name, offset, length) for ident, offset, length, _ in entries}

def archives(repository):  # by name; a manifest that cannot be read is said and left out
    found = {}
    for path, data in repository.manifests():
        try:
            head, frames, end = manifest(data())
            found[head["archive"]] = frames, end, head["version"] == 1, data
        except Exception as error:
            say(path, error)
    return found

def locate(repository, name, frames):
    if isinstance(repository, Clear) and repository.plain:
        places, offset = {}, 0
        for ident, _, length in frames:
            places.setdefault(ident, (name, offset, length))
            offset += length
        return places
    places, wanted = {}, {ident for ident, _, _ in frames}
    for pack, data in repository.packs():
        try:
            places.update((ident, place) for ident, place in table(data(), pack).items() if ident in wanted)
        except Exception as error:
            say(f"index of pack {pack}", error)
    return places

def reader(repository, places):  # a frame's content, by id and length, or Refused
    packs = {}
    def one(ident, raw):
        check(ident in places, f"frame {ident.hex()} is in no pack here")
        pack, offset, length = places[ident]
        what = f"frame {ident.hex()} in pack {pack}"
        try:
            if pack not in packs:
                if len(packs) > 64:
                    packs.pop(next(iter(packs)))
                packs[pack] = repository.pack(pack)
            frame = packs[pack](offset, length)
            check(zstandard.frame_content_size(frame) == raw, f"{what} is damaged")
            data = zstandard.ZstdDecompressor().decompress(frame, max_output_size=raw)
        except (zstandard.ZstdError, OSError) as error:
            raise Refused(f"{what} is damaged: {error}") from None
        blake(data, ident, what)
        return data
    return one

def write(repository, name, found, out):
    frames, end, by_stream, _ = found  # version 1 binds the stream, version 2 the frames
    places, digest = locate(repository, name, frames), blake3.blake3() if blake3 and by_stream else None
    missing = sum(ident not in places for ident, _, _ in frames)
    check(not missing, f"{name}: {missing} of its frames are in no pack here")
    read = reader(repository, places)
    for ident, raw, _ in frames:
        data = read(ident, raw)
        digest and digest.update(data)
        out.write(data)
    check(not digest or digest.hexdigest() == end["digest"], f"{name}: the digest of the whole stream is another")
    out.flush()

def write_whole(repository, name, found, out):
    """The members that lie in good frames alone; whether that is all. Two passes: a tar cannot take back the beginning of a file."""
    frames, _, _, data = found
    members, bad, at, read = [], [], 0, reader(repository, locate(repository, name, frames))
    manifest(data(), members)
    for ident, raw, _ in frames:
        try:
            read(ident, raw)
        except Refused as error:
            say("frame", error)
            bad.append((at, at + raw))
        at += raw
    if not bad:
        write(repository, name, found, out)
        return True
    keep, lost, gap = [], set(), 0
    for begin, end, path, link in members:
        while gap < len(bad) and bad[gap][1] <= begin:
            gap += 1
        if gap < len(bad) and bad[gap][0] < end or str(link) in lost:
            lost.add(str(path))
            say("left out", repr(bytes.fromhex(path["hex"]) if isinstance(path, dict) else path))
        else:
            keep.append((begin, end))
    at, first = 0, 0
    for ident, raw, _ in frames:
        while first < len(keep) and keep[first][1] <= at:
            first += 1
        here, data = first, None
        while here < len(keep) and keep[here][0] < at + raw:
            data = data or read(ident, raw)
            out.write(data[max(keep[here][0] - at, 0) : keep[here][1] - at])
            here += 1
        at += raw
    out.write(bytes(1024))
    out.flush()
    print(f"{len(members) - len(keep)} of {len(members)} members of {name} are left out; all others are whole", file=sys.stderr)
    return False

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("archive", nargs="?", help="<job>/<time>, or <job>/newest")
    parser.add_argument("-o", "--output", help="file to write, - for standard output")
    parser.add_argument("--key-file", help="file with the printed recovery key")
    parser.add_argument("--skip-damaged", action="store_true", help="leave out what is damaged or missing, name it, and end with 3")
    parser.add_argument("--passphrase", action="store_true", help="open with the passphrase instead of the recovery key")
    args = parser.parse_intermixed_args()
    if blake3 is None:
        print("blake3 is not installed: frames are checked by their zstd checksums (and seals) only", file=sys.stderr)
    if not os.path.exists(os.path.join(args.folder, "vault.json")):
        repository = Clear(args.folder)
    elif args.passphrase:
        words = os.environ.get("OFFSITE_PASSPHRASE") or getpass.getpass("passphrase: ")
        repository = Sealed(args.folder, None, words.encode())
    else:
        text = read(args.key_file).decode() if args.key_file else ask_recovery_key()
        repository = Sealed(args.folder, recovery_key(text), None)
    found = archives(repository)
    if not args.archive:
        for name, (_, end, *_) in sorted(found.items()):
            print(f"{name}  {end['raw']:>15} bytes  {end['entries']} entries  {'complete' if end['complete'] else 'INCOMPLETE'}")
        return
    job, _, time = args.archive.partition("/")
    name = max((n for n in found if n.startswith(job + "/")), default=None) if time == "newest" else args.archive
    check(name in found, f"{args.archive}: no such archive here")
    check(args.output, "say with -o where to write it")
    print(f"writing {name}", file=sys.stderr)
    def to(out):
        if args.skip_damaged:
            return write_whole(repository, name, found[name], out)
        try:
            write(repository, name, found[name], out)
            return True
        except Refused as error:
            raise Refused(f"{error}; --skip-damaged writes what is whole") from None
    if args.output == "-":
        whole = to(sys.stdout.buffer)
    else:
        with open(args.output + ".part", "wb") as out:
            whole = to(out)
        os.replace(args.output + ".part", args.output)
    sys.exit(0 if whole else 3)

if __name__ == "__main__":
    try:
        main()
    except (Refused, OSError, ValueError, KeyError) as problem:
        sys.exit(f"error: {problem}")
