"""The rows of tools/bench.py about points: first and later ones, rounds over many tenants, restore, prune, files, and how long a
change takes until it can be restored. Points that nobody asks for by hand are taken by a worker, a process of its own, as in
an appliance; what it did is read from the control plane."""

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import threading
import time
from pathlib import Path

from bench_wire import post

# A changed tenant gets a point when its oldest change is so many seconds old, looked for every five (docs/operating.md).
QUIET, LOOK = 15, 5


class Points:
    def __init__(self, bench):
        self.bench, self.worker, self.worker_log = bench, None, None

    def sql(self, text):
        return self.bench.postgres.sql("holdfast", text)

    # -- the first points ----------------------------------------------------------------------------------------------

    def points(self):
        bench = self.bench
        bench.command("backup", "run", "--tenant", "many1")
        found = [bench.command("backup", "run", "--tenant", f"many{n}")[0] for n in range(2, 9)]
        took = statistics.median(1000 * one["seconds"] for one in found)
        bench.row("point", f"{took:.0f} ms (median of {len(found)}, 50 notes, beside {len(bench.many):,} tenants)", took <= 100,
                  f"{statistics.median(one.get('requests', 0) for one in found):.0f} requests to the store, a folder with fsync")
        copy = self.copying(self.schema_of("large"))
        large, peak = bench.command("backup", "run", "--tenant", "large")
        plain = sum(one.get("bytes_plain") or 0 for one in large["objects"])
        rate = plain / 1e6 / large["seconds"]
        figure = f"{large['seconds']:.1f} s for {plain / 1e6:.0f} MB plain, VmHWM {peak:.0f} MiB"
        if copy:
            figure += f"; {rate / copy:.2f} of COPY text through zstd -3 ({copy:.0f} MB/s)"
        bench.row("large", figure, bool(copy) and rate >= 0.9 * copy and peak <= 128, "rows and the Markdown hash of every note, process start not included")

    def schema_of(self, slug):
        return self.sql(f"SELECT schema_id FROM holdfast.tenant WHERE slug = '{slug}'")

    def copying(self, schema):
        """MB/s of COPY text through zstd -3; none without the program."""
        if not shutil.which("zstd"):
            return None
        speeds, psql = [], self.bench.postgres.psql("holdfast", f"COPY {schema}.note TO STDOUT")
        for _ in range(3):
            began = time.monotonic()
            source = subprocess.Popen(psql, stdout=subprocess.PIPE)
            text = subprocess.run(["zstd", "-3", "-q", "-c"], stdin=source.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            source.wait()
            if text.returncode:
                return None
            speeds.append(time.monotonic() - began)
        source = subprocess.Popen(psql, stdout=subprocess.PIPE)
        size = int(subprocess.run(["wc", "-c"], stdin=source.stdout, check=True, capture_output=True).stdout)
        source.wait()
        return size / 1e6 / statistics.median(speeds)

    def drill(self):
        found, peak = self.bench.command("drill", "run", "--tenant", "large", "--faults", "none", limit=300)
        seconds = sum(phase["seconds"] for phase in found["phases"])
        longest = sorted(found["phases"], key=lambda phase: -phase["seconds"])[:3]
        self.bench.row("drill", f"{seconds:.1f} s, {found['notes_compared']:,} notes compared, verdict {found['verdict']}, VmHWM {peak:.0f} MiB (of the largest of the drill, the copy's server and its Postgres)",
                       seconds <= 60 and found["verdict"] == "pass", ", ".join(f"{phase['name']} {phase['seconds']:.1f} s" for phase in longest))

    # -- what a worker does --------------------------------------------------------------------------------------------

    def work(self):
        """Starts the worker, if it does not run, and waits until it has nothing more to do."""
        if not self.worker:
            self.worker_log = open(self.bench.folder / "worker.log", "ab")
            self.worker = subprocess.Popen([self.bench.exe, "worker", "--only", "backup"], env=self.bench.environment, stdin=subprocess.DEVNULL,
                                           stdout=self.worker_log, stderr=self.worker_log)
        newest, since = None, time.monotonic()
        while time.monotonic() - since < QUIET + 2 * LOOK:
            if self.worker.poll() is not None:
                raise RuntimeError("the worker ended: " + (self.bench.folder / "worker.log").read_text()[-500:])
            # the control plane gets points of its own, which never end where its audit is written to
            found = self.sql("SELECT max(seq) FROM holdfast.point WHERE slug <> '_control'")
            if found != newest:
                newest, since = found, time.monotonic()
            time.sleep(0.5)

    def stop(self):
        if self.worker:
            self.worker.send_signal(signal.SIGTERM)
            try:
                self.worker.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.worker.kill()
                self.worker.wait()
            self.worker_log.close()
            self.worker = None

    def taken_since(self, slugs, since, limit=180):
        """The newest verified point of each tenant that was begun after `since`, as soon as all have one."""
        names = ", ".join(f"'{slug}'" for slug in slugs)
        text = (f"SELECT json_agg(p) FROM (SELECT DISTINCT ON (slug) slug, seconds, rows, bytes_sent, requests, extract(epoch FROM created_at)::float8 AS begun, "
                f"extract(epoch FROM verified_at)::float8 AS verified FROM holdfast.point WHERE slug IN ({names}) AND verified_at IS NOT NULL "
                f"AND snapshot_at > to_timestamp({since}) ORDER BY slug, seq DESC) p")
        until = time.monotonic() + limit
        while time.monotonic() < until:
            found = json.loads(self.sql(text) or "null") or []
            if len(found) == len(slugs):
                return found
            time.sleep(0.2)
        raise RuntimeError(f"not every tenant had a point after {limit} s")

    def points_since(self, since):
        """When verified points show their tenants, and when they were verified, by tenant in their order."""
        points = {}
        for line in self.sql(f"SELECT slug || ' ' || extract(epoch FROM snapshot_at) || ' ' || extract(epoch FROM verified_at) FROM holdfast.point "
                             f"WHERE verified_at IS NOT NULL AND created_at > to_timestamp({since}) ORDER BY seq").splitlines():
            slug, snapshot, verified = line.split()
            points.setdefault(slug, []).append((float(snapshot), float(verified)))
        return points

    def edit(self, slug, token, numbers):
        body = json.dumps({"content": f"edited at {time.time()}"}).encode()
        self.bench.load([post(f"/t/{slug}/api/v1/memos/note{number:08}?updateMask=content", token, "application/json", body, "PATCH") for number in numbers], clients=1)

    def rounds(self):
        bench, count = self.bench, len(self.bench.many)
        before, began = int(self.sql("SELECT count(*) FROM holdfast.point")), time.monotonic()
        self.work()
        first = int(self.sql("SELECT count(*) FROM holdfast.point")) - before
        first_seconds = time.monotonic() - began - QUIET - 2 * LOOK
        idle = self.spent(2 * LOOK)
        changed = bench.many[20:30]
        cpu, postgres, began = bench.cpu_of(self.worker.pid), bench.postgres.cpu(), time.time()
        for slug, token in changed:
            self.edit(slug, token, [7])
        last = time.time()
        found = self.taken_since([slug for slug, _ in changed], last)
        cpu, postgres = bench.cpu_of(self.worker.pid) - cpu, bench.postgres.cpu() - postgres
        slow = max(one["verified"] for one in found) - began
        work = statistics.median(one["verified"] - one["begun"] for one in found)
        bench.row("round", f"10 of {count:,} tenants changed: all restorable {slow:.1f} s after the first change, {1000 * work:.0f} ms for each (median), "
                  f"{sum(one['requests'] for one in found)} requests, {sum(one['bytes_sent'] for one in found) / 1e3:.0f} kB", slow <= 60,
                  f"{QUIET} s are waited for quiet; CPU s meanwhile: worker {cpu:.2f}, Postgres {postgres:.2f}; with nothing changed {1000 * idle[0]:.0f} ms and "
                  f"{1000 * idle[1]:.0f} ms in {2 * LOOK} s, two rounds; first points: {first} in {first_seconds:.0f} s")

    def spent(self, seconds):
        cpu, postgres = self.bench.cpu_of(self.worker.pid), self.bench.postgres.cpu()
        time.sleep(seconds)
        return self.bench.cpu_of(self.worker.pid) - cpu, self.bench.postgres.cpu() - postgres

    def second(self):
        bench = self.bench
        self.work()
        first = json.loads(self.sql("SELECT row_to_json(p) FROM (SELECT seconds, bytes_sent, requests FROM holdfast.point WHERE slug = 'large' ORDER BY seq LIMIT 1) p"))
        count, began = bench.arguments.large, time.time()
        self.edit("large", bench.tokens["large"], [count * at // 10 + 1 for at in range(10)])
        point = self.taken_since(["large"], began)[0]
        back = point["verified"] - point["begun"] - point["seconds"]
        bench.row("second", f"{point['seconds']:.2f} s and {back:.2f} s to read it back, {point['bytes_sent'] / 1e3:.0f} kB in {point['requests']} requests; the first one: "
                  f"{first['seconds']:.1f} s, {first['bytes_sent'] / 1e6:.1f} MB in {first['requests']}", None,
                  f"{point['rows']:,} rows, ten notes from end to end, so ten pieces are read; peak of the worker {bench.memory_of(self.worker.pid, 'VmHWM'):.0f} MiB")

    def restorable(self):
        """Eight clients write to a hundred tenants for a minute: from each answer to the first verified point that shows it."""
        bench, tenants, answers, failures = self.bench, self.bench.many[-100:], [], []
        self.work()
        began, until = time.time(), time.monotonic() + 60

        def write(share):
            connection = bench.connection()
            for n in range(1_000_000):
                slug, token = share[n % len(share)]
                status, body = connection.ask(bench.request(f"/t/{slug}/api/v1/memos", token, {"content": f"written {n}", "visibility": "PRIVATE"}))
                if status != 200:
                    failures.append(f"{status} {body[:200]}")
                if failures or time.monotonic() > until:
                    return
                answers.append((slug, time.time()))
                time.sleep(0.05)

        threads = [threading.Thread(target=write, args=(tenants[at::8],)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise RuntimeError(failures[0])
        newest = {}
        for slug, at in answers:
            newest[slug] = max(at, newest.get(slug, 0))
        points, until = {}, time.monotonic() + 180
        while any(points.get(slug, [(0, 0)])[-1][0] <= at for slug, at in newest.items()):
            if time.monotonic() > until:
                raise RuntimeError("not every note was in a verified point after 180 s")
            time.sleep(0.5)
            points = self.points_since(began)
        waits = [min(verified for snapshot, verified in points[slug] if snapshot > at) - at for slug, at in answers]
        bench.row("rpo", f"at most {max(waits):.1f} s, median {statistics.median(waits):.1f} s ({len(answers):,} notes in {len(newest)} tenants within a minute, "
                  f"{sum(map(len, points.values()))} points)", max(waits) <= 60, f"from the answer to the verified point that shows it; {QUIET} s are waited for quiet")
        self.stop()

    # -- the way back, and what is in the way of it ----------------------------------------------------------------------

    def restoring(self):
        bench, schema, work = self.bench, self.schema_of("large"), self.bench.folder
        found = [bench.command("restore", "run", "latest", "--tenant", "large", "--as", f"back{n}") for n in range(3)]
        ours, peak = statistics.median(one["seconds"] for one, _ in found), max(peak for _, peak in found)
        phases = sorted(found[-1][0]["phases"].items(), key=lambda phase: -phase[1])
        postgres, dump = bench.postgres, work / "large.dump"
        where = ["-h", str(postgres.data), "-U", "postgres"]
        subprocess.run([str(postgres.bin / "pg_dump"), *where, "-Fc", "-n", schema, "-n", "holdfast_search", "-f", str(dump), "holdfast"], check=True)
        theirs = {}
        for jobs in (1, 2, 1, 2, 1, 2):
            postgres.sql("postgres", "DROP DATABASE IF EXISTS back")
            postgres.sql("postgres", "CREATE DATABASE back")
            postgres.sql("back", "CREATE SCHEMA ext; CREATE EXTENSION pg_trgm SCHEMA ext")
            began = time.monotonic()
            subprocess.run([str(postgres.bin / "pg_restore"), *where, "-d", "back", "--no-owner", "--no-privileges", "-j", str(jobs), str(dump)],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            theirs.setdefault(jobs, []).append(time.monotonic() - began)
            if postgres.sql("back", f"SELECT count(*) FROM {schema}.note") != self.sql(f"SELECT count(*) FROM {schema}.note"):
                raise RuntimeError("pg_restore did not bring every note")
        postgres.sql("postgres", "DROP DATABASE back")
        one, two = (statistics.median(theirs[jobs]) for jobs in (1, 2))
        bench.row("restore", f"{one / ours:.2f} × pg_restore ({ours:.1f} s against {one:.1f} s, {two:.1f} s with two jobs; {found[0][0]['notes']:,} notes, medians of 3), VmHWM {peak:.0f} MiB",
                  one >= 1.5 * ours, ", ".join(f"{name} {seconds:.1f} s" for name, seconds in phases[:4]) + "; ours reads the point back before and compares every table after")

    def pruning(self, count=10_000):
        """Points of one small tenant, an hour apart, made by copying one."""
        bench, slug = self.bench, self.bench.many[8][0]
        point, _ = bench.command("backup", "run", "--tenant", slug)
        source = bench.folder / "store" / Path(point["manifest"]).parent
        began, now = int(time.time()) - 60, time.gmtime
        names = [f"{time.strftime('%Y%m%dT%H%M%SZ', now(began - 3600 * n))}-{n:08x}" for n in range(1, count)]
        for n, name in enumerate(names, 1):
            (source.parent / name).mkdir()
            for file in source.iterdir():
                shutil.copyfile(file, source.parent / name / file.name)
                os.utime(source.parent / name / file.name, (began - 3600 * n,) * 2)
        given = {"point": "n.name", "created_at": "n.at", "snapshot_at": "n.at", "verified_at": "n.at", "state": "CASE WHEN n.number % 10 = 0 THEN 'proven' ELSE 'verified' END",
                 "proven_at": "CASE WHEN n.number % 10 = 0 THEN n.at END"}
        columns = self.sql("SELECT string_agg(quote_ident(column_name), ' ') FROM information_schema.columns WHERE table_schema = 'holdfast' AND table_name = 'point' "
                           "AND column_name <> 'seq'").split()
        values = ", ".join(given.get(column, f"p.{column}") for column in columns)
        rows = bench.folder / "points.txt"
        rows.write_text("".join(f"{n}\t{name}\n" for n, name in enumerate(names, 1)))
        self.sql(f"CREATE TABLE public.made (number bigint, name text); COPY public.made FROM '{rows}'; INSERT INTO holdfast.point ({', '.join(columns)}) SELECT {values} "
                 f"FROM holdfast.point p, (SELECT number, name, to_timestamp({began} - 3600 * number) AS at FROM public.made) n WHERE p.point = '{point['point']}' "
                 f"ORDER BY n.number DESC; DROP TABLE public.made")
        times, peaks, gone = [], [], []
        for words in ((), ("--yes",)):
            began = time.monotonic()
            report, peak = bench.command("backup", "prune", "--tenant", slug, *words)
            times.append(time.monotonic() - began)
            peaks.append(peak)
            gone.append(len(report["removed"]))
        bench.row("prune", f"{times[0]:.1f} s to plan, {times[1]:.1f} s to remove {gone[1]:,} of {count:,}, VmHWM {max(peaks):.0f} MiB", None,
                  "one tenant, a folder with fsync, process start included; each removal is a row with its audit event, then manifest and pack")

    def files(self, count=1_000, small=64 * 1024, huge=200 << 20):
        """A first point of notes and files against writing the same stored bytes as plain files with fsync."""
        bench, chance = self.bench, random.Random(1)
        bench.inside("fill", "files", bench.arguments.large)
        schema, tenant = self.schema_of("files"), self.sql("SELECT replace(id::text, '-', '') FROM holdfast.tenant WHERE slug = 'files'")
        for n in range(count + 1):
            size, digest = (huge if n == count else small), f"{n:064x}"
            key = f"f/{tenant}/{digest[-2:]}/{digest}"
            path = bench.folder / "files" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file:
                for _ in range(max(1, size >> 20)):
                    file.write(chance.randbytes(min(size, 1 << 20)))
        self.sql(f"SET search_path TO {schema}; INSERT INTO attachment (id, uid, creator_id, created_ts, updated_ts, filename, size, sha256, storage_key) "
                 f"SELECT nextval('id_seq'), 'file' || n, (SELECT min(id) FROM member), 1, 1, 'f' || n || '.bin', CASE n WHEN {count} THEN {huge} ELSE {small} END, '', "
                 f"'f/{tenant}/' || right(digest, 2) || '/' || digest FROM generate_series(0, {count}) n, LATERAL (SELECT lpad(to_hex(n), 64, '0') AS digest) d")
        point, peak = bench.command("backup", "run", "--tenant", "files")
        target = bench.folder / "raw"
        target.mkdir()
        stored = [(bench.folder / "store" / one["key"]).read_bytes() for one in point["objects"] if one["bytes_stored"] < 32 << 20]
        stored += [bytes(one["bytes_stored"]) for one in point["objects"] if one["bytes_stored"] >= 32 << 20]
        began = time.monotonic()
        for n, content in enumerate(stored):
            put(target, str(n), content)
        raw, total = time.monotonic() - began, sum(map(len, stored))
        shutil.rmtree(target)
        bench.row("files", f"{point['seconds']:.1f} s for {bench.arguments.large:,} notes and {count + 1:,} files, {total / 1e6:.0f} MB stored; {raw / point['seconds']:.2f} of raw PUTs of the same bytes "
                  f"({raw:.1f} s); VmHWM {peak:.0f} MiB", peak <= 128, f"{count:,} files of {small >> 10} KiB and one of {huge >> 20} MiB that do not compress; {point['requests']} requests; raw: one after the other, each with fsync")


def put(folder, name, content):
    """As our folder store does: aside, flushed, named, the folder flushed."""
    with open(folder / (name + ".new"), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(folder / (name + ".new"), folder / name)
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
