#!/usr/bin/env python3
"""Times promptfed's kernels and models beside PyTorch's (and oneDNN's and OpenVINO's), one run of each in turn.

    cargo build --release -p promptfed-bench
    pip install -r bench/requirements.txt
    python bench/compare_torch.py [--only NAME ...] [--repeats 5] [--out performance.json]

Prints a Markdown table and writes JSON: medians over the repeats, and the median of the ratios of neighbouring runs.
A ratio above 1 means that promptfed is faster. PyTorch's figure is the best of f32, bf16 (where it is not hopeless),
channels-last where there are images, and torch.compile on request (--compile).
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import torch_workloads  # noqa: E402


class Promptfed:
    """The benchmark program, which runs one workload per line."""

    def __init__(self, binary, environment):
        self.process = subprocess.Popen(
            [binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self.instruction_set = json.loads(self.process.stdout.readline())["instruction_set"]

    def run(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the benchmark program ended at {line!r}")
        return json.loads(answer).get("seconds")

    def peak_memory(self):
        """Largest resident size so far, in MB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return None


def timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(workload, promptfed, repeats, compiled):
    """One row: medians in seconds for every competitor."""
    competitors = {"promptfed": lambda: promptfed.run(workload.line)}
    for name, function in workload.variants(compiled).items():
        competitors[name] = lambda function=function: timed(function)
    for name in list(competitors):
        first = competitors[name]()
        # The first run prepares; a variant ten times slower than the quickest is out of the running.
        second = competitors[name]() if first < 60 else first
        competitors[name].__dict__["warm"] = second
    quickest = min(f.__dict__["warm"] for f in competitors.values())
    dropped = [n for n, f in competitors.items() if n != "promptfed" and f.__dict__["warm"] > 4 * quickest]
    runs = {name: [] for name in competitors if name not in dropped}
    for _ in range(repeats):
        for name in runs:
            runs[name].append(competitors[name]())
    medians = {name: statistics.median(values) for name, values in runs.items()}
    torch_names = [n for n in medians if n.startswith("torch")]
    best = min(torch_names, key=medians.get, default=None)
    row = {
        "workload": workload.name,
        "goal": workload.goal,
        "medians_s": medians,
        "dropped_s": {n: competitors[n].__dict__["warm"] for n in dropped},
        "gflops": workload.flops / medians["promptfed"] / 1e9 if workload.flops else None,
        "peak_memory_mb": promptfed.peak_memory(),
    }
    if best:
        ratios = [t / p for t, p in zip(runs[best], runs["promptfed"])]
        row |= {"best_torch": best, "ratio": statistics.median(ratios), "ratios": ratios}
    return row


def table(rows):
    lines = ["| work | promptfed | PyTorch's best | ratio (spread) | goal | promptfed GFLOP/s |", "|---|---|---|---|---|---|"]
    for row in rows:
        ours = row["medians_s"]["promptfed"]
        best = row.get("best_torch")
        theirs = f"{row['medians_s'][best] * 1e3:.1f} ms ({best})" if best else "-"
        ratio = f"{row['ratio']:.2f} ({min(row['ratios']):.2f}-{max(row['ratios']):.2f})" if best else "-"
        gflops = f"{row['gflops']:.0f}" if row["gflops"] else "-"
        lines.append(f"| {row['workload']} | {ours * 1e3:.1f} ms | {theirs} | {ratio} | {row['goal']} | {gflops} |")
    return "\n".join(lines)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", default=str(HERE.parent / "target/release/promptfed-bench"))
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--only", nargs="*", help="names of workloads")
    arguments.add_argument("--compile", action="store_true", help="torch.compile as well")
    arguments.add_argument("--out", default="performance.json")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    promptfed = Promptfed(options.binary, {"RAYON_NUM_THREADS": str(options.threads)})
    result = {
        "instruction_set": promptfed.instruction_set,
        "threads": options.threads,
        "torch": torch.__version__,
        "repeats": options.repeats,
        "rows": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        for workload in torch_workloads.all_workloads(Path(folder)):
            if options.only and workload.name not in options.only:
                continue
            row = compare(workload, promptfed, options.repeats, options.compile)
            promptfed.run("forget")
            result["rows"].append(row)
            Path(options.out).write_text(json.dumps(result, indent=1) + "\n")
            print(f"{workload.name}: {json.dumps(row['medians_s'])}", file=sys.stderr)
    print(f"{promptfed.instruction_set}, {options.threads} threads, PyTorch {torch.__version__}, medians of {options.repeats}\n")
    print(table(result["rows"]))


if __name__ == "__main__":
    main()
