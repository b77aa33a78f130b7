"""The pure core: rules and their lifecycle, the rule language, decisions, and the ports to everything outside.

Nothing here does I/O, reads a clock or knows an event loop.
"""
