"""The fault suite: real servers, real workers, a seeded schedule of faults, and an oracle that keeps its own books.

``make faults`` plays all of it; ``pytest tests/faults`` a short form. See ``README.md`` beside this file.
"""
