-- When a tenant had its last point with everything in it is asked for all tenants together.
CREATE INDEX point_markdown_idx ON point (tenant_id, created_at DESC) WHERE has_markdown;
-- And so is for whom one was asked lately: jobs stay as a record, so there are many.
CREATE INDEX job_nightly_idx ON job (created_at) WHERE kind = 'backup' AND payload #>> '{trigger,by}' = 'nightly';
