"""`twisted-sock bench`: puts a line server under load, checks its answers, and times them.

`workload` is what is said, `answers` checks what comes back, `speakers` do both on one connection;
`load` lets many of them speak, and `tally` counts into a `histogram`; `report` and `latency_chart`
show it; `command` is the command.
"""
