"""Checks of arguments that several commands take; what is wrong with them is wrong usage (exit code 2)."""

from __future__ import annotations

import typer

from domain.errors import InvalidRequestError, ValidationError
from domain.identifiers import Actor, is_dotted_name, is_dotted_pattern, parse_decision_id


def checked_actor(name: str) -> str:
    """Refuse a name that cannot be a subject's token."""
    try:
        return Actor(name).name
    except InvalidRequestError as error:
        raise typer.BadParameter(error.message) from None


def checked_type(fact_type: str | None) -> str | None:
    """Refuse what cannot be a fact's type."""
    if fact_type is not None and not is_dotted_name(fact_type):
        raise typer.BadParameter("a fact type is 1 to 16 tokens of A-Z a-z 0-9 _ -, joined by dots, at most 256 bytes")
    return fact_type


def checked_type_pattern(pattern: str | None) -> str | None:
    """Refuse what cannot be a fact's type with NATS wildcards; none is none."""
    return None if pattern is None else checked_pattern(pattern)


def checked_pattern(pattern: str) -> str:
    """Refuse what cannot be a fact's type with NATS wildcards."""
    if ">" in pattern.split(".")[:-1]:
        raise typer.BadParameter("> stands at the end alone")
    if not is_dotted_pattern(pattern):
        checked_type(pattern.replace("*", "x").replace(">", "x"))
        raise typer.BadParameter("* and > stand for whole tokens")
    return pattern


def checked_decision_id(text: str) -> bytes:
    """Read a decision's id as the fact's key; refuse what cannot be one."""
    try:
        return parse_decision_id(text)
    except ValidationError:
        raise typer.BadParameter(f"'{text}' is not 32 hexadecimal digits", param_hint="DECISION_ID") from None


def checked_time(text: str | None, option: str) -> int | None:
    """Read a time (RFC 3339 with an offset) as nanoseconds since 1970; none is none."""
    from domain.language import parse_timestamp

    if text is None:
        return None
    try:
        return parse_timestamp(text).ns
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
