"""Stepping in: a person, or a test in any language, sees a running service and takes part.

A `talk` is one conversation, with its `history`, and `hub` has all of them; `tap` tells them what
is said (`tapped` is the session as the line protocol has it), and `telling` those who watch.
`commands` is what can be asked and done, in the form that `syntax` has; `naming` is how
conversations and their lines are named there. `control` speaks it as a line protocol, `pages` as
JSON over HTTP; `door` decides who gets in, and `serving` puts it together.
"""
