"""``python -m tests.conformance DIR``: run every case of a folder, print the ids that fail, then the count."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.conformance.suite import cases, run


def main(arguments: list[str]) -> int:
    """Run the suite; exit status 0 when every case passes, 1 when one does not, 2 for wrong usage."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: python -m tests.conformance DIR\n")
        return 2
    results = [run(case) for case in cases(Path(arguments[0]))]
    failed = [result for result in results if result.problem is not None]
    for result in failed:
        sys.stdout.write(f"{result.id}: {result.problem}\n")
    sys.stdout.write(f"passed {len(results) - len(failed)} of {len(results)}\n")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
