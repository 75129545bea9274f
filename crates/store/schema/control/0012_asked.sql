-- Work that operators ask for in the console is looked up by tenant; most other jobs are messages and points.
CREATE INDEX job_asked_idx ON job (kind, tenant_id, id DESC) WHERE kind IN ('verify', 'survey', 'restore', 'compare', 'swap');
