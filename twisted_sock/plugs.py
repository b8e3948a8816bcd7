r"""Line protocols by name: what `--protocol` takes, and how other packages offer theirs.

A plug string names a line protocol and its options, in the style of Twisted's endpoint strings::

    echo
    console:once=yes
    mypkg.mod.handle            a function of one line
    mypkg.mod.Chat:history=200  a LineProtocol or LineApplication; options go to its __init__

A colon in a value is written `\:`. A name is looked for among the packaged plugs, then among
those of other installed packages; a dotted path is imported.

A package offers a plug by naming it in a module under `twisted/plugins/`::

    from twisted_sock.plugs import LinePlug

    shout = LinePlug("shout", "Answers in capitals.", "shout.answer")
"""

from __future__ import annotations

import builtins
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from twisted.plugin import IPlugin, getPlugins
from zope.interface import implementer

from twisted_sock import strings
from twisted_sock.display import one_line
from twisted_sock.errors import PlugError
from twisted_sock.interfaces import ILinePlug, LineApplication, LineFunction
from twisted_sock.protocols import PROTOCOLS
from twisted_sock.server import Handler

BOOLEANS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}

#: How an option becomes what its annotation names, and what it must be, in words.
KINDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "bool": ("yes or no", lambda text: BOOLEANS[text.lower()]),
    "int": ("a whole number", int),
    "float": ("a number", float),
}


@implementer(IPlugin, ILinePlug)
@dataclass(frozen=True)
class LinePlug:
    """A line protocol that a package offers by name.

    Args:
        name: what `--protocol` calls it.
        summary: one line for `--help-protocols`.
        target: the dotted path of a function of one line, a `LineProtocol` subclass or a
            `LineApplication` class. It is imported only when it is used.
    """

    name: str
    summary: str
    target: str


def load(plug: str) -> Handler:
    """What a plug string stands for, ready for a `LineFactory`.

    Args:
        plug: see the head of this module.

    Raises:
        PlugError: it stands for nothing, cannot be imported, or cannot be used.
    """
    try:
        name, arguments, texts = strings.parse(plug)
    except ValueError as error:
        raise PlugError(str(error)) from None
    options = {key.replace("-", "_"): text for key, text in texts.items()}
    if not name:
        raise PlugError("no protocol is named; --help-protocols lists them")
    target = _import(_path(name))
    if not callable(target):
        kind = type(target).__name__
        raise PlugError(f"{name} is a {kind}, not a function or a class")
    if not isinstance(target, type):
        if arguments or options:
            raise PlugError(f"{name} is a function and takes no options")
        return cast(LineFunction, target)
    return _configured(name, target, arguments, options)


def describe() -> Iterator[tuple[str, str]]:
    """Every plug that can be named: the name with its options, and what it does."""
    known = {name: (target, "") for name, target in PROTOCOLS.items()}
    known.update({plug.name: (plug.target, plug.summary) for plug in getPlugins(ILinePlug)})
    for name, (path, summary) in sorted(known.items()):
        try:
            target = _import(path)
        except PlugError as error:
            yield name, f"cannot be used: {error}"
            continue
        yield name + _usage(target), summary or (inspect.getdoc(target) or "").split("\n")[0]


def _path(name: str) -> str:
    """The dotted path that a name stands for."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    for plug in getPlugins(ILinePlug):
        if plug.name == name:
            return str(plug.target)
    if "." not in name:
        raise PlugError(f"no protocol is called {name}; --help-protocols lists them")
    return name


def _import(path: str) -> Any:
    """The object at a dotted path; a path that begins in no module begins in the builtins.

    Raises:
        PlugError: there is none, or its module does not import.
    """
    parts = path.split(".")
    if not all(part.isidentifier() for part in parts):
        raise PlugError(f"{path} is not a dotted path")
    found: Any = builtins
    rest = parts
    for size in range(1, len(parts) + 1):
        module = ".".join(parts[:size])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}."):
                raise _broken(module, error) from error
            break
        except (Exception, SystemExit) as error:
            raise _broken(module, error) from error
        rest = parts[size:]
        if not hasattr(found, "__path__"):
            break
    for part in rest:
        try:
            found = getattr(found, part)
        except AttributeError:
            if found is builtins:
                raise PlugError(f"there is no module {part}, looking for {path}") from None
            where = getattr(found, "__name__", repr(found))
            raise PlugError(f"{where} has no {part}, looking for {path}") from None
    return found


def _broken(module: str, error: BaseException) -> PlugError:
    words = one_line(f"{type(error).__name__}: {error}")
    return PlugError(f"{module} does not import: {words}")


def _configured(name: str, target: type, arguments: list[str], options: dict[str, str]) -> Handler:
    """A class with its options: a maker of line protocols, or one application."""
    per_conversation = hasattr(target, "lineReceived")
    if not per_conversation and not hasattr(target, "build_protocol"):
        raise PlugError(f"the class {name} has no lineReceived(line)")
    signature = inspect.signature(target)
    try:
        bound = signature.bind(*arguments, **options)
    except TypeError as error:
        raise PlugError(f"{name}: {error}; it is {name}{_usage(target)}") from None
    for key, text in bound.arguments.items():
        if isinstance(text, str):
            kind = signature.parameters[key].annotation
            bound.arguments[key] = _value(f"{name}: {key}", text, kind)
    made = functools.partial(target, *bound.args, **bound.kwargs)
    if per_conversation:
        return cast(Handler, made)
    try:
        application: LineApplication = made()
    except Exception as error:
        raise PlugError(f"{name}: {error}") from error
    return application


def _value(what: str, text: str, kind: Any) -> Any:
    """An option's text as the type that its parameter is annotated with, by itself or by name."""
    words, convert = KINDS.get(getattr(kind, "__name__", kind), ("text", str))
    try:
        return convert(text)
    except (KeyError, ValueError):
        raise PlugError(f"{what} must be {words}, not {text!r}") from None


def _usage(target: Any) -> str:
    """The options of a class, as they are written in a plug string."""
    if not isinstance(target, type):
        return ""
    usage = ""
    for key, parameter in inspect.signature(target).parameters.items():
        default = parameter.default
        if isinstance(default, bool):
            default = "yes" if default else "no"
        elif default is None:
            default = ""
        usage += f":{key}" if default is parameter.empty else f":{key}={default}"
    return usage
