#!/usr/bin/env python3
"""The rows of an import for tools/bench.py: our load stage against pgloader (tuned) and a raw COPY of the same notes, in one run.

    tools/bench_import.py EXECUTABLE [--notes 100000] [--blobs 200]     alone: prints its figures, writes no page

The source is a Memos 0.30 database of made-up notes and files. pgloader gets the settings under which it finishes at all
(prefetch rows = 5000, batch rows = 5000, defaults cast away); without the program that figure is missing. Raw COPY is psql
taking the same notes from a text file into a table with the same keys.
"""

import argparse
import multiprocessing
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCHEMA = """
CREATE TABLE system_setting (name TEXT NOT NULL, value TEXT NOT NULL, description TEXT NOT NULL DEFAULT '', UNIQUE(name));
CREATE TABLE user (id INTEGER PRIMARY KEY AUTOINCREMENT, created_ts BIGINT NOT NULL DEFAULT 0, updated_ts BIGINT NOT NULL DEFAULT 0,
  row_status TEXT NOT NULL DEFAULT 'NORMAL', username TEXT NOT NULL UNIQUE, role TEXT NOT NULL DEFAULT 'USER', email TEXT NOT NULL DEFAULT '',
  nickname TEXT NOT NULL DEFAULT '', password_hash TEXT NOT NULL, avatar_url TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '');
CREATE TABLE user_setting (user_id INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, UNIQUE(user_id, key));
CREATE TABLE memo (id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, creator_id INTEGER NOT NULL, created_ts BIGINT NOT NULL DEFAULT 0,
  updated_ts BIGINT NOT NULL DEFAULT 0, row_status TEXT NOT NULL DEFAULT 'NORMAL', content TEXT NOT NULL DEFAULT '',
  visibility TEXT NOT NULL DEFAULT 'PRIVATE', pinned INTEGER NOT NULL DEFAULT 0, payload TEXT NOT NULL DEFAULT '{}');
CREATE TABLE memo_relation (memo_id INTEGER NOT NULL, related_memo_id INTEGER NOT NULL, type TEXT NOT NULL, UNIQUE(memo_id, related_memo_id, type));
CREATE TABLE attachment (id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, creator_id INTEGER NOT NULL, created_ts BIGINT NOT NULL DEFAULT 0,
  updated_ts BIGINT NOT NULL DEFAULT 0, filename TEXT NOT NULL DEFAULT '', blob BLOB DEFAULT NULL, type TEXT NOT NULL DEFAULT '',
  size INTEGER NOT NULL DEFAULT 0, memo_id INTEGER, storage_type TEXT NOT NULL DEFAULT '', reference TEXT NOT NULL DEFAULT '', payload TEXT NOT NULL DEFAULT '{}');
CREATE TABLE reaction (id INTEGER PRIMARY KEY AUTOINCREMENT, created_ts BIGINT NOT NULL DEFAULT 0, creator_id INTEGER NOT NULL,
  content_id TEXT NOT NULL, reaction_type TEXT NOT NULL, UNIQUE(creator_id, content_id, reaction_type));
"""


def build(folder, notes, blobs, huge=0):
    """A Memos 0.30 data folder; `huge` is the size of one more file, in MiB."""
    chance = random.Random(7)
    words = [f"word{n:04d}" for n in range(2000)] + ["中文", "заметка", "#area", "über"]
    folder.mkdir(parents=True)
    base = sqlite3.connect(folder / "memos_prod.db")
    base.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + SCHEMA)
    base.execute("INSERT INTO system_setting (name, value) VALUES ('BASIC', '{\"secretKey\":\"s\",\"schemaVersion\":\"0.30.1\"}')")
    base.executemany("INSERT INTO user (id, username, role, password_hash) VALUES (?, ?, ?, 'x')",
                     [(n, f"user{n}", "ADMIN" if n == 1 else "USER") for n in range(1, 11)])

    def rows():
        for n in range(1, notes + 1):
            text = f"note {n} #area{n % 50}\n\n" + " ".join(chance.choices(words, k=30 + n % 40))
            yield (n, f"uid{n:019d}", 1 + n % 10, 1_600_000_000 + n, 1_600_000_000 + n, text, ("PRIVATE", "PROTECTED", "PUBLIC")[n % 3])

    base.executemany("INSERT INTO memo (id, uid, creator_id, created_ts, updated_ts, content, visibility) VALUES (?, ?, ?, ?, ?, ?, ?)", rows())
    files = ((n, f"file{n:018d}", f"f{n}.bin", chance.randbytes(20_000), 1 + n % max(notes, 1)) for n in range(1, blobs + 1))
    base.executemany("INSERT INTO attachment (id, uid, creator_id, filename, blob, size, type, memo_id) VALUES (?, ?, 1, ?, ?, 20000, 'application/octet-stream', ?)", files)
    if huge:
        base.execute("INSERT INTO attachment (uid, creator_id, filename, blob, size, type) VALUES ('huge', 1, 'huge.bin', zeroblob(?1), ?1, 'application/octet-stream')", (huge << 20,))
    base.commit()
    base.close()
    return folder / "memos_prod.db"


def pgloader(postgres, database, source, work):
    """Seconds that pgloader takes, and whether every memo arrived."""
    if not shutil.which("pgloader"):
        return None
    postgres.sql("postgres", f"CREATE DATABASE {database}")
    script = work / "load.load"
    script.write_text(f"""LOAD DATABASE FROM sqlite://{source} INTO postgresql://postgres@unix:{postgres.data}:5432/{database}
WITH include drop, create tables, create indexes, reset sequences, prefetch rows = 5000, batch rows = 5000, workers = 2, concurrency = 1
CAST column user.created_ts to bigint drop default, column user.updated_ts to bigint drop default, type text to text drop default, type bigint to bigint drop default;
""")
    began = time.monotonic()
    subprocess.run(["pgloader", "--dynamic-space-size", "2048", str(script)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=work)
    seconds = time.monotonic() - began
    there = postgres.sql(database, "SELECT count(*) FROM memo")
    wanted = sqlite3.connect(f"file:{source}?mode=ro", uri=True).execute("SELECT count(*) FROM memo").fetchone()[0]
    return seconds if there == str(wanted) else None


def copying(postgres, database, source, work):
    """Seconds of a raw COPY of the notes with the same keys."""
    text = work / "memo.copy"
    memos = sqlite3.connect(f"file:{source}?mode=ro", uri=True).execute("SELECT id, uid, creator_id, created_ts, updated_ts, content, visibility FROM memo")
    with text.open("w", encoding="utf-8") as out:
        for row in memos:
            out.write("\t".join(str(v).replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t") for v in row) + "\n")
    text.chmod(0o644)
    postgres.sql("postgres", f"CREATE DATABASE {database}")
    began = time.monotonic()
    postgres.sql(database, "CREATE TABLE memo (id bigint, uid text, creator_id bigint, created_ts bigint, updated_ts bigint, content text, visibility text)")
    with text.open("rb") as rows:
        subprocess.run(postgres.psql(database, "COPY memo FROM STDIN"), stdin=rows, check=True, stdout=subprocess.DEVNULL)
    postgres.sql(database, "ALTER TABLE memo ADD PRIMARY KEY (id); ALTER TABLE memo ADD UNIQUE (uid)")
    return time.monotonic() - began


def measure(bench, notes, blobs, huge):
    """One size: a sentence of figures, the ratio to pgloader (or none), and the peak in MiB."""
    with tempfile.TemporaryDirectory(prefix="hf-import-", dir=bench.folder) as name:
        work = Path(name)
        work.chmod(0o755)
        # In a process of its own: what it needs at most would count as the peak of every program started from this one.
        building = multiprocessing.get_context("fork").Process(target=build, args=(work / "memos", notes, blobs, huge))
        building.start()
        building.join()
        source = work / "memos" / "memos_prod.db"
        report, peak = bench.command("migrate", "run", str(source.parent), "--tenant", f"imported-{notes}", limit=1800)
        phases = report["phases"]
        load, verify, check = (phases[key] for key in ("load", "verify", "check"))
        parts = ", ".join(f"{key} {phases[key]:.1f}" for key in ("gather", "read", "markdown", "encode", "copy", "files", "keys"))
        plain = copying(bench.postgres, f"copied_{notes}", source, work)
        peer = pgloader(bench.postgres, f"peer_{notes}", source, work)
        ratio = peer / load if peer else None
        against = f"{ratio:.2f} × pgloader ({peer:.1f} s)" if ratio else "pgloader not measured"
        text = f"{notes:,} notes: load {load:.1f} s = {notes / load:,.0f}/s, {against}, raw COPY {plain:.1f} s; of it {parts}; apart: check {check:.1f} s, verify {verify:.1f} s, VmHWM {peak:.0f} MiB"
        return text, ratio, peak


def importing(bench, sizes):
    found = [measure(bench, notes, max(20, notes // 500), 0) for notes in sizes]
    met = all(ratio is not None and ratio >= 2 and peak <= 128 for _, ratio, peak in found)
    bench.row("import", "; ".join(text for text, _, _ in found), met if all(ratio for _, ratio, _ in found) else None,
              "overlapping: gather, read and map, markdown and encode (sums of threads), COPY binary, files; then keys and indexes. No search index is made")


def main():
    import bench as whole

    parser = argparse.ArgumentParser()
    parser.add_argument("executable")
    parser.add_argument("--notes", type=int, default=100_000)
    parser.add_argument("--blobs", type=int, default=200)
    parser.add_argument("--huge", type=int, default=0, help="MiB of one more file, at most 953")
    arguments = parser.parse_args()
    arguments.budgets = arguments.executable
    folder = Path(tempfile.mkdtemp(prefix="hf-bench-"))
    folder.chmod(0o755)
    running = whole.Bench(arguments, folder)
    try:
        print(measure(running, arguments.notes, arguments.blobs, arguments.huge)[0])
    finally:
        running.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main())
