"""Measure against the budgets: `python -m benchmarks [ROW ...] [--rounds N]`, all rows where none is named.

Each row runs two things in turn, in fresh processes on fresh copies of their data, and compares the medians of the wall
clock: on a shared machine only ratios tell. Data are generated once, below benchmarks/.data.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.rows import ROWS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if unknown := set(options.rows) - ROWS.keys():
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    over = 0
    for name in options.rows or ROWS:
        for verdict in ROWS[name](options.rounds):
            print(f"{name:13} {verdict}", flush=True)
            over += not verdict.ok
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())
