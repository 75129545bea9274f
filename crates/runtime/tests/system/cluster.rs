use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use runtime::data_dir::Claim;
use runtime::postgres::{Address, Cluster, Error, Spec};

use super::support::{Holder, block_on, is_alive, own, private, psql, psql_as, spec};

fn status(process: i32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    text.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned()
}

pub(crate) fn a_row_survives_kill_9_of_owner_and_server() {
    let (_outer, data) = private();
    let first = Holder::start(&data);
    psql(&first.address, "CREATE TABLE kept (id int primary key); INSERT INTO kept VALUES (1)").unwrap();
    // A guest finds the running one.
    block_on(async {
        assert!(matches!(data.claim().await.unwrap(), Claim::Guest(_)));
        assert_eq!(Address::attach(&data, Duration::from_secs(5)).await.unwrap(), first.address);
    });
    // The owner dies: the next one opens at once, whatever the old server is doing.
    let server = first.server;
    first.kill();
    let second = Holder::start(&data);
    assert!(!is_alive(server), "the old server still runs");
    assert_eq!(psql(&second.address, "INSERT INTO kept VALUES (2); SELECT count(*) FROM kept").unwrap(), "2");
    // Server and owner die together, the server first.
    kill(Pid::from_raw(second.server), Signal::SIGKILL).unwrap();
    second.kill();
    let third = Holder::start(&data);
    assert_eq!(psql(&third.address, "SELECT count(*) FROM kept").unwrap(), "2");
    // Left alone after the death of its owner, the server ends by itself.
    let server = third.server;
    third.kill();
    let deadline = Instant::now() + Duration::from_secs(20);
    while is_alive(server) {
        assert!(Instant::now() < deadline, "the server lives on without an owner");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn it_runs_below_a_private_folder_without_rights() {
    let (_outer, data) = private();
    block_on(async {
        let cluster = Cluster::open(spec(&data)).await.unwrap();
        let address = cluster.address().clone();
        let set = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN ('fsync', \
                   'full_page_writes', 'synchronous_commit', 'data_checksums', 'jit', 'listen_addresses', 'max_locks_per_transaction', 'recovery_init_sync_method')";
        let expected = "data_checksums=on fsync=on full_page_writes=on jit=off listen_addresses= max_locks_per_transaction=1024 \
                        recovery_init_sync_method=syncfs synchronous_commit=on";
        assert_eq!(psql(&address, set).unwrap(), expected);
        let role = "SELECT rolsuper, rolcreaterole, (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()), \
                    (SELECT nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'pg_trgm') FROM pg_roles WHERE rolname = current_user";
        assert_eq!(psql(&address, role).unwrap(), "f|t|holdfast|ext");
        assert!(psql(&address, "COPY (SELECT 1) TO PROGRAM 'true'").is_err());
        assert_eq!(
            psql_as(&address, &address.superuser, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
                .unwrap(),
            "t"
        );
        assert_eq!(psql(&address, "SELECT lower('ÄÉ')").unwrap(), "äé");
        assert_eq!(address.socket_dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(address.socket_dir.as_os_str().len() < 60);
        if geteuid().is_root() {
            assert_ne!(data.postgres().metadata().unwrap().uid(), 0);
            let ambient = format!("{:016x}", 1_u64 << 2);
            for set in ["CapEff:", "CapPrm:", "CapAmb:"] {
                assert_eq!(status(cluster.process(), set), ambient, "{set}");
            }
            assert!(!status(cluster.process(), "Uid:").contains("\t0\t"));
        }
        assert_eq!(status(cluster.process(), "NoNewPrivs:"), "1");
        let server = cluster.process();
        cluster.stop().await.unwrap();
        assert!(!is_alive(server) && !Address::file(&data.run()).exists());
    });
}

pub(crate) fn a_killed_server_is_started_again() {
    let (_outer, data) = private();
    block_on(async {
        let cluster = Cluster::open(spec(&data)).await.unwrap();
        psql(cluster.address(), "CREATE TABLE kept AS SELECT 7 AS id").unwrap();
        let before = cluster.process();
        kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let found = loop {
            match psql(cluster.address(), "SELECT id FROM kept") {
                Ok(found) => break found,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(found, "7");
        assert_ne!(cluster.process(), before);
        cluster.stop().await.unwrap();
    });
}

pub(crate) fn wrong_directories_are_refused_in_one_sentence() {
    let (outer, data) = private();
    let open = || block_on(Cluster::open(spec(&data))).unwrap_err();
    let pg = data.postgres();
    std::fs::create_dir(&pg).unwrap();
    std::fs::set_permissions(&pg, std::fs::Permissions::from_mode(0o700)).unwrap();
    if geteuid().is_root() {
        let error = open().to_string();
        assert!(error.contains("belongs to user 0") && error.contains("chown"), "{error}");
        std::os::unix::fs::chown(&pg, Some(65534), Some(65534)).unwrap();
    }
    std::fs::write(pg.join("letter.txt"), "dear diary").unwrap();
    assert!(matches!(open(), Error::NotCluster { .. }));
    std::fs::write(pg.join("PG_VERSION"), "9\n").unwrap();
    let error = open().to_string();
    assert!(error.contains("PostgreSQL 9") && error.contains("postgresql-9") && !error.contains('\n'), "{error}");
    std::fs::set_permissions(&pg, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = open().to_string();
    assert!(error.contains("0755") && error.contains("chmod 0700"), "{error}");
    let nothing = Spec { binaries: Some(outer.path().to_owned()), ..spec(&data) };
    std::fs::remove_dir_all(&pg).unwrap();
    let error = block_on(Cluster::open(nothing)).unwrap_err().to_string();
    assert!(error.contains("postgres_bin"), "{error}");
    assert!(!pg.exists());
}

pub(crate) fn a_stale_process_number_of_a_stranger_is_no_obstacle() {
    let (_outer, data) = private();
    block_on(async { Cluster::open(spec(&data)).await.unwrap().stop().await.unwrap() });
    let mut stranger = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let file = data.postgres().join("postmaster.pid");
    let text = format!("{}\n{}\n1700000000\n5432\n/nowhere\n\n", stranger.id(), data.postgres().display());
    std::fs::write(&file, text).unwrap();
    block_on(async { Cluster::open(spec(&data)).await.unwrap().stop().await.unwrap() });
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was ended");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

pub(crate) fn an_isolated_one_reaches_nothing() {
    let outer = tempfile::tempdir().unwrap();
    block_on(async {
        let wanted = Spec { isolated: true, ..Spec::scratch(outer.path(), Some(own())) };
        let cluster = Cluster::open(wanted).await.unwrap();
        assert_eq!(psql(cluster.address(), "SELECT 1").unwrap(), "1");
        let network = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
        assert_eq!(cluster.is_isolated(), network(&cluster.process().to_string()) != network("self"));
        cluster.stop().await.unwrap();
    });
}
