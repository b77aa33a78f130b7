"""How the lets of a rule build on one another, so that a long chain of them needs no recursion."""

from __future__ import annotations

from typing import Final

from domain.language.plan import Part, Variable, children

# Lets that nest deeper than this, through the lets that they use, are worked through from the lowest one up.
SHALLOW_LEVELS_MAX: Final = 20


class LetOrder:
    """For each let: the lets that it uses, and how deep its value nests through them."""

    def __init__(self, lets: tuple[tuple[str, Part], ...]) -> None:
        self.uses: list[set[int]] = []
        self.levels: list[int] = []
        for _, value in lets:
            used: set[int] = set()
            deepest = 0
            waiting = [(value, 1)]
            while waiting:
                part, level = waiting.pop()
                number = let_number(part)
                if number is not None:
                    used.add(number)
                    level += self.levels[number]
                deepest = max(deepest, level)
                waiting += [(child, level + 1) for child in children(part)]
            self.uses.append(used)
            self.levels.append(deepest)

    def is_shallow(self, number: int) -> bool:
        """Return whether a let's value may be reached through the lets that it uses by recursion."""
        return self.levels[number] <= SHALLOW_LEVELS_MAX

    def below(self, number: int) -> list[int]:
        """Return the lets that a let builds on, directly or through others, each after those that it uses."""
        found: set[int] = set()
        waiting = [number]
        while waiting:
            for used in self.uses[waiting.pop()] - found:
                found.add(used)
                waiting.append(used)
        return sorted(found)


def let_number(part: Part) -> int | None:
    """Return which let a part is the name of."""
    if isinstance(part, Variable) and part.name.startswith("let:"):
        return int(part.name[4:])
    return None
