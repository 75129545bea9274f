//! What happens on nearly every request: planned once per connection.
//!
//! A statement under a changing `search_path` is planned anew each time (most of the cost of a small read), so these
//! name their tables with the schema in front and are prepared; the tenant's role travels in the same flight where the
//! connection does not have it already.

use futures_util::future::{join, join3};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::ahead::Value;
use crate::error::Error;
use crate::pool::Pooled;
use crate::scope::TenantScope;
use crate::store::Store;
use crate::tx::{LOCK_SHARED, Param};

/// A hot statement. `text` writes `{s}` where the schema's name goes.
#[derive(Clone, Copy, Debug)]
pub struct Hot {
    /// Name in the statement cache; one per text.
    pub name: &'static str,
    /// SQL with `{s}.table` and `$1`, ….
    pub text: &'static str,
    /// What tells whether its rows are still the same, for answers that are kept ([`crate::ahead`]).
    pub proof: Option<Proof>,
}

/// A statement with the parameters of its [`Hot`] that selects, of the same rows in the same order, what the hot statement
/// selects first and in its last two columns: the note's id, its `xmin`, its author's `xmin`.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    /// Name in the statement cache.
    pub name: &'static str,
    /// SQL with `{s}.table` and `$1`, ….
    pub text: &'static str,
}

impl Store {
    /// Runs a hot read: one flight when the connection has it planned, one more when not.
    pub async fn read_hot(
        &self,
        scope: &TenantScope,
        hot: Hot,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let mut connection = self.pools().tenant(scope.tenant()).await?;
        match run(&mut connection, scope, hot, params).await {
            // The plan is older than a schema step: plan again, once.
            Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
                connection.client.batch_execute("ROLLBACK").await?;
                connection.statements.pop(&(scope.tenant().schema.clone(), hot.name, ""));
                Ok(run(&mut connection, scope, hot, params).await?)
            }
            other => Ok(other?),
        }
    }

    /// A hot read that the check of the caller may have brought along.
    pub(crate) async fn read_foreseen(
        &self,
        scope: &TenantScope,
        hot: Hot,
        values: &[Value],
    ) -> Result<Vec<Row>, Error> {
        if let Some(rows) = scope.ahead().and_then(|ahead| ahead.take(hot, values)) {
            return Ok(rows);
        }
        let params: Vec<_> = values.iter().map(Value::param).collect();
        let rows = self.read_hot(scope, hot, &params).await?;
        if let Some(ahead) = scope.ahead() {
            ahead.read(hot, &rows);
        }
        Ok(rows)
    }
}

impl Store {
    /// Runs a read whose text is made at run time, with the schema before the names of its tables: planned once per
    /// connection and text, whatever its values. One flight when it is planned, two when not.
    pub(crate) async fn read_planned(
        &self,
        scope: &TenantScope,
        text: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Error> {
        if let Some(ahead) = scope.ahead() {
            ahead.reads_more();
        }
        let mut connection = self.pools().searcher(scope.tenant()).await?;
        let opening = entering(scope);
        let values: Vec<_> = params.iter().map(|(value, _)| *value).collect();
        if let Some(known) = connection.lists.get(text).cloned() {
            match alone(&mut connection, scope, &known, &values).await {
                // The plan is older than a schema step: plan again.
                Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
                    connection.client.batch_execute("ROLLBACK").await?;
                    connection.lists.pop(text);
                }
                other => return Ok(other?),
            }
        }
        let types: Vec<_> = params.iter().map(|(_, kind)| kind.clone()).collect();
        let (opened, statement, committed) = {
            let client = &connection.client;
            join3(client.batch_execute(&opening), client.prepare_typed(text, &types), client.batch_execute("COMMIT"))
                .await
        };
        opened?;
        let statement = statement?;
        committed?;
        connection.lists.put(text.to_owned(), statement.clone());
        Ok(alone(&mut connection, scope, &statement, &values).await?)
    }

    /// Takes the writers' lock and runs one planned statement, committed, in one flight. `hot` must mark the tenant as
    /// changed itself ([`marking`]).
    pub(crate) async fn write_hot(
        &self,
        scope: &TenantScope,
        hot: Hot,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let mut connection = self.pools().tenant(scope.tenant()).await?;
        let statement = planned(&mut connection, scope, hot).await?;
        let opening = format!("{};{LOCK_SHARED}({})", entering(scope), scope.lock_key());
        Ok(framed(&connection, &opening, &statement, params).await?)
    }

    /// Runs one planned statement that adds rows and waits for nobody's, committed, as a single message. `hot` must take the
    /// writers' lock and mark the tenant as changed itself (`note_made` of the tenant's schema); whatever changes rows takes
    /// the lock before it holds them ([`write_hot`](Self::write_hot)).
    pub(crate) async fn add_hot(
        &self,
        scope: &TenantScope,
        hot: Hot,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let mut connection = self.pools().tenant(scope.tenant()).await?;
        Ok(run(&mut connection, scope, hot, params).await?)
    }
}

/// Puts the mark of a change before an `INSERT`, `UPDATE` or `DELETE` of a hot write.
macro_rules! marking {
    ($text:expr) => {
        concat!(
            "WITH mark AS (INSERT INTO {s}.change_mark (generation) SELECT generation FROM {s}.point_state
             ON CONFLICT DO NOTHING) ",
            $text
        )
    };
}
pub(crate) use marking;

/// Begins and takes the tenant's role. One simple message: the server answers once, not once a statement. The schema id is
/// a type that only the registry makes, so its text is safe here.
pub(crate) fn entering(scope: &TenantScope) -> String {
    format!("BEGIN;SET LOCAL ROLE {}{}", scope.tenant().schema, scope.time_limit())
}

/// One planned statement, in a transaction of its own. The session takes the tenant's role for it and keeps it: the next one
/// for the same tenant on this connection is then a single message. `BEGIN`, the role and `COMMIT` around it were nearly a third
/// of what a get costs Postgres (0.113 and 0.080 CPU s per 1,000). Only for texts that name their tables with the schema in front: under another tenant's role
/// such a text is refused, so that even a mistake of ours here would show nobody anything. Every unit of work that has a
/// transaction still takes its role in it.
pub(crate) async fn alone(
    connection: &mut Pooled,
    scope: &TenantScope,
    statement: &Statement,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    if !scope.time_limit().is_empty() {
        return framed(connection, &entering(scope), statement, params).await;
    }
    let schema = &scope.tenant().schema;
    if connection.standing.as_ref() == Some(schema) {
        return connection.client.query(statement, params).await;
    }
    // Given up in the middle, nobody knows whose role it is.
    connection.standing = None;
    let taking = format!("SET ROLE {schema}");
    let (taken, rows) =
        join(connection.client.batch_execute(&taking), connection.client.query(statement, params)).await;
    taken?;
    connection.standing = Some(schema.clone());
    rows
}

/// A planned statement between an opening and `COMMIT`, in one flight. The first error wins.
pub(crate) async fn framed(
    connection: &Pooled,
    opening: &str,
    statement: &Statement,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let client = &connection.client;
    let (opened, rows, committed) =
        join3(client.batch_execute(opening), client.query(statement, params), client.batch_execute("COMMIT")).await;
    opened?;
    let rows = rows?;
    committed?;
    Ok(rows)
}

pub(crate) async fn planned(
    connection: &mut Pooled,
    scope: &TenantScope,
    hot: Hot,
) -> Result<Statement, tokio_postgres::Error> {
    remembered(connection, scope, (hot.name, ""), || hot.text.to_owned()).await
}

/// The plan of this name (and second name) for the tenant, made of the text where the connection has none yet.
pub(crate) async fn remembered(
    connection: &mut Pooled,
    scope: &TenantScope,
    (name, second): (&'static str, &'static str),
    text: impl FnOnce() -> String,
) -> Result<Statement, tokio_postgres::Error> {
    let schema = &scope.tenant().schema;
    let key = (schema.clone(), name, second);
    if let Some(known) = connection.statements.get(&key) {
        return Ok(known.clone());
    }
    // Under the tenant's role already: only that role sees the schema, also while planning.
    let text = text().replace("{s}", schema.as_str());
    let opening = entering(scope);
    let client = &connection.client;
    let (opened, statement, committed) =
        join3(client.batch_execute(&opening), client.prepare(&text), client.batch_execute("COMMIT")).await;
    opened?;
    let statement = statement?;
    committed?;
    connection.statements.put(key, statement.clone());
    Ok(statement)
}

async fn run(
    connection: &mut Pooled,
    scope: &TenantScope,
    hot: Hot,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let statement = planned(connection, scope, hot).await?;
    alone(connection, scope, &statement, params).await
}
