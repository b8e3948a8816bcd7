"""The examples of the testers' pages, as they stand there, but on free ports."""

import re
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.test_docs import blocks, text
from twisted_sock.script.keys import TABLES
from twisted_sock.script.model import FAULTS

from .docs_sessions import Player, Section, files, sections
from .programs import PATIENCE, script

PAGES = ("docs/testing.md", "docs/mocks.md", "docs/scripts.md", "docs/operator.md")

SECTIONS = [
    pytest.param(section, id=section.title) for page in PAGES for section in sections(page)
]


def scripts(page):
    """The scripts of a page, by their names; not those that show mistakes."""
    wrong = re.compile(r"^(\S+\.toml):\d+: ", re.M).findall(text(page))
    return {
        name: block for name, block in files(page) if name.endswith(".toml") and name not in wrong
    }


def play(section, folder):
    with ExitStack() as at_the_end:
        Player(folder, at_the_end).play(section)


@pytest.fixture(scope="module")
def played(request, tmp_path_factory):
    """The sections that were asked for, two at a time: most of it is waiting for programs."""
    wanted = [
        each for each in request.session.items if "played" in getattr(each, "fixturenames", ())
    ]
    sections = [each.callspec.params["section"] for each in wanted]
    with ThreadPoolExecutor(2) as pool:
        yield {
            (each.page, each.title): pool.submit(play, each, tmp_path_factory.mktemp("section"))
            for each in sections
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_examples_work(section, played):
    played[section.page, section.title].result()


def test_every_script_is_good(tmp_path):
    shown = [(name, block) for page in PAGES for name, block in scripts(page).items()]
    for number, (name, block) in enumerate(shown):
        (tmp_path / f"{number}-{name}").write_text(block)
    names = [f"{number}-{name}" for number, (name, _) in enumerate(shown)]
    done = subprocess.run(
        [*script("twisted-sock"), "check", *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert re.findall(r"^(\S+): good: ", done.stdout, re.M) == names, done.stderr
    assert (done.stderr, done.returncode) == ("", 0)


@pytest.mark.parametrize("page", PAGES)
def test_every_script_has_a_name(page):
    """So that it is written, and checked."""
    assert len(blocks(page, "toml")) == len([n for n, _ in files(page) if n.endswith(".toml")])


def test_there_is_an_example_of_each_kind():
    shown = [tomllib.loads(block) for block in scripts("docs/testing.md").values()]
    rules = [rule for each in shown for rule in each.get("rule", ())]
    faults = {fault["do"] for each in shown for fault in each.get("fault", ())}
    assert faults == set(FAULTS)
    assert {key for rule in rules for key in rule} >= set(TABLES["rule"].by_name) - {"client"}
    said = "".join(scripts("docs/testing.md").values())
    for gap in ("0", "1", "json.id:json", "counter", "time", "unix", "random:1-6", "client"):
        assert f"{{{gap}}}" in said


@pytest.mark.parametrize(
    ("session", "words"),
    [
        ("$ echo 127.0.0.1:50000 one\n127.0.0.1:60000 two\n", "it printed"),
        ("$ false\n$ echo\n\n", "what failed is behind"),
        ("$ false\n", "the last command failed"),
    ],
)
def test_an_example_that_does_not_work(session, words, tmp_path, at_the_end):
    with pytest.raises(AssertionError, match=words):
        Player(tmp_path, at_the_end).play(Section("", "", [("console", session)]))
