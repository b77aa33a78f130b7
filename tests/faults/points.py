"""The points of a fact's way at which a worker of this suite can die or freeze, in the order of that way."""

from __future__ import annotations

from enum import StrEnum


class Point(StrEnum):
    """Where ``dying_worker`` ends itself; the value is how the environment names it."""

    DECIDE = "decide"  # while a fact is decided, others of its batch decided already
    STORE_BEFORE = "store-before"  # decided, nothing sent to Postgres
    STORE_MIDDLE = "store-middle"  # the statement is on its way: committed or not, no answer was read
    STORE_AFTER = "store-after"  # committed
    PUBLISH_BEFORE = "publish-before"  # about to publish
    PUBLISH_MIDDLE = "publish-middle"  # half of the messages are stored by JetStream
    PUBLISH_SENT = "publish-sent"  # all are sent, no acknowledgement was read
    PUBLISH_AFTER = "publish-after"  # JetStream has acknowledged all
    ACK_BEFORE = "ack-before"  # about to acknowledge the facts
    ACK_MIDDLE = "ack-middle"  # half of the acknowledgements have reached the server
    ACK_AFTER = "ack-after"  # all of them have


POINT = "RULESTREAM_TEST_POINT"
PASS = "RULESTREAM_TEST_PASS"  # at which pass through the point, counted from 1
HOW = "RULESTREAM_TEST_HOW"  # KILL or STOP
DELAY_US = "RULESTREAM_TEST_DELAY_US"  # how long the middle of the store, and of a publish that is sent, lasts
SPARED = "RULESTREAM_TEST_SPARED"  # ids of facts, as JSON, at which nobody dies deciding
LOSE_ACKS = "RULESTREAM_TEST_LOSE_ACKS"  # of how many acknowledgements one is lost
CLOCK_SHIFT_S = "RULESTREAM_TEST_CLOCK_SHIFT_S"
DEADLY_FIELD = "deadly"  # a fact whose data has it kills whoever decides it
MARK = "at_point"  # the event that a worker writes before it dies or freezes
