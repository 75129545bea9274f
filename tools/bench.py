#!/usr/bin/env python3
"""Measures the budgets and writes docs/performance.md.

    tools/bench.py EXECUTABLE BUDGETS [--sign-in PROGRAM] [--small 10000] [--large 100000] [--tenants 1000] [--requests 3000] [--output FILE]

EXECUTABLE is the release build; BUDGETS the release build of crates/store/examples/budgets.rs, which fills tenants and
measures what HTTP would hide. Server and Postgres are processes of their own: CPU seconds are read from /proc for the server
and for every process of the Postgres cluster, so the load generator (this program) does not count. Rows are written with
fsync off; before anything is measured Postgres starts again with fsync, full_page_writes and synchronous_commit on.
Loopback only; only processes started here are ended. What is not measured has no figure.
"""

import argparse
import datetime
import json
import os
import pwd
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

import bench_import
import bench_points
import bench_sign_in
import bench_wire

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
SEED = 20_261_122
LIST = "/api/v1/memos?pageSize=20"


def cpu_of(pid, with_children=False):
    """CPU seconds of a process; with the children that it has waited for if asked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return sum(map(int, fields[11:15] if with_children else fields[11:13])) / TICKS


def memory_of(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


def machine_cpu():
    """Busy CPU seconds of the whole machine since it started."""
    fields = list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def p99(values):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


class Postgres:
    def __init__(self, folder):
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self.data = folder / "pg"
        bins = sorted(Path("/usr/lib/postgresql").glob("1[5-8]/bin"))
        self.bin = bins[-1] if bins else Path(shutil.which("initdb")).parent
        self.data.mkdir()
        if self.user:
            os.chown(self.data, self.user.pw_uid, self.user.pw_gid)
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-k", "--no-sync")
        self.url = f"postgres://holdfast@/holdfast?host={self.data}&port=5432"
        self.pid, self.spent = None, 0.0
        self.start(durable=False)
        self.sql("postgres", "CREATE ROLE holdfast LOGIN CREATEROLE")
        self.sql("postgres", "CREATE DATABASE holdfast OWNER holdfast")
        self.sql("holdfast", "CREATE SCHEMA ext; GRANT USAGE ON SCHEMA ext TO PUBLIC; CREATE EXTENSION pg_trgm SCHEMA ext")
        self.version = self.sql("postgres", "SHOW server_version").split()[0]

    def start(self, durable):
        on = "on" if durable else "off"
        options = (
            f"-c listen_addresses= -c unix_socket_directories={self.data} -c jit=off -c fsync={on} -c full_page_writes={on} "
            f"-c synchronous_commit={on} -c max_connections=200 -c max_locks_per_transaction=1024 -c shared_buffers=512MB"
        )
        self.run("pg_ctl", "-D", self.data, "-l", self.data / "log", "-o", options, "-w", "-t", "120", "start")
        self.pid = int((self.data / "postmaster.pid").read_text().split()[0])

    def run(self, program, *arguments):
        who = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}
        command = [str(self.bin / program), *map(str, arguments)]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, **who)

    def psql(self, database, text):
        return [str(self.bin / "psql"), "-h", str(self.data), "-U", "postgres", "-d", database, "-XAtqc", text]

    def sql(self, database, text):
        return subprocess.run(self.psql(database, text), check=True, capture_output=True, text=True).stdout.strip()

    def cpu(self):
        total = cpu_of(self.pid, with_children=True)
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            try:
                total += cpu_of(child)
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total

    def stop(self):
        if not self.pid:
            return
        self.spent += self.cpu()
        os.kill(self.pid, signal.SIGINT)
        for _ in range(600):
            if not Path(f"/proc/{self.pid}").exists():
                break
            time.sleep(0.1)
        self.pid = None


class Connection:
    """HTTP/1.1 kept alive, as little work as possible on this side."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def ask(self, request):
        self.socket.sendall(request)
        data = self.buffer
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self.more()
        head = data[:end].lower()
        at = head.index(b"content-length:") + 15
        stop = head.find(b"\r\n", at)
        length = int(head[at:] if stop < 0 else head[at:stop])
        parts, have = [data[end + 4 :]], len(data) - end - 4
        while have < length:
            parts.append(self.more())
            have += len(parts[-1])
        body = b"".join(parts)
        self.buffer = body[length:]
        return int(head[9:12]), body[:length]

    def more(self):
        data = self.socket.recv(262_144)
        if not data:
            raise SystemExit("the server closed a connection")
        return data


class Bench:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.exe, self.budgets = (str(Path(p).resolve()) for p in (arguments.executable, arguments.budgets))
        self.rows, self.tables, self.server, self.began = {}, [], None, time.monotonic()
        self.points = bench_points.Points(self)
        self.cpu_of, self.memory_of = cpu_of, memory_of
        self.postgres = Postgres(folder)
        self.environment = dict(
            os.environ,
            HOLDFAST_DATABASE_URL=self.postgres.url,
            HOLDFAST_STORE_DIRECTORY=str(folder / "store"),
            HOLDFAST_FILES_URL=f"file://{folder}/files",
            HOLDFAST_DATA=str(folder / "data"),
            HOLDFAST_DEFAULT_TENANT="small",
        )
        for name in ("store", "files"):
            (folder / name).mkdir()

    # -- what is run --------------------------------------------------------------------------------------------------

    def child(self, command, limit=900):
        """Runs a program to its end: its lines of JSON, and its peak memory in MiB."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            started = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            timer = threading.Timer(limit, started.kill)
            timer.start()
            _, status, usage = os.wait4(started.pid, 0)
            timer.cancel()
            started.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            lines = out.read().decode().strip().splitlines()
            if started.returncode not in (0, 3):
                tail = err.read().decode()[-800:]
                raise RuntimeError(f"{' '.join(map(str, command[1:4]))} ended with {started.returncode}: {lines[-1:]} {tail}")
        return [json.loads(line) for line in lines if line.startswith("{")], usage.ru_maxrss / 1024

    def command(self, *words, limit=900):
        answers, peak = self.child([self.exe, *words, "--json"], limit)
        return answers[-1] if answers else {}, peak

    def inside(self, *words):
        return self.child([self.budgets, self.postgres.url, *map(str, words)])[0]

    def serve(self):
        began = time.monotonic()
        self.server = subprocess.Popen(
            [self.exe, "serve", "--no-worker", "--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--json"],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for line in self.server.stdout:
            ready = json.loads(line)
            if ready.get("event") == "ready":
                self.address = urllib.parse.urlparse(ready["url"]).netloc
                return began
        raise SystemExit("the server ended before it was ready")

    def end_server(self):
        if self.server:
            self.server.send_signal(signal.SIGTERM)
            try:
                self.server.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.server.kill()
            self.server = None

    def connection(self):
        return Connection(self.address)

    # -- load ---------------------------------------------------------------------------------------------------------

    def request(self, path, token, body=None):
        head = f"Host: bench\r\nAuthorization: Bearer {token}\r\n"
        if body is None:
            return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()
        data = json.dumps(body).encode()
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        return f"POST {path} HTTP/1.1\r\n{head}".encode() + data

    def load(self, requests, clients=4):
        """Sends the requests: CPU seconds of server and of Postgres, seconds, latencies."""
        queue, lock, latencies, failures = iter(requests), threading.Lock(), [], []

        def work():
            connection = Connection(self.address)
            while not failures:
                with lock:
                    request = next(queue, None)
                if request is None:
                    return
                began = time.monotonic()
                status, body = connection.ask(request)
                latencies.append(time.monotonic() - began)
                if status != 200:
                    failures.append(f"{request[:90]}: {status} {body[:200]}")

        server, postgres, began = cpu_of(self.server.pid), self.postgres.cpu(), time.monotonic()
        workers = [threading.Thread(target=work) for _ in range(clients)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if failures:
            raise RuntimeError(f"requests failed, first: {failures[0]}")
        seconds = time.monotonic() - began
        return cpu_of(self.server.pid) - server, self.postgres.cpu() - postgres, seconds, latencies

    def measure(self, requests, clients=4, rounds=3):
        """The medians of some rounds: CPU s per 1,000 of server and Postgres, requests per second, p99 in ms."""
        found = []
        for _ in range(rounds):
            server, postgres, seconds, latencies = self.load(requests, clients)
            count = len(requests) / 1000
            found.append((server / count, postgres / count, len(requests) / seconds, 1000 * p99(latencies)))
        return tuple(statistics.median(column) for column in zip(*found))

    def one(self, path, token):
        status, body = Connection(self.address).ask(self.request(path, token))
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body[:300]}")
        return json.loads(body)

    # -- what is measured ---------------------------------------------------------------------------------------------

    def row(self, key, figure, met, where):
        self.rows[key] = (figure, met, where)
        print(f"{key:10} {figure} | {met} | {where}", flush=True)

    def fill(self):
        began, sizes = time.monotonic(), self.arguments
        self.inside("prepare", 2)
        self.tokens = {slug: self.inside("fill", slug, count)[-1]["token"] for slug, count in (("small", sizes.small), ("large", sizes.large))}
        self.inside("prepare", sizes.tenants)
        self.many = [(line["slug"], line["token"]) for line in self.inside("fill-many", sizes.tenants, 50)]
        self.inside("prepare", sizes.stock)
        self.postgres.sql("holdfast", "VACUUM ANALYZE")
        self.inside("index")
        self.postgres.stop()
        self.postgres.start(durable=True)
        print(f"filled in {time.monotonic() - began:.0f} s", flush=True)

    def starting(self):
        firsts, lists = [], []
        for _ in range(5):
            self.end_server()
            began = self.serve()
            Connection(self.address).ask(b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n")
            firsts.append(time.monotonic() - began)
            self.one(LIST, self.tokens["small"])
            lists.append(time.monotonic() - began)
        first, listed = statistics.median(firsts), statistics.median(lists)
        self.row("start", f"first 200 {first:.3f} s, first list {listed:.3f} s (medians of 5)", first <= 0.1 and listed <= 0.15,
                 f"{1000 * (listed - first):.0f} ms of it: first connections to Postgres, planning")

    def memory(self):
        self.end_server()
        self.serve()
        time.sleep(5)
        rss, peak = memory_of(self.server.pid, "VmRSS"), memory_of(self.server.pid, "VmHWM")
        self.row("rss_idle", f"{rss:.0f} MB (VmHWM {peak:.0f} MB)", rss <= 60, "5 s after the start, nothing asked yet")

    def listing(self):
        out = {}
        for slug in ("small", "large"):
            requests = [self.request(f"/t/{slug}{LIST}", self.tokens[slug])] * self.arguments.requests
            self.load(requests[:300])
            out[slug] = self.measure(requests, clients=8)
        inside = self.inside("list", "small", 8, 4)[-1]["per_second"]
        small, large = out["small"], out["large"]
        sums = [a[0] + a[1] for a in (small, large)]
        share = self.wrk(f"/t/small{LIST}", self.tokens["small"])
        ratio = f"wrk, 8 connections: {share:.0f}/s, {share / inside:.2f} of the {inside:.0f}/s of the same statements in process" if share else "throughput not measured (no wrk)"
        count = f"{self.arguments.small:,} / {self.arguments.large:,} notes"
        self.row("list", f"{sums[0]:.2f} / {sums[1]:.2f} CPU s per 1,000 at {count}; {ratio}",
                 max(sums) <= 0.35 and bool(share) and share >= 0.6 * inside,
                 f"server {small[0]:.2f} / {large[0]:.2f}, Postgres {small[1]:.2f} / {large[1]:.2f}: one flight, token and list")

    def wrk(self, path, token):
        if not shutil.which("wrk"):
            return None
        command = ["wrk", "-t1", "-c8", "-d4s", "-H", f"Authorization: Bearer {token}", f"http://{self.address}{path}"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if "Non-2xx" in text:
            raise RuntimeError(text)
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith("Requests/sec")))

    def getting(self):
        token = self.tokens["large"]
        names = [memo["name"] for memo in self.one(f"/t/large{LIST}", token)["memos"]]
        requests = [self.request(f"/t/large/api/v1/{names[n % len(names)]}", token) for n in range(self.arguments.requests)]
        self.load(requests[:300])
        server, postgres, _, _ = self.measure(requests, clients=8)
        self.row("get", f"{server + postgres:.2f} CPU s per 1,000", server + postgres <= 0.2, f"server {server:.2f}, Postgres {postgres:.2f}: one flight, token and note")

    def filtering(self):
        token, count = self.tokens["large"], self.arguments.requests // 5
        asked = {
            "common tag": lambda n: f'tag in ["area{n % 50}"]',
            "rare tag": lambda n: f'tag in ["rare{100 * (1 + n % 1000)}"]',
            "common word": lambda n: f'content.contains("word{n % 2000:04d}")',
            "rare word": lambda n: f'content.contains("rare{100 * (1 + n % 1000)}")',
        }
        sums, parts = {}, []
        for name, text in asked.items():
            requests = [self.request(f"/t/large{LIST}&filter={urllib.parse.quote(text(n))}", token) for n in range(count)]
            self.load(requests[:100])
            server, postgres, _, slow = self.measure(requests, rounds=3)
            sums[name] = server + postgres
            parts.append(f"{name}: server {server:.2f}, Postgres {postgres:.2f}, p99 {slow:.0f} ms")
        tags, words = (max(sums[f"{kind} {what}"] for kind in ("common", "rare")) for what in ("tag", "word"))
        self.row("filters", "; ".join(f"{name} {value:.2f}" for name, value in sums.items()) + " CPU s per 1,000", tags <= 1 and words <= 2,
                 "; ".join(parts) + "; a common tag is that of every 50th note, a common word of every 67th, rare ones of one note")

    def noisy(self):
        bench_wire.noisy(self)

    def protocols(self):
        bench_wire.protocols(self)

    def creating(self):
        text = " ".join(f"word{n:04d}" for n in range(30))
        requests = [self.request("/api/v1/memos", self.tokens["small"], {"content": f"note {n} #area{n % 50}\n\n{text}", "visibility": "PROTECTED"})
                    for n in range(1_000)]
        server, postgres, rate, slow = self.measure(requests, clients=8, rounds=3)
        figures, met = [], True
        for connections in (1, 8, 32):
            rounds = self.inside("insert", "small", connections, 2)
            ratio = statistics.median(line["create"] / line["bare"] for line in rounds)
            bare = statistics.median(line["bare"] for line in rounds)
            owner = statistics.median(line["create"] / line["owner"] for line in rounds)
            figures.append(f"{ratio:.2f} at {connections} (bare {bare:.0f}/s; {owner:.2f} of the owner's without a transaction block)")
            met = met and ratio >= 0.8
        self.row("create", ", ".join(figures) + " connections, in process",
                 met, f"waiting for the commit; through HTTP with 8 clients {rate:.0f}/s, p99 {slow:.0f} ms, CPU s per 1,000: server {server:.2f}, Postgres {postgres:.2f}")

    def tenants(self):
        count, chance = len(self.many), random.Random(SEED)
        warm = [self.request(f"/t/{slug}{LIST}", token) for slug, token in self.many]
        self.load(warm * 8)
        ones = [self.request(f"/t/many1{LIST}", self.many[0][1])] * 2_000
        found, cpu = [], []
        for _ in range(5):
            one = self.load(ones)[3]
            server, postgres, _, many = self.load([chance.choice(warm) for _ in range(2_000)])
            cpu.append((server / 2, postgres / 2))
            found.append((1000 * p99(many), 1000 * p99(one)))
        ratio = statistics.median(many / one for many, one in found)
        many, one = (statistics.median(column) for column in zip(*found))
        server, postgres = (statistics.median(column) for column in zip(*cpu))
        self.row("tenants", f"{ratio:.2f} × ({many:.1f} ms with {count:,} tenants, {one:.1f} ms with one; 4 clients, medians of 5, each tenant asked 8 times before)", ratio <= 2,
                 f"CPU s per 1,000 with all: server {server:.2f}, Postgres {postgres:.2f}; medians of 5 rounds")
        rss, peak = memory_of(self.server.pid, "VmRSS"), memory_of(self.server.pid, "VmHWM")
        self.row("rss_many", f"{rss:.0f} MB (VmHWM {peak:.0f} MB) after {count:,} tenants", rss <= 150, "registry, plans, buffers")

    def stock(self):
        found = self.inside("stock", self.arguments.stock)[-1]["milliseconds"]
        slow = p99(found)
        self.row("stock", f"p99 {slow:.1f} ms, median {statistics.median(found):.1f} ms ({len(found)} tenants)", slow <= 50,
                 "one commit of the registry; members and passwords not included")

    def importing(self):
        bench_import.importing(self, [int(size) for size in self.arguments.imports.split(",")])

    def signing_in(self):
        bench_sign_in.signing_in(self, self.arguments.sign_in)

    def run(self):
        self.fill()
        self.serve()
        points = self.points
        parts = (self.starting, self.memory, self.listing, self.getting, self.tenants, self.stock, points.points, self.creating, self.filtering, self.noisy, self.protocols,
                 points.rounds, points.second, points.restorable, points.restoring, points.pruning, points.files, points.drill, self.signing_in, self.importing)
        for part in parts:
            if self.arguments.only and part.__name__ not in self.arguments.only.split(","):
                continue
            if time.monotonic() - self.began > 60 * self.arguments.minutes:
                print(f"{part.__name__} was not measured: no time left", file=sys.stderr, flush=True)
                continue
            try:
                part()
            except (RuntimeError, KeyError, ValueError, IndexError, OSError, subprocess.CalledProcessError) as error:
                print(f"{part.__name__} was not measured: {error!r}", file=sys.stderr, flush=True)

    def close(self):
        self.points.stop()
        self.end_server()
        self.postgres.stop()


BUDGETS = [
    ("list of 20 notes through HTTP, warm", "≤ 0.35 CPU s per 1,000 (server and Postgres), equal at 10,000 and 100,000 notes; ≥ 0.6 of the throughput in process", "list"),
    ("get, 100,000 notes", "≤ 0.2 CPU s per 1,000", "get"),
    ("tag filter / substring search, 100,000 notes", "≤ 1 / ≤ 2 CPU s per 1,000", "filters"),
    ("another tenant searching at full load", "p99 of one's own list ≤ 3 × that without", "noisy"),
    ("list, get, create, update by REST, Connect JSON, Connect binary", "none; the table below", "protocols"),
    ("create", "≥ 0.8 of the commit rate of a bare INSERT of the same row into the same table through the same pool, at 1, 8, 32 connections", "create"),
    ("p99 with 1,000 tenants hit at random", "≤ 2 × p99 with one", "tenants"),
    ("server RSS, idle", "≤ 60 MB", "rss_idle"),
    ("server RSS, 1,000 tenants active", "≤ 150 MB", "rss_many"),
    ("start on an existing database", "first 200 ≤ 0.1 s, first list ≤ 0.15 s", "start"),
    ("tenant from stock", "p99 ≤ 50 ms", "stock"),
    ("point, small tenant beside a local store", "≤ 100 ms whatever the number of tenants", "point"),
    ("point, large", "≥ 0.9 of COPY text through zstd -3; ≤ 128 MiB", "large"),
    ("second point after 10 edits, 100,000 notes", "none: it follows the change", "second"),
    ("round over 1,000 tenants of which 10 changed", "≤ 60 s from change to restorable", "round"),
    ("first point of 100,000 notes and 1,000 files, one of 200 MB", "≤ 128 MiB; beside raw PUTs of the same bytes", "files"),
    ("restore of 100,000 notes", "≥ 1.5 × pg_restore", "restore"),
    ("prune over 10,000 points", "none", "prune"),
    ("drill of a tenant with 100,000 notes", "≤ 60 s, everything compared", "drill"),
    ("change → restorable, 100 tenants being written", "≤ 60 s", "rpo"),
    ("sign-in by local password", "≤ 20 % over the password's hash alone, in time and CPU", "sign_in"),
    ("sign-in by a directory", "≤ 4 round trips on kept connections; 10,000 entries with 500 nested groups ≤ 5 s", "directory"),
    ("import, load stage, 100,000 and 1,000,000 notes", "≥ 2 × pgloader tuned; ≤ 128 MiB", "import"),
]


def page(bench, elsewhere):
    commit = os.environ.get("COMMIT") or subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    model = next((l.split(":", 1)[1].strip() for l in Path("/proc/cpuinfo").read_text().splitlines() if l.startswith("model name")), "unknown")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1_048_576
    lines = [
        "# Performance", "",
        "Budgets, and what `make bench` measured: release build, through HTTP and the command line on loopback, CPU seconds of",
        "server and Postgres together, load generator excluded, fsync, full_page_writes and synchronous_commit on. Nothing of this",
        "is asserted in tests. A budget without a figure is not measured yet.", "",
        f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}, commit `{commit or 'unknown'}`, PostgreSQL {bench.postgres.version}, {os.cpu_count()} cores "
        f"({model}), {memory} GiB, seed {SEED}. Other work on the machine took {elsewhere:.0f} % of its CPU time meanwhile: times and rates",
        "suffer from that, CPU seconds and ratios less.", "",
        "| what | budget | figure | met | where the time goes |", "|---|---|---|---|---|",
    ]
    for what, budget, key in BUDGETS:
        figure, met, where = bench.rows.get(key, ("–", None, "not measured"))
        lines.append(f"| {what} | {budget} | {figure} | {'–' if met is None else 'yes' if met else '**no**'} | {where} |")
    lines += bench.tables
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("executable")
    parser.add_argument("budgets")
    for name, size in (("small", 10_000), ("large", 100_000), ("tenants", 1_000), ("requests", 3_000), ("stock", 100)):
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--sign-in", default="", help="the release build of crates/identity/examples/sign_in.rs")
    parser.add_argument("--imports", default="100000,1000000", help="sizes of imported databases, in notes")
    parser.add_argument("--minutes", type=float, default=30, help="no part is begun after these")
    parser.add_argument("--only", default="", help="some of the parts by name, divided by commas")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/performance.md")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # so that what was started is ended
    folder = Path(tempfile.mkdtemp(prefix="hf-bench-"))
    folder.chmod(0o755)
    began, busy, own = time.monotonic(), machine_cpu(), sum(os.times()[:4])
    bench = Bench(arguments, folder)
    try:
        bench.run()
    finally:
        bench.close()
        shutil.rmtree(folder, ignore_errors=True)
    ours = sum(os.times()[:4]) - own + bench.postgres.spent
    whole = (time.monotonic() - began) * os.cpu_count()
    arguments.output.write_text(page(bench, 100 * max(0.0, machine_cpu() - busy - ours) / whole))
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    sys.exit(main())
