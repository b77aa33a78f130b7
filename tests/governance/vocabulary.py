"""What random commands are made of, each with what is known of it; nothing of the project is imported."""

from __future__ import annotations

from dataclasses import dataclass

TOKEN = "{token}"  # stands for what makes the names of one sequence its own


@dataclass(frozen=True, slots=True)
class Text:
    """A rule's DSL and what the language's description says of it."""

    source: str
    writes: tuple[tuple[str, str], ...] = ()  # the path and how it is written
    reads: tuple[str, ...] = ()
    message: str | None = None  # of the refusal, where users match on it
    is_valid: bool = True


TEXTS = (
    Text("then set discount = 10", writes=(("discount", "set"),)),
    Text("when order.total > 10.0 then set discount = 25", writes=(("discount", "set"),)),
    Text("then add 1 to discount", writes=(("discount", "add"),)),
    Text("then set discount.gold = 5", writes=(("discount.gold", "set"),)),
    Text("when decision.discount > 5 then set gift = true", writes=(("gift", "set"),), reads=("discount",)),
    Text("when decision.gift == true then add 1 to score", writes=(("score", "add"),), reads=("gift",)),
    Text("when decision.score > 3 then set gift = true", writes=(("gift", "set"),), reads=("score",)),
    Text("when decision.score > 1 then add 1 to score", writes=(("score", "add"),), reads=("score",)),
    Text('when customer.tier == "Größe 名" then append "✓ \\" \\\\" to notes', writes=(("notes", "append"),)),
    Text('then emit loyalty.points {"points": 1}'),
    Text("", message="DSL content cannot be empty", is_valid=False),
    Text(" \n", message="DSL content cannot be empty", is_valid=False),
    Text("then set a = = 1", is_valid=False),
    Text("when order.total > then set discount = 10", is_valid=False),
    Text("then set a = '\0'", is_valid=False),
)
# Texts of templates with their parameters, and values of them; what they are filled to is listed too.
_PERCENT = {"name": "percent", "type": "int", "default": 10}
_TIER = {"name": "tier", "type": "string"}
TEMPLATES = (
    ("then set discount = ${percent}", [_PERCENT]),
    ("when customer.tier == ${tier} then set discount = ${percent}", [_TIER, _PERCENT]),
)
BAD_TEMPLATES = (
    ("then set discount = ${rate}", [_PERCENT]),
    ('when customer.tier == "${tier}" then stop', [_TIER]),
    ("", [_PERCENT]),
    ("then set discount = ${percent}", [{**_PERCENT, "type": "number"}]),
    ("then set discount = ${percent}", [_PERCENT, _PERCENT]),
)
TIERS = ("VIP", "名 ✓")
PERCENTS = (10, 25, -1)
ROWS = (
    {},
    {"percent": 25},
    {"tier": TIERS[0]},
    {"tier": TIERS[1], "percent": -1},
    {"tier": TIERS[0], "percent": 25},
    {"tier": TIERS[1], "percent": None},
)
BAD_ROWS = ({"percent": "25"}, {"tier": 1}, {"colour": "red"}, {"percent": 1.5}, {"tier": TIERS[0], "percent": True})
MADE_NAMES = (f"gold {TOKEN}", f"${{tier}} {TOKEN}", f"${{tier}}, ${{percent}} {TOKEN}", f"${{percent}} {TOKEN}")
BAD_MADE_NAMES = (f"${{colour}} {TOKEN}",)

_FILLED = (
    *(f"then set discount = {percent}" for percent in PERCENTS),
    *(f'when customer.tier == "{tier}" then set discount = {percent}' for tier in TIERS for percent in PERCENTS),
)
TEXT_OF = {text.source: text for text in (*TEXTS, *(Text(source, (("discount", "set"),)) for source in _FILLED))}

GOOD_NAMES = (
    f"gold {TOKEN}",
    f"silver {TOKEN}",
    f"Größe ✓ 名前 {TOKEN}",
    f'it\'s "100%" \\ _ {TOKEN}',
    f"{TOKEN} ".ljust(80, "x"),
)
BAD_NAMES = ("", "  ", "ab", "x" * 101, f" padded {TOKEN}", f"two\nlines {TOKEN}", f"nul \0 {TOKEN}")
NAME_MESSAGES = {
    "": "rule name cannot be empty",
    "  ": "rule name cannot be empty",
    "x" * 101: "rule name cannot exceed 100 characters",
}

# What is sent, and what is shown for it.
DESCRIPTIONS: dict[str | None, str] = {None: "", "": "", "ten percent": "ten percent", "Ü" * 500: "Ü" * 500}
BAD_DESCRIPTIONS = ("d" * 501, "nul \0")
TAGS: tuple[tuple[list[str] | None, list[str]], ...] = (
    (None, []),
    ([], []),
    (["vip", "été"], ["vip", "été"]),
    (["b", "a", "b"], ["b", "a"]),
    (["t" * 50], ["t" * 50]),
)
BAD_TAGS = ([""], ["t" * 51], [f"tag {number}" for number in range(21)], ["line\nfeed"])
TIMES: dict[str | None, str | None] = {
    None: None,
    "2026-01-01T00:00:00Z": "2026-01-01T00:00:00Z",
    "2026-03-01T02:00:00+02:00": "2026-03-01T00:00:00Z",
    "2027-01-01T00:00:00.25Z": "2027-01-01T00:00:00.250000Z",
}
BAD_TIMES = ("tomorrow", "2026-01-01", "2026-01-01T00:00:00", "2026-02-30T00:00:00Z", "")
PRIORITIES = ("MEDIUM", "LOW", "HIGH", "CRITICAL")
BAD_PRIORITIES = ("", "URGENT", "low")
REASONS = ("too generous", "zu großzügig ✓", "r" * 500)
BAD_REASONS = ("", " ", "r" * 501, "nul \0")
COMMENTS = (None, "fine", "c" * 500)
BAD_COMMENTS = ("c" * 501, "nul \0")

# Who there is, in which roles; every one of them may be refused something, but for the admin.
ROLES = {
    "ann": ("author", "operator"),
    "bob": ("author", "approver", "operator"),
    "Cleo_2-x": ("admin",),
    "d" * 64: ("author", "approver"),
}
ACTORS = tuple(ROLES)
