//! Restore points as the appliance remembers them, the log of their hashes, tenants' keys by name, and dumps.

use domain::id::TenantId;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;
use time::OffsetDateTime;

use super::Control;
use crate::audit::AuditEvent;
use crate::error::Error;

/// Table `point`.
pub mod point {
    use sea_orm::entity::prelude::*;

    /// One point.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(schema_name = "holdfast", table_name = "point")]
    pub struct Model {
        /// Order in which points were completed.
        #[sea_orm(primary_key)]
        pub seq: i64,
        /// Its name.
        pub point: String,
        /// Whose it is.
        pub tenant_id: Uuid,
        /// How the tenant was called then.
        pub slug: String,
        /// When it was begun.
        pub created_at: TimeDateTimeWithTimeZone,
        /// The instant it shows.
        pub snapshot_at: TimeDateTimeWithTimeZone,
        /// Changes marked with this generation or an older one are in it.
        pub generation: i64,
        /// The tenant's schema version.
        pub schema_version: i32,
        /// Why it was taken.
        pub trigger: String,
        /// `complete`, `verified`, `proven` or `damaged`.
        pub state: String,
        /// The tenant's point before it.
        pub previous: Option<String>,
        /// SHA-256 of its manifest as stored: the log of points.
        pub manifest_sha256: String,
        /// Its length.
        pub manifest_bytes: i64,
        /// Rows of all tables.
        pub rows: i64,
        /// Notes, comments and archived ones included.
        pub notes: i64,
        /// Attached files.
        pub files: i64,
        /// Bytes before compression.
        pub bytes_plain: i64,
        /// Bytes in the store, referenced ones included.
        pub bytes_stored: i64,
        /// Bytes sent for it.
        pub bytes_sent: i64,
        /// Requests it took.
        pub requests: i64,
        /// It holds every note as a Markdown file.
        pub has_markdown: bool,
        /// How long it took.
        pub seconds: f64,
        /// When every object was last read back and found right.
        pub verified_at: Option<TimeDateTimeWithTimeZone>,
        /// When it was last restored and compared.
        pub proven_at: Option<TimeDateTimeWithTimeZone>,
        /// What verification found wrong.
        pub problems: Option<Json>,
        /// Attached files that were missing already when it was taken.
        pub missing: i64,
        /// Not to be removed before.
        pub kept_until: Option<TimeDateTimeWithTimeZone>,
        /// Why it is kept.
        pub kept_reason: Option<String>,
    }

    /// Points stand alone.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Table `tenant_key`.
pub mod tenant_key {
    use sea_orm::entity::prelude::*;

    /// One key of a tenant, by name.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(schema_name = "holdfast", table_name = "tenant_key")]
    pub struct Model {
        /// Whose.
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        /// Its id, which tells nothing of it.
        #[sea_orm(primary_key, auto_increment = false)]
        pub key_id: String,
        /// Where it lies wrapped, with lengths and hashes.
        pub wrapped: Json,
        /// When it was made.
        pub created_at: TimeDateTimeWithTimeZone,
    }

    /// Keys stand alone.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Table `dump`.
pub mod dump {
    use sea_orm::entity::prelude::*;

    /// One dump of a whole database.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(schema_name = "holdfast", table_name = "dump")]
    pub struct Model {
        /// Its name, shaped like a point's.
        #[sea_orm(primary_key, auto_increment = false)]
        pub dump: String,
        /// Which database.
        pub database: String,
        /// When it was begun.
        pub created_at: TimeDateTimeWithTimeZone,
        /// Its key in the backup store.
        pub key: String,
        /// Bytes in the store.
        pub bytes: i64,
        /// Of the stored bytes.
        pub sha256_stored: String,
        /// How long it took.
        pub seconds: f64,
        /// When it was read back last.
        pub read_at: Option<TimeDateTimeWithTimeZone>,
        /// What was found wrong with it then.
        pub problem: Option<String>,
    }

    /// Dumps stand alone.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A point that has just been completed; the rest of the row follows from it.
#[derive(Clone, Debug)]
pub struct NewPoint {
    /// Its name.
    pub point: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// How the tenant is called.
    pub slug: String,
    /// When it was begun.
    pub created_at: OffsetDateTime,
    /// The instant it shows.
    pub snapshot_at: OffsetDateTime,
    /// Changes marked with this generation or an older one are in it.
    pub generation: i64,
    /// The tenant's schema version.
    pub schema_version: i32,
    /// Why it was taken.
    pub trigger: String,
    /// The tenant's point before it.
    pub previous: Option<String>,
    /// SHA-256 of its manifest as stored.
    pub manifest_sha256: String,
    /// Its length.
    pub manifest_bytes: i64,
    /// Rows of all tables.
    pub rows: i64,
    /// Notes in it.
    pub notes: i64,
    /// Attached files in it.
    pub files: i64,
    /// Attached files that were missing already.
    pub missing: i64,
    /// Bytes before compression.
    pub bytes_plain: i64,
    /// Bytes in the store.
    pub bytes_stored: i64,
    /// Bytes sent for it.
    pub bytes_sent: i64,
    /// Requests it took.
    pub requests: i64,
    /// It holds every note as a Markdown file.
    pub has_markdown: bool,
    /// How long it took.
    pub seconds: f64,
}

impl Control {
    /// Writes a completed point into the log, with its audit event.
    pub async fn add_point(&self, new: &NewPoint, event: &AuditEvent<'_>) -> Result<(), Error> {
        let row = point::ActiveModel {
            seq: ActiveValue::NotSet,
            point: ActiveValue::Set(new.point.clone()),
            tenant_id: ActiveValue::Set(new.tenant.0),
            slug: ActiveValue::Set(new.slug.clone()),
            created_at: ActiveValue::Set(new.created_at),
            snapshot_at: ActiveValue::Set(new.snapshot_at),
            generation: ActiveValue::Set(new.generation),
            schema_version: ActiveValue::Set(new.schema_version),
            trigger: ActiveValue::Set(new.trigger.clone()),
            state: ActiveValue::Set("complete".to_owned()),
            previous: ActiveValue::Set(new.previous.clone()),
            manifest_sha256: ActiveValue::Set(new.manifest_sha256.clone()),
            manifest_bytes: ActiveValue::Set(new.manifest_bytes),
            rows: ActiveValue::Set(new.rows),
            notes: ActiveValue::Set(new.notes),
            files: ActiveValue::Set(new.files),
            missing: ActiveValue::Set(new.missing),
            bytes_plain: ActiveValue::Set(new.bytes_plain),
            bytes_stored: ActiveValue::Set(new.bytes_stored),
            bytes_sent: ActiveValue::Set(new.bytes_sent),
            requests: ActiveValue::Set(new.requests),
            has_markdown: ActiveValue::Set(new.has_markdown),
            seconds: ActiveValue::Set(new.seconds),
            ..Default::default()
        };
        let tx = self.begin().await?;
        point::Entity::insert(row).exec_without_returning(&tx.tx).await?;
        tx.audit(Some(new.tenant), event).await?;
        tx.commit().await
    }

    /// The point with this name.
    pub async fn find_point(&self, name: &str) -> Result<Option<point::Model>, Error> {
        Ok(point::Entity::find().filter(point::Column::Point.eq(name)).one(&self.db).await?)
    }

    /// The tenant's newest point, of those in one of `states` (any when empty).
    pub async fn newest_point(&self, tenant: TenantId, states: &[&str]) -> Result<Option<point::Model>, Error> {
        let mut query = point::Entity::find().filter(point::Column::TenantId.eq(tenant.0));
        if !states.is_empty() {
            query = query.filter(point::Column::State.is_in(states.iter().copied()));
        }
        Ok(query.order_by_desc(point::Column::Seq).one(&self.db).await?)
    }

    /// Whose newest point was taken under this slug: finds a tenant that is gone.
    pub async fn tenant_of_points(&self, slug: &str) -> Result<Option<TenantId>, Error> {
        let query = point::Entity::find().filter(point::Column::Slug.eq(slug)).order_by_desc(point::Column::Seq);
        Ok(query.one(&self.db).await?.map(|row| TenantId(row.tenant_id)))
    }

    /// Points, newest first; of one tenant or of all.
    pub async fn list_points(&self, tenant: Option<TenantId>, limit: u64) -> Result<Vec<point::Model>, Error> {
        let mut query = point::Entity::find();
        if let Some(tenant) = tenant {
            query = query.filter(point::Column::TenantId.eq(tenant.0));
        }
        Ok(query.order_by_desc(point::Column::Seq).limit(limit).all(&self.db).await?)
    }

    /// Notes what reading a point back has shown: verified when `problems` is none, damaged otherwise. `at`: when the reading
    /// began, for what comes due meanwhile was not read.
    ///
    /// A proven point that reads well stays proven.
    pub async fn mark_point_read(&self, name: &str, at: OffsetDateTime, problems: Option<Value>) -> Result<(), Error> {
        let mut update = point::Entity::update_many().filter(point::Column::Point.eq(name));
        update = match problems {
            Some(found) => update
                .col_expr(point::Column::State, Expr::value("damaged"))
                .col_expr(point::Column::Problems, Expr::value(found)),
            None => update
                .col_expr(
                    point::Column::State,
                    Expr::cust("CASE WHEN proven_at IS NULL THEN 'verified' ELSE 'proven' END"),
                )
                .col_expr(point::Column::Problems, Expr::cust("NULL::jsonb"))
                .col_expr(point::Column::VerifiedAt, Expr::value(at)),
        };
        update.exec(&self.db).await?;
        Ok(())
    }

    /// Notes that a point was restored and compared. When it was last read is told by [`Self::mark_point_read`].
    pub async fn mark_point_proven(&self, name: &str, at: OffsetDateTime) -> Result<(), Error> {
        point::Entity::update_many()
            .filter(point::Column::Point.eq(name))
            .col_expr(point::Column::State, Expr::value("proven"))
            .col_expr(point::Column::VerifiedAt, Expr::cust_with_values("coalesce(verified_at, $1)", [at]))
            .col_expr(point::Column::ProvenAt, Expr::value(at))
            .exec(&self.db)
            .await?;
        Ok(())
    }

    /// Keeps a point from being removed, or lets it go again with `until` none.
    pub async fn keep_point(
        &self,
        tenant: TenantId,
        name: &str,
        until: Option<OffsetDateTime>,
        reason: Option<&str>,
        event: &AuditEvent<'_>,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        let changed = point::Entity::update_many()
            .filter(point::Column::Point.eq(name))
            .col_expr(point::Column::KeptUntil, Expr::value(until))
            .col_expr(point::Column::KeptReason, Expr::value(reason.map(str::to_owned)))
            .exec(&tx.tx)
            .await?;
        if changed.rows_affected == 0 {
            return Err(Error::NotFound("point"));
        }
        tx.audit(Some(tenant), event).await?;
        tx.commit().await
    }

    /// Points that are not to be removed now.
    pub async fn kept_points(&self, now: OffsetDateTime) -> Result<Vec<point::Model>, Error> {
        let kept = point::Entity::find().filter(point::Column::KeptUntil.gt(now)).order_by_asc(point::Column::Seq);
        Ok(kept.all(&self.db).await?)
    }

    /// Forgets a point that is about to be removed, with its audit event. Its entry in the log in the store stays. False, and
    /// nothing is forgotten, when somebody has kept it, or let it go, since `row` was read.
    pub async fn remove_point(
        &self,
        tenant: TenantId,
        row: &point::Model,
        event: &AuditEvent<'_>,
    ) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let as_it_was = match row.kept_until {
            Some(until) => point::Column::KeptUntil.eq(until),
            None => point::Column::KeptUntil.is_null(),
        };
        let gone = point::Entity::delete_many().filter(point::Column::Point.eq(&row.point)).filter(as_it_was);
        if gone.exec(&tx.tx).await?.rows_affected == 0 {
            return Ok(false);
        }
        tx.audit(Some(tenant), event).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Those of these points of a tenant that were removed, as the audit knows.
    pub async fn removed_points(&self, tenant: TenantId, names: Vec<String>) -> Result<Vec<String>, Error> {
        let sql = "SELECT DISTINCT object FROM holdfast.audit_event \
                   WHERE tenant_id = $1 AND event = 'point.removed' AND object = ANY($2) ORDER BY object";
        let values = vec![tenant.0.into(), names.into()];
        let rows = sea_orm::ConnectionTrait::query_all_raw(&self.db, super::statement(sql, values)).await?;
        rows.iter().map(|row| row.try_get("", "object").map_err(Error::from)).collect()
    }

    /// Tenants that have points, whether they are still there or not, and those whose keys were purged and of whose points
    /// something may be left in a store.
    pub async fn owners_of_points(&self) -> Result<Vec<TenantId>, Error> {
        let sql = "SELECT tenant_id FROM holdfast.point UNION SELECT tenant_id FROM holdfast.tenant_deletion \
                   WHERE purged_at IS NOT NULL AND points_gone_at IS NULL ORDER BY tenant_id";
        let rows = sea_orm::ConnectionTrait::query_all_raw(&self.db, super::statement(sql, Vec::new())).await?;
        rows.iter().map(|row| Ok(TenantId(row.try_get("", "tenant_id")?))).collect()
    }

    /// Remembers a tenant's key by its id and where it lies wrapped.
    ///
    /// Returns false, and remembers nothing, when the tenant has a key already.
    pub async fn add_first_tenant_key(
        &self,
        tenant: TenantId,
        key: &str,
        wrapped: &Value,
        event: &AuditEvent<'_>,
    ) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let sql = "INSERT INTO holdfast.tenant_key (tenant_id, key_id, wrapped) SELECT $1, $2, $3 \
                   FROM (SELECT pg_advisory_xact_lock(hashtextextended($1::text, 7235419881))) AS alone \
                   WHERE NOT EXISTS (SELECT 1 FROM holdfast.tenant_key WHERE tenant_id = $1)";
        let values = vec![tenant.0.into(), key.into(), wrapped.clone().into()];
        let added = sea_orm::ConnectionTrait::execute_raw(&tx.tx, super::statement(sql, values)).await?.rows_affected();
        if added == 0 {
            return Ok(false);
        }
        tx.audit(Some(tenant), event).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The tenant's newest key: its id and where it lies wrapped.
    pub async fn newest_tenant_key(&self, tenant: TenantId) -> Result<Option<(String, Value)>, Error> {
        let row = tenant_key::Entity::find()
            .filter(tenant_key::Column::TenantId.eq(tenant.0))
            .order_by_desc(tenant_key::Column::CreatedAt)
            .one(&self.db)
            .await?;
        Ok(row.map(|row| (row.key_id, row.wrapped)))
    }
}
