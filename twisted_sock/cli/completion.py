"""`twisted-sock completion`: the completion script of a shell, made of the options there are.

The scripts are static: pressing Tab starts no Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.usage import UsageError

from twisted_sock.cli.command import COMMANDS, CommandOptions, Flag, Status, say

#: What an endpoint may begin with.
ENDPOINTS = "localhost: tcp: tls: unix:"


class Options(CommandOptions):
    """The command line of `twisted-sock completion`.

    Attributes:
        shell: the shell.
    """

    name = "completion"
    arguments = "bash|zsh"
    summary = "Prints a script that completes the command line of twisted-sock in a shell."
    examples = (
        'eval "$(twisted-sock completion bash)"    # in ~/.bashrc\n'
        'eval "$(twisted-sock completion zsh)"     # in ~/.zshrc, behind compinit'
    )

    def parseArgs(self, *shells: str) -> None:
        """For which shell."""
        if len(shells) != 1 or shells[0] not in SCRIPTS:
            raise UsageError("there is one argument, bash or zsh")
        self.shell = shells[0]


def run(reactor: Any, options: Options) -> Deferred[int]:
    """Print the script.

    Returns:
        Fires with the exit status.
    """
    say(script(options.shell), end="")
    return succeed(int(Status.DONE))


def script(shell: str) -> str:
    """The completion script.

    Args:
        shell: bash or zsh.
    """
    known = {name: import_module(module).Options() for name, (module, _) in COMMANDS.items()}
    return "\n".join(SCRIPTS[shell](known)) + "\n"


Known = Mapping[str, CommandOptions]


def _bash(known: Known) -> Iterator[str]:
    yield BASH_BEGIN.replace("COMMANDS", " ".join(known))
    yield '    case "$command $prev" in'
    for name, options in known.items():
        for flag in options.flags():
            if flag.meta:
                yield f'    "{name} --{flag.name}") {_bash_value(flag)} return ;;'
    yield "    esac"
    yield "    case $command in"
    for name, options in known.items():
        words = " ".join(f"--{flag.name}" for flag in options.flags())
        yield f'    {name}) flags="{words}" arguments="{_arguments(options)}" ;;'
    yield BASH_END


def _bash_value(flag: Flag) -> str:
    if flag.choices:
        return f'_twisted_sock_words "{" ".join(flag.choices)}";'
    return "_twisted_sock_files;" if flag.meta == "FILE" else ""


def _arguments(options: CommandOptions) -> str:
    """The words that the arguments of a command may be, or begin with."""
    if "ENDPOINT" in options.arguments:
        return ENDPOINTS
    return "FILE" if "FILE" in options.arguments else options.arguments.replace("|", " ")


BASH_BEGIN = """\
# Completes twisted-sock in bash:  eval "$(twisted-sock completion bash)"

_twisted_sock_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_twisted_sock_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

_twisted_sock() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local command=${COMP_WORDS[1]} before=${COMP_WORDS[COMP_CWORD-2]} flags arguments
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _twisted_sock_words "COMMANDS --help --version"
        return
    fi
    # Bash makes words of their own of = and of :
    if [[ $cur == [=:] ]]; then
        before=$prev prev=$cur cur=
    fi
    if [[ $prev == : && $before == unix ]]; then
        _twisted_sock_files
        return
    fi
    if [[ $prev == = ]]; then
        prev=$before
    fi"""

BASH_END = """\
    *) return ;;
    esac
    if [[ $cur == -* ]]; then
        _twisted_sock_words "$flags"
    elif [[ $arguments == FILE ]]; then
        _twisted_sock_files
    elif [[ $prev != : ]]; then
        _twisted_sock_words "$arguments"
        [[ ${COMPREPLY[0]} == *: ]] && compopt -o nospace 2>/dev/null
    fi
}

complete -F _twisted_sock twisted-sock"""


def _zsh(known: Known) -> Iterator[str]:
    yield ZSH_BEGIN
    yield "    commands=("
    for name, (_, summary) in COMMANDS.items():
        yield f"        {_quoted(f'{name}:{summary}')}"
    yield ZSH_MIDDLE
    for name, options in known.items():
        yield f"    {name})"
        yield "        _arguments -S \\"
        for flag in options.flags():
            yield f"            {_quoted(_zsh_flag(flag))} \\"
        yield f"            {_quoted(_zsh_arguments(options))} ;;"
    yield ZSH_END


def _zsh_flag(flag: Flag) -> str:
    text = re.sub(r"([\[\]:\\])", r"\\\1", flag.help)
    if not flag.meta:
        return f"--{flag.name}[{text}]"
    values = f"({' '.join(flag.choices)})" if flag.choices else ""
    values = values or ("_files" if flag.meta == "FILE" else " ")
    return f"*--{flag.name}=[{text}]:{flag.meta}:{values}"


def _zsh_arguments(options: CommandOptions) -> str:
    if "ENDPOINT" in options.arguments:
        return "1:ENDPOINT:_twisted_sock_endpoint"
    if "FILE" in options.arguments:
        return "*:FILE:_files"
    return f"1:shell:({_arguments(options)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


ZSH_BEGIN = f"""\
#compdef twisted-sock
# Completes twisted-sock in zsh:  eval "$(twisted-sock completion zsh)"

_twisted_sock_endpoint() {{
    if compset -P 'unix:'; then
        _files
    else
        compadd -S '' {ENDPOINTS}
    fi
}}

_twisted_sock() {{
    local -a commands"""

ZSH_MIDDLE = """\
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        [[ $PREFIX == -* ]] && compadd -- --help --version
        return
    fi
    shift words
    (( CURRENT-- ))
    case $words[1] in"""

ZSH_END = """\
    esac
}

if [[ $funcstack[1] == _twisted_sock ]]; then
    _twisted_sock "$@"
else
    compdef _twisted_sock twisted-sock
fi"""

SCRIPTS: dict[str, Callable[[Known], Iterator[str]]] = {"bash": _bash, "zsh": _zsh}
