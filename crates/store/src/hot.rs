//! Reads that happen on nearly every request: planned once per connection.
//!
//! A statement under a changing `search_path` is planned anew each time (most of the cost of a small read), so these
//! name their tables with the schema in front and are prepared; the tenant's role still travels in the same flight.

use futures_util::future::join4;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use crate::error::Error;
use crate::pool::Pooled;
use crate::scope::TenantScope;
use crate::store::Store;

/// A hot read. `text` writes `{s}` where the schema's name goes.
#[derive(Clone, Copy, Debug)]
pub struct Hot {
    /// Name in the statement cache; one per text.
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
                connection.statements.pop(&(scope.tenant().schema.clone(), hot.name));
                Ok(run(&mut connection, scope, hot, params).await?)
            }
            other => Ok(other?),
        }
    }
}

async fn run(
    connection: &mut Pooled,
    scope: &TenantScope,
    hot: Hot,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let schema = &scope.tenant().schema;
    let role = format!("SET LOCAL ROLE {schema}");
    let key = (schema.clone(), hot.name);
    let known = connection.statements.get(&key).cloned();
    let statement = match known {
        Some(statement) => statement,
        None => {
            // Under the tenant's role already: only that role sees the schema, also while planning.
            let text = hot.text.replace("{s}", schema.as_str());
            let client = &connection.client;
            let (begin, entered, statement, commit) = join4(
                client.query_typed("BEGIN", &[]),
                client.query_typed(&role, &[]),
                client.prepare(&text),
                client.query_typed("COMMIT", &[]),
            )
            .await;
            begin?;
            entered?;
            let statement = statement?;
            commit?;
            connection.statements.put(key, statement.clone());
            statement
        }
    };
    let client = &connection.client;
    let (begin, entered, rows, commit) = join4(
        client.query_typed("BEGIN", &[]),
        client.query_typed(&role, &[]),
        client.query(&statement, params),
        client.query_typed("COMMIT", &[]),
    )
    .await;
    begin?;
    entered?;
    let rows = rows?;
    commit?;
    Ok(rows)
}
