"""Deciding facts: the immutable ruleset snapshot, the order of its rules, the engine and the decision."""
