//! A ladder of checks, each with what to do.

use objects::ProbeReport;
use runtime::exit::Code;
use runtime::space::Seen;
use serde::Serialize;
use store::control::points::dump::Model as Dump;
use store::{CONTROL_VERSION, ServerFacts, WalArchiving};

/// One rung of the ladder.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// ok, degraded or failed.
    pub status: &'static str,
    /// What was found.
    pub found: String,
    /// What to do; empty when there is nothing.
    pub next: String,
}

impl Finding {
    /// It is as it should be.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: "ok", found: found.into(), next: String::new() }
    }

    /// It works, but not for long or not well.
    pub fn degraded(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, status: "degraded", found: found.into(), next: next.into() }
    }

    /// It does not work.
    pub fn failed(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, status: "failed", found: found.into(), next: next.into() }
    }

    fn when(good: bool, check: &'static str, found: &str, otherwise: (&str, &str)) -> Self {
        if good { Self::ok(check, found) } else { Self::failed(check, otherwise.0, otherwise.1) }
    }
}

/// The exit code of a ladder: 0, 3 when something is degraded, 4 when something failed.
pub fn verdict(findings: &[Finding]) -> Code {
    let any = |status| findings.iter().any(|finding| finding.status == status);
    match (any("failed"), any("degraded")) {
        (true, _) => Code::Negative,
        (false, true) => Code::Warnings,
        (false, false) => Code::Ok,
    }
}

/// Relations beyond which a whole dump takes long: about 2,000 tenants.
const MANY_RELATIONS: i64 = 160_000;

/// What the database server is and lets us do. `now`: our clock, seconds since 1970.
pub fn of_server(facts: &ServerFacts, control_version: i32, now: i64) -> Vec<Finding> {
    let major = facts.version / 10_000;
    let mut out = vec![Finding::when(
        (15..=18).contains(&major),
        "server version",
        &format!("PostgreSQL {major}"),
        (&format!("PostgreSQL {major}"), "use PostgreSQL 15 to 18"),
    )];
    out.push(Finding::when(
        facts.may_create_roles,
        "role rights",
        "may make roles",
        ("may not make roles", "ALTER ROLE … CREATEROLE, as an administrator of the server"),
    ));
    out.push(Finding::when(
        facts.may_create_schemas,
        "database rights",
        "may make schemas",
        ("may not make schemas", "GRANT CREATE ON DATABASE … TO our role"),
    ));
    out.push(Finding::when(
        facts.durable,
        "durability",
        "fsync, full_page_writes and synchronous_commit are on",
        ("an acknowledged write can be lost", "turn fsync, full_page_writes and synchronous_commit on"),
    ));
    if !facts.checksums {
        out.push(Finding::degraded(
            "data checksums",
            "off: damage on disk can go unnoticed",
            "run pg_checksums --enable while the server is stopped",
        ));
    }
    out.push(locks(facts));
    if !facts.extensions.iter().any(|name| name == "pg_trgm") {
        out.push(Finding::degraded(
            "extensions",
            "pg_trgm is missing: search in large workspaces is slow",
            "CREATE EXTENSION pg_trgm SCHEMA ext",
        ));
    }
    out.push(catalogues(facts));
    let skew = (facts.clock - now).abs();
    out.push(if skew <= 5 {
        Finding::ok("clock", "agrees with the database's")
    } else {
        Finding::degraded("clock", format!("{skew} s apart from the database's"), "let both machines keep time by NTP")
    });
    out.push(if control_version == CONTROL_VERSION {
        Finding::ok("control plane", format!("version {control_version}"))
    } else {
        Finding::degraded(
            "control plane",
            format!("version {control_version}, this executable brings {CONTROL_VERSION}"),
            "start `holdfast serve` once with this executable",
        )
    });
    out
}

fn locks(facts: &ServerFacts) -> Finding {
    let found = format!("{} slots for {} relations", facts.lock_slots, facts.relations);
    if facts.relations > facts.lock_slots {
        Finding::failed(
            "lock slots",
            found,
            "a whole pg_dump would fail: raise max_locks_per_transaction and restart the server",
        )
    } else if facts.relations > MANY_RELATIONS {
        Finding::degraded("lock slots", found, "pg_dump will take long: spread tenants over several databases")
    } else {
        Finding::ok("lock slots", found)
    }
}

/// Two nights without a vacuum of the catalogues.
const NEGLECTED: i64 = 48 * 3600;

/// Who vacuums the system catalogues, which thousands of schemas make large.
fn catalogues(facts: &ServerFacts) -> Finding {
    let check = "catalogues";
    let ago = facts.catalogues_vacuumed;
    let when = ago.map_or_else(|| "never yet".to_owned(), |seconds| format!("{} h ago", seconds / 3600));
    if facts.may_vacuum_catalogues {
        return Finding::ok(check, format!("vacuumed every night by the worker, {when}"));
    }
    if ago.is_some_and(|seconds| seconds < NEGLECTED) {
        return Finding::ok(check, format!("vacuumed by somebody else, {when}"));
    }
    Finding::degraded(
        check,
        format!("our role may not vacuum them, and nobody else does ({when})"),
        "every night, as a superuser or the database's owner: vacuumdb --analyze --schema=pg_catalog DATABASE \
         (PostgreSQL 15: without --schema); or ALTER DATABASE … OWNER TO our role, and the worker does it",
    )
}

/// Tools that keep the write-ahead log, by a word of their command.
const ARCHIVERS: [(&str, &str); 4] =
    [("pgbackrest", "pgBackRest"), ("barman", "Barman"), ("wal-g", "WAL-G"), ("pg_receivewal", "pg_receivewal")];

/// What keeps the write-ahead log beside us: told, and never counted as a backup of ours.
pub fn of_archiving(seen: &WalArchiving) -> Finding {
    const CHECK: &str = "WAL archiving";
    if !seen.on {
        return Finding::ok(CHECK, "off: nothing keeps the write-ahead log beside us");
    }
    let told = format!("{} {}", seen.command, seen.module).to_lowercase();
    let by = ARCHIVERS.iter().find(|(word, _)| told.contains(word)).map_or("a command or module", |(_, name)| *name);
    let age = seen.last_archived_seconds.map_or_else(
        || "no segment was handed on yet".to_owned(),
        |seconds| format!("the last of {} segments was handed on {} ago", seen.archived, span(seconds)),
    );
    let found = format!("by {by}: {age}; not counted as a backup of ours");
    let fails = seen.last_failed_seconds.filter(|failed| seen.last_archived_seconds.is_none_or(|good| *failed < good));
    if let Some(seconds) = fails {
        return Finding::degraded(
            CHECK,
            format!("{found}; it fails, {} times, the last {} ago", seen.failed, span(seconds)),
            "look at the server's log and mend archive_command: until then the log fills the database's disk",
        );
    }
    if seen.command.is_empty() && seen.module.is_empty() {
        return Finding::degraded(
            CHECK,
            "on, and neither archive_command nor archive_library is set, as far as our role may see",
            "set one of them or turn archive_mode off: the log would fill the database's disk",
        );
    }
    Finding::ok(CHECK, found)
}

/// A time for people.
fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Free space on the disks that writes end up on.
pub fn of_space(seen: &[Seen], floor: u64) -> Vec<Finding> {
    let mib = |bytes: u64| bytes / (1024 * 1024);
    let rung = |one: &Seen| match one.free {
        None => Finding::ok("free space", format!("{}: not to be told from here", one.place.name)),
        Some(free) => {
            let found = format!("{}: {} MiB", one.place.name, mib(free));
            let next = "make room, or lower free_space_floor: below it nothing more is stored";
            if free < floor {
                Finding::failed("free space", found, next)
            } else if free / 4 < floor {
                Finding::degraded("free space", found, next)
            } else {
                Finding::ok("free space", found)
            }
        }
    };
    seen.iter().map(rung).collect()
}

/// The newest dump of each database (`rows`, newest first), and whether it is known to be damaged.
pub fn of_dumps(rows: &[Dump]) -> Vec<Finding> {
    const CHECK: &str = "dumps";
    let newest = |at: &usize| rows.iter().take(*at).zip(rows.get(*at)).all(|(one, this)| one.database != this.database);
    let rung = |row: &Dump| {
        let Some(problem) = &row.problem else {
            let read =
                row.read_at.map_or_else(|| "not read back yet".to_owned(), |at| format!("read back on {}", at.date()));
            return Finding::ok(CHECK, format!("{}, the newest of {}: {read}", row.dump, row.database));
        };
        let other = rows.iter().find(|other| other.database == row.database && other.problem.is_none());
        let other =
            other.map_or_else(|| "there is no good one".to_owned(), |other| format!("{} may be good", other.dump));
        Finding::failed(
            CHECK,
            format!("{}, the newest of {}, is damaged: {problem}", row.dump, row.database),
            format!("take another with `holdfast backup dump`; of the older ones {other}"),
        )
    };
    (0..rows.len()).filter(newest).filter_map(|at| rows.get(at)).map(rung).collect()
}

/// What the backup store can do.
pub fn of_store(report: &ProbeReport) -> Vec<Finding> {
    let place = &report.location;
    let mut out = vec![if report.sentences.is_empty() {
        Finding::ok("backup store", place)
    } else {
        let found = format!("{place}: {}", report.sentences.join("; "));
        Finding::degraded("backup store", found, "`holdfast store probe` says what follows from it")
    }];
    let skew = report.clock_skew_seconds;
    if skew.abs() > 60 {
        out.push(Finding::degraded(
            "backup store's clock",
            format!("{skew} s apart from ours"),
            "let both machines keep time by NTP",
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn facts() -> ServerFacts {
        ServerFacts {
            version: 170_002,
            lock_slots: 6_400,
            relations: 500,
            may_create_roles: true,
            may_create_schemas: true,
            durable: true,
            checksums: true,
            extensions: vec!["pg_trgm".to_owned()],
            clock: NOW,
            may_vacuum_catalogues: true,
            catalogues_vacuumed: Some(3600),
        }
    }

    /// The rung that changes, as `status: check`, and what it says to do.
    fn rung(change: impl FnOnce(&mut ServerFacts)) -> (String, String) {
        let mut changed = facts();
        change(&mut changed);
        let found = of_server(&changed, CONTROL_VERSION, NOW);
        let wrong: Vec<&Finding> = found.iter().filter(|finding| finding.status != "ok").collect();
        assert_eq!(wrong.len(), 1, "{found:?}");
        (format!("{}: {}", wrong[0].status, wrong[0].check), wrong[0].next.clone())
    }

    #[test]
    fn every_rung_of_the_server_says_what_to_do() {
        let good = of_server(&facts(), CONTROL_VERSION, NOW + 5);
        assert_eq!(verdict(&good), Code::Ok, "{good:?}");
        type Change = fn(&mut ServerFacts);
        let rungs: [(Change, &str, &str); 11] = [
            (|f| f.version = 140_012, "failed: server version", "15 to 18"),
            (|f| f.version = 190_000, "failed: server version", "15 to 18"),
            (|f| f.may_create_roles = false, "failed: role rights", "CREATEROLE"),
            (|f| f.may_create_schemas = false, "failed: database rights", "GRANT CREATE"),
            (|f| f.durable = false, "failed: durability", "fsync"),
            (|f| f.checksums = false, "degraded: data checksums", "pg_checksums"),
            (|f| f.relations = 6_401, "failed: lock slots", "max_locks_per_transaction"),
            (
                |f| (f.relations, f.lock_slots) = (MANY_RELATIONS + 1, MANY_RELATIONS * 2),
                "degraded: lock slots",
                "several databases",
            ),
            (|f| f.extensions.clear(), "degraded: extensions", "CREATE EXTENSION pg_trgm"),
            (|f| f.clock = NOW - 6, "degraded: clock", "NTP"),
            (
                |f| (f.may_vacuum_catalogues, f.catalogues_vacuumed) = (false, None),
                "degraded: catalogues",
                "vacuumdb --analyze",
            ),
        ];
        for (change, expected, next) in rungs {
            let (told, advice) = rung(change);
            assert_eq!(told, expected);
            assert!(advice.contains(next), "{told}: {advice}");
        }
        let behind = of_server(&facts(), CONTROL_VERSION - 1, NOW);
        assert_eq!(verdict(&behind), Code::Warnings);
        let failed = [Finding::degraded("a", "b", "c"), Finding::failed("a", "b", "c")];
        assert_eq!(verdict(&failed), Code::Negative);
    }

    #[test]
    fn the_newest_dump_is_named_when_it_is_damaged() {
        let dump = |name: &str, database: &str, problem: Option<&str>| Dump {
            dump: name.to_owned(),
            database: database.to_owned(),
            created_at: time::OffsetDateTime::UNIX_EPOCH,
            key: String::new(),
            bytes: 1,
            sha256_stored: String::new(),
            seconds: 1.0,
            read_at: problem.map(|_| time::OffsetDateTime::UNIX_EPOCH),
            problem: problem.map(str::to_owned),
        };
        assert!(of_dumps(&[]).is_empty());
        let older_is_bad = [dump("c", "one", None), dump("b", "two", None), dump("a", "one", Some("altered"))];
        let told = of_dumps(&older_is_bad);
        assert_eq!((told.len(), verdict(&told)), (2, Code::Ok), "{told:?}");
        let newest_is_bad = [dump("c", "one", Some("altered")), dump("b", "one", None), dump("a", "one", None)];
        let told = of_dumps(&newest_is_bad);
        assert_eq!((told.len(), verdict(&told)), (1, Code::Negative), "{told:?}");
        assert!(told[0].found.contains("c, the newest of one, is damaged: altered"), "{told:?}");
        assert!(told[0].next.contains("b may be good"), "{told:?}");
    }

    #[test]
    fn what_archives_the_log_is_named_with_its_age_and_never_counted() {
        assert!(of_archiving(&WalArchiving::default()).found.starts_with("off"));
        let good = WalArchiving {
            on: true,
            command: "pgbackrest --stanza=main archive-push %p".to_owned(),
            archived: 12,
            last_archived_seconds: Some(35),
            failed: 2,
            last_failed_seconds: Some(9_000),
            ..WalArchiving::default()
        };
        let told = of_archiving(&good);
        assert_eq!(told.status, "ok");
        for words in ["pgBackRest", "12 segments", "35 s ago", "not counted as a backup of ours"] {
            assert!(told.found.contains(words), "{told:?}");
        }
        let failing = WalArchiving { last_failed_seconds: Some(20), ..good.clone() };
        let told = of_archiving(&failing);
        assert!(told.status == "degraded" && told.found.contains("the last 20 s ago"), "{told:?}");
        let nothing = WalArchiving { on: true, ..WalArchiving::default() };
        assert_eq!(of_archiving(&nothing).status, "degraded");
        let old = WalArchiving { last_archived_seconds: Some(400_000), last_failed_seconds: None, ..good };
        assert!(of_archiving(&old).found.contains("4 days ago"));
    }
}
