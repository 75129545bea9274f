"""One journey by real clients: Python's grpcio with reflection and health, connect-es over Connect and gRPC-Web.

    run.py BINARY NODE_MODULES_PARENT

Starts a server of its own with three tenants and runs every client at each door: the default tenant, a host name,
/t/slug. Called by tools/clients-test.sh.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PASSWORD = "Clients-Journey-1"


def command(binary, data, *words, **options):
    return subprocess.run([binary, *words, "--data", str(data)], check=True, capture_output=True, text=True, **options)


def prepared(binary, folder):
    """Three tenants in a fresh data folder."""
    data = folder / "data"
    secret = folder / "password"
    secret.write_text(PASSWORD)
    for slug, more in [("default", []), ("hosted", ["--host", "localhost"]), ("below", [])]:
        command(binary, data, "tenant", "create", slug, "--owner", "ada", "--password-file", str(secret), *more)
    return data


def serving(binary, data):
    """The server and what its ready line says."""
    words = ["serve", "--embedded", "--no-worker", "--json", "--data", str(data)]
    for name in ["--listen", "--grpc-listen", "--ops-listen"]:
        words += [name, "127.0.0.1:0"]
    environment = {**os.environ, "HOLDFAST_LOG_FILTER": "warn"}
    server = subprocess.Popen([binary, *words], stdout=subprocess.PIPE, text=True, env=environment)
    line = server.stdout.readline()
    if not line:
        raise SystemExit("the server ended before it was ready")
    return server, json.loads(line)


def doors(ready):
    """Each door with what a client of each protocol needs to know."""
    url, port = ready["url"], ready["url"].rsplit(":", 1)[1]
    address = ready["grpc_url"].split("//", 1)[1]
    common = {"grpc": address, "username": "ada", "password": PASSWORD}
    return {
        "default tenant": {**common, "url": url, "metadata": {}},
        "host name": {**common, "url": f"http://localhost:{port}", "authority": f"localhost:{port}", "metadata": {}},
        "/t/below": {**common, "url": f"{url}/t/below", "metadata": {"holdfast-tenant": "below"}},
    }


def main(binary, home):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hf-clients."))
    os.chmod(folder, 0o755)  # the database may run as another user
    server = None
    try:
        data = prepared(binary, folder)
        server, ready = serving(binary, data)
        descriptors = folder / "descriptors.bin"
        shutil.copy(HERE / "web_journey.mjs", pathlib.Path(home) / "web_journey.mjs")
        for door, told in doors(ready).items():
            told = {**told, "door": door, "descriptors": str(descriptors)}
            subprocess.run([sys.executable, "-B", HERE / "grpc_journey.py", json.dumps(told)], check=True)
            subprocess.run(["node", pathlib.Path(home) / "web_journey.mjs", json.dumps(told)], check=True)
    finally:
        if server is not None:
            server.terminate()
            server.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
    print("clients: grpcio, Connect JSON, Connect binary, gRPC-Web: one journey each at 3 doors")


if __name__ == "__main__":
    main(*sys.argv[1:3])
