"""Postgres, the truth: rules, versions, commands, outbox, history, rulesets and decisions."""
