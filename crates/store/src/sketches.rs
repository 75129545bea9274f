//! Sketches of the notes of large tenants ([`domain::sketch`]): made beside everything else, and kept in step.
//!
//! A list that looks for a word of which there are many walks the sketches and reads few texts. Small tenants have none: they
//! cost every change of a text a row. Members wait for nothing here but, once, for the triggers. From then on every change
//! makes a sketch unknown in the transaction that makes it, so what is stored here must be of a text that was not changed
//! since it was read: rows that are new give way to those that are there, and rows that are there must be of the version
//! that was read with the text.

use domain::id::SchemaId;
use domain::sketch;
use tokio_postgres::Client;

use crate::error::Error;
use crate::store::Store;

/// One process at a time.
const LOCK: &str = "SELECT pg_try_advisory_lock(7235419881123005)";
const UNLOCK: &str = "RESET statement_timeout; SELECT pg_advisory_unlock(7235419881123005)";

/// Tenants that are looked after at a time.
const TENANTS: usize = 64;
/// Notes in one transaction.
const NOTES: i64 = 200;
/// Transactions for the changed notes of one tenant at a time.
const BATCHES: usize = 100;
/// From so many new sketches on the table is vacuumed, so that the walk does not have to look at its rows.
const MANY: u64 = 500;

/// The next large tenants in use, and whether their changes are followed already.
const NEXT: &str =
    "SELECT t.schema_id, EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname = 'note_unsketched')
    FROM holdfast.tenant t JOIN pg_class c ON c.relnamespace = to_regnamespace(t.schema_id) AND c.relname = 'note'
    WHERE t.state IN ('active', 'read_only') AND c.reltuples >= $1 AND t.schema_id > $2 ORDER BY t.schema_id LIMIT $3";

/// Waits for the writers of this moment, and others wait for it: not for long. What was written before is seen from then on.
const FOLLOW: &str = "BEGIN; SET LOCAL lock_timeout TO '1s';
    CREATE TRIGGER note_sketched AFTER INSERT ON {s}.note FOR EACH ROW WHEN (NEW.parent_id IS NULL)
        EXECUTE FUNCTION {s}.note_sketched();
    CREATE TRIGGER note_resketched AFTER UPDATE OF content, created_ts, id, parent_id ON {s}.note FOR EACH ROW
        WHEN ((OLD.content, OLD.created_ts, OLD.id, OLD.parent_id) IS DISTINCT FROM
              (NEW.content, NEW.created_ts, NEW.id, NEW.parent_id)) EXECUTE FUNCTION {s}.note_sketched();
    CREATE TRIGGER note_unsketched AFTER DELETE ON {s}.note FOR EACH ROW WHEN (OLD.parent_id IS NULL)
        EXECUTE FUNCTION {s}.note_sketched();
    COMMIT";

/// The row that says that all notes have one. It is in the order of lists behind every note.
const COMPLETE: &str = "SELECT FROM {s}.note_sketch WHERE created_ts = -9223372036854775808 AND note_id = 0";
/// In a transaction after those of the rows, so that whoever sees it sees them. Notes that were loaded meanwhile are looked
/// for: a load empties the table.
const COMPLETED: &str = "INSERT INTO {s}.note_sketch (created_ts, note_id, sketch)
    SELECT -9223372036854775808, 0, decode(repeat('00', 128), 'hex')
    WHERE NOT EXISTS (SELECT FROM {s}.note n WHERE n.parent_id IS NULL AND NOT EXISTS
        (SELECT FROM {s}.note_sketch k WHERE k.created_ts = n.created_ts AND k.note_id = n.id)) ON CONFLICT DO NOTHING";

/// A load, which empties the table, is before or after the transaction as a whole. It locks the notes first, too.
const BEGIN: &str = "BEGIN; LOCK TABLE {s}.note IN ACCESS SHARE MODE; LOCK TABLE {s}.note_sketch IN ROW EXCLUSIVE MODE";
const TEXTS: &str = "SELECT n.created_ts, n.id, n.content FROM {s}.note n
    WHERE n.parent_id IS NULL AND n.id > $1 ORDER BY n.id LIMIT $2";
const ADD: &str = "INSERT INTO {s}.note_sketch (created_ts, note_id, sketch)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) ON CONFLICT DO NOTHING";

const UNKNOWN: &str = "SELECT k.created_ts, k.note_id, k.xmin::text, n.content FROM {s}.note_sketch k
    LEFT JOIN {s}.note n ON n.id = k.note_id AND n.created_ts = k.created_ts AND n.parent_id IS NULL
    WHERE k.sketch IS NULL ORDER BY k.note_id LIMIT $1";
/// A row that was written meanwhile has another version, also where it is waited for here.
const SET: &str = "UPDATE {s}.note_sketch k SET sketch = v.sketch
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[]) v (created_ts, note_id, version, sketch)
    WHERE k.created_ts = v.created_ts AND k.note_id = v.note_id AND k.xmin = v.version::xid AND v.sketch IS NOT NULL";
/// Rows without a note; a note that comes back to its place writes its row.
const REMOVE: &str = "DELETE FROM {s}.note_sketch k
    USING unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[]) v (created_ts, note_id, version, sketch)
    WHERE k.created_ts = v.created_ts AND k.note_id = v.note_id AND k.xmin = v.version::xid AND v.sketch IS NULL";

impl Store {
    /// Makes what is missing of the sketches of tenants with at least `least` notes, as far as statistics know; tells how
    /// many were made. Those after `after` are looked at, as many as fit into a round; it is set to where the next one begins.
    pub async fn tend_sketches(&self, least: f32, after: &mut String) -> Result<u64, Error> {
        let connection = self.pools().owner.get().await?;
        let client = &connection.client;
        if !client.query_one(LOCK, &[]).await?.try_get::<_, bool>(0)? {
            return Ok(0);
        }
        let outcome = round(client, least, after).await;
        if outcome.is_err() {
            client.batch_execute("ROLLBACK").await?;
        }
        client.batch_execute(UNLOCK).await?;
        metrics::gauge!("holdfast_sketches_failing").set(f64::from(u8::from(outcome.is_err())));
        outcome
    }
}

async fn round(client: &Client, least: f32, after: &mut String) -> Result<u64, Error> {
    client.batch_execute("SET statement_timeout = 0").await?;
    let limit = i64::try_from(TENANTS).unwrap_or(i64::MAX);
    let tenants = client.query(NEXT, &[&least, &after.as_str(), &limit]).await?;
    let mut made = 0;
    for row in &tenants {
        let (text, followed): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
        after.clone_from(&text);
        if let Ok(schema) = text.parse::<SchemaId>() {
            made += Sketches { client, schema }.tend(followed).await?;
        }
    }
    if tenants.len() < TENANTS {
        after.clear();
    }
    Ok(made)
}

struct Sketches<'a> {
    client: &'a Client,
    schema: SchemaId,
}

impl Sketches<'_> {
    fn sql(&self, text: &str) -> String {
        text.replace("{s}", self.schema.as_str())
    }

    async fn tend(&self, followed: bool) -> Result<u64, Error> {
        if !followed {
            self.client.batch_execute(&self.sql(FOLLOW)).await?;
        }
        let mut made = 0;
        let begun = self.client.query_opt(&self.sql(COMPLETE), &[]).await?.is_none();
        if begun {
            made += self.build().await?;
        }
        for _ in 0..BATCHES {
            let (read, set) = self.refresh().await?;
            made += set;
            if read < NOTES {
                break;
            }
        }
        if begun || made >= MANY {
            self.client.batch_execute(&self.sql("VACUUM (ANALYZE) {s}.note_sketch")).await?;
        }
        Ok(made)
    }

    /// A sketch for every note that has none, and then the row that says so.
    async fn build(&self) -> Result<u64, Error> {
        let (mut made, mut after) = (0, 0_i64);
        loop {
            self.client.batch_execute(&self.sql(BEGIN)).await?;
            let rows = self.client.query(&self.sql(TEXTS), &[&after, &NOTES]).await?;
            let (mut times, mut ids, mut sketches) = (Vec::new(), Vec::new(), Vec::new());
            for row in &rows {
                times.push(row.try_get::<_, i64>(0)?);
                ids.push(row.try_get::<_, i64>(1)?);
                sketches.push(sketch::of_text(row.try_get(2)?).to_vec());
            }
            made += self.client.execute(&self.sql(ADD), &[&times, &ids, &sketches]).await?;
            self.client.batch_execute("COMMIT").await?;
            match ids.last() {
                Some(last) => after = *last,
                None => break,
            }
        }
        self.client.batch_execute(&self.sql(BEGIN)).await?;
        self.client.execute(&self.sql(COMPLETED), &[]).await?;
        self.client.batch_execute("COMMIT").await?;
        Ok(made)
    }

    /// The sketches of some notes that were changed: how many were unknown, and how many are known now.
    async fn refresh(&self) -> Result<(i64, u64), Error> {
        self.client.batch_execute(&self.sql(BEGIN)).await?;
        let rows = self.client.query(&self.sql(UNKNOWN), &[&NOTES]).await?;
        let (mut times, mut ids) = (Vec::new(), Vec::new());
        let (mut versions, mut sketches) = (Vec::new(), Vec::new());
        for row in &rows {
            times.push(row.try_get::<_, i64>(0)?);
            ids.push(row.try_get::<_, i64>(1)?);
            versions.push(row.try_get::<_, String>(2)?);
            sketches.push(row.try_get::<_, Option<&str>>(3)?.map(|text| sketch::of_text(text).to_vec()));
        }
        let mut set = 0;
        if !rows.is_empty() {
            set = self.client.execute(&self.sql(SET), &[&times, &ids, &versions, &sketches]).await?;
            self.client.execute(&self.sql(REMOVE), &[&times, &ids, &versions, &sketches]).await?;
        }
        self.client.batch_execute("COMMIT").await?;
        Ok((i64::try_from(rows.len()).unwrap_or(i64::MAX), set))
    }
}
