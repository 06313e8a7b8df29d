"""One small run through everything: data, training, resuming, distilling, exporting, measuring, the card.

  python -m pytest synth/pocket          or, without pytest, python synth/pocket/test_pocket.py
"""
import json
import pathlib
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

import ablate  # noqa: E402
import align  # noqa: E402
import captions  # noqa: E402
import data  # noqa: E402
import distill  # noqa: E402
import make  # noqa: E402
import measure  # noqa: E402
import pack  # noqa: E402
import train  # noqa: E402
import weights  # noqa: E402
from muon import Muon  # noqa: E402
from pocket import Pocket, sample, times  # noqa: E402
from recipes import RECIPES, SHAPES  # noqa: E402

torch.set_num_threads(1)
TINY = json.dumps(dict(size=16, patch=8, d=32, depth=1, heads=2))


def pictures(root):
    """A data folder of plain pictures, one colour per class."""
    rng = np.random.default_rng(0)
    for split, count in (("public", 4), ("private", 2), ("test", 2)):
        for wnid, colour in (("n01440764", (200, 30, 30)), ("n03028079", (30, 30, 200))):
            folder = pathlib.Path(root) / "imagenette" / split / wnid
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(np.array(colour) + rng.integers(-25, 25, (96, 96, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.jpg")
    return str(root)


def tiny_net():
    torch.manual_seed(0)
    return Pocket(20, **json.loads(TINY), text_width=32)


def test_everything_runs_once(tmp_path):
    root, out = pictures(tmp_path / "data"), tmp_path / "run"
    training = json.dumps(dict(shape=TINY, batch=8, log=1))
    command = ["photo", "--data", root, "--out", str(out), "--steps", "2", "--distill-steps", "8", "--training", training, "--no-compile", "--failures", "It draws squares.",
               "--per", "1", "--fit-steps", "1", "--seeds", "1", "--choose-per", "1", "--choose-fit-steps", "1", "--choose-seeds", "1", "--scales", "1", "2"]
    make.main(command)
    net, tok, config = weights.load(out / "weights")
    assert config["train_steps"] == 2 and config["sampler"]["kind"] in ("euler", "heun", "ab2")
    report = json.loads((out / "measure.json").read_text())
    assert report["results"][0]["images"] == 8 and 0 <= report["results"][0]["synthetic"]["mean"] <= 1
    choice = json.loads((out / "choice.json").read_text())
    assert [s["sampler"]["guidance"] for s in choice["compared"][:2]] == [choice["tuned"][0]["sampler"]["guidance"]] * 2
    assert config["sampler"] == choice["chosen"]["sampler"]
    text = (out / "weights" / "README.md").read_text()
    assert "pocket-photo" in text and "- It draws squares." in text
    assert all((out / "weights" / f).stat().st_size for f in ("samples.png", "curve.png", "tokenizer.json"))
    (out / "weights" / "README.md").unlink()
    (out / "choice.json").unlink()
    make.main(command + ["--keep", str(out / "teacher")])
    assert weights.load(out / "weights")[2]["sampler"] == weights.SAMPLER and "not chosen anew" in (out / "weights" / "README.md").read_text()
    (line,) = make.sittings(out / "weights")
    assert line["step"] == 2 and line["seen"] == 16 and 0 <= line["private"]["mean"] <= 1
    later = tmp_path / "later"
    make.main(command[:3] + ["--out", str(later), "--init", str(out / "weights"), "--steps", "4", "--keep", str(out / "weights")] + command[7:])
    first, second = make.sittings(later / "weights")
    assert first == line and (second["step"], second["seen"]) == (4, 32) and "| 2 | 4 | 32 |" in (later / "weights" / "README.md").read_text()
    before = (out / "weights" / "README.md").stat().st_mtime_ns
    make.main(command)
    assert (out / "weights" / "README.md").stat().st_mtime_ns == before, "finished stages are not repeated"


def test_a_run_goes_on_where_it_stopped(tmp_path):
    root, out = pictures(tmp_path / "data"), str(tmp_path / "run")
    common = ["photo", "--data", root, "--out", out, "--shape", TINY, "--batch", "4"]
    train.main(common + ["--steps", "1"])
    train.main(common + ["--steps", "3"])
    state = weights.load_checkpoint(pathlib.Path(out) / "pocket.pt")
    assert state["step"] == 3 and state["seen"] == 12
    momentum = {k: sum(float(v[k].abs().sum()) for o in state["opts"] for v in o["state"].values() if k in v) for k in ("exp_avg", "momentum_buffer")}
    assert all(momentum.values()), "AdamW's and Muon's"


def test_every_optimiser_and_precision_takes_a_step(tmp_path):
    root = pictures(tmp_path / "data")
    for optimiser, precision in (("muon", "bf16"), ("muon", "f32"), ("adamw", "bf16"), ("adamw", "f32")):
        out = tmp_path / f"{optimiser}-{precision}"
        train.main(["photo", "--data", root, "--out", str(out), "--shape", TINY, "--batch", "4", "--steps", "1", "--lr", "0.5", "--optimizer", optimiser, "--precision", precision])
        state = weights.load_checkpoint(out / "pocket.pt")
        assert state["step"] == 1 and all(p.isfinite().all() for p in state["net"].values())
        assert len(state["opts"]) == (2 if optimiser == "muon" else 1)


def test_muon_is_that_of_pytorch():
    torch.manual_seed(0)
    began = [torch.randn(shape) for shape in ((96, 32), (96, 32), (32, 128), (32, 32))]
    copies = lambda: [torch.nn.Parameter(b.clone()) for b in began]
    theirs, half, whole = copies(), copies(), copies()
    steps = torch.optim.Muon(theirs, lr=1e-2, adjust_lr_fn="match_rms_adamw"), Muon(half, 1e-2, half=True), Muon(whole, 1e-2)
    for _ in range(3):
        for group in zip(theirs, half, whole):
            grad = torch.randn_like(group[0])
            for p in group:
                p.grad = grad.clone()
        for step in steps:
            step.step()
    far = lambda a, b, start: float(((a - b).norm() / (b - start).norm()).detach())
    assert all(far(h, t, b) < 1e-3 for h, t, b in zip(half, theirs, began)), "the same in the precision that PyTorch takes"
    assert all(far(w, t, b) < 3e-2 for w, t, b in zip(whole, theirs, began)), "and as far as bf16 is from f32"


def team_step(rank, size, boards, barrier, file):
    """A step of Muon by a team, on the mean of what the processes found; and what they agree on."""
    torch.set_num_threads(1)
    team = train.Team(rank, size, boards, barrier)
    torch.manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape)) for shape in ((24, 8), (24, 8), (24, 8), (8, 8))]
    step = Muon(params, 1e-2, team=team)
    for p in params:
        p.grad = torch.randn_like(p) + (2 * rank - size + 1)
    sums = team.mean(params, 1.0 + rank, 2.0)
    agreed = [team.agree(v + rank) for v in (1 / 3, 1e-9, 0.999999999)]
    step.step()
    torch.save((params, list(sums), agreed), f"{file}-{size}-{rank}")


def test_processes_share_the_matrices_of_muon(tmp_path):
    for size in (1, 2):
        boards = torch.full((2, size, 2000), float("nan")).share_memory_()
        barrier = torch.multiprocessing.get_context("spawn").Barrier(size)
        torch.multiprocessing.spawn(team_step, (size, boards, barrier, str(tmp_path / "made")), size)
    (alone, *_), (first, sums, agreed), (second, *also) = (torch.load(tmp_path / f"made-{name}", weights_only=False) for name in ("1-0", "2-0", "2-1"))
    assert all(torch.equal(a, b) and torch.allclose(a, c, atol=1e-6) for a, b, c in zip(first, second, alone))
    assert sums == [3.0, 4.0] and [sums, agreed] == also
    assert all(abs(a - v) < 1e-12 for a, v in zip(agreed, (1 / 3, 1e-9, 0.999999999)))


def test_the_design_crosses_every_pair_of_factors():
    rows = ablate.design()
    assert len(rows) == 12 and not any(rows[-1])
    for i in range(11):
        for j in range(i):
            assert sorted((r[i], r[j]) for r in rows) == [(0, 0)] * 3 + [(0, 1)] * 3 + [(1, 0)] * 3 + [(1, 1)] * 3
    made = lambda row: dict(name="design " + "".join(map(str, row)), seen=1, sets=dict(a=dict(mean=0.3 + 0.02 * row[0] - 0.01 * row[4]), b=dict(mean=0.1)))
    lines = [made(row) for row in rows]
    found, (first, fifth) = ablate.effects(lines, "a"), [list(ablate.FACTORS)[i] for i in (0, 4)]
    assert abs(found[first] - 2) < 1e-9 and abs(found[fifth] + 1) < 1e-9
    assert all(abs(v) < 1e-9 for k, v in found.items() if k not in (first, fifth)) and abs(ablate.effects(lines)[first] - 1) < 1e-9
    assert "| +2.0 | +0.0 | +1.0 |" in ablate.tables(lines)


def test_lenths_margin_takes_large_effects_for_real():
    small = [0.1, -0.1, 0.2, -0.2, 0.1, 0.1, -0.1, 0.2, 0.1]
    assert ablate.margin(small + [5.0, -4.0]) < 1.0 < ablate.margin([10 * s for s in small] + [0.0, 0.0])


def test_workers_train_one_network(tmp_path):
    """Two processes with half of the batch each; the weights they end with are one's."""
    root, out = pictures(tmp_path / "data"), tmp_path / "run"
    common = ["photo", "--data", root, "--out", str(out), "--shape", TINY, "--batch", "8", "--log", "1", "--workers", "2", "--threads", "1"]
    train.main(common + ["--steps", "2"])
    train.main(common + ["--steps", "3"])
    state = weights.load_checkpoint(out / "pocket.pt")
    assert state["step"] == 3 and state["seen"] == 24
    assert [json.loads(line)["step"] for line in open(out / "log.jsonl")] == [1, 2, 3]


def test_a_run_branches_off_another(tmp_path):
    root, trunk, branch = pictures(tmp_path / "data"), str(tmp_path / "trunk"), tmp_path / "branch"
    common = ["photo", "--data", root, "--shape", TINY, "--batch", "4", "--log", "1"]
    train.main(common + ["--out", trunk, "--steps", "2"])
    train.main(common + ["--out", str(branch), "--init", trunk, "--steps", "3"])
    state = weights.load_checkpoint(branch / "pocket.pt")
    assert state["step"] == 3 and [json.loads(l)["step"] for l in open(branch / "log.jsonl")] == [1, 2, 3]
    weights.export(state["ema"], state["cfg"], 3, weights.SAMPLER, branch / "tokenizer.json", tmp_path / "exported")
    train.main(common + ["--out", str(tmp_path / "later"), "--init", str(tmp_path / "exported"), "--steps", "4"])
    assert weights.load_checkpoint(tmp_path / "later" / "pocket.pt")["step"] == 4


def test_ceilings_are_computed_once(tmp_path):
    file, times_run = tmp_path / "ceilings.json", []
    train_once = lambda: times_run.append(1) or [0.5]
    for seeds in (3, 3, 2):
        assert measure.ceilings(file, dict(set="emoji", seeds=seeds), train_once) == [0.5]
    assert len(times_run) == 2


def test_packed_data_reads_as_the_folder_does(tmp_path):
    root = pictures(tmp_path / "data")
    pack.main(["--data", root, "--out", str(tmp_path / "data.tar")])
    with tarfile.open(tmp_path / "data.tar") as tar:
        tar.extractall(tmp_path / "packed", filter="data")
    (a, known), (b, packed) = (data.load(r, "public", RECIPES["photo"]) for r in (root, tmp_path / "packed"))
    assert known == packed and (a.float() - b.float()).abs().mean() < 12


def test_samplers_agree_where_the_path_is_straight():
    """A network that always sees the same image makes every path a straight line."""
    net, image = tiny_net(), torch.linspace(-0.9, 0.9, 3 * 16 * 16).view(1, 3, 16, 16)
    net.denoise = lambda z, t, text: image.expand(len(z), -1, -1, -1)
    ids, noise = torch.zeros(2, data.TEXT_LEN, dtype=torch.long), torch.randn(2, 3, 16, 16)
    for kind in ("euler", "heun", "ab2"):
        for shift in (1.0, 3.0):
            made = sample(net, ids, ids, noise, steps=5, kind=kind, shift=shift)
            assert (made - image).abs().max() < 1e-4, (kind, shift)


def test_a_goal_leads_where_the_teacher_went():
    net, text = tiny_net(), (torch.zeros(2, 32), torch.zeros(2, 4, 32))
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.1)
    empty, ts, z = tuple(e + 0.3 for e in text), times(8, 2.5).tolist(), torch.randn(2, 3, 16, 16)
    for t, n in zip(ts, ts[1:]):
        end = distill.teach(net, z, t, n, text, empty, 2.5, (0.1, 1.0), 2)
        there = z + (n - t) * distill.velocity(distill.goal(z, end, t, n), z, t)
        assert (there - end).abs().max() < 1e-4
        z = end
    net.denoise = lambda z, t, text: torch.full_like(z, 0.25)
    z = torch.randn(2, 3, 16, 16)
    for t, n in zip(ts, ts[1:]):
        end = distill.teach(net, z, t, n, text, empty, 2.5, (0.1, 1.0), 2)
        assert (distill.goal(z, end, t, n) - 0.25).abs().max() < 1e-4


def test_a_student_comes_closer_to_its_teacher(tmp_path):
    root, out = pictures(tmp_path / "data"), tmp_path
    net, tok = tiny_net(), data.build_tokenizer(data.load(root, "public", RECIPES["photo"])[1])
    net = Pocket(tok.get_vocab_size(), **json.loads(TINY), text_width=32)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.1)
    tok.save(str(out / "tokenizer.json"))
    weights.export(net.state_dict(), net.cfg, 1, weights.SAMPLER, out / "tokenizer.json", out / "teacher")
    distill.main(["photo", "--teacher", str(out / "teacher"), "--data", root, "--out", str(out / "student"),
                  "--steps", "240", "--batch", "16", "--lr", "4e-3", "--ema", "0.9", "--calls", "4"])
    teacher, student = weights.load(out / "teacher")[0], weights.load(out / "student")
    ids, null = data.encode(tok, ["a photo of a church", "a photo of a tench"] * 8), data.encode(tok, [""] * 16)
    noise = torch.randn(16, 3, 16, 16)
    few = student[2]["sampler"]
    want, ts, text, empty = noise, times(4, 2.5).tolist(), teacher.text(ids), teacher.text(null)
    for t, n in zip(ts, ts[1:]):
        want = distill.teach(teacher, want, t, n, text, empty, 2.5, (0.1, 1.0), 2)
    want = want.clamp(-1, 1)
    error = lambda net: float((sample(net, ids, null, noise, **few) - want).square().mean())
    assert few["guidance"] == 1.0 and error(student[0]) < 0.2 * error(teacher), (error(student[0]), error(teacher))


def test_times_run_from_noise_to_image():
    for steps in (1, 2, 8):
        for shift in (0.5, 1.0, 2.5):
            t = times(steps, shift)
            assert t[0] == 0 and t[-1] == 1 and bool((t.diff() > 0).all())
    assert times(8, 2.5)[1] < times(8)[1]


def test_export_keeps_the_network(tmp_path):
    net = tiny_net()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.05)
    tok = data.build_tokenizer([data.Meta("imagenette", "photo", "church", None, ("red", "blue", "dark"))])
    tok.save(str(tmp_path / "tokenizer.json"))
    weights.export(net.state_dict(), net.cfg, 7, weights.SAMPLER, tmp_path / "tokenizer.json", tmp_path / "w")
    again, _, config = weights.load(tmp_path / "w")
    z, t, ids = torch.randn(2, 3, 16, 16), torch.tensor([0.2, 0.7]), torch.zeros(2, data.TEXT_LEN, dtype=torch.long)
    assert (again(z, t, ids) - net(z, t, ids)).abs().max() < 5e-3 and config["sampler"] == weights.SAMPLER


def test_copies_are_found():
    public, test = torch.rand(40, 3, 16, 16) * 2 - 1, torch.rand(40, 3, 16, 16) * 2 - 1
    assert measure.near_copies(public.flip(-1), public, test) == 1.0
    assert measure.near_copies(torch.rand(40, 3, 16, 16) * 2 - 1, public, test) < 0.5
    mean_colour = lambda x: x.mean((2, 3))
    assert measure.near_copies(public.flip(-2), public, test) < 0.5, "upside down, no pixel is where it was"
    assert measure.near_copies(public.flip(-2), public, test, mean_colour) == 1.0


def test_features_follow_the_window_that_was_seen():
    """A map that tells each place's own coordinates, seen through a window, tells those of the window."""
    n, line = 16, (torch.arange(8) + 0.5) / 8
    maps = torch.stack([line.view(1, 8).expand(8, 8), line.view(8, 1).expand(8, 8)]).expand(n, 2, 8, 8)
    view = data.View([(40, 40 * (i % 2), 0) for i in range(8)], torch.arange(n) % 4 == 3)
    found = align.seen(maps, view, 2)
    for i in range(n):
        left_to_right = torch.tensor([0.125, 0.375]) if i % 4 != 3 else torch.tensor([0.375, 0.125])
        down = torch.tensor([0.125, 0.375]) + 0.5 * ((i // 2) % 2)
        assert (found[i, 0] - left_to_right).abs().max() < 1e-5 and (found[i, 1] - down.view(2, 1)).abs().max() < 1e-5, i


def test_tokens_that_pass_by_come_back_in_their_places():
    net = Pocket(20, size=32, patch=8, d=32, depth=3, heads=2, text_width=32)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.2)
    z, t, ids = torch.randn(3, 3, 32, 32), torch.rand(3), torch.randint(0, 20, (3, data.TEXT_LEN))
    whole = align.Way(after=2)
    assert torch.equal(net(z, t, ids, whole), net(z, t, ids)) and whole.hidden.shape == (3, 16, 32)
    half = align.Way(0.5, after=2)
    assert not torch.equal(net(z, t, ids, half), net(z, t, ids))
    for p in net.blocks[1].parameters():
        torch.nn.init.zeros_(p)
    for p in (net.ada.weight, net.ada.bias):
        torch.nn.init.zeros_(p)
    assert torch.allclose(net(z, t, ids, half), net(z, t, ids), atol=1e-6), "a block that changes nothing may be passed by"


def test_alignment_and_the_perceptual_term_teach(tmp_path):
    root = pictures(tmp_path / "data")
    common = ["photo", "--data", root, "--shape", TINY, "--batch", "8", "--steps", "2", "--log", "1", "--threads", "1"]
    ways = dict(plain=[], aligned=["--align", "0.5", "--align-after", "1", "--features", str(tmp_path / "features.pt")], perceptual=["--perceptual", "0.1"])
    states = {}
    for name, flags in ways.items():
        train.main(common + ["--out", str(tmp_path / name)] + flags)
        states[name] = weights.load_checkpoint(tmp_path / name / "pocket.pt")["net"]
    # The first step of a network that begins at zero moves its last map alone; what a layer before it learns in two steps shows the other losses.
    moved = lambda name: any(not torch.equal(states[name][k], states["plain"][k]) for k in states["plain"])
    assert moved("aligned") and moved("perceptual")
    kept = torch.load(tmp_path / "features.pt", weights_only=True)
    assert kept.shape == (8, 112, 8, 8) and bool(kept.isfinite().all())
    red, blue = kept[:4].float().mean((2, 3)), kept[4:].float().mean((2, 3))
    assert (red.mean(0) - blue.mean(0)).norm() > 3 * (red - red.mean(0)).norm(dim=1).max(), "features tell the two classes apart"


def test_other_words_and_patches_keep_what_was_learned(tmp_path):
    root = pictures(tmp_path / "data")
    meta = data.load(root, "public", RECIPES["photo"])[1]
    old = data.build_tokenizer(meta, 300)
    net = Pocket(old.get_vocab_size(), size=16, patch=8, d=32, depth=1, heads=2, text_width=32)
    new = data.build_tokenizer([*meta, *[data.Meta("tinynet200", "photo", "american alligator", None, ("green", "blue", None))] * 50], 340)
    again = weights.retokenise(net, old, new)
    shared = set(old.get_vocab()) & set(new.get_vocab())
    assert len(shared) > 100 and all(torch.equal(again.text.tok.weight[new.get_vocab()[w]], net.text.tok.weight[old.get_vocab()[w]]) for w in shared)
    word = max(set(new.get_vocab()) - shared, key=len)
    pieces = old.encode(word.removesuffix("</w>"), add_special_tokens=False).ids
    assert torch.allclose(again.text.tok.weight[new.get_vocab()[word]], net.text.tok.weight[[p for p in pieces if p]].mean(0))
    finer = weights.repatch(net, 4)
    assert finer.cfg["patch"] == 4 and finer.pos.shape == (16, 32) and torch.equal(finer.blocks[0].qkv.weight, net.blocks[0].qkv.weight)
    assert finer(torch.randn(1, 3, 16, 16), torch.tensor([0.5]), torch.zeros(1, data.TEXT_LEN, dtype=torch.long)).shape == (1, 3, 16, 16)


def test_every_corpus_is_read_with_its_names(tmp_path):
    blank = Image.fromarray(np.full((8, 8, 3), 90, np.uint8))
    def put(path):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        blank.save(tmp_path / path)
    put("tinynet200/public/n01443537/a.JPEG")
    put("tinynet10/public/n07753592/a.JPEG")
    put("office_caltech10/public/webcam/mug/a.jpg")
    (tmp_path / "tinynet200" / "classes.tsv").write_text("n01443537\tgoldfish, Carassius auratus\n")
    known = {m.corpus: (m.domain, m.cls) for m in data.load(str(tmp_path), "public", RECIPES["photo"])[1]}
    assert known == {"tinynet200": ("photo", "goldfish"), "tinynet10": ("photo", "banana"), "office_caltech10": ("webcam", "mug")}


def test_captions_name_the_colours():
    image = np.full((80, 80, 3), 255, np.uint8)
    image[20:60, 20:60] = (220, 20, 20)
    assert captions.attributes(image) == ("red", "white", "bright")


def test_shipped_sizes():
    """At most 25 MB as f16 and 2.5 GFLOP per network call, so that a CPU can use it; three fit into 64 MB."""
    for shape in SHAPES.values():
        net = Pocket(640, **shape)
        parameters = sum(p.numel() for p in net.parameters())
        tokens = (shape["size"] // shape["patch"]) ** 2 + net.cfg["text_tokens"]
        flop = 2 * tokens * sum(p.numel() for b in net.blocks for p in b.parameters()) + 4 * shape["depth"] * tokens**2 * shape["d"]
        assert 2 * parameters < 25e6 and 3 * 2 * parameters < 64 * 2**20 and flop < 2.5e9, (parameters, flop)


def main():
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_")]
    for name, test in tests:
        with tempfile.TemporaryDirectory() as folder:
            test(*([pathlib.Path(folder)] if test.__code__.co_argcount else []))
        print("ok", name, flush=True)
    print(f"{len(tests)} passed, 0 failed")


if __name__ == "__main__":
    main()
