"""Rule templates: a rule's text with typed parameters, from which rules are made a row of values at a time."""
