"""The benchmark program beside which Python is timed."""
import json
import os
import subprocess
import time
from pathlib import Path

BINARY = Path(__file__).resolve().parent.parent / "target/release/promptfed-bench"


class Promptfed:
    """The benchmark program, which runs one workload per line."""

    def __init__(self, binary, threads):
        environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        ready = json.loads(self.process.stdout.readline())
        self.instruction_set, self.precision = ready["instruction_set"], ready["precision"]

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the benchmark program ended at {line!r}")
        return json.loads(answer)

    def seconds(self, line, times=1):
        """Of one run among `times` that follow each other."""
        return self.ask(f"times {times} {line}")["seconds"]

    def peak_gflops(self, precision):
        """What all threads do at most, f32 in registers or bf16 in the first-level cache: the best of five."""
        answers = [self.ask(f"peak {precision}") for _ in range(5)]
        return max(a["flops"] / a["seconds"] for a in answers) / 1e9

    def peak_memory(self):
        """Largest resident size since the process began, in MB."""
        return resident_peak(self.process.pid)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def timed(function, times=1):
    """Seconds of one call among `times` that follow each other."""
    start = time.perf_counter()
    for _ in range(times):
        function()
    return (time.perf_counter() - start) / times


def duration(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def resident_peak(pid):
    """Largest resident size of a process so far, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1000 * 1.024 for line in status.splitlines() if line.startswith("VmHWM"))
