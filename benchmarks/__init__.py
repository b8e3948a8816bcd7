"""How fast we are, against whom, and at what cost: one command, `python -m benchmarks`.

Every server is started in turn on one core and driven from another by the same outside client.
The figure to trust is the server's CPU time per line: it hardly moves when the machine is busy.

    __main__.py     the command line
    plan.py         how much of everything, for a full and for a quick run
    sections.py     what is measured: throughput, connections, async, length, memory
    fairness.py     and what a flood does to others
    bench.py        what one run has in hand: its servers, cores, and the section in work
    registry.py     ours and its peers: how each is started, and what each answers
    servers/        their programs, one file each
    process.py      starting, waiting for, and reaping a server
    load.py         the loads: redis-benchmark, and idle connections
    closed_loop.py  the load for lines that redis-benchmark cannot send
    flood.py        the same as a program of its own, without end
    ordinary.py     one connection that says a line now and then
    pace.py         how many lines to send
    measure.py      CPU time and memory of a process, from /proc
    results.py      the samples and their medians
    store.py        results.json and chart.svg, kept across runs
    report.py       tables in Markdown
    chart.py        the picture
    syscalls.py     a command of its own: our system calls per line, by strace

Linux only, for /proc, epoll and pinning to cores.
"""
