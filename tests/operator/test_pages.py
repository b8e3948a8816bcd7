"""The commands over HTTP: who asks is there for a while, and no body is without bound."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from tests.operator.test_control import TOKEN, Bench
from twisted_sock.http.exchange import Phase
from twisted_sock.operator import hub
from twisted_sock.operator.commands import Desk
from twisted_sock.operator.door import Door
from twisted_sock.operator.pages import MOST, PREFIX, Pages


class Asked:
    """A request, and the connection that it came on."""

    phase = Phase.BODY
    method = "POST"

    def __init__(self, name, **fields):
        self.path = PREFIX + name
        self.fields = {"authorization": f"Bearer {TOKEN}", **fields}
        self.head = self.channel = self
        self.answers = []
        self.refusals = []

    def first(self, name):
        return self.fields.get(name, "")

    def gather(self, body):
        self.body = body

    def answer(self, answer):
        self.answers.append((answer.status, json.loads(answer.body)))

    def refuse(self, refusal):
        self.refusals.append(refusal.answer.status)
        self.body.drop(None)


class PagesTest(SynchronousTestCase):
    def setUp(self):
        self.bench = Bench()
        self.peer = self.bench.peer()
        self.pages = Pages(Desk(self.bench.hub, None), Door(False, TOKEN))

    def ask(self, name, **values):
        asked = Asked(name)
        self.pages(asked)
        asked.body.receive(json.dumps(values).encode())
        asked.body.end()
        [answer] = asked.answers
        return answer

    def test_who_asks_is_there_for_a_while(self):
        self.ask("hold", id=1, seconds=86400)
        self.bench.attach().reset()  # the last who was attached
        self.peer.say("a")
        self.assertEqual(self.peer.lines(), [])
        self.peer.advance(hub.VISIT - 1)
        self.ask("list")
        self.peer.advance(hub.VISIT - 1)
        self.assertEqual(self.peer.lines(), [])
        self.peer.advance(2)
        self.assertEqual(self.peer.lines(), ["A"])

    def test_a_body_whose_length_is_not_told(self):
        asked = Asked("say")
        self.pages(asked)
        asked.body.receive(b" " * MOST)
        self.assertEqual(asked.refusals, [])
        asked.body.receive(b" ")
        self.assertEqual((asked.refusals, asked.answers), ([413], []))

    def test_numbers_without_bound(self):
        for seconds in (10**400, True):
            status, told = self.ask("hold", id=1, seconds=seconds)
            self.assertEqual((status, told["error"]["code"]), (400, "usage"))

    def test_what_is_closing(self):
        self.ask("close", id=1)
        status, told = self.ask("say", id=1, text="x")
        self.assertEqual((status, told["error"]["code"]), (409, "closing"))
