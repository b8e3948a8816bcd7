"""results.json and chart.svg: written after each section, and added to by later runs.

A run of some sections replaces these in the file and leaves the others as they are, each with
the date of its own run. It does so only if the file was written in the same format and on the
same machine with the same versions; otherwise ratios across sections would mean nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import chart
from benchmarks.registry import TITLES
from benchmarks.results import Section

#: Changes whenever what is written cannot be read by what was before.
FORMAT = 2

RESULTS = "results.json"
CHART = "chart.svg"


class Store:
    """The results of a folder.

    Args:
        folder: made when something is written; None to keep nothing.
        facts: about the machine; see `report.facts`.
        order: all sections, as they are to be written.

    Attributes:
        sections: by name, in that order: those of earlier runs, and those that were added.
        note: why what was there could not be added to; empty if it could, or nothing was there.
    """

    def __init__(
        self, folder: Path | None, facts: Mapping[str, str], order: tuple[str, ...]
    ) -> None:
        self._folder = folder
        self._facts = dict(facts)
        self._order = order
        self.sections: dict[str, Section] = {}
        self.note = ""
        if folder is not None and (folder / RESULTS).exists():
            self._read(folder / RESULTS)

    def add(self, section: Section) -> None:
        """Replace a section, and write everything. One without samples replaces nothing."""
        if not section.samples:
            return
        found = {**self.sections, section.name: section}
        self.sections = {name: found[name] for name in self._order if name in found}
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            _write(self._folder / RESULTS, self._json())
            if "throughput" in self.sections:
                _write(self._folder / CHART, chart.picture(self.sections["throughput"]))

    def _json(self) -> str:
        sections = {name: section.as_tree() for name, section in self.sections.items()}
        tree = {
            "format": FORMAT, "machine": self._facts, "titles": TITLES, "sections": sections
        }  # fmt: skip
        return json.dumps(tree, indent=1) + "\n"

    def _read(self, path: Path) -> None:
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
            if tree.get("format") != FORMAT:
                raise ValueError
            self.note = _difference(tree["machine"], self._facts)
            if not self.note:
                self.sections = {
                    name: Section.from_tree(name, section)
                    for name, section in tree["sections"].items()
                    if name in self._order
                }
        except (ValueError, LookupError, TypeError, AttributeError):
            self.note = "not of this format"


def _difference(before: Mapping[str, Any], now: Mapping[str, str]) -> str:
    """In what two machines differ, in words; empty if in nothing."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(
        f"{name}: {before.get(name, 'none')}, now {now.get(name, 'none')}" for name in names
    )


def _write(path: Path, text: str) -> None:
    """All of it or nothing, whatever happens meanwhile."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
