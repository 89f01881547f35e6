"""Run the benchmarks, print the ratios, and keep the results.

python -m benchmarks                             all rows, some minutes
python -m benchmarks --list                      the names of the rows, and what they measure
python -m benchmarks --only 'gaussian-*' vae     some rows
python -m benchmarks --quick                     few and short rounds, without the long rows
python -m benchmarks --write-readme FILE         show a file of results in the README; measure nothing
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks.measure import QUICK, Effort, alternate
from benchmarks.peers import OURS, PYTORCH, THREADS, installed
from benchmarks.report import (
    RESULTS,
    ROOT,
    cores,
    duration,
    header,
    kept,
    read,
    table,
    usual_path,
    where,
    write,
    write_readme,
)
from benchmarks.row import Row
from benchmarks.rows import ROWS


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows, by name or pattern")
    parser.add_argument("--rounds", type=int, help="rounds of a row, at most (at least 3)")
    parser.add_argument("--quick", action="store_true", help="few and short rounds, without the long rows")
    parser.add_argument("--list", action="store_true", help="the rows, and what they measure")
    parser.add_argument(
        "--out",
        type=Path,
        help="the file of results; rows that it holds from the same machine and versions stay. Default: for all rows the "
        f"machine's file in {RESULTS.relative_to(ROOT)}, otherwise build/benchmarks/results.json",
    )
    parser.add_argument("--write-readme", type=Path, metavar="FILE", help="show a file of results in the README")
    found = parser.parse_args()
    for pattern in found.only or ():
        if not any(fnmatchcase(row.name, pattern) for row in ROWS):
            parser.error(f"--only {pattern}: there is no such row; --list names them")
    return found


def show(row: Row, seconds: dict[str, dict[str, list[float]]]) -> None:
    """Print what was measured of a row."""
    for part, candidates in seconds.items():
        rounds = len(candidates[OURS])
        print(f"\n{row.name}{f', {part}' if part else ''}: {row.title}; {rounds} rounds")
        for name, times in candidates.items():
            median = statistics.median(times) / row.count
            ratios = [ours / theirs for ours, theirs in zip(candidates[OURS], times, strict=True)]
            spread = f"   ours / theirs {statistics.median(ratios):7.3f}   ({min(ratios):.3f} … {max(ratios):.3f})"
            of = "" if name == OURS else spread
            print(f"  {name:<30}{f'{duration(median)} {row.unit}':<22}{of}", flush=True)


def main() -> None:
    """What the command line asks for."""
    given = arguments()
    if given.list:
        for row in ROWS:
            print(f"{row.name:<24}{row.title}. {row.measures}")
        return
    if given.write_readme:
        write_readme(given.write_readme, ROWS)
        return
    rows = [row for row in ROWS if not given.only or any(fnmatchcase(row.name, pattern) for pattern in given.only)]
    if given.quick:
        rows = [row for row in rows if not row.long]
    effort = QUICK if given.quick else Effort()
    if given.rounds:
        effort = replace(effort, rounds=given.rounds)

    modules = installed()
    absent = {name for row in rows for name in row.candidates if name.partition(",")[0] not in modules}
    if absent:
        print(f"not installed here, and left out: {', '.join(sorted(absent))}")
    if PYTORCH in modules:
        modules[PYTORCH].set_num_threads(THREADS)
    if cores() > THREADS:
        print(
            f"PyTorch gets {THREADS} threads, the others {cores()} cores; `taskset -c 0,1` before the command gives all the same"
        )

    path = given.out or (ROOT / "build/benchmarks/results.json" if given.only or given.quick else usual_path())
    results = header(modules) | {"rows": {}}
    if given.out and path.exists():
        before = read(path)
        if all(before[key] == results[key] for key in ("machine", "python", "versions", "threads")):
            results["rows"] = before["rows"]
        else:
            print(f"{path} is of another machine, other versions or settings, and is written anew")

    gc.freeze()  # a collection is not to walk through the modules of all peers, which no candidate has around it at home
    start = time.perf_counter()
    for row in rows:
        seconds = alternate(row, row.works(modules, row.size), effort)
        results["rows"][row.name] = kept(seconds)
        show(row, seconds)
    results["rows"] = {row.name: results["rows"][row.name] for row in ROWS if row.name in results["rows"]}
    write(results, path)
    print(f"\n{where(results)}\n\n{table(rows, results)}")
    print(f"\n{time.perf_counter() - start:.0f} s; kept in {path}")


if __name__ == "__main__":
    main()
