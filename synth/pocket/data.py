"""Reading the data sets, and captions as token banks that live on the device."""
import functools
import os
import pathlib
import random
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from captions import COLOURS, attributes, caption
from corpora import rows

TEXT_LEN = 24
STORE = 80
"""Height and width in pixels that images are kept at."""


class Meta(NamedTuple):
    """What is known of an image; `name` is a finer name than the class, where there is one."""
    corpus: str
    domain: str
    cls: str
    name: str | None
    attributes: tuple


@functools.cache
def load(root, split, recipe):
    """-> uint8 images [n,3,STORE,STORE], list of Meta; kept in memory for the next stage."""
    found = rows(root, split, recipe)
    if not found:
        raise SystemExit(f"{root}: no images of split {split}; see corpora.py for what a data folder holds")
    def read(row):
        image = np.asarray(Image.open(row[0]).convert("RGB").resize((STORE, STORE), Image.LANCZOS))
        return image, Meta(*row[1:], attributes(image))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        images, meta = zip(*pool.map(read, found))
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), list(meta)


def weights(meta, recipe):
    """-> how often each image is drawn [n], by the recipe's shares of the corpora."""
    count = {c: sum(m.corpus == c for m in meta) for c in recipe.mix}
    return torch.tensor([recipe.mix[m.corpus] / count[m.corpus] for m in meta])


def build_tokenizer(meta, vocab=640):
    """Byte-pair encoding of the training captions and of words that prompts for larger generators use."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    tok = Tokenizer(models.BPE(unk_token="<pad>", end_of_word_suffix="</w>"))
    tok.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tok.pre_tokenizer = pre_tokenizers.Split(Regex(r"[a-z]+|[0-9]|[^\sa-z0-9]"), "removed", invert=True)
    rng = random.Random(0)
    text = [caption(m.domain, m.cls, m.attributes, rng, 0, m.name) for m in meta] * 3
    text += ["low quality, low resolution, blurry, high resolution, small, large, close up, single object, colorful"] * 200
    text += [" ".join(COLOURS) + " dark bright background"] * 200
    tok.train_from_iterator(text, trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=sorted("abcdefghijklmnopqrstuvwxyz0123456789,.;:'-&()"),
                            special_tokens=["<pad>", "<bos>", "<eos>"], end_of_word_suffix="</w>"))
    tok.post_processor = processors.TemplateProcessing(single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)])
    tok.enable_truncation(TEXT_LEN)
    tok.enable_padding(length=TEXT_LEN, pad_id=0, pad_token="<pad>")
    return tok


def encode(tok, texts):
    """-> ids [len(texts), TEXT_LEN]"""
    return torch.tensor([e.ids for e in tok.encode_batch(texts)])


def caption_bank(tok, meta, drop=0.1, variants=24):
    """-> ids [n, variants, TEXT_LEN]: captions of every image, a share `drop` of them empty."""
    rng = random.Random(1)
    texts = [caption(m.domain, m.cls, m.attributes, rng, drop, m.name) for m in meta for _ in range(variants)]
    return encode(tok, texts).view(len(meta), variants, TEXT_LEN)


def shrink(x, size):
    """uint8 [n,3,STORE,STORE] -> float [n,3,size,size] in [-1,1]."""
    return (F.interpolate(x.float(), (size, size), mode="bilinear", antialias=True) / 127.5 - 1).clamp(-1, 1)


class View(NamedTuple):
    """What augment() showed of a batch: a window (side, top, left), in pixels of STORE, for each of its parts, and which images are mirrored [B]."""
    windows: list
    mirrored: torch.Tensor


def augment(x, size, crop=0.75):
    """uint8 [B,3,STORE,STORE] on any device -> (float [B,3,size,size] in [-1,1], View): flips per image, and a window per eighth
    of the batch whose side is `crop` to 1 of the whole."""
    out, windows = [], []
    for group in x.chunk(8):
        k = random.randint(round(STORE * crop), STORE)
        i, j = random.randint(0, STORE - k), random.randint(0, STORE - k)
        window = group[..., i:i + k, j:j + k].float() / 127.5 - 1
        out.append(window if k == size else F.interpolate(window, (size, size), mode="bilinear", antialias=True, align_corners=False))
        windows.append((k, i, j))
    y = torch.cat(out)
    flip = torch.rand(len(y), device=y.device) < 0.5
    return torch.where(flip.view(-1, 1, 1, 1), y.flip(-1), y).clamp(-1, 1), View(windows, flip)
