"""A fact's way from its stream to its acknowledgement. On nats-py itself, below FastStream, for its speed."""
