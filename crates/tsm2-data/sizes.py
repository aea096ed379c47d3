#!/usr/bin/env python3
"""Peak memory and speed of reading large recordings, beside pandas and polars.

    python3 -m venv /tmp/sizes && /tmp/sizes/bin/pip install pandas polars
    cargo build --release -p tsm2-data --example describe
    /tmp/sizes/bin/python crates/tsm2-data/sizes.py target/release/examples/describe [ROWSxCOLUMNS ..]

Writes the files into a temporary folder, reads each with each reader in a process of its own, and
prints a table. tsm2 does more than the others: it finds the layout in a first pass, makes regular
time steps and reports. A reader that is not installed is left out.
"""

import importlib.util
import math
import os
import sys
import tempfile
import time


def write(path, rows, columns):
    """Minutes of sensors: waves with some noise, one cell in a hundred missing."""
    seed = 1
    lines = []
    for row in range(min(rows, 7919)):
        cells = []
        for column in range(columns):
            seed = (seed * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
            value = 20 + 5 * math.sin(row / 60 + column) + seed % 7 / 100
            cells.append("" if seed % 100 == 0 else f"{value:.2f}")
        lines.append(",".join(cells))
    with open(path, "w") as out:
        out.write("time," + ",".join(f"sensor{column}" for column in range(columns)) + "\n")
        for row in range(rows):
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_704_067_200 + 60 * row))
            out.write(f"{stamp},{lines[row % len(lines)]}\n")


def measure(command):
    """Seconds, seconds of CPU and peak resident megabytes of a process."""
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.execvp(command[0], command)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"{command}: status {status}")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    describe = sys.argv[1]
    sizes = sys.argv[2:] or ["1000000x50", "5000x862"]
    print("| file | size | reader | MB/s | MB per second of CPU | peak memory |")
    print("|---|---|---|---|---|---|")
    for size in sizes:
        rows, columns = map(int, size.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "recording.csv")
            write(path, rows, columns)
            megabytes = os.path.getsize(path) / 1e6
            readers = {"tsm2": [describe, path]}
            for module, call in [
                ("pandas", "pandas.read_csv(sys.argv[1], parse_dates=['time'])"),
                ("polars", "polars.read_csv(sys.argv[1], try_parse_dates=True)"),
            ]:
                if importlib.util.find_spec(module):
                    readers[module] = [sys.executable, "-c", f"import sys, {module}; {call}", path]
            for name, command in readers.items():
                seconds, cpu, peak = measure(command)
                speeds = f"{megabytes / seconds:.0f} | {megabytes / cpu:.0f}"
                print(f"| {rows:,} x {columns} | {megabytes:.0f} MB | {name} | {speeds} | {peak:.0f} MB |")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
