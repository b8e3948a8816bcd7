"""The benchmark runs; its figures are nobody's business here."""

import json
import os
import subprocess
import sys

from tests.end_to_end.programs import require
from tests.test_docs import ROOT

CHOICE = ["--only", "ours", "redis", "--sections", "throughput"]


def test_a_quick_run_measures_ours_and_a_peer(tmp_path):
    require("redis-benchmark")
    require("redis-server")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--out", tmp_path, *CHOICE],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "twisted_sock" in done.stdout
    [report] = tmp_path.glob("*.json")
    text = json.dumps(json.loads(report.read_text()))
    assert "redis" in text
    [chart] = tmp_path.glob("*.svg")
    assert chart.read_text().startswith("<svg")
