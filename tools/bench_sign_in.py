"""The rows of `make bench` about signing in, measured by crates/identity/examples/sign_in.rs."""

ROUNDS = 40


def signing_in(bench, program):
    """Runs the example against the bench's Postgres; its figures become two rows."""
    if not program:
        raise RuntimeError("no executable was given for it")
    before = bench.postgres.cpu()
    found = bench.child([program, bench.postgres.url, str(ROUNDS)], limit=300)[0][-1]
    postgres = 1000 * (bench.postgres.cpu() - before)
    local, directory = found["local"], found["directory"]
    bench.row(
        "sign_in",
        f"{local['sign_in_ms']:.1f} ms over a bare hash of {local['hash_ms']:.1f} ms: {100 * local['over_ms']:+.0f} % of time, "
        f"{100 * local['over_cpu']:+.0f} % of CPU",
        local["over_ms"] <= 0.2 and local["over_cpu"] <= 0.2,
        f"argon2id {local['hash_cpu_ms']:.1f} ms of CPU, the rest {local['sign_in_cpu_ms'] - local['hash_cpu_ms']:.1f} ms; Postgres "
        f"took {postgres:.0f} ms for everything of this part",
    )
    if directory:
        bench.row(
            "directory",
            f"{directory['round_trips']} round trips, {directory['sign_in_ms']:.1f} ms; {directory['people']:,} people in "
            f"{directory['groups']} nested groups in {directory['resolve_seconds']:.2f} s",
            directory["round_trips"] <= 4 and directory["resolve_seconds"] <= 5,
            f"slapd on loopback, connections kept; {directory['found']}",
        )
