"""What the worker does for people: commands that change rules, queries that show them."""
