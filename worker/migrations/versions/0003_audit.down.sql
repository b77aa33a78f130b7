-- Entries keep what they said before; only the digest before each change is lost.
DROP TRIGGER command_log_is_append_only ON command_log;
ALTER TABLE rule_event DROP COLUMN before_digest;
