#!/usr/bin/env python3
"""Measures the budgets that can be measured from outside, through the release executable and HTTP, and writes
docs/performance.md.

    tools/bench.py EXECUTABLE [--notes 10000] [--tenants 100] [--requests 2000] [--keep FOLDER]

Server and Postgres are processes of their own: CPU seconds are read from /proc for the server and for every process of the
Postgres cluster, so this program's own work does not count. Postgres runs with fsync, full_page_writes and
synchronous_commit on. What is not measured here has no figure.
"""

import argparse
import datetime
import http.client
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

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
SEED = 20_261_122


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_of(pid, with_children=False):
    """CPU seconds of a process; with the children that it has waited for if asked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return sum(map(int, fields[11:15] if with_children else fields[11:13])) / TICKS


def memory_of(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


class Postgres:
    def __init__(self, folder):
        self.port = free_port()
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self.data = folder / "pg"
        bins = sorted(Path("/usr/lib/postgresql").glob("1[5-8]/bin"))
        self.bin = bins[-1] if bins else Path(shutil.which("initdb")).parent
        self.data.mkdir()
        if self.user:
            os.chown(self.data, self.user.pw_uid, self.user.pw_gid)
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-k")
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.data} -c jit=off "
            "-c max_connections=200 -c max_locks_per_transaction=1024 -c shared_buffers=512MB"
        )
        self.run("pg_ctl", "-D", self.data, "-l", self.data / "log", "-o", options, "-w", "start")
        self.pid = int((self.data / "postmaster.pid").read_text().split()[0])
        self.sql("postgres", "CREATE ROLE holdfast LOGIN CREATEROLE")
        self.sql("postgres", "CREATE DATABASE holdfast OWNER holdfast")

    def run(self, program, *arguments):
        who = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}
        command = [str(self.bin / program), *map(str, arguments)]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, **who)

    def sql(self, database, text):
        place = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database]
        answer = subprocess.run([str(self.bin / "psql"), *place, "-XAtqc", text], check=True, capture_output=True, text=True)
        return answer.stdout.strip()

    def cpu(self):
        total = cpu_of(self.pid, with_children=True)
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for child in children:
            try:
                total += cpu_of(child)
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total

    def stop(self):
        os.kill(self.pid, signal.SIGINT)
        for _ in range(100):
            if not Path(f"/proc/{self.pid}").exists():
                return
            time.sleep(0.1)


class Bench:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.exe = str(Path(arguments.executable).resolve())
        self.postgres = Postgres(folder)
        self.rows = {}
        self.server = None
        (folder / "password").write_text("correct horse battery\n")
        self.environment = dict(
            os.environ,
            HOLDFAST_DATABASE_URL=f"postgres://holdfast@127.0.0.1:{self.postgres.port}/holdfast",
            HOLDFAST_STORE_DIRECTORY=str(folder / "store"),
            HOLDFAST_FILES_URL=f"file://{folder}/files",
            HOLDFAST_DATA=str(folder / "data"),
            HOLDFAST_DEFAULT_TENANT="t0",
        )
        for name in ("store", "files"):
            (folder / name).mkdir()

    # -- the executable -----------------------------------------------------------------------------------------------

    def command(self, *words):
        done = subprocess.run(
            [self.exe, *words, "--json"], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode not in (0, 3):
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def serve(self):
        began = time.monotonic()
        self.server = subprocess.Popen(
            [self.exe, "serve", "--no-worker", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--json"],
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
            self.server.wait(timeout=60)
            self.server = None

    def cpu(self):
        return cpu_of(self.server.pid) + self.postgres.cpu()

    # -- load ---------------------------------------------------------------------------------------------------------

    def load(self, count, request, threads=4):
        """Sends `count` requests made by `request(number)`; CPU seconds, seconds, latencies."""
        numbers, lock, latencies, failures = iter(range(count)), threading.Lock(), [], []

        def work():
            connection = http.client.HTTPConnection(self.address)
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                method, path, body, headers = request(number)
                began = time.monotonic()
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                text = answer.read()
                latencies.append(time.monotonic() - began)
                if answer.status != 200:
                    failures.append(f"{method} {path}: {answer.status} {text[:200]}")

        cpu, began = self.cpu(), time.monotonic()
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if failures:
            raise SystemExit(f"{len(failures)} of {count} requests failed, first: {failures[0]}")
        return self.cpu() - cpu, time.monotonic() - began, sorted(latencies)

    def get(self, path, token, tenant=None):
        headers = {"Authorization": f"Bearer {token}"}
        return "GET", f"/t/{tenant}{path}" if tenant else path, None, headers

    # -- what is measured ---------------------------------------------------------------------------------------------

    def tenant(self, slug):
        self.command("tenant", "create", slug, "--owner", "owner", "--password-file", str(self.folder / "password"))
        made = self.command("token", "create", "--tenant", slug, "--user", "owner")
        return next(value for key, value in made.items() if key == "token" or key.endswith("secret"))

    def write_notes(self, token, count):
        words = [f"word{n:04d}" for n in range(2_000)]
        chance = random.Random(SEED)
        texts = []
        for number in range(count):
            tags = f"#area{number % 50} #rare{number}" if number % 100 == 0 else f"#area{number % 50}"
            texts.append(f"note {number} {tags}\n\n{' '.join(chance.choices(words, k=60))}")

        def request(number):
            body = json.dumps({"content": texts[number], "visibility": "PROTECTED"})
            return "POST", "/api/v1/memos", body, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

        cpu, seconds, latencies = self.load(count, request, threads=8)
        self.rows["create"] = f"{count / seconds:.0f} notes/s from 8 clients, {1000 * cpu / count:.2f} CPU s per 1,000, p99 {1000 * p99(latencies):.1f} ms; the bare INSERT is not measured yet"

    def reads(self, token, notes):
        count = self.arguments.requests
        first = self.one("/api/v1/memos?pageSize=20", token)
        names = [memo["name"] for memo in first["memos"]]
        asked = {
            "list": lambda n: "/api/v1/memos?pageSize=20",
            "get": lambda n: f"/api/v1/{names[n % len(names)]}",
            "tag": lambda n: "/api/v1/memos?pageSize=20&filter=" + urllib.parse.quote(f'tag in ["area{n % 50}"]'),
            "search": lambda n: "/api/v1/memos?pageSize=20&filter=" + urllib.parse.quote(f'content.contains("word{n % 2000:04d}")'),
        }
        out = {}
        for name, path in asked.items():
            total = count if name in ("list", "get") else max(100, count // 10)
            self.load(min(200, total), lambda n: self.get(path(n), token))
            cpu, seconds, latencies = self.load(total, lambda n: self.get(path(n), token))
            out[name] = (1000 * cpu / total, total / seconds, p99(latencies))
        return out

    def one(self, path, token):
        connection = http.client.HTTPConnection(self.address)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"GET {path}: {answer.status} {text[:300]}")
        return json.loads(text)

    def start_time(self, token):
        firsts, lists = [], []
        for _ in range(5):
            self.end_server()
            began = self.serve()
            connection = http.client.HTTPConnection(self.address)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            firsts.append(time.monotonic() - began)
            self.one("/api/v1/memos?pageSize=20", token)
            lists.append(time.monotonic() - began)
        self.rows["start"] = f"first 200 {statistics.median(firsts):.3f} s, first list {statistics.median(lists):.3f} s (median of 5)"

    def many_tenants(self, one_token):
        count = self.arguments.tenants
        tokens, seconds = [], []
        for number in range(1, count + 1):
            began = time.monotonic()
            tokens.append((f"t{number}", self.tenant(f"t{number}")))
            seconds.append(time.monotonic() - began)
        chance = random.Random(SEED)
        path, asked = "/api/v1/memos?pageSize=20", 4_000
        self.load(500, lambda n: self.get(path, one_token), threads=2)
        _, _, one = self.load(asked, lambda n: self.get(path, one_token), threads=2)
        order = [chance.choice(tokens) for _ in range(asked)]
        self.load(2 * count, lambda n: self.get(path, tokens[n % count][1], tokens[n % count][0]), threads=2)
        _, _, many = self.load(asked, lambda n: self.get(path, order[n][1], order[n][0]), threads=2)
        self.rows["tenants"] = f"{p99(many) / p99(one):.2f} × ({1000 * p99(many):.1f} ms against {1000 * p99(one):.1f} ms), {count} tenants"
        self.rows["stock"] = f"not measured alone; `tenant create` and `token create` as commands, process starts included: p99 {p99(sorted(seconds)):.2f} s"
        self.rows["rss_many"] = f"{memory_of(self.server.pid, 'VmRSS'):.0f} MB after {count} tenants (peak {memory_of(self.server.pid, 'VmHWM'):.0f} MB)"

    def points(self, slug, name):
        self.command("backup", "run", "--tenant", slug)
        again = self.command("backup", "run", "--tenant", slug)
        stored = sum(one.get("bytes_stored", 0) for one in again.get("objects", []))
        self.rows[name] = f"{1000 * again['seconds']:.0f} ms, {stored / 1e6:.1f} MB stored" if "seconds" in again else "the report has no seconds"

    def run(self):
        self.command("status")
        token = self.tenant("t0")
        self.serve()
        time.sleep(2)
        self.rows["rss_idle"] = f"{memory_of(self.server.pid, 'VmRSS'):.0f} MB"
        self.write_notes(token, self.arguments.notes)
        self.postgres.sql("holdfast", "VACUUM ANALYZE")
        reads = self.reads(token, self.arguments.notes)
        self.rows["list"] = reading(reads["list"]) + f" at {self.arguments.notes:,} notes"
        self.rows["others"] = " / ".join(f"{reads[name][0]:.2f}" for name in ("get", "tag", "search")) + f" CPU s per 1,000 at {self.arguments.notes:,} notes"
        self.start_time(token)
        self.many_tenants(token)
        self.points("t1", "point_small")
        self.points("t0", "point_large")
        drill = self.command("drill", "run", "--tenant", "t0", "--faults", "none")
        self.rows["drill"] = f"{sum(p['seconds'] for p in drill['phases']):.1f} s, {drill['notes_compared']:,} notes, verdict {drill['verdict']}"

    def close(self):
        self.end_server()
        self.postgres.stop()


def p99(sorted_values):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * 0.99))]


def reading(row):
    return f"{row[0]:.2f} CPU s per 1,000, {row[1]:.0f}/s, p99 {1000 * row[2]:.1f} ms"


BUDGETS = [
    ("list of 20 notes through HTTP, warm", "≤ 0.35 CPU s per 1,000, equal at 10,000 and 100,000 notes; ≥ 0.6 of the throughput of `TenantTx` running the same statements in process", "list"),
    ("get / tag filter / substring search, 100,000 notes", "≤ 0.2 / ≤ 1 / ≤ 2 CPU s per 1,000", "others"),
    ("create", "≥ 0.8 of the commit rate of a bare INSERT through the same pool, at 1, 8, 32 connections", "create"),
    ("p99 with 1,000 tenants hit at random", "≤ 2 × p99 with one", "tenants"),
    ("server RSS, idle", "≤ 60 MB", "rss_idle"),
    ("server RSS, 1,000 tenants active", "≤ 150 MB", "rss_many"),
    ("start on an existing database", "first 200 ≤ 0.1 s, first list ≤ 0.15 s", "start"),
    ("tenant from stock", "p99 ≤ 50 ms", "stock"),
    ("point, small tenant beside a local store", "≤ 100 ms whatever the number of tenants", "point_small"),
    ("point, large", "≥ 0.9 of COPY text through zstd -3; ≤ 128 MiB", "point_large"),
    ("change → restorable, 100 tenants being written", "≤ 60 s", "rpo"),
    ("import, load stage, 100,000 and 1,000,000 notes", "≥ 2 × pgloader tuned; ≤ 128 MiB", "import"),
    ("drill of a tenant with 100,000 notes", "≤ 60 s, everything compared", "drill"),
]


def page(rows):
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    model = next((l.split(":", 1)[1].strip() for l in Path("/proc/cpuinfo").read_text().splitlines() if l.startswith("model name")), "unknown")
    lines = [
        "# Performance", "",
        "Budgets, and what `make bench` measured: release build, through HTTP and the command line, CPU seconds of server and",
        "Postgres together, load generator excluded, durable settings on. Nothing of this is asserted in tests. A budget without",
        "a figure was not measured; where the figure was taken on fewer notes or tenants than the budget names, it says so and",
        "proves nothing about the budget's own size.", "",
        f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}, commit `{commit or 'unknown'}`, {os.cpu_count()} cores ({model}), seed {SEED}.", "",
        "| what | budget | measured |", "|---|---|---|",
    ]
    lines += [f"| {what} | {budget} | {rows.get(key, '–')} |" for what, budget, key in BUDGETS]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("executable")
    parser.add_argument("--notes", type=int, default=10_000)
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--output", type=Path, default=ROOT / "docs/performance.md")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
    folder.chmod(0o755)
    bench = Bench(arguments, folder)
    try:
        bench.run()
    finally:
        bench.close()
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in bench.rows.items():
            print(f"{name:12} {text}")
    arguments.output.write_text(page(bench.rows))
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    sys.exit(main())
