-- When a tenant had its last point with everything in it is asked for all tenants together.
CREATE INDEX point_markdown_idx ON point (tenant_id, created_at DESC) WHERE has_markdown;
