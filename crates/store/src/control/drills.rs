//! Drills: reports in a chain, each holding the hash of the one before it.

use domain::id::TenantId;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;

use super::{Control, statement};
use crate::audit::AuditEvent;
use crate::error::Error;

/// Table `drill`.
pub mod drill {
    use sea_orm::entity::prelude::*;

    /// One drill.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(schema_name = "holdfast", table_name = "drill")]
    pub struct Model {
        /// Place in the chain, from 1.
        #[sea_orm(primary_key, auto_increment = false)]
        pub seq: i64,
        /// Its name.
        pub drill: String,
        /// Whose point was rehearsed.
        pub tenant_id: Uuid,
        /// How the tenant was called then.
        pub slug: String,
        /// Which point.
        pub point: String,
        /// When it began.
        pub started_at: TimeDateTimeWithTimeZone,
        /// When it ended.
        pub finished_at: TimeDateTimeWithTimeZone,
        /// `pass`, `fail` or `incomplete`.
        pub verdict: String,
        /// Notes compared.
        pub notes: i64,
        /// Age of what the point shows, at the drill's start.
        pub rpo_seconds: Option<f64>,
        /// From the start to "equality and sign-in passed".
        pub rto_seconds: Option<f64>,
        /// The report as JSON, as it was hashed.
        #[sea_orm(column_type = "Text")]
        pub report: String,
        /// Hash of the report before; empty at the first.
        pub previous_hash: String,
        /// SHA-256 over the previous hash and the report.
        pub hash: String,
    }

    /// Drills stand alone.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A drill that has ended.
#[derive(Clone, Debug)]
pub struct NewDrill {
    /// Its name.
    pub drill: String,
    /// Whose point was rehearsed.
    pub tenant: TenantId,
    /// How the tenant is called.
    pub slug: String,
    /// Which point.
    pub point: String,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// When it ended.
    pub finished_at: OffsetDateTime,
    /// `pass`, `fail` or `incomplete`.
    pub verdict: String,
    /// Notes compared.
    pub notes: i64,
    /// Age of what the point shows.
    pub rpo_seconds: Option<f64>,
    /// From start to proof.
    pub rto_seconds: Option<f64>,
}

/// A report ready to be kept.
#[derive(Clone, Debug)]
pub struct Linked {
    /// The report as it was hashed.
    pub report: String,
    /// Its hash.
    pub hash: String,
}

impl Control {
    /// Appends a drill to the chain, with its audit event. `link` gets the hash of the drill before (empty at the first)
    /// and writes the report that holds it.
    pub async fn append_drill<L>(&self, new: &NewDrill, event: &AuditEvent<'_>, link: L) -> Result<drill::Model, Error>
    where
        L: FnOnce(&str) -> Linked + Send,
    {
        let tx = self.begin().await?;
        tx.tx.execute_raw(statement("SELECT pg_advisory_xact_lock(7235419881123004)", Vec::new())).await?;
        let last = drill::Entity::find().order_by_desc(drill::Column::Seq).one(&tx.tx).await?;
        let (seq, previous_hash) = last.map_or((0, String::new()), |last| (last.seq, last.hash));
        let Linked { report, hash } = link(&previous_hash);
        let row = drill::Model {
            seq: seq + 1,
            drill: new.drill.clone(),
            tenant_id: new.tenant.0,
            slug: new.slug.clone(),
            point: new.point.clone(),
            started_at: new.started_at,
            finished_at: new.finished_at,
            verdict: new.verdict.clone(),
            notes: new.notes,
            rpo_seconds: new.rpo_seconds,
            rto_seconds: new.rto_seconds,
            report,
            previous_hash,
            hash,
        };
        let mut active = drill::ActiveModel::from(row.clone());
        active.seq = ActiveValue::Set(row.seq);
        drill::Entity::insert(active).exec_without_returning(&tx.tx).await?;
        tx.audit(Some(new.tenant), event).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// The drill with this name.
    pub async fn find_drill(&self, name: &str) -> Result<Option<drill::Model>, Error> {
        Ok(drill::Entity::find().filter(drill::Column::Drill.eq(name)).one(&self.db).await?)
    }

    /// Drills, newest first; of one tenant or of all.
    pub async fn list_drills(&self, tenant: Option<TenantId>, limit: u64) -> Result<Vec<drill::Model>, Error> {
        let mut query = drill::Entity::find();
        if let Some(tenant) = tenant {
            query = query.filter(drill::Column::TenantId.eq(tenant.0));
        }
        Ok(query.order_by_desc(drill::Column::Seq).limit(limit).all(&self.db).await?)
    }
}
