"""Checkpoints of a training run, and the folders that are shipped."""
import json
import os
import pathlib
import shutil

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from pocket import Pocket

SAMPLER = {"kind": "heun", "steps": 20, "guidance": 2.5, "interval": [0.1, 1.0]}
"""How weights are sampled before a way is chosen."""
APART = ("architecture", "prediction", "sampler", "train_steps")
"""Entries of config.json that are no part of the network's shape."""


def save_checkpoint(file, **state):
    """Writes beside the file first, so that a stop in between loses nothing."""
    torch.save(state, f"{file}.new")
    os.replace(f"{file}.new", file)


def load_checkpoint(file):
    return torch.load(file, map_location="cpu", weights_only=True)


def export(state, cfg, steps, sampler, tokenizer, to):
    """Writes `to`/model.safetensors (f16), config.json and tokenizer.json; `tokenizer` is the file to copy."""
    to = pathlib.Path(to)
    to.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().cpu().half().contiguous() for k, v in state.items()}, to / "model.safetensors")
    (to / "model.safetensors").chmod(0o644)
    config = {"architecture": "pocket", **cfg, "prediction": "x", "sampler": sampler, "train_steps": steps}
    (to / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    if pathlib.Path(tokenizer).resolve() != (to / "tokenizer.json").resolve():
        shutil.copy(tokenizer, to / "tokenizer.json")


def load(folder, dev="cpu"):
    """-> (network in f32, tokenizer, config.json as a dictionary)"""
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text())
    net = Pocket(**{k: v for k, v in config.items() if k not in APART})
    net.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    return net.eval().to(dev), Tokenizer.from_file(str(folder / "tokenizer.json")), config


def retokenise(net, old, new):
    """-> the network with the vocabulary of tokenizer `new`: a token that `old` has keeps its vector, another gets the mean of its pieces'."""
    again, table, known = Pocket(**{**net.cfg, "vocab": new.get_vocab_size()}), net.text.tok.weight.detach(), old.get_vocab()
    state = net.state_dict()
    rows = again.text.tok.weight.detach().clone()
    for token, i in new.get_vocab().items():
        pieces = [known[token]] if token in known else [p for p in old.encode(token.removesuffix("</w>"), add_special_tokens=False).ids if p]
        if pieces:
            rows[i] = table[pieces].mean(0)
    again.load_state_dict({**state, "text.tok.weight": rows})
    return again


def repatch(net, patch):
    """-> the network with other patches: the blocks stay, positions are interpolated, the maps from and to pixels begin anew."""
    again = Pocket(**{**net.cfg, "patch": patch})
    fresh, state = again.state_dict(), net.state_dict()
    side = lambda n: (n.cfg["size"] // n.cfg["patch"],) * 2
    grid = state["pos"].T.unflatten(1, side(net)).unsqueeze(0)
    state["pos"] = F.interpolate(grid, side(again), mode="bilinear", align_corners=False)[0].flatten(1).T
    again.load_state_dict({k: v if v.shape == fresh[k].shape else fresh[k] for k, v in state.items()})
    return again
