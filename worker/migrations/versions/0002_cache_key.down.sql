ALTER TABLE ruleset DROP COLUMN cache_key;
