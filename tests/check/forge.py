#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Damage that needs knowledge of the format (docs/FORMAT.md), made in the repository of the current folder. Shares no code with the library.

  forge.py id OBJECT              prints its id
  forge.py flip OBJECT [COPY]     turns a bit of its payload in the packs: in every copy, or in copy 0 or 1
  forge.py header OBJECT          turns a bit of the digest in its record's header
  forge.py drop OBJECT            rewrites the packs without it
  forge.py ref NAME ID            writes a sealed ref
  forge.py seal KIND PATH         seals a text file again after it was changed
  forge.py wrong-size PATH        commits, on main, a root folder that states another size for PATH (in the root folder)
  forge.py byte FILE AT           turns a bit of one byte (AT < 0: from the end)
OBJECT: commit:N (N first parents before main), tree:N[/FOLDER], blob:N/PATH.
"""
import os, re, struct, subprocess, sys

ROOT, PREFIX, ZERO = ".oxen-lite", "oxen-lite 2026-11-22 ", bytes(32)
PACKS = os.path.join(ROOT, "versions/packs")


def hash_of(context, data):
    tool = ["b3sum", "--no-names"] + (["--derive-key", PREFIX + context] if context else [])
    return bytes.fromhex(subprocess.run(tool, input=data, check=True, capture_output=True).stdout.split()[0].decode())


def read(name):
    with open(os.path.join(ROOT, name), "rb") as f:
        return f.read()


def write(name, data):
    """Replaces the file: packs and blobs are read-only, and other repositories may share it."""
    path = os.path.join(ROOT, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "wb") as f:
        f.write(data)
    os.replace(path + ".new", path)


def repository():
    return bytes.fromhex(re.search(rb"^id ([0-9a-f]{32})$", read("format"), re.M).group(1).decode())


def seal(kind, path, body):
    return hash_of("seal v1", bytes([len(kind)]) + kind.encode() + repository() + struct.pack("<H", len(path)) + path.encode() + body)


class Record:
    def __init__(self, pack, at, data):
        self.pack, self.at = pack, at
        _, self.kind, _, self.flags, _, _, self.size, self.digest, _ = struct.unpack_from("<8sBBHIQQ32s16s", data, at)
        self.payload = data[at + 80:at + 80 + self.size]
        self.end = at + 80 + self.size + -(80 + self.size) % 8


def records():
    out = []
    for name in sorted(os.listdir(PACKS)):
        if not name.endswith(".pack"):
            continue
        data = read("versions/packs/" + name)
        at, end = 64, struct.unpack_from("<Q", data, len(data) - 56)[0]
        while at < end:
            out.append(Record("versions/packs/" + name, at, data))
            at = out[-1].end
    return out


def write_pack(objects):
    """@objects: (kind, digest, payload), each once."""
    nonce = os.urandom(16)
    data = struct.pack("<8sHHI16s16s16s", b"\x89OXLPCK\n", 1, 64, 0, nonce, repository(), bytes(16))
    magic, index = hash_of("pack magic v1", nonce)[:8], []
    second = [o for o in objects if o[0] > 1]
    for flags, part in ((0, objects), (0, [(0, ZERO, bytes(20000))] if second else []), (1, second)):
        for kind, digest, payload in part:
            header = struct.pack("<8sBBHIQQ32s", magic, kind, 0, flags, 0, len(payload), len(payload), digest)
            if kind:
                index.append((digest, len(data), struct.pack("<32sQQQBBHI", digest, len(data), len(payload), len(payload), kind, 0, flags, 0)))
            data += header + hash_of("pack record v1", struct.pack("<Q", len(data)) + header)[:16] + payload
            data += bytes(-len(data) % 8)
    index = b"".join(entry for _, _, entry in sorted(index))
    head, ident = data[:64], hash_of("pack id v1", data[:64] + index).hex()
    trailer = struct.pack("<8sQQQ", b"\x89OXLPEN\n", len(data), len(index) // 64, len(data) + len(index) + 64)
    name = f"versions/packs/{ident}.pack"
    write(name, data + index + trailer + seal("pack", name, head + index + trailer))


def payload_of(kind, ident):
    return next(r.payload for r in records() if r.kind == kind and r.digest.hex() == ident)


def entries(tree):
    at, out = 8, []
    for _ in range(struct.unpack_from("<I", tree, 4)[0]):
        kind, n = tree[at], tree[at + 1]
        size, digest = struct.unpack_from("<Q32s", tree, at + 2 + n)
        out.append((tree[at + 2:at + 2 + n].decode(), kind, size, digest.hex(), at + 2 + n))
        at += 2 + n + 40
    return out


def find(what):
    """(kind, id) of an OBJECT."""
    kind, number, path = re.fullmatch(r"(commit|tree|blob):(\d+)(?:/(.+))?", what).groups()
    ident = read("refs/heads/main")[:64].decode()
    for _ in range(int(number)):
        ident = re.search(rb"^parent ([0-9a-f]{64})$", payload_of(3, ident), re.M).group(1).decode()
    if kind == "commit":
        return 3, ident
    ident = re.search(rb"^tree ([0-9a-f]{64})$", payload_of(3, ident), re.M).group(1).decode()
    steps = path.split("/") if path else []
    for i, step in enumerate(steps):
        ident = next(e[3] for e in entries(payload_of(2, ident)) if e[0] == step)
        if kind == "blob" and i == len(steps) - 1:
            return 1, ident
    return 2, ident


def spoil(name, at):
    data = bytearray(read(name))
    data[at] ^= 1
    write(name, bytes(data))


def flip(what, copy=None, header=False):
    kind, ident = find(what)
    hits = [r for r in records() if r.kind == kind and r.digest.hex() == ident]
    assert hits, what
    for r in hits:
        if copy is None or r.flags & 1 == int(copy):
            spoil(r.pack, r.at + (40 if header else 80 + r.size // 2))


def drop(what):
    kind, ident = find(what)
    by_pack = {}
    for r in records():
        by_pack.setdefault(r.pack, []).append(r)
    for pack, rs in by_pack.items():
        if any(r.kind == kind and r.digest.hex() == ident for r in rs):
            kept = [(r.kind, r.digest, r.payload) for r in rs if r.kind and not r.flags & 1 and r.digest.hex() != ident]
            os.unlink(os.path.join(ROOT, pack))
            if kept:
                write_pack(kept)
    if os.path.exists(os.path.join(PACKS, "lookup")):
        os.unlink(os.path.join(PACKS, "lookup"))


def put_ref(name, ident):
    body = ident.encode() + b"\n"
    write(name, body + b"seal blake3:" + seal("ref", name, body).hex().encode() + b"\n")


def reseal(kind, path):
    body = re.fullmatch(rb"(?s)(.*\n)seal blake3:[0-9a-f]{64}\n", read(path)).group(1)
    write(path, body + b"seal blake3:" + seal(kind, path, body).hex().encode() + b"\n")


def wrong_size(path):
    tip, (_, old) = find("commit:0")[1], find("tree:0")
    tree = bytearray(payload_of(2, old))
    at = next(e[4] for e in entries(tree) if e[0] == path)
    struct.pack_into("<Q", tree, at, struct.unpack_from("<Q", tree, at)[0] + 1)
    tree_id = hash_of("tree v1", bytes(tree))
    commit = re.sub(rb"^(parent [0-9a-f]{64}\n)+", b"", payload_of(3, tip), flags=re.M)
    commit = re.sub(rb"^tree [0-9a-f]{64}\n", b"tree %s\nparent %s\n" % (tree_id.hex().encode(), tip.encode()), commit, flags=re.M)
    commit_id = hash_of("commit v1", commit)
    write_pack([(2, tree_id, bytes(tree)), (3, commit_id, commit)])
    put_ref("refs/heads/main", commit_id.hex())


def main():
    verb, arguments = sys.argv[1], sys.argv[2:]
    if verb == "byte":
        path, at = os.path.relpath(arguments[0], ROOT), int(arguments[1])
        spoil(path, at)
    elif verb == "id":
        print(find(arguments[0])[1])
    elif verb == "header":
        flip(arguments[0], header=True)
    else:
        {"flip": flip, "drop": drop, "ref": put_ref, "seal": reseal, "wrong-size": wrong_size}[verb](*arguments)


main()
