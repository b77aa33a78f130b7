"""The document for people, in Markdown: made of the document alone, so that it says what the document says."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from streams.asyncapi.schema_words import bounds, kind, reference_name

Data = Mapping[str, Any]

WIDTH: Final = 120
_HEAD: Final = "| {} | type | | {} |\n|---|---|---|---|"
_LINK: Final = re.compile(r"\[[^\]]*\]\([^)]*\)")
_NO_BREAK: Final = "\0"
_NOT_IN_ANCHORS: Final = re.compile(r"[^a-z0-9 -]")


def to_markdown(document: Data) -> str:
    """Write the document in Markdown."""
    return "\n".join([*_blank_between(_Page(document).blocks()), ""])


def anchor(title: str) -> str:
    """Return what a heading is linked to by."""
    return _NOT_IN_ANCHORS.sub("", title.lower()).replace(" ", "-")


class _Page:
    """One rendering; remembers which schemas were linked to, so that each is shown once."""

    def __init__(self, document: Data) -> None:
        self._document = document
        self._schemas: Data = document["components"]["schemas"]
        self._messages: Data = document["components"]["messages"]
        self._linked: dict[str, None] = {}

    def blocks(self) -> Iterator[str]:
        """Yield the page's blocks: headings, paragraphs, tables, examples."""
        document = self._document
        yield f"# The API of {document['info']['title']} {document['info']['version']}"
        yield _paragraph(
            "Made by `rulestream asyncapi --out docs/api.md` from the code; the same for programs is "
            "[asyncapi.yaml](asyncapi.yaml), an AsyncAPI 3.0 document."
        )
        for part in document["info"]["description"].split("\n\n"):
            yield _paragraph(part)
        yield "## Channels"
        yield self._channel_table()
        for name, channel in document["channels"].items():
            yield from self._channel(name, channel)
        yield from self._schema_blocks()
        yield "## Error codes"
        yield _table(("code", "when"), [(f"`{code}`", told) for code, told in document["x-error-codes"].items()])
        yield "## Reasons of dead letters"
        for kind_, reasons in document["x-dead-letter-reasons"].items():
            yield _table((f"`{kind_}.…`", "when"), [(f"`{one}`", told) for one, told in reasons.items()])
        yield "## Servers"
        yield _table(
            ("server", "address", "what"),
            [
                (name, f"`{one['protocol']}://{one['host']}`", one["description"])
                for name, one in document["servers"].items()
            ],
        )
        schemes = document["components"]["securitySchemes"]
        yield _table(("to authenticate", "how"), [(name, one["description"]) for name, one in schemes.items()])

    def _channel_table(self) -> str:
        rows = []
        for name, channel in self._document["channels"].items():
            rows.append(
                (
                    f"[{channel['title']}](#{anchor(channel['title'])})",
                    f"`{channel['address']}`" if channel["address"] else "your inbox",
                    ", ".join(self._directions(name)),
                    " and ".join(one["$ref"].rpartition("/")[2] for one in channel["servers"]),
                    f"`{channel['x-stream']}`" if "x-stream" in channel else "",
                )
            )
        return _table(("channel", "subject", "you", "plane", "stream"), rows)

    def _directions(self, channel: str) -> list[str]:
        found = dict.fromkeys(
            operation["action"]
            for operation in self._document["operations"].values()
            if reference_name(operation["channel"]) == channel
        )
        is_reply = any(
            reference_name(operation["reply"]["channel"]) == channel
            for operation in self._document["operations"].values()
            if "reply" in operation
        )
        return list(found) + (["receive"] if is_reply and "receive" not in found else [])

    def _channel(self, name: str, channel: Data) -> Iterator[str]:
        yield f"## {channel['title']}"
        yield f"`{channel['address']}`" if channel["address"] else "On the reply subject (inbox) of what you sent."
        for part in channel["description"].split("\n\n"):
            yield _paragraph(part)
        if parameters := channel.get("parameters"):
            yield _table(("in the subject", "what"), [(f"`{key}`", _parameter(one)) for key, one in parameters.items()])
        messages = {key: self._messages[reference_name(ref)] for key, ref in channel["messages"].items()}
        heads = list(dict.fromkeys(one["headers"]["$ref"] for one in messages.values() if "headers" in one))
        if len(heads) == 1:
            yield from self._headers(heads[0])
        common = self._common(list(messages.values()))
        if common:
            yield "In each of them:"
            yield self._fields(common, self._payload(next(iter(messages.values()))).get("required", ()))
        operations = self._operations(name)
        for key, message in messages.items():
            yield from self._message(message, operations.get(key), common, with_headers=len(heads) > 1)

    def _headers(self, reference: str) -> Iterator[str]:
        schema = self._schemas[reference.rpartition("/")[2]]
        yield _paragraph(f"Headers. {schema['description']}")
        rows = [self._row(key, one, key in schema.get("required", ())) for key, one in schema["properties"].items()]
        yield "\n".join([_HEAD.format("header", "what"), *rows])

    def _operations(self, channel: str) -> dict[str, Data]:
        """Return the operation of each message that has one of its own."""
        found: dict[str, Data] = {}
        for operation in self._document["operations"].values():
            if reference_name(operation["channel"]) == channel and len(operation["messages"]) == 1:
                found[reference_name(operation["messages"][0])] = operation
        return found

    def _message(self, message: Data, operation: Data | None, common: Data, *, with_headers: bool) -> Iterator[str]:
        yield f"### {message['title']}"
        told = operation if operation is not None else message
        yield _paragraph(told["summary"])
        for text in (told.get("description"), message.get("description") if told is operation else None):
            for part in (text or "").split("\n\n"):
                if part:
                    yield _paragraph(part)
        if operation is not None and "reply" in operation:
            channel = self._document["channels"][reference_name(operation["reply"]["channel"])]
            names = [self._messages[self._named(channel, ref)]["title"] for ref in operation["reply"]["messages"]]
            links = ", ".join(f"[{one}](#{anchor(one)})" for one in names)
            yield _paragraph(f"You get, of [{channel['title'].lower()}](#{anchor(channel['title'])}): {links}.")
        if with_headers and "headers" in message:
            yield from self._headers(message["headers"]["$ref"])
        payload = self._payload(message)
        left = {name: one for name, one in payload.get("properties", {}).items() if name not in common}
        if left:
            yield self._fields(left, payload.get("required", ()))
        elif "oneOf" in payload:
            yield _paragraph("One of " + ", ".join(self._type(one) for one in payload["oneOf"]) + ".")
        elif not payload.get("properties"):
            yield _paragraph(payload.get("description", "An empty object."))
        if conditions := bounds(
            {one: payload[one] for one in ("minProperties", "anyOf", "oneOf", "not") if one in payload}
        ):
            yield _paragraph(f"Together: {conditions}.")
        for example in message["examples"]:
            yield self._example(example)

    @staticmethod
    def _named(channel: Data, ref: Data) -> str:
        return reference_name(channel["messages"][reference_name(ref)])

    @staticmethod
    def _example(example: Data) -> str:
        head = "".join(f"{name}: {value}\n" for name, value in example.get("headers", {}).items())
        payload = example["payload"]
        body = payload if isinstance(payload, str) else json.dumps(payload, indent=2, ensure_ascii=False)
        return f"```\n{head}\n{body}\n```" if head else f"```json\n{body}\n```"

    def _payload(self, message: Data) -> Data:
        found: Data = self._schemas[reference_name(message["payload"])]
        return found

    def _common(self, messages: list[Data]) -> dict[str, Data]:
        """Return the fields that are the same in the payloads of many messages."""
        if len(messages) < 3:
            return {}
        payloads = [self._payload(one).get("properties", {}) for one in messages]
        return {
            name: schema for name, schema in payloads[0].items() if all(one.get(name) == schema for one in payloads)
        }

    def _fields(self, properties: Data, required: Iterable[str]) -> str:
        needed = set(required)
        rows = [self._row(name, schema, name in needed) for name, schema in properties.items()]
        return "\n".join([_HEAD.format("field", "what"), *rows])

    def _row(self, name: str, schema: Data, is_required: bool) -> str:  # noqa: FBT001  # a row's cells
        told = _described(schema)
        limits = bounds(schema)
        text = f"{told} {limits[0].upper()}{limits[1:]}." if limits else told
        return (
            f"| `{name}` | {_cell(self._type(schema))} | {'required' if is_required else ''} | {_cell(text.strip())} |"
        )

    def _type(self, schema: Data) -> str:
        return kind(schema, self._link)

    def _link(self, name: str) -> str:
        self._linked[name] = None
        return f"[{name}](#{anchor(name)})"

    def _schema_blocks(self) -> Iterator[str]:
        """Show every schema that was linked to, those that it links to included."""
        yield "## Schemas"
        shown: set[str] = set()
        while left := sorted(set(self._linked) - shown):
            for name in left:
                shown.add(name)
                schema = self._schemas[name]
                yield f"### {name}"
                if "description" in schema:
                    for part in schema["description"].split("\n\n"):
                        yield _paragraph(part)
                if schema.get("properties"):
                    yield self._fields(schema["properties"], schema.get("required", ()))
                elif "oneOf" in schema:
                    yield _paragraph("One of " + ", ".join(self._type(one) for one in schema["oneOf"]) + ".")
                elif "enum" in schema:
                    yield _paragraph(", ".join(f"`{one}`" for one in schema["enum"]))


def _described(schema: Data) -> str:
    if "description" in schema:
        return str(schema["description"])
    return next((one["description"] for one in schema.get("anyOf", ()) if "description" in one), "")


def _parameter(parameter: Data) -> str:
    text: str = parameter["description"]
    if "enum" in parameter:
        return f"{text} {', '.join(f'`{one}`' for one in parameter['enum'])}"
    return f"{text} `{parameter['x-pattern']}`"


def _paragraph(text: str) -> str:
    """Wrap text, with links whole."""
    kept = _LINK.sub(lambda found: found[0].replace(" ", _NO_BREAK), text)
    wrapped = "\n".join(textwrap.wrap(kept, WIDTH, break_long_words=False, break_on_hyphens=False))
    return wrapped.replace(_NO_BREAK, " ")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Write text into a table's cell; in code, too, Markdown takes an unescaped bar for the next cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _blank_between(blocks: Iterable[str]) -> Iterator[str]:
    for number, block in enumerate(blocks):
        if number:
            yield ""
        yield block
