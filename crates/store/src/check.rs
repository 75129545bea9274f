//! The check of who asks, together with what the request is foreseen to read.

use std::sync::Arc;

use futures_util::future::{join3, join4};
use tokio_postgres::{Row, Statement};

use crate::ahead::{Foreseen, Value};
use crate::error::Error;
use crate::hot::{Hot, Proof, alone, entering, planned, remembered};
use crate::pool::Pooled;
use crate::proof::Versions;
use crate::scope::TenantScope;
use crate::store::Store;

/// The statement by which a caller is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    /// Name in the statement cache; one per text.
    pub(crate) name: &'static str,
    /// SQL with `{s}.table` and `$1`, ….
    pub(crate) text: &'static str,
    /// What tells whether its row is still the same; without it no answer is kept.
    pub(crate) proof: Option<CheckProof>,
}

/// How a check is proven: by the versions (`xmin`) of the rows that it is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckProof {
    /// SQL with the parameters of the check, that selects for every pair `0::bigint` and the two versions, and nothing for
    /// a pair whose first is not there.
    pub(crate) text: &'static str,
    /// How many pairs of versions the check's own row ends in.
    pub(crate) pairs: usize,
    /// How many of the parameters must be what they were; the others say when it is.
    pub(crate) same: usize,
}

impl Check {
    const fn alone(self) -> Hot {
        Hot { name: self.name, text: self.text, proof: None }
    }
}

/// What a check read, to be proven the same when the same request comes again.
#[derive(Debug)]
pub(crate) struct Checked {
    name: &'static str,
    asked: Vec<Value>,
    pub(crate) rows: Arc<Vec<Row>>,
    pub(crate) pairs: usize,
}

impl Checked {
    fn is(&self, check: Check, asked: &[Value]) -> bool {
        let same = check.proof.map_or(0, |proof| proof.same);
        self.name == check.name && self.asked.get(..same).is_some_and(|before| asked.get(..same) == Some(before))
    }

    #[cfg(test)]
    pub(crate) fn nothing() -> Self {
        Self { name: "", asked: Vec::new(), rows: Arc::default(), pairs: 0 }
    }
}

/// The proof of a check and that of what it lets read, in one statement: of both only versions are read, which costs
/// Postgres half of what the columns do.
fn proof_of_both(check: &str, proof: Proof, parameters: usize) -> String {
    format!("{check} UNION ALL SELECT p.* FROM ({}) p", shifted(proof.text, parameters))
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
    /// Runs a check: one flight when the connection has it planned, one more when not. What the scope foresees travels with
    /// it. Where nothing has changed since an answer was kept, only that is read, and the rows are those of then.
    pub(crate) async fn read_check(
        &self,
        scope: &TenantScope,
        check: Check,
        asked: &[Value],
    ) -> Result<Arc<Vec<Row>>, Error> {
        let Some(ahead) = scope.ahead() else { return self.read_plain(scope, check, asked).await };
        let Some((foreseen, answer)) = ahead.due() else { return self.read_plain(scope, check, asked).await };
        let mut connection = self.pools().tenant(scope.tenant()).await?;
        if let (Some(answer), Some(proof), Some(own)) = (answer, foreseen.hot.proof, check.proof)
            && answer.checked.is(check, asked)
        {
            let proofs = (check.name, own.text, proof);
            match run_proofs(&mut connection, scope, proofs, (asked, &foreseen.values)).await {
                Ok(versions) if ahead.judge(&answer, versions.as_ref()) => return Ok(Arc::clone(&answer.checked.rows)),
                Ok(_) => (),
                Err(_) => return self.ask_again(connection, scope, check, asked).await,
            }
        }
        match run_both(&mut connection, scope, (check, asked), &foreseen).await {
            Ok((rows, more)) => {
                ahead.keep(foreseen, more);
                Ok(checked(scope, check, asked, rows))
            }
            Err(_) => self.ask_again(connection, scope, check, asked).await,
        }
    }

    /// Something went wrong with more than the check: asks for that alone, which then says what it was.
    async fn ask_again(
        &self,
        mut connection: Pooled,
        scope: &TenantScope,
        check: Check,
        asked: &[Value],
    ) -> Result<Arc<Vec<Row>>, Error> {
        connection.client.batch_execute("ROLLBACK").await?;
        connection.forget(&scope.tenant().schema);
        drop(connection);
        self.read_plain(scope, check, asked).await
    }

    async fn read_plain(&self, scope: &TenantScope, check: Check, asked: &[Value]) -> Result<Arc<Vec<Row>>, Error> {
        let params: Vec<_> = asked.iter().map(Value::param).collect();
        Ok(checked(scope, check, asked, self.read_hot(scope, check.alone(), &params).await?))
    }
}

/// Notes what a check read, where an answer may be kept with it.
fn checked(scope: &TenantScope, check: Check, asked: &[Value], rows: Vec<Row>) -> Arc<Vec<Row>> {
    let rows = Arc::new(rows);
    if let (Some(ahead), Some(proof)) = (scope.ahead(), check.proof) {
        let (rows, pairs) = (Arc::clone(&rows), proof.pairs);
        ahead.checked(Checked { name: check.name, asked: asked.to_vec(), rows, pairs });
    }
    rows
}

/// The versions of what a check and the read behind it would see now.
async fn run_proofs(
    connection: &mut Pooled,
    scope: &TenantScope,
    (name, check, proof): (&'static str, &'static str, Proof),
    (asked, values): (&[Value], &[Value]),
) -> Result<Option<Versions>, tokio_postgres::Error> {
    let text = || proof_of_both(check, proof, asked.len());
    let statement = remembered(connection, scope, (name, proof.name), text).await?;
    let all: Vec<_> = asked.iter().chain(values).map(Value::param).collect();
    Ok(Versions::of_proof(&alone(connection, scope, &statement, &all).await?))
}

/// A check and what is foreseen after it, in one flight.
async fn run_both(
    connection: &mut Pooled,
    scope: &TenantScope,
    (check, asked): (Check, &[Value]),
    foreseen: &Foreseen,
) -> Result<(Vec<Row>, Vec<Row>), tokio_postgres::Error> {
    let (check, more) = both_planned(connection, scope, (check.alone(), foreseen.hot)).await?;
    let params: Vec<_> = asked.iter().map(Value::param).collect();
    let values: Vec<_> = foreseen.values.iter().map(Value::param).collect();
    let (opening, client) = (entering(scope), &connection.client);
    let (opened, rows, ahead, committed) = join4(
        client.batch_execute(&opening),
        client.query(&check, &params),
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
