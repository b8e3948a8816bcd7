"""The operator's page, as a person with a browser finds it: one browser, one real server."""

import re
import signal
import tomllib

import pytest

from .browsing import MARKUP, Person
from .programs import Client, Server, script
from .test_operator import http

TOKEN = "0123456789abcdef"

SCRIPT = """\
greeting = "220 ready"
[fallback]
reply = "502 unknown"
"""


class Service:
    """A service that plays a script, and lets operators in.

    Args:
        folder: where.
        port: the port of the operators' page.

    Attributes:
        web: the port of the operators' page.
        port: the service's.
    """

    def __init__(self, folder, port=0):
        (folder / "script.toml").write_text(SCRIPT)
        (folder / "secret").write_text(TOKEN)
        (folder / "secret").chmod(0o600)
        options = ["--port", "0", "--protocol", "mock:script.toml"]
        options += ["--operator", f"ws:{port}", "--operator-token", "secret"]
        command = [*script("twistd"), "-n", "--pidfile=", "sockservice", *options]
        self.folder = folder
        self.program = Server(command, folder)
        self.program.wait_until_it_listens()
        self.web = self.program.port  # operators come first
        self.program.wait_until_it_listens()
        self.port = self.program.port


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    made = Service(tmp_path_factory.mktemp("operator"))
    yield made
    made.program.reap()


class Operator(Person):
    """Somebody at the operator's page."""

    def enter(self, token=TOKEN):
        self.page.fill("#token", token)
        self.page.press("#token", "Enter")

    def talk(self, peer):
        """The row of somebody's conversation."""
        return self.find("#talks li").filter(has_text=f":{peer.socket.getsockname()[1]}")

    def choose(self, peer):
        self.talk(peer).locator("button").click()
        self.sees("#title", re.compile(rf":{peer.socket.getsockname()[1]}"))


@pytest.fixture
def visit(browser, service):
    """Somebody at the page's door."""
    with browser.new_context() as context, Operator(context, service.web, waits=False) as made:
        yield made


@pytest.fixture
def operator(visit):
    """Somebody who is in."""
    visit.enter()
    visit.sees("#status", re.compile("conversation"))
    return visit


@pytest.fixture
def peer(service):
    with Client(service.port) as made:
        assert made.line() == b"220 ready\n"
        yield made


def test_the_token(visit):
    visit.enter("x" * 16)
    visit.sees("#refused", "This is not the token.")
    assert visit.focus == "token"
    assert not visit.find("#bench").is_visible()
    visit.page.check("#keep")
    visit.enter()
    visit.sees("#status", re.compile("conversation"))
    assert visit.page.url == f"http://{visit.host}/"
    visit.page.reload()
    visit.sees("#status", re.compile("conversation"))  # it was kept, as wished
    visit.page.click("#leave")
    assert visit.find("#door").is_visible()
    assert visit.run("sessionStorage.length + localStorage.length") == 0
    visit.enter()
    visit.sees("#status", re.compile("conversation"))


def test_lines_as_they_come(operator, peer, service):
    assert peer.ask(b"before\n") == b"502 unknown\n"
    operator.choose(peer)
    operator.last("sent", "502 unknown")
    assert operator.find(".row bdi").all_inner_texts() == ["220 ready", "before", "502 unknown"]
    peer.ask(b"a\x1b[2J\xe2\x80\xae\n")
    operator.last("sent", "502 unknown")
    operator.sees(".row:nth-last-child(2).got bdi", "a⟨U+001B⟩[2J⟨U+202E⟩")
    with Client(service.port) as other:
        other.line()
        other.ask(b"somebody else\n")
        row = operator.talk(other)
        row.get_by_text("› 502 unknown").wait_for()
        assert operator.find(".row").count() == 5
    row.get_by_text("over").wait_for()


def test_to_answer_by_hand(operator, peer, service):
    operator.choose(peer)
    operator.sees("#target", re.compile("Enter says it to .* unasked: no line waits"))
    operator.page.fill("#seconds", "600")
    operator.press("Enter")
    operator.last("note", "held: each line waits 600 s for an answer")
    peer.say(b"who is there?\n")
    operator.talk(peer).get_by_text("1 waits").wait_for()
    operator.sees(
        "#target", re.compile(r"^Enter answers who is there\?; in \d+ s the script does$")
    )
    operator.sees("#send", "Answer")
    operator.say("a person, 世界")
    assert peer.line().decode() == "a person, 世界\n"
    operator.last("hand", "a person, 世界")
    operator.sees("#send", "Say")
    operator.say("unasked")
    assert peer.line() == b"unasked\n"
    peer.say(b"left to the script\n")
    operator.sees("#send", "Answer")
    operator.page.click("#release")
    assert peer.line() == b"502 unknown\n"
    operator.page.click("#save")
    operator.page.fill("#file", "learnt.toml")
    operator.press("Enter")
    operator.sees("#saved", "1 rule in learnt.toml")
    operator.press("Escape")
    learnt = tomllib.loads((service.folder / "learnt.toml").read_text())
    assert learnt["rule"][0]["exact"] == "who is there?"
    operator.page.click("#close")
    assert peer.rest() == b""


def hold(operator, peer, seconds):
    operator.choose(peer)
    operator.page.fill("#seconds", str(seconds))
    operator.page.click("#hold [type=submit]")
    operator.last("note", re.compile(f"held: each line waits {seconds} s"))


def too_late(operator, peer):
    """What was typed for a line that waits no more goes nowhere, and stays."""
    operator.sees("#target", "first waits no more: nothing is sent")
    peer.say(b"second\n")
    operator.talk(peer).get_by_text("1 waits").wait_for()
    operator.sees("#target", "first waits no more: nothing is sent")
    operator.page.press("#line", "Enter")
    operator.sees("#hint", "That line waits no more: it was not sent")
    assert operator.line == "typed for the first"
    operator.sees("#target", re.compile("^Enter answers second; in .* s the script does$"))
    operator.page.press("#line", "Enter")
    operator.sees("#hint", re.compile("^That was typed for something else: not sent"))
    operator.page.press("#line", "Enter")
    assert peer.line() == b"typed for the first\n"
    operator.sees("#hint", re.compile("was answered"))
    assert operator.line == ""


def test_the_script_answers_while_somebody_types(operator, peer):
    hold(operator, peer, 600)
    peer.say(b"first\n")
    operator.sees("#send", "Answer")
    operator.page.fill("#line", "typed for the first")
    operator.page.click("#release")
    assert peer.line() == b"502 unknown\n"
    operator.page.click("#hold [type=submit]")
    operator.last("note", re.compile("held: each line waits 600 s"))
    too_late(operator, peer)


def test_another_operator_answers_while_somebody_types(operator, peer, service):
    hold(operator, peer, 600)
    peer.say(b"first\n")
    operator.sees("#send", "Answer")
    operator.page.fill("#line", "typed for the first")
    id = int(operator.find("#title").inner_text().split()[0])
    told = http(service.web, "POST", "answer", body={"id": id, "line": 1, "text": "theirs"})
    assert told == (200, {"ok": True, "data": [{"id": id, "answered": True, "line": 1}]})
    assert peer.line() == b"theirs\n"
    too_late(operator, peer)


def test_a_line_that_comes_while_somebody_types(operator, peer):
    hold(operator, peer, 600)
    operator.page.fill("#line", "for nobody")
    peer.say(b"first\n")
    operator.talk(peer).get_by_text("1 waits").wait_for()
    operator.sees("#target", re.compile("unasked: no line waited when you began to type"))
    operator.page.press("#line", "Enter")
    operator.sees("#hint", "A line has begun to wait meanwhile: it was not sent")
    operator.sees("#target", re.compile("^Enter answers first"))
    operator.page.press("#line", "Enter")
    operator.sees("#hint", re.compile("^That was typed for something else: not sent"))
    operator.page.press("#line", "Enter")
    assert peer.line() == b"for nobody\n"


def test_enter_twice_says_it_once(visit, peer):
    held = []

    def pass_on(socket):
        server = socket.connect_to_server()
        hold = held.append  # the answers to what is said, until the test lets them pass

        def from_server(line):
            is_answer = "answered" in line or (held and line == "OK")
            hold(line) if is_answer else socket.send(line)

        server.on_message(from_server)

    visit.page.route_web_socket(re.compile("^ws:"), pass_on)
    visit.page.reload()
    visit.enter()
    visit.choose(peer)
    visit.page.fill("#line", "once")
    visit.page.press("#line", "Enter")
    assert peer.line() == b"once\n"
    visit.page.press("#line", "Enter")
    assert peer.ask(b"and then?\n") == b"502 unknown\n"  # and not the same again
    visit.last("sent", "502 unknown")
    assert peer.ask(b"and then?\n") == b"502 unknown\n"
    assert [line for line in held if line != "OK"] == held[:1]


def test_a_conversation_that_is_closing(operator, peer):
    hold(operator, peer, 600)
    operator.page.click("#close")
    operator.sees("#title", re.compile("closing"))
    operator.last("note", re.compile("it is closing"))
    operator.sees("#target", "This one is closing.")
    operator.page.fill("#line", "a word")
    operator.page.press("#line", "Enter")
    operator.sees("#hint", "This one is closing.")
    assert operator.find("#release").is_disabled()
    assert peer.rest() == b""


def test_to_say_it_to_all(operator, peer, service):
    with Client(service.port) as other:
        other.line()
        operator.talk(other).wait_for()
        operator.page.fill("#line", "closing soon")
        operator.page.click("#all")
        assert peer.line() == other.line() == b"closing soon\n"
        operator.sees("#hint", re.compile(r"^Said to \d conversations"))
        operator.say("")
        operator.sees("#hint", "Choose a conversation, or say it to all.")


def test_missed_events_are_told(visit, peer):
    sockets = []

    def pass_on(socket):
        socket.connect_to_server()
        sockets.append(socket)

    visit.page.route_web_socket(re.compile("^ws:"), pass_on)
    visit.page.reload()
    visit.enter()
    visit.choose(peer)
    visit.last("sent", "220 ready")
    sockets[0].send('EVENT {"event":"opened","id":900,"peer":"nobody","who":""}')
    visit.find("#talks li").get_by_text("nobody").wait_for()
    sockets[0].send('EVENT {"missed":12}')
    visit.find("#talks li").get_by_text("nobody").wait_for(state="detached")  # it asked again
    visit.last("trouble", re.compile("^12 events missed"))
    peer.ask(b"and it goes on\n")
    visit.last("sent", "502 unknown")


def test_what_peers_say_is_text(operator, peer):
    operator.choose(peer)
    for line in MARKUP:
        peer.ask(f"{line}\n".encode())
    operator.sees(".row:nth-last-child(2) bdi", MARKUP[-1])
    operator.page.click("#hold [type=submit]")
    operator.last("note", re.compile("held"))
    for line in MARKUP[:2]:
        peer.say(f"{line}\n".encode())
        operator.sees("#target bdi", line)
        operator.talk(peer).get_by_text(line).wait_for()
        operator.say(line)
        assert peer.line().decode() == f"{line}\n"
        operator.last("hand", line)
    assert operator.run("window.hacked") is None
    assert operator.find("main :is(img, script, iframe, a)").count() == 0


def test_the_service_restarts(operator, service, peer):
    operator.choose(peer)
    operator.page.fill("#line", "a draft")
    service.program.tell(signal.SIGKILL)
    operator.sees("#status", re.compile("trying again"))
    operator.last("trouble", re.compile("what was held is released"))
    operator.sees("#target", "Not connected: nothing can be said now.")
    operator.page.press("#line", "Enter")
    operator.sees("#hint", "Not connected: it was not sent")
    assert operator.line == "a draft"
    service.program.wait()
    operator.page.click("#connect")
    service.__init__(service.folder, service.web)
    with Client(service.port) as new:
        new.line()
        operator.run("dispatchEvent(new Event('online'))")  # so that it is tried now
        operator.sees("#status", "1 conversation")
        operator.sees("#title", "No conversation is chosen")  # another has its number
        operator.choose(new)
        operator.last("sent", "220 ready")
        operator.page.press("#line", "Enter")
        assert new.line() == b"a draft\n"
    operator.forgive("ERR_CONNECTION_REFUSED|WebSocket connection to")
