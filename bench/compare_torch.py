#!/usr/bin/env python3
"""Times promptfed's kernels and models beside PyTorch's, oneDNN's and OpenVINO's, one run of each in turn; a run of
a short operation is many in a row, as a network makes them.

    cargo build --release -p promptfed-bench
    pip install -r bench/requirements.txt
    python bench/compare_torch.py [--only NAME ...] [--repeats 5] [--out performance.json]
    python bench/compare_torch.py --scaling [--only NAME ...]

Prints a Markdown table and writes JSON: medians over the repeats, and the median of the ratios of neighbouring runs.
A ratio above 1 means that promptfed is faster. PyTorch's figure is the best of f32, bf16 (where the processor has bf16
instructions), channels first and last, each as it is and through torch.compile.

--scaling compares one thread, all threads, and all threads beside a process that keeps one core busy.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import torch

import torch_workloads
from program import BINARY, Promptfed, duration, timed

REST = 0.3
"""Seconds before every run: PyTorch's threads look for work for a while after theirs."""
LONG = 40
"""Seconds of a run whose preparation is a small part."""
TOO_SLOW = 4
"""A variant this many times slower than the quickest is timed once and left out of the repeats."""


@dataclass
class Competitor:
    """What is timed, and the seconds it took."""
    name: str
    run: Callable[[], float]
    warm: float = 0.0
    seconds: list = field(default_factory=list)

    def prepare(self):
        first = self.run()
        # The first run compiles and packs; a long one is not repeated for that.
        self.warm = self.run() if first < LONG or "compiled" in self.name else first

    @property
    def median(self):
        return statistics.median(self.seconds)


def compare(workload, binary, threads, repeats, compiled):
    """One row: medians in seconds for every competitor. The program is a new process, whose memory is this workload's alone."""
    promptfed = Promptfed(binary, threads)
    ours = Competitor("promptfed", lambda: promptfed.seconds(workload.line, workload.times))
    others = [Competitor(name, lambda f=function: timed(f, workload.times)) for name, function in workload.variants(compiled).items()]
    for competitor in [ours, *others]:
        competitor.prepare()
    quickest = min(c.warm for c in [ours, *others])
    kept = [ours] + [c for c in others if c.warm <= TOO_SLOW * quickest]
    for _ in range(repeats):
        for competitor in kept:
            time.sleep(REST)
            competitor.seconds.append(competitor.run())
    peak_memory = promptfed.peak_memory()
    promptfed.close()
    best = min((c for c in kept if c.name.startswith("torch")), key=lambda c: c.median)
    ratios = [theirs / mine for theirs, mine in zip(best.seconds, ours.seconds)]
    return {
        "workload": workload.name,
        "goal": workload.goal,
        "medians_s": {c.name: c.median for c in kept},
        "dropped_s": {c.name: c.warm for c in others if c not in kept},
        "gflops": workload.flops / ours.median / 1e9,
        "peak_memory_mb": peak_memory,
        "best_torch": best.name,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def quickest(times, library):
    """A library's best time, or a dash where it was not timed."""
    found = [seconds for name, seconds in times.items() if name.startswith(library)]
    return duration(min(found)) if found else "-"


def comparison_table(rows, precision, peak):
    lines = [
        f"| work | promptfed | PyTorch's best | ratio (spread) | goal | GFLOP/s | of the {precision} peak | memory | oneDNN | OpenVINO |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = row["medians_s"]
        best = row["best_torch"]
        lines.append(
            f"| {row['workload']} | {duration(times['promptfed'])} | {duration(times[best])} ({best.removeprefix('torch ')}) | {row['ratio']:.2f} "
            f"({min(row['ratios']):.2f}-{max(row['ratios']):.2f}) | {row['goal']} | {row['gflops']:.0f} | {100 * row['gflops'] / peak:.0f} % "
            f"| {row['peak_memory_mb']:.0f} MB | {quickest(times, 'onednn')} | {quickest(times, 'openvino')} |"
        )
    return "\n".join(lines)


@contextmanager
def neighbour(busy):
    """A process that keeps one core busy, where asked for."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        yield
    finally:
        if process:
            process.kill()
            process.wait()


def scaling(workload, binary, threads, repeats):
    """One row: medians in seconds of both, for one thread, all threads, and all threads beside a busy process."""
    function = workload.variants(False)[workload.scaled]
    programs = {count: Promptfed(binary, count) for count in (1, threads)}
    cases = {"one thread": (1, False), "all threads": (threads, False), "busy neighbour": (threads, True)}
    seconds = {(who, case): [] for who in ("promptfed", "torch") for case in cases}
    for repeat in range(repeats + 1):
        for case, (count, busy) in cases.items():
            torch.set_num_threads(count)
            with neighbour(busy):
                time.sleep(REST)
                times = {
                    "promptfed": programs[count].seconds(workload.line, workload.times),
                    "torch": timed(function, workload.times),
                }
            # The first round prepares.
            if repeat:
                for who, value in times.items():
                    seconds[who, case].append(value)
    for program in programs.values():
        program.close()
    medians = {who: {case: statistics.median(seconds[who, case]) for case in cases} for who in ("promptfed", "torch")}
    return {"workload": workload.name, "variant": workload.scaled, "medians_s": medians}


def scaling_table(rows, threads):
    lines = [
        f"| work | | one thread | {threads} threads | gain | {threads} threads, one core taken | loss |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        for who, times in row["medians_s"].items():
            one, every, taken = times["one thread"], times["all threads"], times["busy neighbour"]
            name = row["variant"].replace("torch", "PyTorch") if who == "torch" else who
            lines.append(f"| {row['workload']} | {name} | {duration(one)} | {duration(every)} | {one / every:.2f} | {duration(taken)} | {taken / every:.2f} |")
    return "\n".join(lines)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", default=str(BINARY))
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--only", nargs="*", help="names of workloads")
    arguments.add_argument("--scaling", action="store_true", help="threads and a busy neighbour, in place of the comparison")
    arguments.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which takes minutes for a model")
    arguments.add_argument("--out", default="performance.json")
    options = arguments.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    promptfed = Promptfed(options.binary, options.threads)
    result = {
        "instruction_set": promptfed.instruction_set,
        "threads": options.threads,
        "torch": torch.__version__,
        "repeats": options.repeats,
        "precision": promptfed.precision,
        "peak_gflops": {name: promptfed.peak_gflops(name) for name in ("f32", "bf16")},
        "rows": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        for workload in torch_workloads.all_workloads(Path(folder)):
            if options.only and workload.name not in options.only:
                continue
            if options.scaling:
                row = scaling(workload, options.binary, options.threads, options.repeats)
            else:
                row = compare(workload, options.binary, options.threads, options.repeats, not options.no_compile)
                torch.compiler.reset()
            result["rows"].append(row)
            Path(options.out).write_text(json.dumps(result, indent=1) + "\n")
            print(json.dumps(row), file=sys.stderr)
    print(f"{promptfed.instruction_set}, {options.threads} threads, PyTorch {torch.__version__}, medians of {options.repeats}, peak {', '.join(f'{n} {p:.0f}' for n, p in result['peak_gflops'].items())} GFLOP/s\n")
    print(scaling_table(result["rows"], options.threads) if options.scaling else comparison_table(result["rows"], promptfed.precision, result["peak_gflops"][promptfed.precision]))


if __name__ == "__main__":
    main()
