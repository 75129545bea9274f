#!/usr/bin/env python3
"""The structure check of `make test`: what no compiler says about the shape of the house.

    tools/structure.py              checks the repository, prints findings as FILE:LINE: RULE: SENTENCE, ends with 1 if any
    tools/structure.py --self-test  shows on a made-up repository that each rule catches what it is for

Rules, and where each comes from (ARCHITECTURE.md):
  arrows     which crate may use which, read from Cargo.toml; a roof never uses a roof
  owners     libraries that only some crates may use (actix in web, app, admin; SQLite in migrate; ...)
  file       a file has at most 400 lines, tests not counted
  function   a function has at most 60 lines and 6 parameters, tests not counted
  sql        SQL text only in crates/store and in the reader of foreign databases
  module     a folder of modules has a mod.rs; no module is both x.rs and x/
  name       no module or type is called after nothing (utils, helpers, manager, ...)
  door       the environment, the time and chance come in through one door each
  path       no path of one particular machine
  docs       links lead somewhere; every setting is in docs/operating.md, every metric in docs/logging.md and no other
"""

import re
import sys
import tempfile
import tomllib
from pathlib import Path

FILE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 6

SHARED = {"domain", "store", "objects", "markdown", "wire", "runtime", "identity", "jobs", "web", "testkit"}
ROOFS = {"app", "admin", "backup", "migrate"}
ROOF_ABOVE_ALL = {"web", "identity", "jobs", "store", "objects", "wire", "markdown", "runtime", "domain"}
ARROWS = {
    "holdfast": ROOFS | ROOF_ABOVE_ALL,
    "app": ROOF_ABOVE_ALL,
    "admin": ROOF_ABOVE_ALL,
    "backup": {"jobs", "objects", "store", "markdown", "runtime", "domain"},
    "migrate": {"store", "objects", "markdown", "runtime", "domain"},
    "web": {"identity", "store", "runtime", "domain"},
    "identity": {"store", "runtime", "domain"},
    "jobs": {"store", "runtime", "domain"},
    "store": {"domain"},
    "objects": {"domain"},
    "wire": {"domain"},
    "markdown": {"domain"},
    "runtime": {"domain"},
    "domain": set(),
    "testkit": SHARED - {"testkit"},
}
# Tests may stand on more: the test kit, and real parts (the embedded S3 of runtime, for instance).
ARROWS_OF_TESTS = {"testkit", "runtime"}

# Library (by prefix) -> crates that may name it. Tests may name `TEST_OWNERS` too.
OWNERS = [
    (r"actix(-.*)?|askama(_.*)?", {"web", "app", "admin"}),
    (r"aws-(sdk|config|smithy|credential).*", {"objects"}),
    (r"rusqlite|libsqlite3-sys", {"migrate"}),
    (r"sea-orm(-.*)?|sqlx(-.*)?|deadpool(-.*)?", {"store"}),
    (r"tokio-postgres(-.*)?|postgres(-.*)?", {"store", "testkit"}),
    (r"openidconnect|ldap3(_.*)?", {"identity"}),
    (r"tokio-cron-scheduler", {"jobs"}),
    (r"s3s(-.*)?", {"runtime"}),
]
TEST_OWNERS = [(r"rusqlite", {"holdfast"}), (r"tokio-postgres", {"holdfast", "backup", "app", "runtime", "web", "jobs"})]

# Where SQL text may be, each with its reason.
SQL_PLACES = [
    ("crates/store/", "all SQL of ours"),
    ("crates/runtime/src/postgres/", "sets up the server of the embedded default, before there is a store"),
    ("admin/src/doctor.rs", "sentences that tell the operator what to run"),
    ("crates/testkit/", "makes and breaks databases for tests"),
    ("migrate/src/reader/", "the foreign schema, read only"),
    ("migrate/src/sample/", "writes the foreign schema of a sample folder"),
    ("migrate/src/export/", "writes the foreign schema of an export"),
]
SQL_TEXT = re.compile(
    r"\bSELECT\s[^;]{0,400}?\bFROM\s|\bINSERT\s+INTO\s|\bUPDATE\s+[\w.\"{}]+\s+SET\s|\bDELETE\s+FROM\s"
    r"|\b(?:CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+|UNIQUE\s+|TEMP\s+)?(?:TABLE|INDEX|SCHEMA|ROLE|DATABASE|VIEW|FUNCTION|TRIGGER|SEQUENCE|EXTENSION)\b"
    r"|\bSET\s+LOCAL\s|\bGRANT\s+[A-Z, ]+\s+(?:ON|TO)\s|\bCOPY\s+[^;]{1,200}\b(?:FROM\s+STDIN|TO\s+STDOUT)|\bpg_advisory_|\bTRUNCATE\s+(?:TABLE\s+)?[a-z_\"{]",
)
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "managers", "base", "misc", "stuff", "shared"}
# Findings that are right as they are, each with its reason.
EXCEPTIONS = {
    ("crates/store/src/pool.rs", "name"): "deadpool calls the trait so, and one speaks of its Manager",
}
EMPTY_TYPE = re.compile(r"\b(?:struct|enum|trait|type)\s+(\w*(?:Manager|Helper|Helpers|Util|Utils|Misc))\b")
# What -> the one place that may, and what others take in its stead.
DOORS = [
    (r"\benv::vars?(?:_os)?\s*\(", ("crates/runtime/src/settings/", "build.rs"), "read settings from runtime::settings"),
    (r"\b(?:now_utc|now_local|SystemTime::now|UtcDateTime::now)\s*\(", ("crates/domain/src/clock.rs",), "ask a domain::Clock"),
    (r"\brand::(?:rng|random|thread_rng)\b|\b(?:OsRng|from_os_rng|from_entropy)\b", ("crates/domain/src/chance.rs",), "ask a domain::Chance"),
]
ONE_MACHINE = re.compile(r"(?<![\w.$}])/(?:home|root|Users|work)/[\w.]")
SKIPPED = {"target", ".git", "node_modules", "dist", "holdfast-data"}


class Source:
    """A Rust file: its text with comments and literals blanked, and its string literals with their lines."""

    TOKEN = re.compile(
        r"//[^\n]*|/\*"
        r"|\b(?:b|c)?r(?P<hashes>#*)\"|\"(?:\\.|[^\"\\])*\""
        r"|'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\\n])'",
        re.S,
    )

    def __init__(self, text):
        self.text = text
        self.strings = []
        out, at = [], 0
        while found := self.TOKEN.search(text, at):
            out.append(text[at : found.start()])
            end = self.end_of(found)
            piece = text[found.start() : end]
            if '"' in piece[:8] and not piece.startswith(("/", "'")):
                self.strings.append((found.start(), piece))
            out.append(re.sub(r"[^\n]", " ", piece))
            at = end
        out.append(text[at:])
        self.code = "".join(out)

    def end_of(self, found):
        piece = found.group()
        if piece == "/*":
            depth, at = 1, found.end()
            while depth and at < len(self.text):
                step = re.compile(r"/\*|\*/").search(self.text, at)
                if not step:
                    return len(self.text)
                depth += 1 if step.group() == "/*" else -1
                at = step.end()
            return at
        if found.group("hashes") is not None:
            close = self.text.find('"' + found.group("hashes"), found.end())
            return len(self.text) if close < 0 else close + 1 + len(found.group("hashes"))
        return found.end()

    def line(self, place):
        return self.text.count("\n", 0, place) + 1

    def block_end(self, open_brace):
        """The place after the brace that closes the one at `open_brace`."""
        depth = 0
        for brace in re.compile(r"[{}]").finditer(self.code, open_brace):
            depth += 1 if brace.group() == "{" else -1
            if depth == 0:
                return brace.end()
        return len(self.code)

    def test_spans(self):
        """Places of items under #[cfg(test)] or #[test], as (begin, end)."""
        spans = []
        for mark in re.finditer(r"#\[(?:cfg\((?:any\()?test\b[^\]]*|(?:tokio::|actix_web::|actix_rt::)?test(?:\([^\]]*\))?)\]", self.code):
            head = re.compile(r"[{;]").search(self.code, mark.end())
            if head:
                end = head.end() if head.group() == ";" else self.block_end(head.start())
                spans.append((mark.start(), end))
        return spans

    def parameters(self, place):
        """How many parameters stand in the parentheses that open first after `place`, generics passed over."""
        depth, commas, anything, last = 0, 0, False, ""
        if self.code[place] == "<":
            while True:
                sign = self.code[place]
                depth += (sign == "<") - (sign == ">" and self.code[place - 1] not in "-=")
                place += 1
                if depth == 0:
                    break
        place, depth = self.code.find("(", place), 0
        for at in range(place, len(self.code)):
            sign = self.code[at]
            if sign in "([{<":
                depth += 1
            elif sign in ")]}" or (sign == ">" and self.code[at - 1] not in "-="):
                depth -= 1
                if depth == 0:
                    break
            elif sign == "," and depth == 1:
                commas += 1
            if at > place and not sign.isspace():
                anything, last = True, sign
        return commas + 1 - (last == ",") if anything else 0

    def functions(self):
        """(name, place, parameters, lines) of every function with a body."""
        for found in re.finditer(r"\bfn\s+(\w+)", self.code):
            place, depth = found.end(), 0
            while place < len(self.code):
                sign = self.code[place]
                if sign in "([":
                    depth += 1
                elif sign in ")]":
                    depth -= 1
                elif depth == 0 and sign in "{;":
                    break
                place += 1
            if place < len(self.code) and self.code[place] == "{":
                end = self.block_end(place)
                parameters = self.parameters(found.end())
                yield found.group(1), found.start(), parameters, self.line(end - 1) - self.line(found.start()) + 1


def is_test(path):
    """Whether a file holds only tests."""
    return path.name == "tests.rs" or "tests" in path.parts[:-1] or path.parts[:2] == ("crates", "testkit")


def files_below(root, *endings):
    for path in sorted(root.rglob("*")):
        inner = path.relative_to(root)
        if path.is_file() and path.suffix in endings and not SKIPPED.intersection(inner.parts):
            yield inner


class Check:
    def __init__(self, root):
        self.root = root
        self.findings = []

    def find(self, path, line, rule, sentence):
        if (str(path), rule) not in EXCEPTIONS:
            self.findings.append((str(path), line, rule, sentence))

    def run(self):
        self.manifests()
        for path in files_below(self.root, ".rs"):
            self.rust(path)
        for path in files_below(self.root, ".sql"):
            if not any(str(path).startswith(place) for place, _ in SQL_PLACES) and not is_test(path):
                self.find(path, 1, "sql", "SQL lives in crates/store")
        self.docs()
        return sorted(self.findings)

    # -- documents ----------------------------------------------------------------------------------------------------

    def docs(self):
        for path in files_below(self.root, ".md"):
            for number, line in enumerate((self.root / path).read_text().splitlines(), 1):
                for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", line):
                    if not (self.root / path.parent / target).exists():
                        self.find(path, number, "docs", f"the link to {target} leads nowhere")
        self.both_ways("crates/runtime/src/settings/keys.rs", r'\bkey\(\s*"(\w+)"', "docs/operating.md", None)
        metrics = r'\b(?:counter|gauge|histogram)!\(\s*"(holdfast_\w+)"'
        self.both_ways(None, metrics, "docs/logging.md", r"`(holdfast_[a-z_]+)")

    def both_ways(self, source, pattern, document, documented):
        """Everything that `pattern` finds in the code is in the document, and the other way round where asked."""
        if not (self.root / document).exists():
            return
        text = (self.root / document).read_text()
        known = {}
        for path in [Path(source)] if source else files_below(self.root, ".rs"):
            if (self.root / path).exists() and not is_test(path):
                file = Source((self.root / path).read_text())
                spans = file.test_spans()
                for found in re.finditer(pattern, file.text):
                    if not any(begin <= found.start() < end for begin, end in spans):
                        known.setdefault(found.group(1), (path, file.line(found.start())))
        for name, (path, line) in known.items():
            if not re.search(rf"`{name}\b", text):
                self.find(path, line, "docs", f"{name} is not in {document}")
        for name in set(re.findall(documented, text)) - set(known) if documented else ():
            self.find(document, 1, "docs", f"{name} is not in the code")

    # -- arrows and owners --------------------------------------------------------------------------------------------

    def manifests(self):
        root = tomllib.loads((self.root / "Cargo.toml").read_text())
        paths = [Path("Cargo.toml")]
        for member in root.get("workspace", {}).get("members", []):
            paths += sorted(p.relative_to(self.root) / "Cargo.toml" for p in self.root.glob(member) if (p / "Cargo.toml").exists())
        for path in paths:
            self.manifest(path)

    def manifest(self, path):
        text = (self.root / path).read_text()
        table = tomllib.loads(text)
        name = table.get("package", {}).get("name", "").removeprefix("holdfast-")
        if name not in ARROWS:
            return self.find(path, 1, "arrows", f"crate {name} is not in the list of tools/structure.py; say which crates it may use")
        places = [table] + list(table.get("target", {}).values())
        for place in places:
            for kind in ("dependencies", "build-dependencies", "dev-dependencies"):
                for library, how in place.get(kind, {}).items():
                    real = how.get("package", library) if isinstance(how, dict) else library
                    line = next((n for n, l in enumerate(text.splitlines(), 1) if re.match(rf"{re.escape(library)}\b", l)), 1)
                    self.dependency(path, line, name, real.removeprefix("holdfast-"), kind == "dev-dependencies")

    def dependency(self, path, line, name, library, in_tests):
        if library in SHARED | ROOFS:
            allowed = ARROWS[name] | (ARROWS_OF_TESTS if in_tests else set())
            if library not in allowed:
                what = "a roof never uses a roof" if {name, library} <= ROOFS else "there is no such arrow"
                self.find(path, line, "arrows", f"{name} may not use {library}: {what}")
        for pattern, owners in OWNERS:
            if re.fullmatch(pattern, library) and name not in owners:
                tests = in_tests and any(re.fullmatch(p, library) and name in o for p, o in TEST_OWNERS)
                if not tests:
                    self.find(path, line, "owners", f"{library} belongs to {', '.join(sorted(owners))} alone")

    # -- Rust files ---------------------------------------------------------------------------------------------------

    def rust(self, path):
        text = (self.root / path).read_text()
        source = Source(text)
        self.modules(path)
        for found in ONE_MACHINE.finditer(text):
            self.find(path, source.line(found.start()), "path", "names a path of one machine")
        if is_test(path):
            return
        spans = source.test_spans()
        within = lambda place: any(begin <= place < end for begin, end in spans)
        outer = [s for s in spans if not any(o[0] < s[0] and s[1] <= o[1] for o in spans)]
        lines = text.count("\n") - sum(source.line(end - 1) - source.line(begin) + 1 for begin, end in outer)
        if lines > FILE_LINES:
            self.find(path, 1, "file", f"{lines} lines without tests, more than {FILE_LINES}")
        for name, place, parameters, length in source.functions():
            if parameters > PARAMETERS and not within(place):
                self.find(path, source.line(place), "function", f"{name} has {parameters} parameters, more than {PARAMETERS}")
            if length > FUNCTION_LINES and not within(place):
                self.find(path, source.line(place), "function", f"{name} has {length} lines, more than {FUNCTION_LINES}")
        for pattern, places, instead in DOORS:
            if not any(str(path).startswith(place) or path.name == place for place in places):
                for found in re.finditer(pattern, source.code):
                    if not within(found.start()):
                        self.find(path, source.line(found.start()), "door", instead)
        for found in EMPTY_TYPE.finditer(source.code):
            if not within(found.start()):
                self.find(path, source.line(found.start()), "name", f"{found.group(1)} says nothing")
        if not any(str(path).startswith(place) for place, _ in SQL_PLACES):
            for place, string in source.strings:
                if SQL_TEXT.search(string) and not within(place):
                    self.find(path, source.line(place), "sql", "SQL text outside crates/store")

    def modules(self, path):
        if not is_test(path) and (path.stem in EMPTY_NAMES or path.parent.name in EMPTY_NAMES):
            self.find(path, 1, "name", f"the name {path.stem if path.stem in EMPTY_NAMES else path.parent.name} says nothing")
        absolute = self.root / path
        if absolute.with_suffix("").is_dir() and "src" in path.parts:
            self.find(path, 1, "module", f"is also a folder; move it to {path.with_suffix('')}/mod.rs")
        inside = path.parts[path.parts.index("src") + 1 : -1] if "src" in path.parts else ()
        if inside and inside[0] != "bin" and not (absolute.parent / "mod.rs").exists():
            self.find(path, 1, "module", "its folder has no mod.rs")


# -- self-test ------------------------------------------------------------------------------------------------------


def self_test():
    long_function = "fn long() {\n" + "    step();\n" * 60 + "}\n"
    member = lambda name, rest="": f'[package]\nname = "holdfast-{name}"\n{rest}'
    files = {
        "Cargo.toml": '[package]\nname = "holdfast"\n[workspace]\nmembers = ["app", "admin", "crates/*"]\n',
        "app/Cargo.toml": member("app", '[dependencies]\nadmin.workspace = true\ntestkit.workspace = true\n'),
        "admin/Cargo.toml": member("admin", '[dev-dependencies]\ntestkit.workspace = true\n'),
        "crates/domain/Cargo.toml": member("domain", '[dependencies]\nstore.workspace = true\nrusqlite = "1"\n'),
        "crates/store/Cargo.toml": member("store"),
        "crates/store/src/lib.rs": '//! SQL is fine here.\nconst A: &str = "SELECT a FROM b WHERE c";\n',
        "app/src/long.rs": long_function,
        "app/src/short.rs": "#[cfg(test)]\nmod tests {\n" + long_function + "\n" * 400 + "}\n",
        "app/src/tall.rs": "\n" * 401,
        "app/src/sql.rs": '// "SELECT a FROM b "\nfn a() { run("DELETE FROM note WHERE id = 1") }\nconst B: char = \'"\';\nfn c() { run(r#"a "quoted" INSERT INTO x "#) }\n',
        "app/src/odd/part.rs": "",
        "app/src/twice.rs": "",
        "app/src/twice/mod.rs": "",
        "app/src/utils.rs": "struct NoteManager;\n",
        "app/src/place.rs": "const P: &str = \"/home/someone/x\";\n",
        "app/schema/0001.sql": "",
        "README.md": "[a](docs/a.md) [b](docs/logging.md#x) [c](https://example.org/)\n",
        "docs/logging.md": "`holdfast_old_total{kind}`\n",
        "app/src/counts.rs": 'fn a() { metrics::counter!("holdfast_new_total", "kind" => k).increment(1) }\n',
        "app/src/doors.rs": "fn a() { std::env::var(\"A\"); OffsetDateTime::now_utc(); rand::rng(); }\n",
        "app/src/wide.rs": "fn wide<A: Fn(i32, i32) -> B>(&self, a: A<B, C>, b: (u8, u8), c: u8, d: u8, e: u8, f: u8,) {}\n"
        "fn narrow(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {}\n",
    }
    wanted = {
        ("app/Cargo.toml", "arrows", 2), ("crates/domain/Cargo.toml", "arrows", 1), ("crates/domain/Cargo.toml", "owners", 1),
        ("app/src/long.rs", "function", 1), ("app/src/tall.rs", "file", 1), ("app/src/sql.rs", "sql", 2),
        ("app/src/odd/part.rs", "module", 1), ("app/src/twice.rs", "module", 1), ("app/src/utils.rs", "name", 2),
        ("app/src/place.rs", "path", 1), ("app/schema/0001.sql", "sql", 1),
        ("README.md", "docs", 1), ("docs/logging.md", "docs", 1), ("app/src/counts.rs", "docs", 1),
        ("app/src/doors.rs", "door", 3), ("app/src/wide.rs", "function", 1),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        findings = Check(Path(folder)).run()
    seen = {}
    for path, _, rule, _ in findings:
        seen[path, rule] = seen.get((path, rule), 0) + 1
    got = {(path, rule, count) for (path, rule), count in seen.items()}
    for one in sorted(wanted ^ got):
        print(f"self-test: {'missed' if one in wanted else 'not wanted'}: {one}", file=sys.stderr)
    return 0 if wanted == got else 1


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    findings = Check(Path(__file__).resolve().parent.parent).run()
    for path, line, rule, sentence in findings:
        print(f"{path}:{line}: {rule}: {sentence}")
    print(f"structure: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
