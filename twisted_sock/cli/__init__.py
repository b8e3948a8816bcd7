"""The command `twisted-sock`: `main` runs it, `command` has the table of its commands.

`connect` and `send` are built on `link`, a connection that carries bytes as they are; `talking`
makes it. `pipe` feeds it from a file or pipe, `terminal` from a person, with the line editor of
`editor`. `completion` writes the scripts of shells, `check` reads conversation scripts.
"""
