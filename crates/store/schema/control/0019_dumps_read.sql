-- Whether a dump reads back: when it was read last, and what is wrong with it.
ALTER TABLE dump ADD COLUMN read_at timestamptz;
ALTER TABLE dump ADD COLUMN problem text;
