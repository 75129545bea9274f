//! `pg_dump` into the store: restored with stock tools, and never half there.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use domain::chance::Chance;
use objects::keys as layout;
use runtime::postgres::{Cluster, Spec};
use store::{Config, Store, TenantScope};
use testkit::pg::{SUPERUSER, server};

use super::Lab;
use crate::DumpSource;
use crate::compare::compare;
use crate::restore::Place;

fn source(lab: &Lab) -> DumpSource {
    DumpSource {
        programs: None,
        host: server().socket.display().to_string(),
        port: server().port,
        user: SUPERUSER.to_owned(),
        database: lab.database.name.clone(),
        password_file: None,
        ca_file: None,
        superuser: true,
    }
}

/// Opens a stored dump with the drill identity and age's own program.
fn opened(lab: &Lab, key: &str, to: &Path) {
    let identity = lab.folder.path().join("keys/drill.key");
    let done = Command::new("age").args(["-d", "-i"]).arg(identity).arg("-o").arg(to).arg(lab.file_of(key)).status();
    assert!(done.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_and_its_roles_restore_with_stock_tools_into_an_empty_cluster() {
    let lab = Lab::new().await;
    lab.fill(25, &Chance::seeded(20)).await;
    let point = lab.point().await;
    let sealed = lab.backup.open_point(&lab.backup.source(), &point.point).await.unwrap().sealed;
    let report = lab.backup.dump(&source(&lab), "command").await.unwrap();
    assert_eq!(report.key, layout::dump(&lab.database.name, &report.dump, layout::DumpPart::Dump));
    let listed = lab.backup.store.control().list_dumps(10).await.unwrap();
    assert_eq!((listed.len(), listed[0].sha256_stored.clone()), (1, report.sha256_stored.to_string()));

    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (dump, globals) = (folder.path().join("dump"), folder.path().join("globals.sql"));
    opened(&lab, &report.key, &dump);
    opened(&lab, &report.globals_key, &globals);
    let cluster = Cluster::open(Spec::scratch(folder.path(), None)).await.unwrap();
    let address = cluster.address();
    let tool = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(name);
        command.arg("-h").arg(&address.socket_dir).args(["-p", &address.port.to_string(), "-U", &address.superuser]);
        command.args(arguments).output().unwrap()
    };
    tool("psql", &["-q", "-d", "postgres", "-f", globals.to_str().unwrap()]);
    assert!(tool("createdb", &["back"]).status.success());
    let restored = tool("pg_restore", &["-d", "back", "--exit-on-error", dump.to_str().unwrap()]);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));

    let config = Config {
        host: address.socket_dir.display().to_string(),
        port: address.port,
        database: "back".to_owned(),
        ..lab.database.config.clone()
    };
    let store = Store::connect(config).await.unwrap();
    store.attach().await.unwrap();
    let tenant = store.registry().by_slug("team").await.unwrap().unwrap();
    let scope = TenantScope::for_command(tenant, "test");
    let tables = compare(&store, &scope, &sealed, &Place::Exact).await.unwrap();
    assert!(tables.len() > 10 && tables.iter().all(|table| table.equal), "{tables:?}");
    drop(store);
    cluster.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_that_ends_badly_leaves_nothing_that_counts() {
    let lab = Lab::new().await;
    let programs = tempfile::tempdir().unwrap();
    let tool = programs.path().join("pg_dump");
    std::fs::write(&tool, "#!/bin/sh\nhead -c 12000000 /dev/zero\necho lost the connection >&2\nkill -9 $$\n").unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let broken = DumpSource { programs: Some(programs.path().to_owned()), ..source(&lab) };
    let error = lab.backup.dump(&broken, "command").await.unwrap_err();
    assert!(error.to_string().contains("signal: 9") && error.to_string().contains("lost the connection"), "{error}");
    assert!(lab.backup.objects.list("d/").await.unwrap().is_empty());
    assert!(lab.backup.store.control().list_dumps(10).await.unwrap().is_empty());
    let nothing = DumpSource { database: "no_such_database".to_owned(), ..source(&lab) };
    let error = lab.backup.dump(&nothing, "command").await.unwrap_err();
    assert!(error.to_string().contains("no_such_database"), "{error}");
}
