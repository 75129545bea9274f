"""Two parts of tools/bench.py: the ways on the wire beside each other, and a tenant beside one that searches at full load."""

import json
import statistics
import subprocess
import sys
import time
import urllib.parse

SERVICE = "/t/large/memos.api.v1.MemoService/"


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    """A field of protobuf: text, bytes or a number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def post(path, token, kind, body, method="POST"):
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def asked(bench, token, names):
    """What is asked, by way and operation, each with the number of a request."""
    memo = lambda n: {"content": f"measured {n} #area{n % 50}", "visibility": "PROTECTED"}
    text = lambda value: json.dumps(value).encode()
    connect = lambda rpc, value: post(SERVICE + rpc, token, "application/json", text(value))
    binary = lambda rpc, value: post(SERVICE + rpc, token, "application/proto", value)
    name = lambda n: names[n % len(names)]
    return {
        ("REST", "list"): lambda n: bench.request("/t/large/api/v1/memos?pageSize=20", token),
        ("REST", "get"): lambda n: bench.request(f"/t/large/api/v1/{name(n)}", token),
        ("REST", "create"): lambda n: bench.request("/t/large/api/v1/memos", token, memo(n)),
        ("REST", "update"): lambda n: post(f"/t/large/api/v1/{name(n)}?updateMask=content", token, "application/json", text({"content": f"changed {n}"}), "PATCH"),
        ("Connect JSON", "list"): lambda n: connect("ListMemos", {"pageSize": 20}),
        ("Connect JSON", "get"): lambda n: connect("GetMemo", {"name": name(n)}),
        ("Connect JSON", "create"): lambda n: connect("CreateMemo", {"memo": memo(n)}),
        ("Connect JSON", "update"): lambda n: connect("UpdateMemo", {"memo": {"name": name(n), "content": f"changed {n}"}, "updateMask": "content"}),
        ("Connect binary", "list"): lambda n: binary("ListMemos", field(1, 20)),
        ("Connect binary", "get"): lambda n: binary("GetMemo", field(1, name(n))),
        ("Connect binary", "create"): lambda n: binary("CreateMemo", field(1, field(7, memo(n)["content"]) + field(9, 2))),
        ("Connect binary", "update"): lambda n: binary("UpdateMemo", field(1, field(1, name(n)) + field(7, f"changed {n}")) + field(2, field(1, "content"))),
    }


def protocols(bench):
    """CPU s per 1,000 and requests per second of each way and operation with 1, 8 and 32 connections, in one run."""
    token = bench.tokens["large"]
    names = [memo["name"] for memo in bench.one("/t/large/api/v1/memos?pageSize=200", token)["memos"]]
    count, found = max(200, bench.arguments.requests // 5), {}
    for (way, what), make in asked(bench, token, names).items():
        requests = [make(n) for n in range(count)]
        bench.load(requests[:100], clients=8)
        for connections in (1, 8, 32):
            found[way, what, connections] = bench.measure(requests, connections, rounds=1)
    lines = ["", f"Each way on the wire in one run, {bench.arguments.large:,} notes: CPU s per 1,000 (server + Postgres), and in brackets the rate as a multiple of",
             "REST's with one connection. The load generator takes a core of its own, so rates of many connections are those of both.", "",
             "| way | connections | list 20 | get | create | update |", "|---|---|---|---|---|---|"]
    for way in ("REST", "Connect JSON", "Connect binary"):
        for connections in (1, 8, 32):
            cells = []
            for what in ("list", "get", "create", "update"):
                server, postgres, rate, _ = found[way, what, connections]
                cells.append(f"{server:.2f} + {postgres:.2f} ({rate / found['REST', what, 1][2]:.2f} ×)")
            lines.append(f"| {way} | {connections} | " + " | ".join(cells) + " |")
    bench.tables += lines
    print("\n".join(lines), flush=True)
    base = found["REST", "list", 8]
    ratios = ", ".join(f"{way} {(found[way, 'list', 8][0] + found[way, 'list', 8][1]) / (base[0] + base[1]):.2f}" for way in ("Connect JSON", "Connect binary"))
    bench.row("protocols", f"a list of 20 with 8 connections, CPU against REST's: {ratios}", None, "REST keeps answers that were given before, Connect makes each anew")


def noisy(bench):
    """p99 of lists in one tenant, alone and while another searches as fast as eight connections can, from a process of its own."""
    count = bench.arguments.requests
    quiet = [bench.request("/t/small/api/v1/memos?pageSize=20", bench.tokens["small"])] * count
    bench.load(quiet[:300])
    alone = statistics.median(1000 * percentile(bench.load(quiet, clients=2)[3]) for _ in range(3))
    search = f"/t/large/api/v1/memos?pageSize=20&filter={urllib.parse.quote('content.contains(' + chr(34) + 'nowhere' + chr(34) + ') || has_code')}"
    load = subprocess.Popen([sys.executable, "-B", __file__, bench.address, search, bench.tokens["large"]], stdout=subprocess.PIPE, text=True)
    try:
        load.stdout.readline()
        time.sleep(1)
        beside = statistics.median(1000 * percentile(bench.load(quiet, clients=2)[3]) for _ in range(3))
    finally:
        load.kill()
        load.wait()
    bench.row("noisy", f"{beside / alone:.2f} × ({beside:.1f} ms beside, {alone:.1f} ms alone; 2 clients, medians of 3)", beside <= 3 * alone,
              "the other tenant: 8 connections, each a filter that passes no note; what of it is the cores being busy is in it")


def percentile(values):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def search_forever(address, path, token):
    """Eight connections that ask the same again and again until this process is ended."""
    import threading

    import bench

    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode()

    def work():
        connection = bench.Connection(address)
        while True:
            connection.ask(request)

    for _ in range(8):
        threading.Thread(target=work, daemon=True).start()
    print("searching", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    search_forever(*sys.argv[1:4])
