"""The JSON schema of scripts: it is the one in docs, and says what reading says."""

import json
import tomllib

import jsonschema
from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from tests.script.test_reading import WHOLE, tables
from tests.test_docs import ROOT
from twisted_sock.script.building import Builder
from twisted_sock.script.keys import TABLES
from twisted_sock.script.mistakes import Mistakes
from twisted_sock.script.places import Places
from twisted_sock.script.schema import schema

DOCS = ROOT / "docs" / "scripts.md"
SCHEMA = schema()
CHECKER = jsonschema.Draft202012Validator(SCHEMA)


class SchemaTest(SynchronousTestCase):
    def test_the_published_one(self):
        """When it differs: `twisted-sock check --schema > docs/script.schema.json`."""
        published = (ROOT / "docs" / "script.schema.json").read_text("utf-8")
        self.assertEqual(json.loads(published), SCHEMA)

    def test_the_docs_have_every_key(self):
        text = DOCS.read_text("utf-8")
        for name, table in TABLES.items():
            for key in table.keys:
                self.assertIn(f"| `{key.name}` | {key.kind.words} | {key.help} |\n", text, name)

    def test_it_is_one(self):
        jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def test_a_good_script(self):
        CHECKER.validate(tomllib.loads(WHOLE))
        CHECKER.validate({})

    def test_bad_scripts(self):
        for text in (
            "repy = 1",
            "seed = 'x'",
            "rule = {}",
            "[[rule]]\nrepy = 1",
            "[[rule]]\nexact = 'a'\nprefix = 'b'",
            "[[rule]]\nreply = 'a'\nreplies = ['b']",
            '[[rule]]\nreply = "a\\nb"',
            "[[rule]]\ndelay = -1",
            "[[rule]]\nexpect = {}",
            "[[rule]]\nexpect = true",
            "[[rule]]\npush = [{}]",
            "[[rule]]\npush = [{line = '', every = 0.0001}]",
            "[[fault]]",
            "[[fault]]\ndo = 'nix'",
            "[[fault]]\ndo = 'drop'\nseconds = 1",
            "[[fault]]\ndo = 'delay'",
            "[[fault]]\ndo = 'reset'\nnth = 0",
            "[[fault]]\ndo = 'reset'\nnth = 1\nevery = 1",
            "[fallback]\nname = 'x'",
        ):
            self.assertFalse(CHECKER.is_valid(tomllib.loads(text)), text)

    @given(tables("script"))
    @settings(deadline=None, max_examples=60)
    def test_what_reading_takes_is_in_it(self, data):
        mistakes = Mistakes("x", Places())
        Builder(mistakes).script(data)
        if not mistakes.in_order():
            CHECKER.validate(data)
