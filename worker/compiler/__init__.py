"""Compiling rules in a process of its own: no text, however hostile, holds up the process that decides facts."""
