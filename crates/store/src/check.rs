//! The check of who asks, together with what the request is foreseen to read.

use futures_util::future::{join3, join4};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::ahead::{Foreseen, Value};
use crate::error::Error;
use crate::hot::{Hot, Proof, entering, framed, planned, remembered};
use crate::pool::Pooled;
use crate::proof::Versions;
use crate::scope::TenantScope;
use crate::store::Store;

/// The statement by which a caller is known. Its first column is never NULL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    /// Name in the statement cache; one per text.
    pub(crate) name: &'static str,
    /// SQL with `{s}.table` and `$1`, ….
    pub(crate) text: &'static str,
    /// How many columns it selects.
    pub(crate) columns: usize,
}

impl Check {
    const fn alone(self) -> Hot {
        Hot { name: self.name, text: self.text, proof: None }
    }

    /// The check's rows and the proof's rows in one answer: each with NULL in the columns of the other.
    fn with(self, proof: Proof, parameters: usize) -> String {
        let nulls = "NULL, ".repeat(self.columns);
        let (check, proof) = (self.text, shifted(proof.text, parameters));
        format!("SELECT c.*, NULL, NULL, NULL FROM ({check}) c UNION ALL SELECT {nulls}p.* FROM ({proof}) p")
    }
}

/// The text with `$1` as `$(1 + by)`, and so on.
fn shifted(text: &str, by: usize) -> String {
    let mut parts = text.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(end);
        let number = number.parse::<usize>().map_or(0, |number| number + by);
        out.push_str(&format!("${number}{rest}"));
    }
    out
}

impl Store {
    /// Runs a check: one flight when the connection has it planned, one or two more when not. What the scope foresees
    /// travels with it.
    pub(crate) async fn read_check(
        &self,
        scope: &TenantScope,
        check: Check,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let due = scope.ahead().and_then(|ahead| Some((ahead, ahead.due()?)));
        let Some((ahead, (foreseen, answer))) = due else { return self.read_hot(scope, check.alone(), params).await };
        let mut connection = self.pools().tenant(scope.tenant()).await?;
        let asked = (check, params);
        match (answer, foreseen.hot.proof) {
            (Some(answer), Some(proof)) => {
                if let Ok((rows, versions)) = run_proven(&mut connection, scope, asked, (proof, &foreseen.values)).await
                {
                    ahead.judge(answer, versions.as_ref());
                    return Ok(rows);
                }
                connection.statements.pop(&(scope.tenant().schema.clone(), check.name, proof.name));
            }
            _ => {
                if let Ok((rows, more)) = run_both(&mut connection, scope, asked, &foreseen).await {
                    ahead.keep(foreseen, more);
                    return Ok(rows);
                }
                connection.statements.pop(&(scope.tenant().schema.clone(), foreseen.hot.name, ""));
            }
        }
        // Whatever it was: ask again for the one thing only, which then says it.
        connection.client.batch_execute("ROLLBACK").await?;
        drop(connection);
        self.read_hot(scope, check.alone(), params).await
    }
}

/// A check and the proof of an answer, in one statement.
async fn run_proven(
    connection: &mut Pooled,
    scope: &TenantScope,
    (check, params): (Check, &[&(dyn ToSql + Sync)]),
    (proof, values): (Proof, &[Value]),
) -> Result<(Vec<Row>, Option<Versions>), tokio_postgres::Error> {
    let text = || check.with(proof, params.len());
    let statement = remembered(connection, scope, (check.name, proof.name), text).await?;
    let all: Vec<_> = params.iter().copied().chain(values.iter().map(Value::param)).collect();
    let rows = framed(connection, &entering(scope), &statement, &all).await?;
    let (known, proven) = rows.into_iter().partition::<Vec<_>, _>(|row| row.get::<_, Option<i64>>(0).is_some());
    Ok((known, Versions::of_proof(&proven, check.columns)))
}

/// A check and what is foreseen after it, in one flight.
async fn run_both(
    connection: &mut Pooled,
    scope: &TenantScope,
    (check, params): (Check, &[&(dyn ToSql + Sync)]),
    foreseen: &Foreseen,
) -> Result<(Vec<Row>, Vec<Row>), tokio_postgres::Error> {
    let (check, more) = both_planned(connection, scope, (check.alone(), foreseen.hot)).await?;
    let values: Vec<_> = foreseen.values.iter().map(Value::param).collect();
    let (opening, client) = (entering(scope), &connection.client);
    let (opened, rows, ahead, committed) = join4(
        client.batch_execute(&opening),
        client.query(&check, params),
        client.query(&more, &values),
        client.batch_execute("COMMIT"),
    )
    .await;
    opened?;
    let answers = (rows?, ahead?);
    committed?;
    Ok(answers)
}

/// Both planned; in one flight where neither is yet.
async fn both_planned(
    connection: &mut Pooled,
    scope: &TenantScope,
    (one, other): (Hot, Hot),
) -> Result<(Statement, Statement), tokio_postgres::Error> {
    let schema = &scope.tenant().schema;
    let [first, second] = [one, other].map(|hot| (schema.clone(), hot.name, ""));
    if connection.statements.contains(&first) || connection.statements.contains(&second) {
        return Ok((planned(connection, scope, one).await?, planned(connection, scope, other).await?));
    }
    let [text, more] = [one, other].map(|hot| hot.text.replace("{s}", schema.as_str()));
    let (opening, client) = (entering(scope), &connection.client);
    let plan = join3(client.batch_execute(&opening), client.prepare(&text), client.prepare(&more));
    let ((opened, statement, another), committed) =
        futures_util::future::join(plan, client.batch_execute("COMMIT")).await;
    opened?;
    let (statement, another) = (statement?, another?);
    committed?;
    connection.statements.put(first, statement.clone());
    connection.statements.put(second, another.clone());
    Ok((statement, another))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_proof_follow_those_of_the_check() {
        assert_eq!(shifted("a = $1 AND b = $12 OR $2", 3), "a = $4 AND b = $15 OR $5");
        assert_eq!(shifted("no parameters", 1), "no parameters");
    }
}
