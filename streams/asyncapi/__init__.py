"""The AsyncAPI 3.0 document of everything that a user of the worker publishes, asks, and subscribes to.

It is made from the code: subjects, Structs of the wire, bounds, verbs, events, error codes, streams. ``document`` gives
it as plain data, ``streams.asyncapi.writing`` writes it, ``streams.asyncapi.markdown`` renders it for people.
"""

from __future__ import annotations

from streams.asyncapi.document import document

__all__ = ["document"]
