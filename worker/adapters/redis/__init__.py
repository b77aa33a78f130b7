"""Redis or Valkey: the active rules near at hand, never the truth."""
