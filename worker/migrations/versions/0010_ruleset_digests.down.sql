DROP INDEX ruleset_member_digests;
