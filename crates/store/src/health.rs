//! What the server can bear: facts for preflights and `holdfast doctor`.

use crate::error::Error;
use crate::store::Store;

/// Facts about the server and our role on it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ServerFacts {
    /// As a number, 150018 for 15.18.
    pub version: i32,
    /// Slots for locks held at once, over all connections.
    pub lock_slots: i64,
    /// Relations of this database that a whole dump would lock.
    pub relations: i64,
    /// Our role may make roles.
    pub may_create_roles: bool,
    /// Our role may make schemas here.
    pub may_create_schemas: bool,
    /// Every acknowledged write is on disk: fsync, full_page_writes and synchronous_commit are on.
    pub durable: bool,
    /// Data pages carry checksums.
    pub checksums: bool,
    /// Extensions installed.
    pub extensions: Vec<String>,
    /// The server's clock, seconds since 1970.
    pub clock: i64,
    /// Our role may vacuum the system catalogues.
    pub may_vacuum_catalogues: bool,
    /// Seconds since somebody vacuumed them by command; none when the server knows of nobody.
    pub catalogues_vacuumed: Option<i64>,
}

const FACTS: &str = "SELECT current_setting('server_version_num')::int, \
    current_setting('max_locks_per_transaction')::bigint * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint), \
    (SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'S', 'v', 'm')), \
    coalesce((SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user), false), \
    has_database_privilege(current_database(), 'CREATE'), \
    current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' AND current_setting('synchronous_commit') NOT IN ('off', 'local'), \
    current_setting('data_checksums') = 'on', \
    coalesce((SELECT array_agg(extname::text ORDER BY extname) FROM pg_extension), '{}'), \
    extract(epoch FROM clock_timestamp())::bigint, \
    pg_has_role(current_user, (SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE'), \
    (SELECT extract(epoch FROM clock_timestamp() - last_vacuum)::bigint FROM pg_stat_all_tables WHERE relid = 'pg_catalog.pg_class'::regclass)";

/// How the server hands its write-ahead log on.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct WalArchiving {
    /// `archive_mode` is not off.
    pub on: bool,
    /// `archive_command`; empty where none is set or it is not shown to our role. May hold secrets.
    pub command: String,
    /// The archive module, `archive_library`.
    pub module: String,
    /// Segments handed on since the server's statistics began.
    pub archived: i64,
    /// How long ago the last one was.
    pub last_archived_seconds: Option<i64>,
    /// Tries that failed since then.
    pub failed: i64,
    /// How long ago the last one was.
    pub last_failed_seconds: Option<i64>,
}

const ARCHIVING: &str = "SELECT current_setting('archive_mode') <> 'off', \
    CASE WHEN current_setting('archive_mode') = 'off' THEN '' ELSE coalesce(current_setting('archive_command', true), '') END, \
    coalesce(current_setting('archive_library', true), ''), \
    archived_count, extract(epoch FROM clock_timestamp() - last_archived_time)::bigint, \
    failed_count, extract(epoch FROM clock_timestamp() - last_failed_time)::bigint \
    FROM pg_stat_archiver";

/// The oldest server that we run on.
const OLDEST: i32 = 15;

/// Refuses a server that is too old, before anything is made on it.
fn new_enough(version: i32) -> Result<(), Error> {
    let major = version / 10_000;
    if major >= OLDEST {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "the database server is PostgreSQL {major}, and Holdfast needs {OLDEST} or newer; nothing was changed there"
    )))
}

impl Store {
    pub(crate) async fn must_be_new_enough(&self) -> Result<(), Error> {
        let connection = self.pools().owner.get().await?;
        let row = connection.client.query_one("SELECT current_setting('server_version_num')::int", &[]).await?;
        new_enough(row.try_get(0)?)
    }

    /// Asks the server what it is and what we may do.
    pub async fn server_facts(&self) -> Result<ServerFacts, Error> {
        let connection = self.pools().owner.get().await?;
        let row = connection.client.query_one(FACTS, &[]).await?;
        Ok(ServerFacts {
            version: row.try_get(0)?,
            lock_slots: row.try_get(1)?,
            relations: row.try_get(2)?,
            may_create_roles: row.try_get(3)?,
            may_create_schemas: row.try_get(4)?,
            durable: row.try_get(5)?,
            checksums: row.try_get(6)?,
            extensions: row.try_get(7)?,
            clock: row.try_get(8)?,
            may_vacuum_catalogues: row.try_get(9)?,
            catalogues_vacuumed: row.try_get(10)?,
        })
    }

    /// Where the server keeps its rows, when it runs on this machine and tells us.
    pub async fn data_directory(&self) -> Option<std::path::PathBuf> {
        if !self.config().is_local() {
            return None;
        }
        let connection = self.pools().owner.get().await.ok()?;
        let asked = connection.client.query_one("SELECT current_setting('data_directory')", &[]).await;
        asked.ok()?.try_get::<_, String>(0).ok().map(std::path::PathBuf::from)
    }

    /// Asks how the server hands its write-ahead log on, by `archive_command` or a module: what is beside us.
    pub async fn wal_archiving(&self) -> Result<WalArchiving, Error> {
        let connection = self.pools().owner.get().await?;
        let row = connection.client.query_one(ARCHIVING, &[]).await?;
        Ok(WalArchiving {
            on: row.try_get(0)?,
            command: row.try_get(1)?,
            module: row.try_get(2)?,
            archived: row.try_get(3)?,
            last_archived_seconds: row.try_get(4)?,
            failed: row.try_get(5)?,
            last_failed_seconds: row.try_get(6)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::new_enough;

    #[test]
    fn an_old_server_is_refused_in_words() {
        let said = new_enough(140_012).unwrap_err().to_string();
        assert!(said.contains("PostgreSQL 14") && said.contains("15 or newer"), "{said}");
        assert!(new_enough(150_000).is_ok() && new_enough(180_001).is_ok());
    }
}
