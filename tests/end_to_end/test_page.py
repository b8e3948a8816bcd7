"""The page at `/`, as a person with a browser finds it: a headless Chromium and a real server.

Playwright's own loop runs while a test waits for the browser; the server is another process. So
nothing here may need the reactor. Every test fails on an error in the browser's console, on what
the Content-Security-Policy forbids, and on a request to anywhere but the server.
"""

import re
from contextlib import ExitStack
from urllib.request import urlopen

import pytest

from .browsing import MARKUP, Person
from .programs import PATIENCE, Server, script

PLUG = '''
from twisted.internet import reactor
from twisted_sock import LineProtocol

everybody = set()

class Talk(LineProtocol):
    """Does what it is told; what is no order is echoed."""

    def lineReceived(self, line):
        word, _, rest = line.partition(" ")
        order = getattr(self, f"do_{word}", None)
        return order(rest) if order else line

    def do_count(self, number):
        return (f"number {n}" for n in range(int(number)))

    def do_push(self, text):
        reactor.callLater(0, self.sendLine, text)

    def do_nothing(self, _):
        return None

    def connectionMade(self):
        everybody.add(self)

    def connectionLost(self, reason):
        everybody.discard(self)

    def do_all(self, text):
        for each in everybody:
            each.sendLine(text)

    def do_quit(self, _):
        self.close()

    def do_long(self, length):
        return "x" * int(length)

    def do_hostile(self, _):
        return chr(0x1b) * 10000 + ("a" + chr(0x202e)) * 5000

    def do_escapes(self, text):
        return "".join(chr(int(each, 16)) for each in text.split())
'''

#: Milliseconds without an animation frame that count as frozen; 300 is usual, at worst.
FREEZE = 2000

PHONE = {"width": 360, "height": 640}

#: Keeps the longest time between two animation frames.
FRAMES = """() => {
    window.longest = 0;
    let last = performance.now();
    const frame = (now) => {
        window.longest = Math.max(window.longest, now - last);
        last = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""

#: The row at the top of the log, and where it is.
AT_THE_TOP = """() => {
    const { left, top } = document.querySelector("#log").getBoundingClientRect();
    const row = document.elementFromPoint(left + 200, top + 20).closest(".row");
    return [row.textContent, row.getBoundingClientRect().top];
}"""


def start(folder, port=0, options=()):
    """A server with `Talk` behind the page."""
    (folder / "talk_plug.py").write_text(PLUG)
    options = ["--port", f"ws:{port}", "--protocol", "talk_plug.Talk", *options]
    server = Server([*script("twistd"), "-n", "--pidfile=", "sockservice", *options], folder)
    server.wait_until_it_listens()
    return server


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    server = start(tmp_path_factory.mktemp("site"))
    yield server
    server.reap()


def post(host, lines):
    """Say something in a conversation besides."""
    with urlopen(f"http://{host}/line", lines.encode(), timeout=PATIENCE) as answer:
        answer.read()


@pytest.fixture
def visit(browser, site):
    """Open the page as somebody: `visit(viewport=..., ...)` as for a context of Playwright."""
    with ExitStack() as stack:

        def open_page(port=site.port, waits=True, **more):
            context = stack.enter_context(browser.new_context(**more))
            return stack.enter_context(Person(context, port, waits))

        yield open_page


@pytest.fixture(scope="module")
def context(browser):
    """What most visits share, as that is quicker."""
    with browser.new_context() as made:
        yield made


@pytest.fixture
def person(context, site):
    """Somebody with the page before them."""
    with Person(context, site.port) as somebody:
        yield somebody


def test_a_line_is_answered_and_its_time_is_told(person):
    person.say("hello")
    person.last("got", "hello")
    assert re.fullmatch(r"[\d.]+ m?s", person.find(".got .latency").inner_text())
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", person.find(".got time").inner_text())
    assert person.line == ""
    person.page.click("#times")
    assert not person.find(".got time").is_visible()


def test_times_are_honest(person):
    person.say("push nobody asked")  # the order itself is never answered
    person.last("got", "nobody asked")
    person.say("count 2")
    person.last("got", "number 1")
    rows = person.find(".got")
    assert rows.nth(1).locator(".latency").count() == 1
    assert rows.nth(2).locator(".latency").count() == 0  # one line is one answer
    person.say("hello")
    person.last("got", "hello")
    assert person.find(".row:last-child .latency").inner_text().startswith("≈ ")
    assert "probably" in person.find(".row:last-child .latency").get_attribute("title")


def test_what_a_server_says_by_itself_is_no_certain_answer(person):
    post(person.host, "all one\nall two\n")
    person.last("got", "two")
    person.say("all three")
    person.last("got", "three")
    assert person.find(".row:last-child .latency").inner_text().startswith("≈ ")


def test_chinese_is_typed_with_an_input_method(person):
    person.page.focus("#line")
    typing = person.context.new_cdp_session(person.page)
    composed = {"text": "ni hao", "selectionStart": 6, "selectionEnd": 6}
    typing.send("Input.imeSetComposition", composed)
    passed_on = person.run(
        "document.querySelector('#line').dispatchEvent(new KeyboardEvent('keydown',"
        "{key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
    )
    assert passed_on  # this Enter chooses a word
    typing.send("Input.insertText", {"text": "你好，世界"})
    assert person.find(".sent").count() == 0
    person.press("Enter")
    person.last("got", "你好，世界")


def test_several_lines_are_several_messages(person):
    person.page.focus("#line")
    person.page.keyboard.type("one")
    person.press("Shift+Enter")
    person.page.keyboard.type("two")
    person.sees("#send", "Send 2 lines")
    person.press("Enter")
    person.last("got", "two")
    assert person.find(".sent bdi").all_inner_texts() == ["one", "two"]
    person.page.fill("#line", "three\nfour\n")  # as when pasted
    person.page.click("#send")
    person.last("got", "four")
    assert person.find(".got").count() == 4
    person.say("")
    person.last("got", "empty line")


def test_lines_typed_before_come_back(person):
    for line in ("first", "second", "third\nmore"):
        person.say(line)
    person.last("got", "more")
    person.page.keyboard.type("draft")
    seen = []
    for key in ["ArrowUp"] * 4 + ["ArrowDown"]:
        person.press(key)
        seen.append(person.line)
    assert seen == ["third\nmore", "second", "first", "first", "second"]
    person.press("Escape")
    assert person.line == "draft"
    person.page.reload()
    person.sees("#status", "connected")
    person.press("ArrowUp", "ArrowUp")
    assert person.line == "second"
    person.page.click("#help")
    person.page.uncheck("#remember")
    assert person.run("sessionStorage.getItem('twisted_sock.typed')") is None


def test_the_filter(person):
    person.say("apple\nbanana\nERR cherry\n1234")
    person.last("got", "1234")
    person.page.keyboard.press("Control+/")
    assert person.focus == "filter"
    person.page.keyboard.type("AN")
    person.sees("#matches", "2 of 9")
    person.sees("#rows", re.compile("banana.*banana"))
    person.page.fill("#filter", r"/^\d+$|^E/")
    person.sees("#matches", "4 of 9")
    person.page.fill("#filter", "/(/")
    person.sees("#matches", "not a regular expression")
    person.page.fill("#filter", "nowhere")
    person.sees("#nothing", "Nothing matches the filter.")
    person.press("Escape")
    person.sees("#matches", "")
    assert person.focus == "line"
    assert person.find(".row").count() == 9


def test_a_filter_that_would_take_for_ever_does_not_stop_the_page(person):
    person.say("a" * 60 + "!")
    person.last("got", "a" * 60 + "!")
    person.page.fill("#filter", "/^(a+)+$/")
    person.say("still here")
    person.sees("#matches", "takes too long")
    person.page.fill("#filter", "/here$/")
    person.sees("#matches", "2 of 5")


def test_a_full_server_is_told_once(visit, tmp_path, at_the_end):
    server = start(tmp_path, options=["--max-connections", "1"])
    at_the_end.callback(server.reap)
    somebody = visit(server.port)
    other = visit(server.port, waits=False)
    other.sees("#status", re.compile("trying again"))
    for _ in range(2):
        other.page.click("#connect")
        other.sees("#status", re.compile("trying again"))
    rows = other.find(".row").all_inner_texts()
    assert len(rows) == 1
    assert "the server has too much to do" in rows[0]
    somebody.say("quit")
    other.page.click("#connect")
    other.sees("#status", "connected")
    other.say("hello")
    other.last("got", "hello")


def test_the_log_is_copied_saved_and_cleared(visit):
    person = visit(permissions=["clipboard-read", "clipboard-write"])
    person.say("grüße\nescapes 1b 202e 61")
    person.last("got", "⟨U+001B⟩⟨U+202E⟩a")
    person.page.click("#copy")
    person.sees("#copy", "Done")
    copied = person.run("navigator.clipboard.readText()")
    saved = person.saved()
    assert re.fullmatch(r"127\.0\.0\.1_\d+-\d{4}-\d\d-\d\d-\d{6}\.txt", person.name)
    assert saved == copied
    time_and = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d "
    assert re.sub(rf"(?m)^{time_and}", "", saved) == (
        f"-- connected to ws://{person.host}/\n"
        "-> grüße\n-> escapes 1b 202e 61\n<- grüße\n<- ⟨U+001B⟩⟨U+202E⟩a\n"
    )
    person.page.fill("#filter", "grüße")
    person.sees("#matches", "2 of 5")
    assert person.saved().count("\n") == 2  # what is shown
    person.page.click("#clear")
    person.sees("#matches", "0 of 0")


def test_ten_thousand_lines_do_not_freeze_it(person):
    person.run(FRAMES)
    person.say("count 10000")
    person.page.keyboard.type("typed meanwhile")
    person.last("got", "number 9999")
    assert person.line == "typed meanwhile"
    assert person.run("window.longest") < FREEZE
    assert person.find(".row").count() == 5000
    assert person.saved().count("<- number ") == 10_000
    assert len(person.find("#announcer").inner_text()) < 1000


def test_who_reads_further_up_is_not_disturbed(person):
    person.say("count 200")
    person.last("got", "number 199")
    person.page.focus("#line")
    person.press("PageUp")
    person.sees("#newest", "Newest ↓")
    before = person.run(AT_THE_TOP)
    post(person.host, "all news\nall more")
    person.sees("#newest", "2 new lines ↓")
    assert person.run(AT_THE_TOP) == before
    person.press("Control+End")
    person.until("document.querySelector('#newest').hidden")
    person.press("PageUp")
    person.sees("#newest", "Newest ↓")
    person.say("hello")  # who sends wants to see the answer
    person.last("got", "hello")
    person.until("document.querySelector('#newest').hidden")


def test_long_lines_are_folded(person):
    person.say("long 5000")
    person.sees(".fold", "show all 5,000 characters")
    assert len(person.find(".got bdi").inner_text()) == 500
    person.page.click(".fold")
    assert len(person.find(".got bdi").inner_text()) == 5000
    person.press("Enter")  # it has the focus still
    assert len(person.find(".got bdi").inner_text()) == 500
    person.page.click("#clear")
    person.say("hostile")
    person.sees(".fold", "show all 20,000 characters")
    person.run(FRAMES)
    person.page.click(".fold")
    assert person.find(".got bdi").inner_text().count("⟨") == 15_000
    assert person.run("window.longest") < FREEZE


def test_a_line_that_is_too_long_is_told(person):
    person.page.fill("#line", "x" * 70_000)
    person.press("Enter")
    person.until("document.querySelector('.problem, .trouble')")
    assert re.search("too.long", person.find(".problem, .trouble").first.inner_text())


def test_markup_is_text(person):
    for line in MARKUP:
        person.say(line)
        person.last("got", line)
    assert person.run("window.hacked") is None
    assert person.find("#log :is(img, script, iframe, style, a, svg)").count() == 0


def test_what_cannot_be_seen_is_shown(person):
    for code in ("0", "7", "1b", "7f", "9b", "200b", "200f", "202e", "2067", "2028", "feff"):
        person.say(f"escapes 61 {code} 62")
        person.last("got", f"a⟨U+{code.upper():0>4}⟩b")
        assert person.find(".row:last-child .escape").count() == 1
    person.say("سلام 123 שלום")
    person.last("got", "سلام 123 שלום")
    style = "getComputedStyle(document.querySelector('.row:last-child bdi')).unicodeBidi"
    assert person.run(style) == "isolate"
    person.say("tab\there")
    person.last("got", "tab\there")


def test_the_server_ends_the_conversation(person):
    person.say("quit")
    person.sees("#status", "not connected")
    person.sees("#rows", re.compile(r"the server ended the conversation \(1000"))
    person.say("hello?")
    person.sees("#hint", "Not connected: nothing was sent.")
    assert person.line == "hello?"
    person.page.click("#connect")
    person.sees("#status", "connected")
    person.page.click("#connect")
    person.sees("#status", "not connected")


def test_a_server_that_restarts_is_found_again(visit, tmp_path, at_the_end):
    server = start(tmp_path)
    at_the_end.callback(server.reap)
    person = visit(server.port)
    person.say("nothing")
    server.stop()
    person.sees("#status", re.compile(r"trying again in \d+ s|connecting"))
    person.sees("#rows", re.compile(r"the server went away \(1001.*1 line had no answer yet"))
    person.sees("#stop", "Stop")
    again = start(tmp_path, server.port)
    at_the_end.callback(again.reap)
    person.run("dispatchEvent(new Event('online'))")
    person.sees("#status", "connected")
    person.say("hello")
    person.last("got", "hello")
    again.tell(9)
    person.sees("#connect", "Try now")
    person.page.click("#stop")
    person.sees("#status", "not connected")
    person.forgive("ERR_CONNECTION_REFUSED")


def test_a_keyboard_is_enough(person):
    assert person.focus == "line"
    reached = []
    for _ in range(11):
        person.press("Tab")
        reached.append(person.focus)
    assert [each for each in reached if each][:8] == [
        "send", "connect", "theme", "help", "filter", "times", "copy", "save",
    ]  # fmt: skip
    person.page.focus("#help")
    person.press("Enter")
    assert person.find("#dialog").is_visible()
    assert person.focus == "close"
    person.press("Escape")
    assert not person.find("#dialog").is_visible()
    person.page.focus("#log")
    person.press("Escape")
    assert person.focus == "line"


def test_it_can_be_listened_to(person):
    person.say("hello")
    person.until("document.querySelector('#announcer').textContent.includes('hello')")
    person.page.fill("#filter", "hello")
    person.until("document.querySelector('#announcer').textContent.includes('2 of 3 match')")
    unnamed = person.run(
        "[...document.querySelectorAll('button, input, textarea')].filter((each) =>"
        " !each.labels?.length && !each.ariaLabel && !each.textContent.trim()).length"
    )
    assert unnamed == 0
    assert person.find("[role=log] .sent [aria-label=sent]").count() == 1


def test_light_and_dark(visit):
    person = visit(color_scheme="dark")
    assert is_dark(person)
    person.page.click("#theme")
    assert not is_dark(person)
    person.page.reload()
    person.sees("#status", "connected")
    assert not is_dark(person)
    person.page.click("#theme")
    assert is_dark(person)
    person.page.click("#theme")  # as the system has it
    person.page.emulate_media(color_scheme="light", reduced_motion="reduce")
    assert not is_dark(person)
    person.run("document.querySelector('#status').dataset.state = 'connecting'")
    assert person.run("document.getAnimations().length") == 0


def is_dark(person):
    background = person.run("getComputedStyle(document.documentElement).backgroundColor")
    return sum(map(int, re.findall(r"\d+", background))) < 200


def test_on_a_phone(visit):
    person = visit(viewport=PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)
    person.say("a" * 300 + "\nlong 600\nescapes " + "202e " * 100)
    person.until("document.querySelectorAll('.got').length === 3")
    for width in (360, 320):
        person.page.set_viewport_size(PHONE | {"width": width})
        assert person.run("document.documentElement.scrollWidth") <= width
        assert person.run("document.querySelector('#log').scrollWidth") <= width
        for each in person.find("button:visible, textarea").all():
            box = each.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= PHONE["height"]
    size = "parseFloat(getComputedStyle(document.querySelector('#line')).fontSize)"
    assert person.run(size) >= 16  # px; iOS zooms in on less
