"""Measures what fusing the three bundled generators is worth, with the program itself.

  python bench/fusion.py --program target/release/promptfed --data ../shared/data --sets emoji pacs --seeds 0 1 --images 1000 --out fusion-out

needs pyarrow for emoji. For each set and seed: the private split is dealt by a hash into a half that clients hold (prompts and feedback come
from it) and a half that the models are tested on; the test split is never read. Every generator makes IMAGES images of the clients'
domain-level prompts. Rows:

- `single NAME`: trained on one generator's images (IMAGES made, IMAGES trained on)
- `random`: IMAGES drawn from all three (as the plain mixture of IMAGES made)
- `all`: everything (3 x IMAGES made and trained on)
- every other row chooses IMAGES of the 3 x IMAGES made

Prints one JSON line for each run, and a table of means and standard deviations at the end; lines that lie in OUT/results.jsonl are not run again.
"""
import argparse
import hashlib
import json
import pathlib
import statistics
import subprocess

BACKENDS = ["all", "photo", "draw"]
MODES = ["easy", "ambiguous", "cartography", "influence", "influence-largest", "influence+cartography", "influence-largest+cartography",
         "agreement:0.1", "agreement:0.2", "outliers:0.1", "duplicates:0.95", "diversity"]

# Those that train task models.
ASKING = ["easy", "ambiguous", "cartography", "influence", "influence-largest", "influence+cartography", "influence-largest+cartography", "agreement"]


def half(name):
    return hashlib.sha256(name.encode()).digest()[0] % 2


def split_emoji(data, out):
    import pyarrow.parquet as pq
    table = pq.read_table(data / "emoji" / "private.parquet")
    # The same object in another style is no new object.
    halves = [half(json.dumps(caption)) for caption in table["caption"].to_pylist()]
    for which, name in enumerate(["clients", "check"]):
        pq.write_table(table.filter([h == which for h in halves]), out / f"{name}.parquet")
    return out / "clients.parquet", out / "check.parquet"


def split_folders(data, out, name):
    root = data / name / "private"
    for picture in sorted(root.rglob("*.*")):
        if picture.is_file():
            place = out / ["clients", "check"][half(picture.name)] / picture.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                place.symlink_to(picture.resolve())
    return out / "clients", out / "check"


class Program:
    def __init__(self, path):
        self.path = str(pathlib.Path(path).resolve())

    def __call__(self, *words):
        done = subprocess.run([self.path, "--quiet", "--json", *map(str, words)], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, words))}\n{done.stderr}")
        return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default="target/release/promptfed")
    parser.add_argument("--data", type=pathlib.Path, default="../shared/data")
    parser.add_argument("--out", type=pathlib.Path, default="fusion-out")
    parser.add_argument("--sets", nargs="+", default=["emoji", "pacs"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--width", type=int, default=24, help="channels of the classifier")
    parser.add_argument("--task-epochs", type=int, default=20)
    parser.add_argument("--task-width", type=int, default=16)
    parser.add_argument("--modes", nargs="*", default=MODES)
    parser.add_argument("--iterations", type=int, default=10, help="of adjusted weights")
    args = parser.parse_args()
    program = Program(args.program)
    args.out.mkdir(parents=True, exist_ok=True)
    journal = args.out / "results.jsonl"
    results = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    done = {(r["set"], r["seed"], r["row"]) for r in results}

    for name in args.sets:
        place = args.out / name
        place.mkdir(exist_ok=True)
        clients, check = split_emoji(args.data, place) if name == "emoji" else split_folders(args.data, place, name)
        prompts = place / "prompts.json"
        if not prompts.exists():
            program("extract", clients, "--label-space", name, "--level", "domain", "--out", prompts)
        for seed in args.seeds:
            here = place / f"seed-{seed}"
            sets = []
            for backend in BACKENDS:
                out = here / "sets" / backend
                program("synth", "--prompts", prompts, "--engine", f"pocket:{backend}", "--images", args.images, "--seed", seed, "--out", out)
                sets.append(out)

            def measure(row, data, more=None):
                if (name, seed, row) in done:
                    return
                model = here / "model.safetensors"
                trained = program("train", data, "--label-space", name, "--epochs", args.epochs, "--width", args.width, "--seed", seed, "--out", model)
                tested = program("evaluate", model, check)
                result = {"set": name, "seed": seed, "row": row, "made_by_each": args.images, "accuracy": tested["evaluation"]["accuracy"], "images": tested["images"],
                          "trained_on": trained["images"] + trained["validation_images"], "per_domain": tested["evaluation"]["per_domain"],
                          **(more or {})}
                results.append(result)
                with journal.open("a") as file:
                    file.write(json.dumps(result) + "\n")
                print(json.dumps(result), flush=True)

            def fused(row, *flags):
                if (name, seed, row) in done:
                    return
                out = here / "fused" / row.replace(" ", "-").replace(":", "-")
                asks = {"transfer", "--adjust-weights"} & set(flags) or flags[1].split(":")[0] in ASKING and "features" not in flags
                network = ["--task-epochs", args.task_epochs, "--task-width", args.task_width] if asks else []
                told = program("fuse", *sets, "--out", out, "--seed", seed, *network, *flags)
                chosen = {part["name"]: part["chosen"] for part in told["report"]["backends"]}
                measure(row, out, {"chosen": chosen, "fuse_seconds": sum(told["seconds"].values()), "feedback_bytes": told["feedback_bytes"]})

            for backend, out in zip(BACKENDS, sets):
                measure(f"single {backend}", out)
            keep = ["--keep", args.images]
            fused("random", "--select", "random", *keep)
            fused("all", "--select", "all")
            looked = here / "fused" / "quotas-transfer"
            fused("quotas transfer", "--select", "random", "--quotas", "transfer", *keep)
            for kind, source in [("scores", ["--models", looked / "task-models"]), ("votes", ["--sets", *sets])]:
                answers = here / f"{kind}.json"
                if not answers.exists():
                    program("feedback", clients, "--label-space", name, "--out", answers, *source)
                fused(f"quotas {kind}", "--select", "random", "--quotas", "feedback", "--feedback", answers, *keep)
            for mode in args.modes:
                fused(mode, "--select", mode, *keep)
            fused("random, adjusted weights", "--select", "random", "--adjust-weights", args.iterations, *keep)
            fused("quotas scores, influence", "--select", "influence", "--quotas", "feedback", "--feedback", here / "scores.json", *keep)
            fused("agreement:0.1, features", "--select", "agreement:0.1", "--task-model", "features", *keep)
            fused("influence, features", "--select", "influence", "--task-model", "features", *keep)

    rows = list(dict.fromkeys(r["row"] for r in results))
    print("| row | " + " | ".join(args.sets) + " |")
    print("|---|" + "---|" * len(args.sets))
    for row in rows:
        cells = []
        for name in args.sets:
            of = [100 * r["accuracy"] for r in results if r["set"] == name and r["row"] == row]
            cells.append(f"{statistics.mean(of):.1f} ± {statistics.stdev(of):.1f}" if len(of) > 1 else "".join(f"{a:.1f}" for a in of))
        print(f"| {row} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
