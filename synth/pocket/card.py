"""The model card of a set of weights, from what a run left behind."""
import json
import pathlib

from measure import HEADER, row

NAMES = {
    "all": "photographs, paintings, cartoons, sketches and emoji",
    "tiny": "photographs, paintings, cartoons, sketches and emoji",
    "photo": "photographs",
    "draw": "paintings, cartoons, sketches and emoji",
}
DATA = {
    "imagenette": "ImageNette, a subset of ImageNet (photographs of ten classes; research use)",
    "pacs": "PACS (Li et al. 2017: seven classes as photograph, painting, cartoon and sketch; research use)",
    "tinynet10": "ten classes of Tiny ImageNet (ImageNet's terms)",
    "tinynet200": "190 other classes of Tiny ImageNet, for more pictures and words; nothing is measured on them (ImageNet's terms)",
    "office_caltech10": "Office-Caltech10 (Saenko et al. 2010, Gong et al. 2012: ten office objects in four domains; research use)",
    "emoji": "emoji of ten classes in seven styles (Noto and Blob, Apache-2.0; Twemoji and EmojiOne, CC-BY-4.0; Fluent in three styles, MIT)",
}


def sampler_words(s):
    words = f"{s['kind']}, {s['steps']} steps"
    if s.get("shift", 1.0) != 1.0:
        words += f", times shifted by {s['shift']:g}"
    if s["guidance"] == 1.0:
        return words + ", no guidance (distilled: the guidance is in the weights, and a negative prompt has no effect)"
    return words + f", guidance {s['guidance']:g} for t in [{s['interval'][0]:g}, {s['interval'][1]:g}]"


def table(report):
    return "\n".join([HEADER] + [row(r) for r in report["results"]])


def write(model, recipe, folder, run, settings, report, choice, texts, failures=(), notes=(), corpora=None, sittings=()):
    """Writes `folder`/README.md.

    run: the lines of log.jsonl; settings: text of how it was trained; report: of measure.py; choice: of make.choose; texts: the
    prompts of samples.png from top to bottom; failures: sentences on what was
    seen to go wrong; notes: sentences on the measure; corpora: those that the data folder had, where not all of the recipe;
    sittings: the lines of training.jsonl."""
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text())
    size = (folder / "model.safetensors").stat().st_size
    known = sorted(recipe.mix if corpora is None else corpora)
    worst = min(report["results"], key=lambda r: r["ratio"] or 0, default=None)
    last = run[-1] if run else dict(seen=0, seconds=0, cpu_seconds=0)
    copies = max((r[k] or 0.0 for r in report["results"] for k in ("near_copies", "near_copies_by_features")), default=0.0)
    lines = [
        f"# pocket-{model}", "",
        f"A small text-to-image generator of {NAMES[model]}: {config['size']} x {config['size']} pixel pictures from short English prompts.", "",
        "| | |", "|---|---|",
        "| architecture | `pocket`: flow-matching transformer in pixel space that predicts the clean image; defined in `synth/pocket/pocket.py` |",
        f"| shape | {config['size']} px, patches of {config['patch']} px, width {config['d']}, {config['depth']} blocks, {config['heads']} heads; text encoder of width {config['text_width']}, {config['text_depth']} blocks, {config['text_len']} tokens |",
        f"| parameters | {size // 2 / 1e6:.1f} million, stored as f16 ({size / 1e6:.1f} MB) |",
        f"| trained on | the public splits of {', '.join(known)}, with captions of domain, class and colours |",
        f"| training | {config['train_steps']:,} steps, {last['seen']:,} images drawn, {last['seconds']:,.0f} s by the clock, {last['cpu_seconds']:,.0f} s of processor time; {settings} |",
        f"| sampling | {sampler_words(config['sampler'])} |",
        "| licence of the weights | free to use, change and redistribute: Apache-2.0 OR MIT, as the rest of this repository |", "",
        "## Data", ""]
    lines += [f"- {DATA[c]}" for c in known]
    lines += ["", "## Quality", "",
              f"A classifier trained on its images alone, tested on real images of the {report['against']} split, beside the same classifier trained on the public real images the",
              f"generator was shown ({report['per']} images per domain and class, four times as many where there is one domain; {report['fit_steps']} steps of 64 images for each classifier; {report['seeds']} seeds, lowest to highest in brackets):", "",
              table(report), "",
              "Near copies are synthetic images closer to a public image or its mirror image than 98 % of the test images are, at 16 x 16 px or in the features of EfficientNet-lite0: 2 % is what images that copy nothing would show.", ""]
    lines += [goal(report), ""] + ([" ".join(notes), ""] if notes else [])
    lines += ["## Choice of the sampling", ""]
    if not choice["compared"]:
        lines += ["It was kept from earlier weights of the same shape, not chosen anew for these.", ""]
    else:
        lines += ["The same classifier, tested on the private split, which the generator was not trained on; mean over the sets named:", "",
                  "| sampling | network calls | sets | images per domain and class | steps of the classifier | seeds | mean accuracy, % |", "|---|---|---|---|---|---|---|"]
        lines += [score_row(s) for s in choice["tuned"] + choice["compared"]] + [""]
    if sittings:
        lines += ["## Sittings", "",
                  "Training goes on from exported weights, with a fresh optimiser; after each sitting a classifier trained on the images alone was tested on the private split, which the",
                  "generator was not trained on (mean over the sets, lowest and highest of the seeds in brackets):", "",
                  "| sitting | steps | images drawn | processor s | settings | private accuracy, % |", "|---|---|---|---|---|---|"]
        lines += [sitting_row(i, s) for i, s in enumerate(sittings, 1)] + [""]
    lines += ["![training loss](curve.png)", "", "![samples](samples.png)", "", "Rows: " + "; ".join(f"`{t}`" for t in texts) + ".", "",
              "## Known failures", ""]
    lines += [f"- {f}" for f in failures]
    if worst and worst["ratio"] is not None and worst["ratio"] < 1:
        lines += [f"- It is worst on {worst['corpus']}: its images teach {100*worst['ratio']:.0f} % of what the public real images teach."]
    if copies > 0.04:
        lines += [f"- Up to {100*copies:.0f} % of its images are near copies of training images."]
    lines += ["- Words outside its captions have no meaning to it: it knows the classes, the domains, eleven colour names, `dark` and `bright`.",
              f"- Fine structure, faces and letters are lost at {config['size']} pixels; counts and positions are not followed.", ""]
    (folder / "README.md").write_text("\n".join(lines))


def goal(report):
    """Whether the images teach 85 % of what the real images teach."""
    reached = [r["corpus"] for r in report["results"] if r["ratio"] and r["ratio"] >= 0.85]
    missed = [f"{r['corpus']} ({100*r['ratio']:.0f} %)" for r in report["results"] if r["ratio"] and r["ratio"] < 0.85]
    parts = [f"{verb} on {', '.join(sets)}" for verb, sets in (("reached", reached), ("**not reached**", missed)) if sets]
    return "The goal of 85 % of the real images' accuracy is " + " and ".join(parts or ["not decided: there is no ceiling to compare with"]) + "."


def score_row(s):
    mean = f"{100*s['mean']:.1f}" + (f" ({100*s['low']:.1f} to {100*s['high']:.1f})" if s["seeds"] > 1 else "")
    name = "distilled: " if str(s.get("weights", "")).startswith("student") else ""
    return f"| {name}{sampler_words(s['sampler'])} | {calls(s['sampler'])} | {', '.join(s['sets'])} | {s['per']} | {s['fit_steps']} | {s['seeds']} | {mean} |"


def sitting_row(number, s):
    told = " ".join(f"{k} {v}" for k, v in s["settings"].items() if k not in ("features", "workers", "threads")) or "as train.py says"
    private = s.get("private")
    accuracy = f"{100*private['mean']:.1f} ({100*private['low']:.1f} to {100*private['high']:.1f})" if private else "not measured"
    return f"| {number} | {s['step']:,} | {s['seen']:,} | {s['cpu_seconds']:,.0f} | {told} | {accuracy} |"


def calls(s):
    """Network calls for an image, the pair of a guided one counted once."""
    return 2 * s["steps"] - 1 if s["kind"] == "heun" else s["steps"]
