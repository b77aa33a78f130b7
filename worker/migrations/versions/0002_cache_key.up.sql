-- What vouches for plans in the cache: they carry a digest keyed with it, so only who reads this database can make them.
ALTER TABLE ruleset
    ADD COLUMN cache_key bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());
