"""The benchmark runs, and keeps what it measured; its figures are nobody's business here."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from xml.etree import ElementTree

import pytest

from benchmarks.pace import Pace
from benchmarks.plan import FULL
from tests.end_to_end.programs import PATIENCE, python, require
from tests.test_docs import ROOT

FLOODS = {"0", "1", "20"}
MOCKED = {"same, exact", "same, regex", "new, prefixes", "new, regexes", "new, mixed"}

#: Of each section of a quick run: cases, a peer that takes part in it, and what a sample has.
SHAPES = {
    "throughput": ({"depth 1", "depth 16", "depth 128"}, "redis", {"cpu_us_per_line", "p50_ms"}),
    "connections": ({"10", "100"}, "redis", {"cpu_us_per_line", "p99_ms"}),
    "async": ({"depth 1", "depth 16", "depth 128"}, "ours-later", {"cpu_us_per_line"}),
    "length": ({"10 B ASCII", "1,024 B Chinese"}, "line-only", {"lines_per_second"}),
    "websocket": ({"depth 1", "depth 16", "depth 128"}, "websockets", {"cpu_us_per_line"}),
    "mock": (MOCKED, "ours-mock", {"cpu_us_per_line", "lines_per_second"}),
    "memory": ({"200 idle"}, "streams", {"rss_bytes_per_connection"}),
    "fairness": (FLOODS, "line-only", {"late_p50_ms", "late_max_ms", "p99_ms", "max_ms"}),
}


def command(folder, *options):
    return ["-m", "benchmarks", "--quick", "--out", str(folder), *options]


def benchmark(folder, *options):
    """What a run prints."""
    done = python(*command(folder, *options), cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def results(folder):
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def edit(folder, change):
    """Let `change` do something to what a folder holds."""
    tree = results(folder)
    change(tree)
    (folder / "results.json").write_text(json.dumps(tree), encoding="utf-8")


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The folder of a run of all sections, and what it printed."""
    require("redis-benchmark")
    require("redis-server")
    folder = tmp_path_factory.mktemp("benchmark")
    return folder, benchmark(folder)


@pytest.fixture
def folder(everything, tmp_path):
    """A copy of that folder."""
    return shutil.copytree(everything[0], tmp_path / "results")


@pytest.mark.parametrize("section", SHAPES)
def test_every_section_gives_figures_of_ours_and_a_peer(everything, section):
    folder, printed = everything
    cases, peer, names = SHAPES[section]
    measured = results(folder)["sections"][section]
    assert cases <= set(measured["medians"])
    for case in cases:
        for server in ("ours-echo" if section == "mock" else "ours", peer):
            figures = measured["medians"][case][server]
            assert names <= set(figures)
            assert all(math.isfinite(figure) for figure in figures.values())
    assert measured["samples"]
    assert measured["failed"] == {}
    assert f"## {section.capitalize()}" in printed
    assert measured["date"] in printed


def test_tables_have_as_many_cells_as_columns(everything):
    blocks = everything[1].split("\n\n")
    tables = [block.splitlines() for block in blocks if block.startswith("|")]
    assert len(tables) >= len(SHAPES)
    for table in tables:
        assert len({line.count("|") for line in table}) == 1
        assert any(line.startswith(("| **twisted_sock", "| twisted_sock")) for line in table)


def test_the_chart_is_a_picture_with_ours_in_it(everything):
    chart = ElementTree.parse(everything[0] / "chart.svg").getroot()
    assert chart.tag.endswith("svg")
    assert "twisted_sock" in [element.text for element in chart.iter()]


def test_a_run_of_some_sections_keeps_the_others(folder):
    edit(folder, lambda tree: tree["sections"]["length"].update(date="long ago"))
    before = results(folder)["sections"]
    printed = benchmark(folder, "--sections", "memory", "--only", "ours")
    after = results(folder)["sections"]
    assert list(after) == list(before)
    assert set(after["memory"]["medians"]["200 idle"]) == {"ours"}
    assert all(after[name] == before[name] for name in before if name != "memory")
    assert after["memory"]["date"] in printed
    assert "long ago" in printed
    assert "compare only figures of the same one" in printed


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda tree: tree["machine"].update(Twisted="1.0"), "Twisted: 1.0, now "),
        (lambda tree: tree.update(format=0), "not of this format"),
        (lambda tree: tree["sections"]["length"].pop("plan"), "not of this format"),
    ],
    ids=["another version", "another format", "a part missing"],
)
def test_results_that_do_not_go_together_are_not_mixed(folder, change, why):
    edit(folder, change)
    printed = benchmark(folder, "--sections", "memory", "--only", "c")
    [line] = [line for line in printed.splitlines() if "afresh" in line]
    assert why in line
    assert list(results(folder)["sections"]) == ["memory"]


@pytest.mark.parametrize("microseconds", [0.05, 1, 20, 500])
def test_lines_are_as_many_as_cost_what_is_planned(microseconds):
    tried = []

    def cost(lines):
        tried.append(lines)
        return 0.2 + lines * microseconds / 1e6  # opening connections costs too

    wanted = min(FULL.cpu / microseconds * 1e6, FULL.most_lines)
    batch = 50
    pace = Pace(FULL)
    found = pace.lines("c", "depth 1", batch, cost)
    assert found == pytest.approx(wanted, abs=2 * batch)
    assert found % batch == 0
    tried.clear()
    assert pace.lines("c", "depth 1", batch, cost) == found
    assert not tried


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_loses_only_the_section_in_work(tmp_path, number):
    choice = ["--sections", "memory", "fairness", "--only", "ours", "--rounds", "10000"]
    run = subprocess.Popen(
        [sys.executable, *command(tmp_path, *choice)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the tests run in the background SIGINT is ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not (tmp_path / "results.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        run.send_signal(number)
        _, said = run.communicate(timeout=PATIENCE)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 128 + number
    assert "interrupted; done before: " in said
    assert "Traceback" not in said
    assert list(results(tmp_path)["sections"]) == ["memory"]
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    with pytest.raises(ProcessLookupError):  # nothing that it started is left
        os.killpg(run.pid, 0)
