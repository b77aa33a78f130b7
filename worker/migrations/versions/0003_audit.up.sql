-- What a change replaced: the content digest of the latest version before it. Null in entries of new rules, and in those
-- that were written before this column: they cannot be changed, and need not be, for the entry before them has it.
ALTER TABLE rule_event ADD COLUMN before_digest bytea;

-- An answer is for ever, as history is.
CREATE TRIGGER command_log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON command_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
