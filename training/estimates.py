#!/usr/bin/env python3
"""How well `tsm2 --progress` estimates the time that a task takes.

estimates.py COMMAND..., for example: estimates.py tsm2 train --data building.csv --budget 1m

Prints, for each task of at least two seconds, its time, and the estimate of it at 25, 50 and 75 % as a share of the true one. Where
the machine has other work, that work counts too; beside it therefore the same in the processor time of the command (Linux).
"""

import re
import subprocess
import sys
import time


def clocks(process):
    """Seconds, and seconds of processor time."""
    try:
        with open(f"/proc/{process}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return time.monotonic(), (int(fields[11]) + int(fields[12])) / 100
    except OSError:
        return time.monotonic(), 0.0


def main():
    process = subprocess.Popen([*sys.argv[1:], "--progress"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    begun, quarters = {}, {}
    print("| task | time | processor | at 25 % | at 50 % | at 75 % |\n|---|---|---|---|---|---|")
    for line in process.stderr:
        now = clocks(process.pid)
        if begins := re.fullmatch(r"(.+) \.\.\.\n", line):
            begun[begins[1]], quarters[begins[1]] = now, {}
        elif part := re.match(r"(.+): (\d+) %, ", line):
            task, done = part[1], int(part[2])
            if task in begun and done // 25 in (1, 2, 3):
                so_far = [at - before for at, before in zip(now, begun[task])]
                quarters[task].setdefault(done // 25, [time * 100 / done for time in so_far])
        elif ends := re.match(r"(.+): done after ", line):
            took = [at - before for at, before in zip(now, begun.pop(ends[1], now))]
            if took[0] >= 2:
                found = [quarters[ends[1]].get(quarter) for quarter in (1, 2, 3)]
                ratio = lambda estimate, true: f"{estimate / true:.2f}" if true else "–"
                cells = [" / ".join(map(ratio, estimates, took)) if estimates else "–" for estimates in found]
                print(f"| {ends[1]} | {took[0]:.1f} s | {took[1]:.1f} s | {' | '.join(cells)} |", flush=True)
        else:
            sys.stderr.write(line)
    sys.exit(process.wait())


main()
