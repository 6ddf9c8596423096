#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An independent reader of oxen-lite repositories, made from docs/FORMAT.md alone: checks every id, seal and rule.

usage: read_repository.py WORKTREE        exit 0: everything holds; 1: prints what does not
Hashes with b3sum (and xxhsum for repositories with XXH3-128), so it shares no code with the library.
"""
import json, os, re, shutil, sqlite3, struct, subprocess, sys, tempfile

ROOT = os.path.join(os.path.abspath(sys.argv[1]), ".oxen-lite")
PREFIX, ZERO = "oxen-lite 2026-11-22 ", bytes(32)
problems, pending = [], {}                       # pending: context or None or "xxh" -> [(bytes, check)]

def need(ok, what):
    if not ok:
        problems.append(what)
    return ok

def hash_later(context, data, check):            # check(hex digest) runs in settle()
    pending.setdefault(context, []).append((data, check))

def expect(context, data, want, what):
    hash_later(context, data, lambda got: need(got == want, f"{what}: should be {want}, is {got}"))

def settle():
    while pending:
        context, items = pending.popitem()
        tool = ["xxhsum", "-H2"] if context == "xxh" else ["b3sum"] + (["--derive-key", PREFIX + context] if context else [])
        for at in range(0, len(items), 1000):
            part = items[at:at + 1000]
            with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as tmp:
                names = []
                for i, (data, _) in enumerate(part):
                    if isinstance(data, bytes):
                        names.append(os.path.join(tmp, str(i)))
                        with open(names[-1], "wb") as f:
                            f.write(data)
                    else:
                        names.append(data)               # a path: hashed where it lies
                out = subprocess.run(tool + names, check=True, capture_output=True, text=True).stdout.splitlines()
            for line, (_, check) in zip(out, part):
                check(line.split()[0] if context != "xxh" else line.split()[0].lstrip("0") or "0")

def read(name):
    with open(os.path.join(ROOT, name), "rb") as f:
        return f.read()

def seal(kind, name, body, want):
    expect("seal v1", bytes([len(kind)]) + kind.encode() + REPO + struct.pack("<H", len(name)) + name.encode() + body, want, f"seal of {name}")

def sealed_text(name, kind, pattern):
    data = read(name)
    m = re.fullmatch(rb"(?s)(.*\n)seal blake3:([0-9a-f]{64})\n", data)
    body = re.fullmatch(pattern, m.group(1)) if m else None
    if need(body, f"{name} is malformed"):
        if kind == "format":
            global REPO
            REPO = bytes.fromhex(body.group(1).decode())
        seal(kind, name, m.group(1), m.group(2).decode())
    return body

def blob_text(field):                            # a digest field as the name of a blob
    if ALGO == "blake3":
        return field.hex()
    need(field[16:] == bytes(16), "padding of a digest")
    return field[:16].hex().lstrip("0") or "0"

def expect_blob(data, want, what):
    expect(None if ALGO == "blake3" else "xxh", data, want, what)

def read_pack(name, objects):
    data, ident = read(name), os.path.basename(name)[:-5]
    magic, version, length, flags, nonce, repo, zero = struct.unpack_from("<8sHHI16s16s16s", data)
    need((magic, version, length, flags, zero, repo) == (b"\x89OXLPCK\n", 1, 64, 0, bytes(16), REPO), f"header of {name}")
    end_magic, at, count, size = struct.unpack_from("<8sQQQ", data, len(data) - 64)
    need((end_magic, size) == (b"\x89OXLPEN\n", len(data)) and at + 64 * count + 64 == size, f"trailer of {name}")
    index = data[at:at + 64 * count]
    expect("pack id v1", data[:64] + index, ident, f"id of {name}")
    seal("pack", name, data[:64] + index + data[-64:-32], data[-32:].hex())
    listed = [struct.unpack_from("<32sQQQBBHI", index, 64 * i) for i in range(count)]
    need(listed == sorted(listed, key=lambda e: (e[0], e[1])), f"order of the index of {name}")
    copies, seen, pos, magics = {}, [], 64, set()
    while pos < at:
        rmagic, kind, codec, rflags, z, stored, raw, digest, check = struct.unpack_from("<8sBBHIQQ32s16s", data, pos)
        magics.add(rmagic.hex())
        hash_later("pack record v1", struct.pack("<Q", pos) + data[pos:pos + 64], lambda got, c=check, p=pos: need(got[:32] == c.hex(), f"record at {p} of {name}"))
        need(codec == 0 and z == 0 and stored == raw and rflags in (0, 1) and kind <= 3, f"record at {pos} of {name}")
        payload, after = data[pos + 80:pos + 80 + raw], -(pos + 80 + raw) % 8
        need(data[pos + 80 + raw:pos + 80 + raw + after] == bytes(after), f"padding at {pos} of {name}")
        if kind == 0:
            need(payload == bytes(raw) and digest == ZERO, f"filler at {pos} of {name}")
        else:
            seen.append((digest, pos, stored, raw, kind, codec, rflags, 0))
            key = (kind, blob_text(digest) if kind == 1 else digest.hex())
            (expect_blob if kind == 1 else lambda d, w, s: expect({2: "tree v1", 3: "commit v1"}[kind], d, w, s))(payload, key[1], f"object at {pos} of {name}")
            objects[key] = payload
            if kind > 1:
                copies.setdefault(key, []).append((rflags, pos))
        pos += 80 + raw + after
    hash_later("pack magic v1", nonce, lambda got: need(magics == {got[:16]}, f"record magic in {name}"))
    need(pos == at and sorted(seen) == listed, f"index of {name} against its records")
    for key, places in copies.items():
        need(sorted(f for f, _ in places) == [0, 1] and abs(places[0][1] - places[1][1]) >= 16384, f"{key} is not stored twice, far apart, in {name}")

def split_check(level, entries_names, last, what):
    for i, name in enumerate(entries_names, 1):
        if i < 32 or i == 1024:
            continue
        want_end = None if i == len(entries_names) and last else i == len(entries_names)
        hash_later("tree split v1", bytes([level]) + name, lambda got, w=want_end: need(w is None or (struct.unpack("<Q", bytes.fromhex(got[:16]))[0] % 96 == 0) == w, f"split of {what}"))

def path_key(path):
    return path.split(b"/")

def tree_node(ident, objects, what, last=True, want_level=None, root=False):
    """Leaf entries below a node: [(name, kind, size, id text)]."""
    data = objects.get((2, ident))
    if not need(data is not None, f"tree {ident} of {what} is missing"):
        return []
    version, level, z, count = struct.unpack_from("<BBHI", data)
    need(version == 1 and z == 0 and count <= 1024 and (want_level is None or level == want_level), f"tree {ident}")
    pos, names, out = 8, [], []
    for i in range(count):
        if level == 0:
            kind, n = struct.unpack_from("<BB", data, pos)
            name = data[pos + 2:pos + 2 + n]
            size, digest = struct.unpack_from("<Q32s", data, pos + 2 + n)
            pos += 2 + n + 40
            out.append((name, kind, size, digest.hex() if kind == 4 else blob_text(digest)))
        else:
            n = data[pos]
            name = data[pos + 1:pos + 1 + n]
            below, size, digest = struct.unpack_from("<QQ32s", data, pos + 1 + n)
            pos += 1 + n + 48
            part = tree_node(digest.hex(), objects, what, last and i == count - 1, level - 1)
            need(part and part[0][0] == name and len(part) == below and sum(e[2] for e in part) == size, f"inner entry {name} of {what}")
            out += part
        names.append(name)
    need(pos == len(data) and names == sorted(set(names)) and (count > 0 or root), f"entries of tree {ident} of {what}")
    need(all(n not in (b"", b".", b"..") and b"/" not in n and b"\0" not in n and n.lower() != b".oxen-lite" for n in names), f"names in {ident}")
    split_check(level, names, last, f"tree {ident} of {what}")
    return out

def walk(ident, objects, path, loose):
    total = 0
    for name, kind, size, digest in tree_node(ident, objects, path or b"the root", root=path == b""):
        full = path + b"/" + name if path else name
        if kind == 4:
            need(walk(digest, objects, full, loose) == size, f"size of folder {full}")
        elif need(kind in (1, 2, 3), f"kind of {full}"):
            blob = objects.get((1, digest))
            have = len(blob) if blob is not None else loose.get(digest)
            need(have == size, f"blob {digest} of {full}: size {size}, found {have}")
        total += size
    return total

def read_commit(ident, objects):
    data = objects.get((3, ident))
    m = data is not None and re.fullmatch(rb"(?s)oxen-lite commit 1\ntree ([0-9a-f]{64})\n((?:parent [0-9a-f]{64}\n){0,16})author [^\n]+\ntime -?[0-9]+ [+-][0-9]{4}\n\n(.*)", data)
    return (m.group(1).decode(), re.findall("[0-9a-f]{64}", m.group(2).decode())) if need(m, f"commit {ident}") else None

def index_entries(data, pos, end, what):
    path, out = b"", []
    while pos < end:
        shared, rest = struct.unpack_from("<HH", data, pos)
        need(shared <= len(path), f"prefix in {what}")
        path = path[:shared] + data[pos + 4:pos + 4 + rest]
        kind, flags, size, digest = struct.unpack_from("<BBQ32s", data, pos + 4 + rest)
        pos += 4 + rest + 42 + 44
        out.append((path, kind, flags, size, digest))
    need(pos == end and all(path_key(a[0]) < path_key(b[0]) for a, b in zip(out, out[1:])), f"entries of {what}")
    return out

def read_index(objects, loose):
    base, delta = read("index"), read("index.delta")
    magic, version, length, flags, generation, count, tree, absorbed = struct.unpack_from("<8sHHIQQ32s32s", base)
    table_at, table_len, blocks = struct.unpack_from("<QQQ", base, len(base) - 56)
    need((magic, version, length, flags) == (b"\x89OXLIDX\n", 1, 96, 0) and table_at + table_len + 56 == len(base), "header of index")
    seal("index", "index", base[:96] + base[table_at:-32], base[-32:].hex())
    pos, merged, at = table_at, {}, 96
    for _ in range(blocks):
        offset, size, n, staged, plen = struct.unpack_from("<QIIIH", base, pos)
        first, check = base[pos + 22:pos + 22 + plen], base[pos + 22 + plen:pos + 54 + plen]
        entries = index_entries(base, offset, offset + size, "index")
        expect("index block v1", struct.pack("<Q", offset) + base[offset:offset + size], check.hex(), f"index block at {offset}")
        need(offset == at and len(entries) == n and entries[0][0] == first and sum(e[2] & 1 for e in entries) == staged, f"index block at {offset}")
        merged.update((e[0], e) for e in entries)
        pos, at = pos + 54 + plen, at + size
    need(at == table_at and len(merged) == count and pos == table_at + table_len, "index table")
    magic, version, length, flags, generation, n, dtree, dbase = struct.unpack_from("<8sHHIQQ32s32s", delta)
    need((magic, version, length, flags) == (b"\x89OXLIDD\n", 1, 96, 0), "header of index.delta")
    seal("index.delta", "index.delta", delta[:-32], delta[-32:].hex())
    entries = index_entries(delta, 96, len(delta) - 32, "index.delta")
    need(len(entries) == n, "count of index.delta")
    if dbase == base[-32:]:
        merged.update((e[0], e) for e in entries)
    else:
        need(absorbed == delta[-32:], "index.delta belongs to another base")
    for path, kind, flags, size, digest in merged.values():
        if kind and flags & 1:
            blob = objects.get((1, blob_text(digest)))
            need((len(blob) if blob is not None else loose.get(blob_text(digest))) == size, f"staged {path}")

def read_config():
    data = read("config.json")
    m = re.fullmatch(rb'(?s)(.*),\n  "seal": "blake3:([0-9a-f]{64})"\n}\n', data)
    if need(m and json.loads(data)["schema"] == "oxen-lite.config/1", "config.json is malformed"):
        seal("config", "config.json", m.group(1), m.group(2).decode())

def read_pages():                                # pages of the database that no frame of the -wal replaces
    data, wal = read("journal.db"), b""
    if os.path.exists(os.path.join(ROOT, "journal.db-wal")):
        wal = read("journal.db-wal")
    replaced = {struct.unpack_from(">I", wal, at)[0] for at in range(32, len(wal) - 23, 4120)}
    need(len(data) % 4096 == 0 and (1 in replaced or data[20] == 16), "pages of journal.db")
    for number in set(range(1, len(data) // 4096 + 1)) - replaced:
        page = data[4096 * number - 4096:4096 * number]
        if any(page):
            hash_later("journal page v1", REPO + struct.pack("<I", number) + page[:4080], lambda got, w=page[4080:].hex(), n=number: need(got[:32] == w, f"page {n} of journal.db"))

def read_journal():
    read_pages()
    with tempfile.TemporaryDirectory() as tmp:
        for name in ("journal.db", "journal.db-wal"):
            if os.path.exists(os.path.join(ROOT, name)):
                shutil.copy(os.path.join(ROOT, name), tmp)
        db = sqlite3.connect(os.path.join(tmp, "journal.db"))
        need(db.execute("PRAGMA integrity_check").fetchone() == ("ok",) and db.execute("PRAGMA user_version").fetchone() == (1,), "journal.db")
        before, last = ZERO, 0
        for seq, intent, time, kind, owner, verb, state, body, chain in db.execute("SELECT seq, intent, time, kind, owner, verb, state, body, chain FROM event ORDER BY seq"):
            fields = b"".join(struct.pack("<I", len(f.encode())) + f.encode() for f in (kind, owner, verb, state, body))
            expect("journal chain v1", REPO + before + struct.pack("<QQq", seq, intent, time) + fields, chain.hex(), f"journal row {seq}")
            need(seq == last + 1, f"journal row {seq} follows {last}")
            before, last = chain, seq
        db.close()

def main():
    global ALGO
    feature = rb"(?: [a-z0-9-]{1,64})*"
    head = sealed_text("format", "format", rb"oxen-lite repository 1\nid ([0-9a-f]{32})\nhash (blake3|xxh3-128)\nincompat" + feature + rb"\nro_compat" + feature + rb"\ncompat" + feature + rb"\n")
    ALGO = head.group(2).decode()
    objects, loose, tips = {}, {}, []
    packs = os.path.join(ROOT, "versions/packs")
    for name in sorted(os.listdir(packs)):
        if re.fullmatch("[0-9a-f]{64}[.]pack", name):
            read_pack("versions/packs/" + name, objects)
    for folder, _, names in os.walk(os.path.join(ROOT, "versions/files")):
        for name in names:
            digest = "".join(os.path.relpath(folder, os.path.join(ROOT, "versions/files")).split("/"))
            need(name == "data", f"stray {folder}/{name}")
            loose[digest] = os.path.getsize(os.path.join(folder, name))
            expect_blob(os.path.join(folder, name), digest, f"loose blob {digest}")
    head = sealed_text("HEAD", "HEAD", rb"(ref: refs/heads/[^\n]+|[0-9a-f]{64})\n")
    tips += [head.group(1).decode()] if head and not head.group(1).startswith(b"ref:") else []
    for folder, _, names in os.walk(os.path.join(ROOT, "refs")):
        for name in names:
            ref = os.path.relpath(os.path.join(folder, name), ROOT)
            body = sealed_text(ref, "ref", rb"([0-9a-f]{64})\n")
            tips += [body.group(1).decode()] if body else []
    read_config()
    read_index(objects, loose)
    if os.path.exists(os.path.join(ROOT, "journal.db")):     # not canonical: losing it loses no content
        read_journal()
    seen, trees = set(), set()
    while tips:
        ident = tips.pop()
        commit = read_commit(ident, objects) if ident not in seen else None
        seen.add(ident)
        if commit:
            tips += commit[1]
            if commit[0] not in trees:
                trees.add(commit[0])
                walk(commit[0], objects, b"", loose)
    settle()
    for problem in problems[:20]:
        print("read_repository:", problem)
    print(f"read_repository: {len(seen)} commits, {len(objects)} packed objects, {len(loose)} loose blobs, {len(problems)} problems")
    return 1 if problems else 0

sys.exit(main())
