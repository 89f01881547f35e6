"""The rows of the benchmarks compute what they say, all candidates the same; and the README shows what was measured.

Nothing here is a statement on time. A random result is held to its exact mean by a z-test on fixed seeds: LIMIT = 4.5 standard
errors gives a false alarm for 7 seeds in a million.
"""

from __future__ import annotations

import gc
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import report
from benchmarks.measure import Effort, alternate
from benchmarks.peers import NUMPY, OURS, PYTORCH, installed
from benchmarks.row import Goal, Row, Work
from benchmarks.rows import ROWS

LIMIT = 4.5
SHORT = Effort(rounds=3, block=1e-6, limit=0.0)


@pytest.fixture(scope="module")
def modules():
    found = installed()
    gc.freeze()  # what the peers hold is not to be walked through before each run
    yield found
    gc.unfreeze()


def arrays(results):
    return [np.asarray(x.detach() if hasattr(x, "detach") else x, dtype=np.float64) for x in results]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_candidates_of_a_row_compute_the_same(row, modules):
    found = {name: arrays(work.results()) for name, work in row.works(modules, row.tiny).items()}
    assert next(iter(found)) == OURS and NUMPY in found
    if row.expects:
        for name, numbers in found.items():
            for number, (mean, deviation) in zip(numbers, row.expects, strict=True):
                z = (number.item() - mean) / (deviation / row.tiny**0.5)
                assert abs(z) < LIMIT, (name, number, mean, z)
        return
    for name, numbers in found.items():
        assert len(numbers) == len(found[OURS]), name
        for ours, theirs in zip(found[OURS], numbers, strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=2e-4, atol=2e-6 * np.abs(ours).max(initial=1.0), err_msg=name)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_runs_and_is_shown(row, modules):
    seconds = alternate(
        row, {name: work for name, work in row.works(modules, row.tiny).items() if name in (OURS, NUMPY)}, SHORT
    )
    assert list(seconds) == list(row.parts or ("",))
    for candidates in seconds.values():
        assert all(len(times) == 3 and min(times) > 0 for times in candidates.values())
    shown = report.table([row], {"rows": {row.name: report.kept(seconds)}}).splitlines()
    assert len(shown) == 2 + len(seconds) and row.title in shown[2]


def test_names_are_unique_and_every_row_has_us_and_numpy():
    assert len({row.name for row in ROWS}) == len({row.title for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert OURS in row.candidates and NUMPY in row.candidates, row.name
        assert all(goal.part is None or goal.part in row.parts for goal in row.goals), row.name


def test_a_goal_compares_within_a_round():
    seconds = {OURS: [1.0, 10.0, 2.0], PYTORCH: [2.0, 20.0, 4.0], "JAX": [4.0, 10.0, 8.0]}
    assert Goal(limit=0.7, of=(PYTORCH,)).figure(seconds) == 0.5
    assert Goal(limit=0.7).figure(seconds) == 0.5
    assert Goal(limit=0.7, of=("JAX",), difference=True).figure(seconds) == -3.0
    assert Goal(limit=0.7, of=()).figure(seconds) == 2.0
    assert Goal(limit=0.7, of=("micrograd",)).figure(seconds) is None
    assert "0.5, met" in report.verdict(Goal(limit=0.7), seconds)
    assert "2 s, missed" in report.verdict(Goal(limit=0.7, of=()), seconds)


def test_candidates_take_turns_and_the_first_runs_are_not_counted():
    calls = []

    def candidate(name):
        return Work(lambda: calls.append(name))

    row = Row(name="r", title="t", measures="m", size=1, tiny=1, candidates={}, fresh=True)
    alternate(row, {"a": candidate("a"), "b": candidate("b")}, SHORT)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"


def test_an_absent_peer_is_left_out():
    def make(module, size):
        return Work(lambda: module)

    candidates = {OURS: make, PYTORCH: make, f"{OURS}, twice": make}
    row = Row(name="r", title="t", measures="m", size=1, tiny=1, candidates=candidates)
    assert list(row.works({OURS: 1}, 1)) == [OURS, f"{OURS}, twice"]


def test_results_are_read_as_they_were_written(tmp_path, modules):
    results = report.header(modules) | {"rows": {"r": {"": {OURS: [0.1, 0.2], "NumPy": [1.0, 1e-9]}}}}
    report.write(results, tmp_path / "kept" / "results.json")
    assert report.read(tmp_path / "kept" / "results.json") == results
    assert {"cpu", "cores", "system"} <= set(results["machine"]) and results["versions"]["NumPy"] == np.__version__


def test_the_readme_shows_the_results_that_it_names():
    path, text = report.shown()
    assert text == report.section(path, ROWS), (
        f"run: python -m benchmarks --write-readme {path.relative_to(report.ROOT)}"
    )


def test_the_results_that_the_readme_shows_are_complete():
    path, _ = report.shown()
    results = report.read(path)
    assert set(results["rows"]) == {row.name for row in ROWS}
    for row in ROWS:
        kept = results["rows"][row.name]
        assert set(kept) == set(row.parts or ("",)), row.name
        assert all(set(candidates) == set(row.candidates) for candidates in kept.values()), row.name


def test_the_command_line_lists_rows_and_refuses_unknown_names():
    listed = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--list"], capture_output=True, text=True, check=True, cwd=report.ROOT
    ).stdout
    assert [line.split()[0] for line in listed.splitlines()] == [row.name for row in ROWS]
    refused = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "nothing"], capture_output=True, text=True, cwd=report.ROOT
    )
    assert refused.returncode == 2 and "--list" in refused.stderr
