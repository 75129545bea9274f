//! The unit of work on one tenant: begin, statements, commit; dropped without commit it is rolled back.
//!
//! `BEGIN`, the tenant's `search_path` and role travel in one flight with the first statement (1.37 × the throughput of
//! one round trip each, measured). The role and path are `SET LOCAL`: they end with the
//! transaction, and do not depend on whose role a planned statement ([`crate::hot`]) has left on the connection.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{join_all, join3};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::audit::{APPEND, AuditEvent};
use crate::error::Error;
use crate::pool::Pooled;
use crate::scope::TenantScope;
use crate::store::Store;

/// A parameter with its type: unnamed statements are planned without asking the server for types.
pub type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// One statement of a flight.
#[derive(Clone, Copy)]
pub struct Statement<'a> {
    /// SQL with `$1`, `$2`, …; table names without a schema.
    pub sql: &'a str,
    /// Its parameters.
    pub params: &'a [Param<'a>],
}

/// What stands around the statements of a flight.
#[derive(Clone, Copy, Default)]
struct Frame {
    /// Takes the tenant's lock as a writer, before the statements.
    lock: bool,
    /// Commits after them.
    commit: bool,
}

/// The lock of a writer, which a snapshot takes alone; its key goes in parentheses behind.
pub(crate) const LOCK_SHARED: &str = "SELECT pg_advisory_xact_lock_shared";
/// Plans by the values at hand, because these statements are not kept ([`Config::for_tenants`](crate::Config)).
pub(crate) const PLANNED_ONCE: &str = "SET LOCAL plan_cache_mode TO auto";
/// Marks the tenant as changed since the last point; under the lock.
const MARK: &str = "INSERT INTO change_mark (generation) SELECT generation FROM point_state ON CONFLICT DO NOTHING";

/// A unit of work in one tenant's schema, under the tenant's role.
pub struct TenantTx {
    store: Store,
    scope: TenantScope,
    connection: Option<Pooled>,
    begun: bool,
    failed: bool,
}

impl TenantTx {
    pub(crate) const fn new(store: Store, scope: TenantScope) -> Self {
        Self { store, scope, connection: None, begun: false, failed: false }
    }

    /// Which tenant, and why.
    pub const fn scope(&self) -> &TenantScope {
        &self.scope
    }

    async fn connect(&mut self) -> Result<(), Error> {
        if self.connection.is_none() {
            self.connection = Some(self.store.pools().tenant(self.scope.tenant()).await?);
        }
        Ok(())
    }

    /// What opens the unit of work: one simple message, which the server answers once. The schema id is a type that only
    /// the registry makes, so its text is safe here; everything with values goes as a statement of its own.
    fn opening(&self, lock: bool) -> String {
        let schema = &self.scope.tenant().schema;
        let mut text = String::new();
        if !self.begun {
            let limit = self.scope.time_limit();
            text = format!("BEGIN;SET LOCAL search_path TO {schema};{PLANNED_ONCE};SET LOCAL ROLE {schema}{limit}");
        }
        if lock {
            let between = if text.is_empty() { "" } else { ";" };
            text.push_str(&format!("{between}{LOCK_SHARED}({})", self.scope.lock_key()));
        }
        text
    }

    /// Runs the statements in one flight, after the opening where it is due and with the tenant's lock where asked, and
    /// followed by `COMMIT` when asked. The first error wins; what follows it was not carried out.
    async fn flight(&mut self, statements: &[Statement<'_>], frame: Frame) -> Result<Vec<Vec<Row>>, Error> {
        if self.failed {
            return Err(Error::Refused("the unit of work has failed before".to_owned()));
        }
        if let Some(ahead) = self.scope.ahead() {
            ahead.reads_more();
        }
        self.connect().await?;
        let opening = self.opening(frame.lock);
        self.begun = true;
        self.failed = true; // until the answer is in: a cancelled flight must not be committed
        let Some(connection) = &self.connection else { return Err(Error::TooBusy) };
        let client = &connection.client;
        let begin = async { if opening.is_empty() { Ok(()) } else { client.batch_execute(&opening).await } };
        // A statement whose values cannot be encoded fails before anything is sent: no COMMIT may follow it then. The
        // statements are polled before the end is.
        let broken = AtomicBool::new(false);
        let run = join_all(statements.iter().map(|one| async {
            let answer = client.query_typed(one.sql, one.params).await;
            broken.fetch_or(answer.is_err(), Ordering::Relaxed);
            answer
        }));
        let end = async {
            let commit = frame.commit && !broken.load(Ordering::Relaxed);
            if commit { client.batch_execute("COMMIT").await } else { Ok(()) }
        };
        let (began, answers, ended) = join3(begin, run, end).await;
        began?;
        let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
        ended?;
        self.failed = false;
        if frame.commit {
            self.begun = false;
        }
        Ok(answers)
    }

    /// Rows of one statement.
    pub async fn query(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Error> {
        let mut answers = self.flight(&[Statement { sql, params }], Frame::default()).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// The first row, if any.
    pub async fn query_opt(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>, Error> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// The number of rows a statement without `RETURNING` changed.
    pub async fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64, Error> {
        let counted = format!("WITH changed AS ({sql} RETURNING 1) SELECT count(*) FROM changed");
        let row = self.query_opt(&counted, params).await?;
        row.map_or(Ok(0), |row| Ok(row.try_get::<_, i64>(0).map_err(Error::from)?.unsigned_abs()))
    }

    /// Several statements in one flight.
    pub async fn query_all(&mut self, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, Error> {
        self.flight(statements, Frame::default()).await
    }

    /// One statement with everything around it in one flight: the shape of a plain read.
    pub async fn read_once(mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Error> {
        let mut answers = self.flight(&[Statement { sql, params }], Frame { lock: false, commit: true }).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Several reads with everything around them in one flight.
    pub async fn read_all_once(mut self, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, Error> {
        self.flight(statements, Frame { lock: false, commit: true }).await
    }

    /// Marks the tenant as changed and runs the statements, all committed in one flight: the shape of a plain write.
    pub async fn write_once(mut self, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, Error> {
        let mut all = vec![Statement { sql: MARK, params: &[] }];
        all.extend_from_slice(statements);
        let mut answers = self.flight(&all, Frame { lock: true, commit: true }).await?;
        Ok(answers.split_off(1))
    }

    /// Marks the tenant as changed. First thing in every unit of work that writes.
    pub async fn touch(&mut self) -> Result<(), Error> {
        self.flight(&[Statement { sql: MARK, params: &[] }], Frame { lock: true, commit: false }).await?;
        Ok(())
    }

    /// The same with the statements that come next, in one flight. Each sees what was committed when it began: a lock that
    /// one takes stands before the next one looks.
    pub async fn touch_with(&mut self, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, Error> {
        let mut all = vec![Statement { sql: MARK, params: &[] }];
        all.extend_from_slice(statements);
        let mut answers = self.flight(&all, Frame { lock: true, commit: false }).await?;
        Ok(answers.split_off(1))
    }

    /// One statement, and makes everything last.
    pub async fn finish_with(mut self, sql: &str, params: &[Param<'_>]) -> Result<(), Error> {
        self.flight(&[Statement { sql, params }], Frame { lock: false, commit: true }).await.map(|_| ())
    }

    /// The next number of the tenant's one sequence.
    pub async fn next_id(&mut self) -> Result<i64, Error> {
        let row = self.query_opt("SELECT nextval('id_seq')", &[]).await?;
        row.map_or(Err(Error::NotFound("sequence")), |row| Ok(row.try_get(0)?))
    }

    /// Appends an audit event that stands or falls with this unit of work.
    pub async fn audit(&mut self, event: &AuditEvent<'_>) -> Result<(), Error> {
        let tenant = self.scope.tenant().id.0;
        let params: [Param<'_>; 5] = [
            (&tenant, Type::UUID),
            (&event.actor, Type::TEXT),
            (&event.event, Type::TEXT),
            (&event.object, Type::TEXT),
            (&event.detail, Type::JSONB),
        ];
        self.query(APPEND, &params).await.map(|_| ())
    }

    /// Makes it last.
    pub async fn commit(mut self) -> Result<(), Error> {
        if !self.begun {
            return Ok(());
        }
        self.flight(&[], Frame { lock: false, commit: true }).await.map(|_| ())
    }
}

impl Drop for TenantTx {
    fn drop(&mut self) {
        if !self.begun {
            return;
        }
        if let Some(connection) = self.connection.take() {
            self.store.pools().handle().spawn(async move {
                if connection.client.batch_execute("ROLLBACK").await.is_err() {
                    // A connection that cannot roll back is not given to anyone again.
                    drop(deadpool::managed::Object::take(connection));
                }
            });
        }
    }
}
