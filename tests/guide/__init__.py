"""docs/operations.md replayed: its commands run again, and what they say compared with what the page says they say."""
