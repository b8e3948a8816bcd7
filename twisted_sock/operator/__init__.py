"""Stepping in: a person, or a test in any language, sees a running service and takes part.

A `talk` is one conversation and `hub` has all of them; `tap` tells them what is said; `commands`
is what can be asked and done, in the form that `syntax` has; `control` speaks it as a line
protocol, `pages` as JSON over HTTP; `door` decides who gets in, and `serving` puts it together.
"""
