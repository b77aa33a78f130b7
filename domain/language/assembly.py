"""A plan to the function that decides a rule for a fact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, Literal, NamedTuple, Protocol

from domain.language.evaluation import new_state
from domain.language.functions import FunctionWriter
from domain.language.outcome import Contribution, Effect, FactAttributes, MergeKind, Outcome, shared_path
from domain.language.plan import Const, PlannedAction, PlannedBranch, PlannedEffect, PlannedRule
from domain.language.settlement import Origin, check_action, settle_actions, settle_condition, settle_table
from domain.language.text import SharedFunction

Evaluate = Callable[[dict[str, Any], FactAttributes, Mapping[str, Any]], Outcome | None]
Condition = Callable[[dict[str, Any], FactAttributes, Mapping[str, Any]], bool | None]


Given = Callable[..., Any]
"""A function that takes the same and, last, its constants: what rules of the same shape share."""


class Plain(NamedTuple):
    """A rule whose condition tells it all, taken apart so that little of it is the rule's own.

    ``test`` takes what a condition takes and, last, ``constants``; ``actions`` takes ``action_constants`` and gives
    contributions and effects, None where ``constant`` is what every fact gets. Both may raise, after which the rule's
    ``evaluate`` is to be asked.
    """

    test: Given
    constants: tuple[Any, ...]
    actions: Given | None
    action_constants: tuple[Any, ...]
    constant: Outcome | None


class Functions(Protocol):
    """A rule's functions: all of what it does, and its condition by itself.

    ``plain`` is None for a rule whose condition does not tell it all: a table, one with ``else``, or one whose actions
    use values or steps that the condition left.
    """

    @property
    def evaluate(self) -> Evaluate: ...

    @property
    def condition(self) -> Condition: ...

    @property
    def plain(self) -> Plain | None: ...


class Assembled(NamedTuple):
    """A rule's functions, each by itself."""

    evaluate: Evaluate
    condition: Condition
    plain: Plain | None = None


class _Simple:
    """The functions of a rule whose condition tells it all; most rules are such, so that they are kept small."""

    __slots__ = ("_origin", "_stop", "plain")

    def __init__(self, origin: Origin, plain: Plain, *, stop: bool) -> None:
        self.plain = plain
        self._origin = origin
        self._stop = stop

    @property
    def condition(self) -> Condition:
        """The test with its constants."""
        test, constants = self.plain.test, self.plain.constants
        return FunctionType(test.__code__, test.__globals__, "condition", (constants,), test.__closure__)

    def evaluate(self, payload: dict[str, Any], fact: FactAttributes, decision: Mapping[str, Any]) -> Outcome | None:
        plain = self.plain
        try:
            holds = plain.test(payload, fact, decision, plain.constants)
        except Exception as error:  # noqa: BLE001 - whatever a fact does to a rule is that rule's fault
            holds = settle_condition(self._origin, error, payload, fact, decision)
        if holds is not True:
            return None
        if plain.actions is None:
            assert plain.constant is not None
            return plain.constant
        try:
            contributions, effects = plain.actions(payload, fact, decision, plain.action_constants)
        except Exception as error:  # noqa: BLE001 - as above
            contributions, effects = settle_actions(self._origin, "then", error, payload, fact, decision)
        return Outcome("then", contributions, effects, self._stop, None)


@dataclass(frozen=True, slots=True)
class _Branch:
    """A branch ready to run; without actions it is a bare condition's ``then``."""

    name: Literal["then", "else"]
    actions: Callable[..., Any] | None
    stateful: bool
    stop: bool


@dataclass(frozen=True, slots=True)
class Written:
    """A rule's functions as text: their names, and whether each takes the evaluation's state.

    What is the same for every fact needs none: ``outputs`` of a table's rows by number, ``constant`` of a whole rule.
    ``is_plain`` says that the rule has neither a table nor ``else``.
    """

    emitter: FunctionWriter
    stateful: dict[str, bool]
    outputs: dict[int, tuple[list[Contribution], list[Effect]]]
    constant: Outcome | None
    is_plain: bool

    @property
    def is_shared(self) -> bool:
        """Whether the functions are given their constants: those of a plain rule that need nothing else."""
        return self.is_plain and not any(self.stateful.values()) and len(self.emitter.functions) == len(self.stateful)

    @property
    def text(self) -> str:
        """The Python text of the functions; empty where there are none."""
        if not self.stateful:
            return ""
        return self.emitter.shared_source() if self.is_shared else self.emitter.source(list(self.stateful))

    def functions(self, code: CodeType | None = None) -> dict[str, SharedFunction]:
        """Return the functions by name, with the constants to give them.

        ``code`` is ``text`` compiled, where that was done before.
        """
        names = list(self.stateful)
        if self.is_shared and names:
            return self.emitter.shared_functions(names, code)
        return {name: (function, ()) for name, function in self.emitter.functions_of(names, code).items()}


def write(plan: PlannedRule) -> Written:
    """Write a rule's functions; raises TooCostlyError. Outputs that are constants are made at once."""
    emitter = FunctionWriter(plan.lets)
    emitter.count_uses(*plan.tests, *(action.value for branch in plan.branches for action in branch.actions))
    written = Written(emitter, {}, {}, _constant_outcome(plan), plan.table is None and plan.otherwise is None)
    stateful = written.stateful
    if plan.condition is not None:
        stateful["condition"] = emitter.condition("condition", plan.condition)
    if plan.then is not None and written.constant is None:
        stateful["then"] = emitter.actions("then", plan.then)
    if plan.otherwise is not None:
        stateful["otherwise"] = emitter.actions("otherwise", plan.otherwise)
    if plan.table is not None:
        stateful["rows"] = emitter.table("rows", plan.table)
        for row in plan.table.rows:
            constants = _constant_outputs(row.branch)
            if constants is not None:
                written.outputs[row.number] = constants
            else:
                stateful[f"row{row.number}"] = emitter.actions(f"row{row.number}", row.branch)
    return written


def assemble(origin: Origin, plan: PlannedRule, written: Written, code: CodeType | None = None) -> Functions:
    """Return a rule's functions; ``code`` is the text of ``written``, compiled."""
    stateful = written.stateful
    made = written.functions(code)
    functions: dict[str, Any] = dict.fromkeys(("condition", "then", "otherwise"))
    functions |= {name: function for name, (function, _) in made.items()}
    lets = len(plan.lets)
    if plan.table is not None:
        return _with_rows(origin, functions, written, new_state(lets))
    condition: Given = functions["condition"] or _always
    state = new_state(lets)
    if stateful.get("condition", False):
        inner = condition

        def condition(payload: Any, fact: Any, decision: Any, _constants: Any = ()) -> Any:
            return inner(payload, fact, decision, state.copy())

    stop = plan.then is not None and plan.then.stop
    if plan.otherwise is None and not stateful.get("then", False):
        given = {name: constants for name, (_, constants) in made.items()}
        plain = Plain(condition, given.get("condition", ()), functions["then"], given.get("then", ()), written.constant)
        return _Simple(origin, plain, stop=stop)
    then = _Branch("then", functions["then"], stateful.get("then", False), stop)
    otherwise = None
    if plan.otherwise is not None:
        otherwise = _Branch("else", functions["otherwise"], stateful["otherwise"], plan.otherwise.stop)
    if any(stateful.values()):
        test = functions["condition"] if stateful.get("condition", False) else None
        return Assembled(_with_state(origin, test, condition, then, otherwise, state), condition)
    return Assembled(_without_state(origin, condition, then, otherwise), condition)


def _without_state(origin: Origin, condition: Condition, then: _Branch, otherwise: _Branch | None) -> Evaluate:
    def evaluate(payload: dict[str, Any], fact: FactAttributes, decision: Mapping[str, Any]) -> Outcome | None:
        try:
            holds = condition(payload, fact, decision)
        except Exception as error:  # noqa: BLE001 - whatever a fact does to a rule is that rule's fault
            holds = settle_condition(origin, error, payload, fact, decision)
        branch = then if holds is True else otherwise if holds is False else None
        if branch is None:
            return None
        if branch.actions is None:
            return Outcome(branch.name, [], [], branch.stop, None)
        try:
            contributions, effects = branch.actions(payload, fact, decision)
        except Exception as error:  # noqa: BLE001 - as above
            contributions, effects = settle_actions(origin, branch.name, error, payload, fact, decision)
        return Outcome(branch.name, contributions, effects, branch.stop, None)

    return evaluate


def _with_state(
    origin: Origin,
    test: Callable[..., Any] | None,
    condition: Condition,
    then: _Branch,
    otherwise: _Branch | None,
    blank: list[Any],
) -> Evaluate:
    def evaluate(payload: dict[str, Any], fact: FactAttributes, decision: Mapping[str, Any]) -> Outcome | None:
        state = blank.copy()
        try:
            holds = condition(payload, fact, decision) if test is None else test(payload, fact, decision, state)
        except Exception as error:  # noqa: BLE001 - whatever a fact does to a rule is that rule's fault
            holds = settle_condition(origin, error, payload, fact, decision)
        branch = then if holds is True else otherwise if holds is False else None
        if branch is None:
            return None
        if branch.actions is None:
            return Outcome(branch.name, [], [], branch.stop, None)
        try:
            if branch.stateful:
                contributions, effects = branch.actions(payload, fact, decision, state)
            else:
                contributions, effects = branch.actions(payload, fact, decision)
        except Exception as error:  # noqa: BLE001 - as above
            contributions, effects = settle_actions(origin, branch.name, error, payload, fact, decision)
        return Outcome(branch.name, contributions, effects, branch.stop, None)

    return evaluate


def _always(_payload: Any, _fact: Any, _decision: Any, _constants: Any = ()) -> bool:
    return True


def _with_rows(
    origin: Origin, functions: dict[str, Callable[..., Any]], written: Written, blank: list[Any]
) -> Assembled:
    matching = functions["rows"]
    made = written.outputs

    def matches(payload: Any, fact: Any, decision: Any) -> bool:
        return bool(matching(payload, fact, decision, blank.copy()))

    def evaluate(payload: dict[str, Any], fact: FactAttributes, decision: Mapping[str, Any]) -> Outcome | None:
        state = blank.copy()
        try:
            rows = matching(payload, fact, decision, state)
        except Exception as error:  # noqa: BLE001 - whatever a fact does to a rule is that rule's fault
            rows = settle_table(origin, error, payload, fact, decision)
        if not rows:
            return None
        contributions: list[Contribution] = []
        effects: list[Effect] = []
        for number in rows:
            constants = made.get(number)
            if constants is None:
                name = f"row{number}"
                arguments = (payload, fact, decision, state) if written.stateful[name] else (payload, fact, decision)
                try:
                    constants = functions[name](*arguments)
                except Exception as error:  # noqa: BLE001 - as above
                    constants = settle_actions(origin, number, error, payload, fact, decision)
            contributions += constants[0]
            effects += constants[1]
        return Outcome("then", contributions, effects, False, rows)

    return Assembled(evaluate, matches)


def _constant_outcome(plan: PlannedRule) -> Outcome | None:
    """Return what a rule without ``else`` gives where its condition holds, if that is the same for every fact."""
    if plan.table is not None or plan.otherwise is not None:
        return None
    if plan.then is None:
        return Outcome("then", [], [], False, None)
    outputs = _constant_outputs(plan.then)
    return None if outputs is None else Outcome("then", *outputs, plan.then.stop, None)


def _constant_outputs(branch: PlannedBranch) -> tuple[list[Contribution], list[Effect]] | None:
    contributions: list[Contribution] = []
    effects: list[Effect] = []
    for action in branch.actions:
        if not isinstance(action.value, Const):
            return None
        value = action.value.value
        try:
            check_action(action, value)
        except Exception:  # noqa: BLE001 - it fails when the row matches
            return None
        if isinstance(action, PlannedEffect):
            effects.append((action.name, value))
        elif isinstance(action, PlannedAction):
            contributions.append((MergeKind(action.kind), shared_path(action.path), value))
    return contributions, effects
