//! The system catalogues, vacuumed every night: thousands of schemas make them large, and dropped ones leave dead rows that
//! every later plan reads past.

use crate::error::Error;
use crate::store::Store;

/// One process at a time.
const LOCK: &str = "SELECT pg_try_advisory_lock(7235419881123004)";
const UNLOCK: &str = "RESET statement_timeout; RESET vacuum_cost_delay; SELECT pg_advisory_unlock(7235419881123004)";

/// Whether we may, hours since somebody did, and the hour of the day in UTC. The catalogues of a database are its owner's to
/// vacuum; the shared ones are a superuser's, small, and left to autovacuum.
const STATE: &str = "SELECT pg_has_role(current_user, (SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE'), \
    (SELECT extract(epoch FROM clock_timestamp() - last_vacuum)::float8 / 3600 FROM pg_stat_all_tables \
     WHERE relid = 'pg_catalog.pg_class'::regclass), \
    extract(hour FROM clock_timestamp() AT TIME ZONE 'UTC')::int";

const TABLES: &str = "SELECT string_agg(oid::regclass::text, ', ' ORDER BY relname), count(*) FROM pg_class \
    WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND NOT relisshared";

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vacuumed {
    /// So many catalogues were vacuumed and analysed.
    Done(i64),
    /// It was done lately, or it is not night yet.
    NotDue,
    /// Another process is at it.
    Elsewhere,
    /// Our role is neither owner of the database nor superuser: somebody else must, as `doctor` says.
    NotAllowed,
}

/// Between one and five at night, once; at any hour when a night was missed.
fn is_due(hours_ago: Option<f64>, hour: i32) -> bool {
    let Some(ago) = hours_ago else { return true };
    ago > 30.0 || (ago > 20.0 && (1..5).contains(&hour))
}

impl Store {
    /// Vacuums and analyses the system catalogues of our database when that is due and we may. Nobody waits for it: what is
    /// locked is left out, no catalogue is cut off at its end, and it works at the pace of autovacuum.
    pub async fn vacuum_catalogues(&self) -> Result<Vacuumed, Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        if !client.query_one(LOCK, &[]).await?.try_get::<_, bool>(0)? {
            return Ok(Vacuumed::Elsewhere);
        }
        let outcome = vacuum(client).await;
        client.batch_execute(UNLOCK).await?;
        outcome
    }
}

async fn vacuum(client: &tokio_postgres::Client) -> Result<Vacuumed, Error> {
    let state = client.query_one(STATE, &[]).await?;
    if !state.try_get::<_, bool>(0)? {
        return Ok(Vacuumed::NotAllowed);
    }
    if !is_due(state.try_get(1)?, state.try_get(2)?) {
        return Ok(Vacuumed::NotDue);
    }
    let tables = client.query_one(TABLES, &[]).await?;
    let names: String = tables.try_get(0)?;
    client.batch_execute("SET statement_timeout = 0; SET vacuum_cost_delay = '2ms'").await?;
    client.batch_execute(&format!("VACUUM (ANALYZE, SKIP_LOCKED, TRUNCATE FALSE) {names}")).await?;
    Ok(Vacuumed::Done(tables.try_get(1)?))
}

#[cfg(test)]
mod tests {
    use super::is_due;

    #[test]
    fn once_a_night_and_later_when_a_night_was_missed() {
        assert!(is_due(None, 14), "never done");
        assert!(is_due(Some(22.0), 3) && !is_due(Some(22.0), 14), "at night");
        assert!(!is_due(Some(3.0), 4), "not twice a night");
        assert!(is_due(Some(31.0), 14), "the machine was off at night");
    }
}
