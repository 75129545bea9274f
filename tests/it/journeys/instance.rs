//! The whole appliance from a store and a sheet of paper; keys that are gone for good.

use std::path::Path;

use domain::tenant::TenantState;
use serde_json::Value;
use testkit::oidc::Provider;

use super::http::Client;
use super::process::{Installation, PASSWORD, program};
use super::reading::{Superuser, database};
use super::weed::SeaweedFs;
use crate::identity::browser::Browser;

/// What a control point must bring back byte for byte; schemas, shards and roles are the new machine's own.
const KEPT: [(&str, &str); 10] = [
    ("tenant", "id, slug, state, public_url, epoch, created_at, version"),
    ("tenant_host", "host, tenant_id"),
    ("operator", "name, password_hash, disabled, created_at"),
    ("schedule", "id, kind, tenant_id, cron, paused"),
    ("ledger", "seq, tenant_id, at, kind, ref"),
    ("audit_event", "seq, previous_hash, hash"),
    ("drill", "seq, drill, report, previous_hash, hash"),
    ("point", "point, state, manifest_sha256, kept_until, kept_reason"),
    ("tenant_key", "tenant_id, key_id"),
    ("setting", "key, value"),
];

/// Rows of the control plane as text.
fn kept(database: &Superuser) -> Vec<(String, Vec<String>)> {
    let rows = |table: &str, columns: &str| {
        let sql = format!("SELECT concat_ws('|', {columns}) FROM holdfast.{table} ORDER BY 1");
        database.sql(&sql).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    KEPT.iter().map(|(table, columns)| ((*table).to_owned(), rows(table, columns))).collect()
}

/// The sheet as it was shown, as a file.
fn sheet_of(place: &Installation) -> String {
    let shown = place.say(&["key", "escrow"]);
    assert!(shown.err.contains("AGE-SECRET-KEY-1"), "the sheet is shown with the first use of keys: {shown:?}");
    place.file("sheet.txt", &shown.err)
}

/// One tenant made by people, the others with the same people and a few notes each.
fn furnish(place: &Installation, url: &str, database: &Superuser, tenants: u32) {
    place.tenant("team-00");
    let schema = |slug: &str| place.run(&["tenant", "show", slug]).ok()["schema"].as_str().unwrap().to_owned();
    let first = schema("team-00");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let made: Vec<String> = runtime.block_on(async {
        let store = store::Store::connect(store::Config::from_url(url, None, None).unwrap()).await.unwrap();
        store.attach().await.unwrap();
        let mut made = Vec::new();
        for number in 1..tenants {
            let slug = format!("team-{number:02}").parse().unwrap();
            made.push(store.build_tenant(&slug, TenantState::Active).await.unwrap().schema.to_string());
        }
        made
    });
    let notes = |schema: &str| {
        format!(
            "INSERT INTO {schema}.note (id, uid, creator_id, created_ts, updated_ts, visibility, content) \
             SELECT nextval('{schema}.id_seq'), 'n-' || g, (SELECT min(id) FROM {schema}.member), g, g, 'PRIVATE', 'note ' || g FROM generate_series(1, 5) g;"
        )
    };
    let copies = made.iter().map(|schema| {
        format!(
            "INSERT INTO {schema}.member SELECT * FROM {first}.member; SELECT setval('{schema}.id_seq', 100); {}",
            notes(schema)
        )
    });
    database.sql(&format!("{}{}", notes(&first), copies.collect::<Vec<_>>().join("\n")));
}

/// Everything that an appliance remembers beside its tenants.
fn lived_in(place: &Installation) {
    let password = place.file("operator", PASSWORD);
    place.run(&["operator", "create", "olga", "--password-file", &password]).ok();
    place
        .run(&["tenant", "set", "team-00", "--host", "notes.example.org", "--public-url", "https://notes.example.org"])
        .ok();
    place.run(&["schedule", "set", "backup", "--all", "--cron", "0 0 3 * * *"]).ok();
    let tokens = place.run(&["token", "list", "--tenant", "team-00", "--user", "maria"]).ok();
    let id = tokens["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{tokens}")).to_owned();
    place.run(&["token", "revoke", &id, "--tenant", "team-00", "--user", "maria"]).ok();
    place.run(&["tenant", "suspend", "team-02"]).ok();
}

/// The appliance on another machine; its report.
fn come_back(sheet: &str, store: &Path) -> (Installation, Superuser, Value) {
    let (url, database) = database();
    let mut place = Installation::on(&url);
    place.set("store_directory", store.display());
    let ran = place.run(&["restore", "instance", "--identity", sheet]);
    assert!(matches!(ran.code, 0 | 3), "{ran:?}");
    (place, database, ran.json())
}

/// An OpenID provider that team-03 knows, and somebody who is a member by it.
fn with_provider(place: &Installation, port: u16) -> Option<Provider> {
    let provider = Provider::start(0, &[format!("http://127.0.0.1:{port}/t/team-03")])?;
    let toml = format!(
        "kind = \"oidc\"\nid = \"corp\"\ntitle = \"Corp\"\nissuer = \"{}\"\nclient_id = \"holdfast\"\nclient_secret = \"holdfast-secret\"\n\
         [[roles]]\ngroup = \"admins\"\nrole = \"admin\"\n",
        provider.issuer
    );
    let file = place.file("provider.toml", &toml);
    place.run(&["identity", "set", "--tenant", "team-03", "--file", &file]).ok();
    Some(provider)
}

/// Serves, and signs in by password and by the provider.
fn sign_ins_work(place: &Installation, port: u16, with_provider: bool) {
    let server = place.serve(&["--no-worker", "--listen", &format!("127.0.0.1:{port}")]);
    for slug in ["team-00", "team-39"] {
        let client = Client::sign_in(format!("{}/t/{slug}", server.url()), "maria", PASSWORD);
        assert_eq!(client.pages("/api/v1/memos", "memos").len(), 5, "{slug}");
    }
    if with_provider {
        let root = format!("http://127.0.0.1:{port}/t/team-03");
        let (at, page) = Browser::default().follow(&format!("{root}/auth/start/corp?next=/account"));
        assert_eq!(at, format!("{root}/account"), "{}", page.text());
        assert!(page.text().contains("alice"), "{}", page.text());
    }
    assert_ne!(Client::new(format!("{}/t/team-02", server.url()), None).status("/api/v1/memos"), 200, "suspended");
    server.stop();
}

/// What came back is what was there, and how long it took.
fn is_all_back(from: &str, report: &Value, before: &[(String, Vec<String>)], after: &[(String, Vec<String>)]) {
    let back = report["tenants"].as_array().unwrap();
    assert_eq!(back.len(), 40);
    assert!(back.iter().all(|tenant| tenant["problem"].is_null() && tenant["notes"] == 5), "{report}");
    for ((table, before), (_, after)) in before.iter().zip(after) {
        // what the old machine wrote after its control point is not in it: the point itself and its audit
        let gone: Vec<_> = before.iter().filter(|row| !after.contains(row)).collect();
        let allowed = match table.as_str() {
            "audit_event" => 3,
            "setting" | "point" => 1,
            _ => 0,
        };
        assert!(gone.len() <= allowed, "{table}: {gone:?}");
    }
    let seconds: Vec<f64> = back.iter().filter_map(|tenant| tenant["seconds"].as_f64()).collect();
    println!(
        "from {from}: RTO of {} tenants {:.1} s; the control plane {:.1} s, a tenant {:.2} s on average and {:.2} s at most",
        back.len(),
        report["rto_seconds"].as_f64().unwrap(),
        report["control_seconds"].as_f64().unwrap(),
        seconds.iter().sum::<f64>() / seconds.len() as f64,
        seconds.iter().copied().fold(0.0, f64::max)
    );
}

#[test]
fn forty_tenants_come_back_from_each_store_and_the_sheet() {
    let (url, old) = database();
    let mut place = Installation::on(&url);
    place.set("store_copies", format!("file://{}", place.path("nas").display()));
    std::fs::create_dir(place.path("nas")).unwrap();
    let sheet = sheet_of(&place);
    furnish(&place, &url, &old, 40);
    let port = super::journey::free_port(20_000);
    let provider = with_provider(&place, port);
    lived_in(&place);
    sign_ins_work(&place, port, provider.is_some());
    let all = place.run(&["backup", "run", "--all"]);
    assert!(matches!(all.code, 0 | 3), "{all:?}");
    assert_eq!(all.lines().len(), 40, "the suspended one is left out, the control plane is in: {all:?}");
    let suspended = place.run(&["backup", "run", "--tenant", "team-02"]).ok();
    let point = suspended["point"].as_str().unwrap();
    place.run(&["backup", "keep", point, "--reason", "before the audit", "--until", "30d"]).ok();
    place.run(&["drill", "run", "--tenant", "team-01", "--faults", "none"]).ok();
    let control = place.run(&["backup", "run", "--control"]).ok();
    let (before, providers) = (kept(&old), place.run(&["identity", "list", "--tenant", "team-03"]).ok());
    assert!(before.iter().all(|(_, rows)| !rows.is_empty()), "there is something of each to come back: {before:?}");

    let (new, there, report) = come_back(&sheet, &place.path("store"));
    assert_eq!(report["control_point"], control["point"], "{report}");
    is_all_back("the first store", &report, &before, &kept(&there));
    assert_eq!(new.run(&["identity", "list", "--tenant", "team-03"]).ok(), providers);
    assert_eq!(new.run(&["audit", "verify"]).ok()["broken"], Value::Null);
    sign_ins_work(&new, port, provider.is_some());
    let next = new.run(&["backup", "run", "--tenant", "team-01"]).ok();
    assert_eq!(next["state"], "verified");
    new.run(&["drill", "run", "--tenant", "team-01", "--faults", "none"]).ok();
    let again = new.run(&["restore", "instance", "--identity", &sheet]);
    assert!(again.failed(7).contains("empty"), "{again:?}");

    // the first store is destroyed, too
    std::fs::remove_dir_all(place.path("store")).unwrap();
    let (third, there, report) = come_back(&sheet, &place.path("nas"));
    assert_eq!(report["control_point"], control["point"], "{report}");
    is_all_back("the second store", &report, &before, &kept(&there));
    assert_eq!(third.run(&["identity", "list", "--tenant", "team-03"]).ok(), providers);
    sign_ins_work(&third, port, provider.is_some());
}

#[test]
fn an_appliance_comes_back_by_the_sheet_of_its_last_rotation() {
    let (url, _) = database();
    let place = Installation::on(&url);
    let first = sheet_of(&place);
    place.tenant("acme");
    place.run(&["backup", "run", "--all"]).ok();
    let rotated = place.say(&["key", "rotate", "--identity", &first, "--yes"]);
    assert_eq!(rotated.code, 0, "{rotated:?}");
    let signs = place.run(&["key", "escrow"]).ok()["sign"].clone();
    assert!(rotated.err.contains(signs.as_str().unwrap()), "the new sheet names the new key: {rotated:?}");
    // what an older sheet leads by is lost: seen, named, and put again by the next control point
    let kept = std::fs::read_dir(place.path("store/k/_control")).unwrap().map(|entry| entry.unwrap().path());
    let lost: Vec<_> = kept.filter(|path| path.display().to_string().contains(".follows-")).collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    std::fs::remove_file(&lost[0]).unwrap();
    let name = lost[0].file_name().unwrap().to_str().unwrap();
    let doctor = || place.run(&["doctor"]).out;
    assert!(doctor().contains(name) && doctor().contains("holdfast backup run --control"), "{}", doctor());
    let again = place.run(&["backup", "run", "--control"]).ended(3);
    assert!(again["warnings"][0].as_str().unwrap().contains(name) && !doctor().contains(name), "{again}");
    let sheet = place.file("second-sheet.txt", &rotated.err);
    let (new, _, report) = come_back(&sheet, &place.path("store"));
    assert_eq!(
        (&report["warnings"], &report["tenants"][0]["problem"]),
        (&serde_json::json!([]), &Value::Null),
        "{report}"
    );
    assert_eq!(new.run(&["key", "escrow"]).ok()["sign"], signs, "it signs as before");
    let point = new.run(&["backup", "run", "--tenant", "acme"]).ok();
    new.run(&["backup", "verify", point["previous"].as_str().unwrap()]).ok();
    // the old sheet opens nothing any more
    let (url, _) = database();
    let mut late = Installation::on(&url);
    late.set("store_directory", place.path("store").display());
    late.run(&["restore", "instance", "--identity", &first]).failed(7);
}

#[test]
fn a_purged_tenant_stays_closed_with_every_version_of_the_bucket() {
    let Some(weed) = program("weed") else { return };
    let (url, _) = database();
    let mut place = Installation::on(&url);
    place.set("store_lock_days", 1);
    let _weed = SeaweedFs::start_locked(&weed, &mut place);
    let sheet = sheet_of(&place);
    for slug in ["gone", "stays"] {
        place.tenant(slug);
        place.run(&["backup", "run", "--tenant", slug]).ok();
    }
    let point = |slug: &str| {
        let shown = place.run(&["backup", "show", "latest", "--tenant", slug]).ok();
        shown["point"].as_str().unwrap().to_owned()
    };
    let (gone, stays) = (point("gone"), point("stays"));
    // rotated in between: older wrappings are versions of the bucket, too
    place.run(&["key", "rotate", "--only", "drill", "--yes"]).ok();
    place.run(&["backup", "run", "--tenant", "gone"]).ok();
    place.run(&["tenant", "delete", "gone", "--yes", "--grace", "0d"]).ok();
    let purged = place.run(&["key", "purge", "--tenant", "gone", "--yes"]).ok();
    assert_eq!(purged["certificates"].as_array().map(Vec::len), Some(1), "{purged}");
    let certificate = place.run(&["key", "certificates", "--tenant", "gone"]).ok();
    let said = &certificate["certificates"][0];
    assert_eq!((&said["good"], &said["statement"]["state"]), (&true.into(), &"deleted".into()), "{said}");

    let tenant = said["statement"]["tenant_id"].as_str().unwrap().to_owned();
    let bucket = SeaweedFs::versions(&place);
    assert!(bucket.iter().all(|(key, _)| !key.starts_with(&format!("k/{tenant}/"))), "no version of a key is left");
    assert!(bucket.iter().any(|(key, _)| key.starts_with(&format!("t/{tenant}/"))), "the points are there, locked");
    // whatever the sheet opens, and whatever that opens: of the tenant that is gone nothing
    let mut identities = vec![sheet.clone()];
    for (key, bytes) in bucket.iter().filter(|(key, _)| key.starts_with("k/") && key.contains(".escrow")) {
        let inner = age_opens(&place, &sheet, bytes);
        let inner = inner.unwrap_or_else(|| panic!("{key}: the sheet opens what is left, which is of others"));
        identities.push(place.file(&format!("inner-{}", identities.len()), &String::from_utf8_lossy(&inner)));
    }
    assert!(identities.len() > 1, "the key of the tenant that stays is among them");
    let packs: Vec<_> = bucket.iter().filter(|(key, _)| key.starts_with("t/") && key.ends_with("/pack")).collect();
    let gone_tenants = format!("t/{tenant}/");
    let (of_the_gone, of_others): (Vec<_>, Vec<_>) =
        packs.into_iter().partition(|(key, _)| key.starts_with(&gone_tenants));
    let opened =
        |pack: &[u8]| identities.iter().any(|identity| age_opens(&place, identity, first_member(pack)).is_some());
    let stays_pack = of_others.iter().find(|(key, _)| key.contains(&stays)).expect("the pack of the other's point");
    assert!(opened(&stays_pack.1), "they open the other's");
    assert!(of_the_gone.len() > 1, "both points are there");
    for (key, pack) in of_the_gone {
        assert!(!opened(pack), "{key} can be opened still");
    }
    for words in [
        vec!["restore", "run", &gone, "--as", "never"],
        vec!["restore", "run", &gone, "--as", "never", "--identity", &sheet],
    ] {
        place.run(&words).failed(7);
    }
    place.run(&["restore", "run", &stays, "--as", "kept", "--identity", &sheet]).ok();
    let refused = SeaweedFs::refuses_to_purge(&place, &format!("t/{tenant}/p/{gone}/manifest.json"));
    assert!(refused, "the lock holds: a version of a point cannot be removed before its time");
}

/// The first stream of a pack: up to where the next one begins.
fn first_member(pack: &[u8]) -> &[u8] {
    let head = b"age-encryption.org/v1\n";
    let next = pack.windows(head.len()).skip(1).position(|window| window == head);
    next.map_or(pack, |at| &pack[..=at])
}

/// What `age` makes of it with this identity.
fn age_opens(place: &Installation, identity: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let file = place.path("wrapped.age");
    std::fs::write(&file, bytes).unwrap();
    let done = std::process::Command::new("age").arg("-d").arg("-i").arg(identity).arg(&file).output().unwrap();
    done.status.success().then_some(done.stdout)
}
