-- What a tenant may use, where that differs from the installation's settings. NULL: as the settings say.
ALTER TABLE tenant ADD COLUMN stored_bytes bigint, ADD COLUMN statement_ms integer;
