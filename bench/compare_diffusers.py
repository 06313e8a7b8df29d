#!/usr/bin/env python3
"""Times one image of a Stable Diffusion folder in promptfed and in diffusers, one run of each in turn, and measures their memory.

    cargo build --release -p promptfed-bench
    pip install -r bench/requirements.txt
    python bench/compare_diffusers.py FOLDER [--size 512] [--steps 5] [--repeats 3]

FOLDER holds a model in diffusers' layout; its weights may be random, since no time depends on them. Each competitor is a process
of its own: promptfed in the precision that it chooses on this processor, diffusers in f32 and in bf16, UNet and autoencoder in
channels last. An image is made from its prompt to its pixels, with guidance; the first of each competitor is not counted. A step is a
call of the UNet for prompt and negative prompt: its time is that of an image with --steps steps less that of one with a single
step, divided by the calls between, one more than steps with PNDM. Times are the best of the repetitions, since what disturbs
a run only adds to it; the JSON has them all. Memory is the largest resident size since a process began,
loading included.
"""
import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from program import BINARY, Promptfed, duration, resident_peak

SHORT = {"float32": "f32", "bfloat16": "bf16"}

DIFFUSERS = """
import json, sys, time, torch
from diffusers import DiffusionPipeline
folder, dtype, size = sys.argv[1], getattr(torch, sys.argv[2]), int(sys.argv[3])
pipe = DiffusionPipeline.from_pretrained(folder, dtype=dtype)
pipe.set_progress_bar_config(disable=True)
pipe.unet.to(memory_format=torch.channels_last)
pipe.vae.to(memory_format=torch.channels_last)
for line in sys.stdin:
    start = time.perf_counter()
    pipe("a photo of a church", num_inference_steps=int(line), guidance_scale=7.5, height=size, width=size, generator=torch.Generator().manual_seed(0))
    print(json.dumps(time.perf_counter() - start), flush=True)
"""


class Ours:
    def __init__(self, options):
        self.program = Promptfed(options.binary, options.threads)
        self.name = f"promptfed {self.program.precision} ({self.program.instruction_set})"
        self.line = f"stable-diffusion {options.folder} {options.size}"

    def seconds(self, steps):
        # Another number of steps is another workload: only one model fits beside the others.
        self.program.ask("forget")
        return self.program.seconds(f"{self.line} {steps}")

    def peak_memory(self):
        return self.program.peak_memory()

    def close(self):
        self.program.close()


class Diffusers:
    def __init__(self, options, dtype):
        self.name = f"diffusers {SHORT[dtype]}"
        quiet = {"TRANSFORMERS_VERBOSITY": "error", "DIFFUSERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        environment = {**os.environ, **quiet, "OMP_NUM_THREADS": str(options.threads)}
        command = [sys.executable, "-c", DIFFUSERS, options.folder, dtype, str(options.size)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def seconds(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name} ended")
        return json.loads(answer)

    def peak_memory(self):
        return resident_peak(self.process.pid)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def calls(folder, steps):
    """Calls of the UNet for an image."""
    scheduler = json.loads((Path(folder) / "scheduler" / "scheduler_config.json").read_text())
    return steps + (scheduler["_class_name"] == "PNDMScheduler" and steps > 1)


def processor():
    """The processor's name, where the system tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder")
    arguments.add_argument("--size", type=int, default=512, help="height and width in pixels")
    arguments.add_argument("--steps", type=int, default=5)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--dtypes", nargs="*", choices=SHORT, default=list(SHORT), help="what diffusers computes in; none: promptfed alone")
    arguments.add_argument("--binary", default=str(BINARY))
    arguments.add_argument("--out", default="diffusers.json")
    options = arguments.parse_args()
    if options.steps < 2:
        arguments.error("--steps must be 2 or more: a step is timed by the difference to one step")
    competitors = [Ours(options)] + [Diffusers(options, dtype) for dtype in options.dtypes]
    images = {c.name: {1: [], options.steps: []} for c in competitors}
    for competitor in competitors:
        competitor.seconds(1)
    between = calls(options.folder, options.steps) - calls(options.folder, 1)
    for repeat in range(options.repeats):
        for steps in (1, options.steps):
            for competitor in competitors:
                images[competitor.name][steps].append(competitor.seconds(steps))
                print(f"{competitor.name}, {steps} steps: {images[competitor.name][steps][-1]:.2f} s", file=sys.stderr)
    rows = []
    for competitor in competitors:
        one, all_steps = images[competitor.name].values()
        rows.append(
            {
                "name": competitor.name,
                "image_s": min(all_steps),
                "step_s": (min(all_steps) - min(one)) / between,
                "peak_memory_mb": competitor.peak_memory(),
                "images_of_one_step_s": one,
                "images_of_all_steps_s": all_steps,
            }
        )
        competitor.close()
    ours, others = rows[0], rows[1:]
    best = {key: min(row[key] for row in others) / ours[key] for key in ("image_s", "step_s")} if others else {}
    versions = {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers")} if others else {}
    settings = {name: getattr(options, name) for name in ("size", "steps", "repeats", "threads")}
    record = {**settings, "processor": processor(), "versions": versions, "rows": rows, "diffusers_best_over_promptfed": best}
    Path(options.out).write_text(json.dumps(record, indent=1) + "\n")
    print(f"| {options.size} px, {options.steps} steps | one image | one step | peak memory |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['name']} | {duration(row['image_s'])} | {duration(row['step_s'])} | {row['peak_memory_mb'] / 1000:.1f} GB |")
    if best:
        print(f"diffusers' best over promptfed: {best['step_s']:.2f} per step, {best['image_s']:.2f} per image")


if __name__ == "__main__":
    main()
