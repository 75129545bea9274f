-- Since when nothing of a deleted tenant's points is left in any store; until then every prune comes back to it.
ALTER TABLE tenant_deletion ADD COLUMN points_gone_at timestamptz;
