"""Why a call is refused, in words: what is close to an unknown name, what a function takes, what would convert."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final

from domain.language import tree
from domain.language.library.catalogue import FUNCTIONS, MACROS
from domain.language.library.function import Function
from domain.language.names import NameChecker
from domain.language.plan import Part
from domain.language.types import NUMBERS, Signature, Type

_CLOSE_HINTS_MAX: Final = 10


class CallRefusals(NameChecker):
    """Refuses calls of what is no function, or not of these arguments."""

    functions: Mapping[str, Function] = FUNCTIONS

    def _no_overload(self, node: tree.Node, name: str, arguments: tuple[Part, ...], *, method: bool) -> Part:
        types = [str(argument.type) for argument in arguments]
        if method:
            message = f"`{name}` is no method of {types[0]} with ({', '.join(types[1:])})"
        elif name.isidentifier() or "." in name:
            message = f"`{name}` does not take ({', '.join(types)})"
        else:
            sign = "-" if name == "negative" else name
            message = f"`{sign}` does not take {' and '.join(types)}"
        hint = None
        kinds = {argument.type.kind for argument in arguments}
        if "json" in kinds and kinds & {"timestamp", "duration", "decimal", "money"}:
            wanted = next(kind for kind in ("timestamp", "duration", "decimal", "money") if kind in kinds)
            hint = f"fact data becomes one by `{wanted}(…)`"
        elif kinds == {"string"} and name == "-":
            hint = "to remove a part use `.replace(part, '')`"
        elif "string" in kinds and kinds & NUMBERS and name == "+":
            hint = "make a string of the number with `string(…)`"
        elif "uint" in kinds and kinds & {"int", "double"}:
            hint = "convert with `int(…)` or `uint(…)`"
        return self.refuse(node, "no-overload", message, hint)

    def _wrong_form(self, node: tree.Node, name: str, arguments: tuple[Part, ...], *, method: bool) -> Part:
        signatures = self.functions[name].signatures
        same_form = [signature for signature in signatures if signature.method == method]
        if not same_form:
            hint = f"write `{_form(signatures[0])}`"
            kind = "method" if method else "function"
            return self.refuse(node, "unknown-function", f"`{name}` is no {kind}", hint)
        counts = sorted({len(signature.parameters) - method for signature in same_form})
        wanted = " or ".join(map(str, counts))
        given = len(arguments) - method
        plural = "" if wanted == "1" else "s"
        return self.refuse(
            node, "argument-count", f"`{name}` takes {wanted} argument{plural}, not {given}", _form(same_form[0])
        )

    def _unknown_function(self, node: tree.Call, *, method: bool) -> Part:
        known = sorted(
            {
                signature.name
                for item in FUNCTIONS.values()
                for signature in item.signatures
                if signature.method == method and signature.name[0].isalpha()
            }
            | ({"has"} if not method else set(MACROS) - {"has", "bind"})
        )
        # Looking for what is close takes time: enough of it was done after some mistakes.
        told = sum(problem.code == "unknown-function" for problem in self.problems)
        close = difflib.get_close_matches(node.function, known, 1, 0.6) if told < _CLOSE_HINTS_MAX else []
        lowered = [name for name in known if name.lower() == node.function.lower()]
        best = next(iter([*lowered, *close, *_prefixed(node.function, known)]), None)
        hint = None if best is None else f"did you mean `{best}`?"
        if hint is None and node.function == "now":
            hint = "a decision depends on the fact alone; use `fact.time`"
        kind = "method" if method else "function"
        return self.refuse(node, "unknown-function", f"no {kind} `{node.function}`", hint)


def _prefixed(name: str, known: list[str]) -> list[str]:
    """Return the known names that a name begins or ends with, or that begin with it: `sizeof` for `size`."""
    lower = name.lower()
    return [k for k in known if len(k) > 2 and (lower.startswith(k.lower()) or k.lower().startswith(lower))]


def _form(signature: Signature) -> str:
    if signature.method:
        rest = ", ".join(map(str, signature.parameters[1:]))
        return f"{signature.parameters[0]}.{signature.name}({rest})"
    return f"{signature.name}({', '.join(map(str, signature.parameters))})"


def with_article(type_: Type) -> str:
    """Return a type's name with its article."""
    text = str(type_)
    return f"{'an' if text[0] in 'aeiou' and not text.startswith('u') else 'a'} {text}"
