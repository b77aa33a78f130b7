"""What commands share to speak with people and with programs: files as arguments, errors, and progress."""

from __future__ import annotations

import os
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec
import typer
from rich.console import Console

from domain.errors import RulestreamError
from worker.files.lines import STDIN

if TYPE_CHECKING:
    from rich.progress import Progress

EXIT_FAILED: Final = 1
PROGRESS_AFTER_S: Final = 2.0
PIPE_WIDTH: Final = 160

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

stderr: Final = Console(stderr=True)


def say(text: str) -> None:
    """Write text to standard error, above a progress bar where there is one.

    What files and servers sent may be in it, so that no control character of theirs reaches the terminal.
    """
    _print(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))


def visible(text: str) -> str:
    """Escape what a terminal would obey or hide: controls but the tab, direction marks, zero widths, surrogates.

    Who approves a rule must see what it says.
    """
    return "".join(
        one if one == "\t" or unicodedata.category(one) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} else f"\\u{ord(one):04x}"
        for one in text
    )


def visible_lines(text: str) -> str:
    """Do the same and keep the lines."""
    return "\n".join(map(visible, text.split("\n")))


def print_json_line(data: dict[str, Any]) -> None:
    """Write one line of JSON to standard error."""
    _print(msgspec.json.encode(data).decode())


def _print(text: str) -> None:
    stderr.print(text, markup=False, highlight=False, soft_wrap=True)


def stdout() -> Console:
    """Return a console on standard output; where that is no terminal, wide enough that tables are not cut."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_json(data: Any) -> None:
    """Write one line of JSON to standard output."""
    typer.echo(msgspec.json.encode(data).decode())


def print_error(error: RulestreamError, *, as_json: bool = False) -> None:
    """Print an error on standard error: each problem of its details, then its code and message."""
    from worker.files.problems import InvalidRulesError

    if as_json:
        print_json_line({"error": {"code": error.code.value, "message": error.message, "details": error.details}})
        return
    if isinstance(error, InvalidRulesError):
        for problem in error.problems:
            say(problem.render())
    else:
        for details in error.details.get("problems", ()):
            say(_problem_line(details))
    say(f"error[{error.code}]: {error.message}")


def exit_with(error: RulestreamError, *, as_json: bool = False) -> NoReturn:
    """Print an error and end the command with exit code 1."""
    print_error(error, as_json=as_json)
    raise typer.Exit(EXIT_FAILED)


def file_or_stdin(path: Path) -> Path:
    """Check an argument that names a file to read, or ``-`` (typer's own check takes that for a file's name)."""
    if path == STDIN:
        return path
    if not path.exists():
        raise typer.BadParameter(f"file '{path}' does not exist.")
    if path.is_dir():
        raise typer.BadParameter(f"file '{path}' is a directory.")
    if not os.access(path, os.R_OK):
        raise typer.BadParameter(f"file '{path}' is not readable.")
    return path


@contextmanager
def progress(
    description: str, total: int | Callable[[], int | None] | None, *, wanted: bool = True
) -> Iterator[Callable[[int], None]]:
    """Give a function to call with how much is done; it shows a bar on standard error once two seconds have passed.

    Nothing is shown where standard error is not a terminal, or the bar is not ``wanted``. ``total`` may be a function,
    called only when the bar is shown; None is an unknown total.
    """
    if not wanted or not sys.stderr.isatty():
        yield lambda _done: None
        return
    bar: Progress | None = None
    shown_from = time.monotonic() + PROGRESS_AFTER_S

    def update(done: int) -> None:
        nonlocal bar
        if bar is None:
            if time.monotonic() < shown_from:
                return
            bar = _bar()
            bar.add_task(description, total=total() if callable(total) else total)
            bar.start()
        bar.update(bar.task_ids[0], completed=done)

    try:
        yield update
    finally:
        if bar is not None:
            bar.stop()


def _bar() -> Progress:
    from rich import progress as rich

    return rich.Progress(
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(),
        console=stderr,
        transient=True,
        redirect_stdout=False,
    )


def _problem_line(details: dict[str, Any]) -> str:
    place = f"row {details['row']}: " if "row" in details else ""
    place += f"{details['line']}:{details['column']} " if "line" in details else ""
    severity, code = details.get("severity", "error"), details.get("code", "problem")
    line = f"{place}{severity}[{code}]: {details.get('message', '')}"
    return f"{line}\n  {details['hint']}" if details.get("hint") else line
