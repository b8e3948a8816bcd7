"""Who may import whom: arrows point down, and files of one folder do not know each other."""

import ast
import fnmatch
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

import twisted_sock

PACKAGE = "twisted_sock"
ROOT = Path(twisted_sock.__file__).parent

BOTTOM = "errors metrics display"
LINES = f"{BOTTOM} settings interfaces deadlines openings framing"
TALK = f"{LINES} many protocol incidents replies"
ASKED = (
    "client/retry client/events client/outbox client/pushes client/requests client/heartbeat "
    "client/outlet"
)
TRANSPORTS = (
    "transports/__init__ transports/layers transports/tls transports/proxy "
    "transports/stream transports/websocket transports/websocket_client transports/http "
    "transports/tcp transports/unix_socket transports/unix "
    "transports/udp transports/*"
)
EXCHANGED = "http/answers http/head http/chunks http/closing"
HTTP = f"http/__init__ {EXCHANGED} http/access http/pages http/exchange http/channel"
SERVING = f"{TALK} session {TRANSPORTS} server"
LOADED = "bench/plan bench/histogram bench/workload bench/tally"
READY = "script/model script/pattern script/template script/matching"
PLUGGED = f"{SERVING} protocols/__init__ plugs"

#: What each file may import of the package; every row names only rows above it.
MAY_IMPORT = {
    "errors": "",
    "metrics": "",
    "display": "",
    "settings": BOTTOM,
    "strings": "",
    "trust": "",
    "forwarded": "trust",
    "proxy_header": "trust",
    "deadlines": BOTTOM,
    "openings": "settings deadlines",
    "framing": f"{BOTTOM} settings",
    "foreign": "errors framing",
    "interfaces": f"{BOTTOM} settings deadlines openings framing",
    "many": LINES,
    "protocol": LINES,
    "incidents": LINES,
    "replies": f"{LINES} incidents",
    "session": TALK,
    "script/__init__": "",
    "script/model": BOTTOM,
    "script/captured": "",
    "script/regex_text": "",
    "script/template": "errors script/model script/captured",
    "script/pattern": "errors script/captured script/regex_text",
    "script/keys": "script/model",
    "script/places": "",
    "script/mistakes": f"{BOTTOM} script/keys script/places",
    "script/building": (
        f"{BOTTOM} script/model script/template script/pattern script/keys script/mistakes"
    ),
    "script/reading": (f"{BOTTOM} script/model script/places script/mistakes script/building"),
    "script/schema": "script/model script/keys",
    "script/doubts": "script/model",
    "script/writing": "display script/model",
    "script/matching": (f"{LINES} script/model script/captured script/regex_text script/pattern"),
    "script/fault_rules": "script/model script/matching",
    "script/fault_book": f"{LINES} script/model script/fault_rules",
    "script/fault_bytes": "",
    "script/fault_told": LINES,
    "script/fault_acts": (f"{LINES} script/fault_bytes script/fault_rules script/fault_told"),
    "script/fault_ways": "script/fault_acts script/fault_rules script/fault_told",
    "script/faults": (
        f"{LINES} script/model script/fault_rules script/fault_book script/fault_told "
        "script/fault_acts script/fault_ways"
    ),
    "script/index": "script/matching",
    "script/report": f"{BOTTOM} script/model",
    "script/answering": f"script/captured script/regex_text {READY}",
    "script/cues": f"{LINES} {READY} script/index script/answering",
    "script/pushing": "script/template script/cues",
    "script/player": (
        f"{LINES} many protocol script/captured {READY} script/cues script/pushing script/faults"
    ),
    "script/playing": (
        f"{LINES} script/model script/reading script/report script/cues script/pushing "
        "script/faults script/player"
    ),
    "script/saving": "",
    "script/exchanges": "",
    "script/masking": "errors script/pattern",
    "script/phrasing": "script/model script/masking",
    "script/agreeing": "script/exchanges",
    "script/composing": "script/model script/exchanges script/agreeing script/phrasing",
    "script/recording": "script/model script/exchanges script/masking script/composing",
    "script/keeping": (
        "script/model script/reading script/recording script/saving script/writing"
    ),
    "protocols/__init__": "",
    "bus/__init__": "",
    "bus/*": TALK,
    "transports/__init__": "",
    "poller": "",
    "transports/layers": LINES,
    "transports/tcp": "poller",
    "transports/unix_socket": BOTTOM,
    "transports/unix": f"{LINES} transports/tcp transports/layers transports/unix_socket",
    "tls/__init__": "",
    "tls/certificates": LINES,
    "tls/issuing": "errors display",
    "tls/words": "",
    "tls/turnstile": "",
    "tls/contexts": f"{LINES} tls/certificates tls/words",
    "transports/tls": (
        f"{LINES} transports/layers tls/certificates tls/words tls/contexts tls/turnstile"
    ),
    "transports/proxy": f"{LINES} trust proxy_header transports/layers",
    "transports/wire": LINES,
    "transports/stream": f"{LINES} foreign transports/wire",
    "websocket/__init__": "",
    "websocket/frames": "errors",
    "websocket/messages": "framing settings",
    "websocket/framing": "errors framing settings websocket/frames websocket/messages",
    "websocket/handshake": "errors settings",
    "transports/websocket": (
        f"{LINES} websocket/frames websocket/framing websocket/handshake transports/stream"
    ),
    "websocket/client_lines": LINES,
    "websocket/client_transport": f"{LINES} websocket/client_lines",
    "websocket/refusals": LINES,
    "transports/websocket_client": (
        f"{LINES} websocket/client_lines websocket/client_transport websocket/refusals"
    ),
    "transports/http": f"{LINES} transports/stream",
    "udp/__init__": "",
    "udp/credit": "",
    "udp/lines": LINES,
    "udp/output": f"{LINES} udp/credit udp/lines",
    "udp/peer": (f"{LINES} transports/wire udp/lines udp/output"),
    "udp/table": (f"{LINES} udp/credit udp/lines udp/output udp/peer"),
    "transports/udp": f"{LINES} udp/table",
    "transports/*": LINES,
    "fast_reactor": "poller transports/tcp transports/unix",
    "server": f"{TALK} session {TRANSPORTS}",
    "listening": f"{BOTTOM} server",
    "memory": "",
    "client/__init__": "",
    "client/retry": "settings",
    "client/events": f"{BOTTOM} interfaces",
    "client/outbox": "errors",
    "client/pushes": "",
    "client/requests": "errors",
    "client/heartbeat": "metrics settings client/requests",
    "client/outlet": "interfaces session",
    "client/connection": f"{TALK} session {ASKED}",
    "client/asking": f"{LINES} {ASKED} client/connection",
    "client/caller": f"{TALK} session {TRANSPORTS} {ASKED} client/connection client/asking",
    "client/reconnecting": f"{TRANSPORTS} client/events client/caller",
    "plugs": f"{SERVING} strings protocols/__init__",
    "http/__init__": "",
    "http/answers": "",
    "http/head": "http/answers",
    "http/chunks": "http/answers http/head",
    "http/access": "errors http/answers",
    "http/pages": "http/answers",
    "http/closing": LINES,
    "http/exchange": f"{LINES} transports/http http/answers http/head",
    "http/channel": f"{LINES} transports/layers transports/http {EXCHANGED} http/exchange",
    "web": f"{LINES} {TRANSPORTS} forwarded trust {HTTP}",
    "systemd": f"{BOTTOM} transports/unix",
    "operator/__init__": "",
    "operator/telling": "",
    "operator/history": "",
    "operator/lessons": "",
    "operator/waiting": "",
    "operator/talk": (
        f"{TALK} session operator/history operator/lessons operator/telling operator/waiting"
    ),
    "operator/hub": f"{TALK} session operator/lessons operator/talk operator/telling",
    "operator/tapped": LINES,
    "operator/tap": f"{TALK} session server operator/talk operator/hub operator/tapped",
    "operator/syntax": "display",
    "operator/door": LINES,
    "operator/saving": (
        "errors script/model script/reading script/saving script/writing operator/lessons"
    ),
    "operator/given": "operator/syntax",
    "operator/naming": "operator/talk operator/waiting operator/given operator/syntax",
    "operator/commands": (
        f"{LINES} script/model script/reading operator/history operator/talk operator/hub "
        "operator/given operator/naming operator/saving operator/syntax"
    ),
    "operator/control": (
        f"{TALK} operator/telling operator/door operator/commands operator/naming operator/syntax"
    ),
    "operator/pages": f"{LINES} {HTTP} operator/door operator/commands operator/syntax",
    "operator/serving": (
        f"{SERVING} strings {HTTP} operator/hub operator/tap operator/door operator/commands "
        "operator/control operator/pages"
    ),
    "listeners": f"{SERVING} strings web systemd listening",
    "mocking": "errors script/model script/reading",
    "mock_server": f"{SERVING} script/model script/playing listeners mocking",
    "mock_process": "errors settings script/model mocking mock_server",
    "testing": (
        f"{TALK} session {TRANSPORTS} server memory script/saving tls/issuing mock_server "
        "mock_process"
    ),
    "pytest_plugin": "mocking testing",
    "options": f"{PLUGGED} strings",
    "service": f"{PLUGGED} operator/serving options fast_reactor listening listeners systemd",
    "endpoints": f"{BOTTOM} strings fast_reactor {TRANSPORTS}",
    "crossed": "framing settings",
    "upstream": f"{LINES} crossed transports/stream",
    "passing": f"{LINES} upstream script/recording script/faults",
    "relay": (
        f"{LINES} protocol upstream passing script/recording script/faults script/fault_ways"
    ),
    "protocols/proxy": (
        f"{TALK} endpoints upstream passing relay script/model script/reading script/faults "
        "script/keeping script/recording script/saving"
    ),
    "protocols/mock": f"{TALK} {READY} script/reading script/cues script/playing",
    "protocols/*": TALK,
    "__init__": (
        f"{TALK} server client/requests client/reconnecting fast_reactor listening listeners "
        "endpoints"
    ),
    "cli/__init__": "",
    "cli/command": f"{BOTTOM} settings",
    "cli/showing": LINES,
    "cli/wire": "",
    "cli/link": f"{LINES} client/retry cli/wire",
    "cli/talking": f"{LINES} client/retry endpoints cli/command cli/link",
    "cli/terminal": f"{LINES} cli/command cli/link cli/showing cli/talking",
    "cli/editor": "cli/terminal",
    "cli/plain": f"{LINES} cli/terminal",
    "cli/pipe": f"{LINES} cli/command cli/wire cli/link cli/showing cli/talking",
    "cli/connect": (
        f"{LINES} endpoints cli/command cli/talking cli/pipe cli/terminal cli/editor cli/plain"
    ),
    "cli/send": f"{LINES} endpoints cli/command cli/talking",
    "cli/operating": f"{LINES} endpoints operator/door cli/command cli/link cli/talking",
    "cli/verify": "display cli/command cli/operating",
    "cli/piped": f"{LINES} cli/command cli/operating",
    "cli/aims": "display",
    "cli/told": "display cli/aims",
    "cli/typed": "cli/aims",
    "cli/attached": (
        f"{LINES} cli/command cli/operating cli/terminal cli/aims cli/told cli/typed"
    ),
    "cli/attach": "cli/command cli/connect cli/operating cli/piped cli/attached",
    "cli/completion": "cli/command",
    "cli/check": (f"{BOTTOM} cli/command script/model script/reading script/doubts script/schema"),
    "cli/main": f"{BOTTOM} cli/command",
    "cli/__main__": "cli/main",
    "bench/__init__": "",
    "bench/plan": "errors settings",
    "bench/histogram": "",
    "bench/workload": "errors",
    "bench/answers": "errors display bench/workload",
    "bench/tally": "bench/histogram",
    "bench/speakers": f"bench/answers {LOADED}",
    "bench/load": f"bench/answers bench/speakers {LOADED}",
    "bench/report": f"display {LOADED}",
    "bench/latency_chart": "bench/histogram bench/report",
    "bench/command": (
        f"{BOTTOM} settings cli/command endpoints {LOADED} bench/answers bench/load bench/report "
        "bench/latency_chart"
    ),
}

#: What is imported besides the standard library and Twisted, and by which files alone.
EXTRAS = {
    "pytest": {"pytest_plugin"},
    "pytest_twisted": {"pytest_plugin"},
    "prompt_toolkit": {"cli/editor"},
    "regex": {"script/pattern"},
    "websockets": {
        "transports/websocket_client",
        "websocket/client_lines",
        "websocket/frames",
        "websocket/framing",
        "websocket/handshake",
    },
    "OpenSSL": {"tls/contexts"},
    "cryptography": {"tls/certificates", "tls/issuing"},
}


def row(file):
    """The row of the table that a file belongs to."""
    return next((name for name in MAY_IMPORT if fnmatch.fnmatchcase(file, name)), None)


def files():
    """Every file of the package by its name here: `framing`, `protocols/echo`."""
    return {str(path.relative_to(ROOT).with_suffix("")): path for path in ROOT.rglob("*.py")}


def imports(file, node):
    """The dotted names that one statement imports, if it does."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        above = [PACKAGE, *file.split("/")][: -node.level] if node.level else []
        module = ".".join([*above, *filter(None, [node.module])])
        return [f"{module}.{alias.name}" for alias in node.names]
    return []


class Imported(NamedTuple):
    """The dotted names that a file imports: wherever in it, and when it is imported itself."""

    names: list[str]
    at_once: list[str]


def imported(file, source):
    """What a file with some source imports. (Trees are large: nothing keeps them.)"""
    tree = ast.parse(source)
    return Imported(
        [name for node in ast.walk(tree) for name in imports(file, node)],
        [name for node in at_import(tree) for name in imports(file, node)],
    )


@cache
def package():
    """What every file of the package imports."""
    return {file: imported(file, path.read_text("utf-8")) for file, path in files().items()}


def target(dotted, known):
    """The file of the package that a dotted name comes from."""
    parts = dotted.split(".")[1:]
    for size in range(len(parts), -1, -1):
        for file in ("/".join(parts[:size]), "/".join([*parts[:size], "__init__"])):
            if file in known:
                return file
    raise AssertionError(f"{dotted} is in no file")


def arrows(file, names, known):
    """The files of the package that a file imports."""
    ours = [name for name in names if name.split(".")[0] == PACKAGE]
    return {target(name, known) for name in ours} - {file}


def forbidden(file, names, known):
    """Which of its arrows a file may not have."""
    allowed = MAY_IMPORT[row(file)].split()
    return sorted(
        f"{file} -> {other}" for other in arrows(file, names, known) if row(other) not in allowed
    )


def at_import(tree):
    """The nodes that run when a module is imported: all but the insides of functions."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


class LayersTest(SynchronousTestCase):
    def setUp(self):
        self.files = package()

    def forbidden(self, file, source):
        return forbidden(file, imported(file, source).names, self.files)

    def test_every_file_has_a_row(self):
        self.assertEqual([file for file in self.files if row(file) is None], [])
        self.assertIn("framing", self.files)

    def test_the_table_points_down(self):
        seen = set()
        for name, allowed in MAY_IMPORT.items():
            self.assertEqual(set(allowed.split()) - seen, set(), name)
            seen.add(name)

    def test_no_arrow_points_up(self):
        for file, (names, _) in self.files.items():
            self.assertEqual(forbidden(file, names, self.files), [])

    def test_only_twisted_is_required(self):
        allowed = {*sys.stdlib_module_names, PACKAGE, "twisted", "zope"}
        for file, (names, _) in self.files.items():
            for name in names:
                top = name.split(".")[0]
                self.assertTrue(top in allowed or file in EXTRAS.get(top, ()), f"{file}: {name}")

    def test_the_lowest_know_only_the_standard_library(self):
        for file in BOTTOM.split():
            tops = {name.split(".")[0] for name in self.files[file].names}
            self.assertEqual(tops - set(sys.stdlib_module_names), set(), file)

    def test_framing_does_no_io(self):
        """It is pure: not even Twisted is there."""
        for file in ("framing", "settings"):
            tops = {name.split(".")[0] for name in self.files[file].names}
            self.assertEqual(tops - set(sys.stdlib_module_names), {PACKAGE}, file)

    def test_no_reactor_when_imported(self):
        for file, (_, at_once) in self.files.items():
            self.assertNotIn("twisted.internet.reactor", at_once, file)

    def test_no_reactor_is_installed(self):
        """Not through what is imported either, nor by the plugin that twistd loads."""
        plugin = "twisted.plugins.twisted_sock_plugin"
        modules = [plugin] + [
            ".".join([PACKAGE, *file.removesuffix("__init__").strip("/").split("/")]).strip(".")
            for file in self.files
            if not any(file in files for files in EXTRAS.values())
        ]
        program = (
            f"import sys, {', '.join(modules)}; print('twisted.internet.reactor' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT.parent,
        )
        self.assertEqual((done.stdout.strip(), done.stderr), ("False", ""))

    def test_upward_arrows_are_seen(self):
        for file, source in (
            ("framing", "import twisted_sock.server"),
            ("framing", "from twisted_sock import session"),
            ("framing", "from twisted_sock import LineFactory"),
            ("framing", "from . import session"),
            ("protocols/echo", "from ..server import LineFactory"),
            ("protocols/echo", "from .console import Console"),
            ("protocols/echo", "def late():\n    from twisted_sock.protocols import console"),
            ("settings", "from twisted_sock.framing import make_framer"),
            ("errors", "from twisted_sock.display import escape"),
            ("server", "if True:\n    from twisted_sock.plugs import load"),
        ):
            self.assertEqual(len(self.forbidden(file, source)), 1, (file, source))

    def test_downward_arrows_are_allowed(self):
        for file, source in (
            ("framing", "from twisted_sock.settings import LinePolicy"),
            ("framing", "from . import errors"),
            ("protocols/echo", "from ..protocol import LineProtocol"),
            ("plugs", "from twisted_sock.protocols import PROTOCOLS"),
            ("server", "import os, twisted.internet.defer"),
        ):
            self.assertEqual(self.forbidden(file, source), [], (file, source))
