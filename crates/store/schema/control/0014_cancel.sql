-- A run can be cancelled by an operator until it is settled: cancel_by says who asked, settled that it has passed its point of
-- no return. Both are set by one statement each, so that of the two exactly one comes first.
ALTER TABLE job ADD COLUMN cancel_by text, ADD COLUMN settled boolean NOT NULL DEFAULT false;
ALTER TABLE job DROP CONSTRAINT job_state_check;
ALTER TABLE job ADD CONSTRAINT job_state_check CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled'));

-- What comes back in parts is looked up by tenant, too.
DROP INDEX job_asked_idx;
CREATE INDEX job_asked_idx ON job (kind, tenant_id, id DESC) WHERE kind IN ('verify', 'survey', 'restore', 'part', 'compare', 'swap');
