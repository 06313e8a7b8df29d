"""A small tokenizer of CLIP's kind: lower-cased byte-level BPE with `</w>` at the ends of words."""

import json
import re
from collections import Counter
from pathlib import Path

START, END = "<|startoftext|>", "<|endoftext|>"
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+"  # CLIP's, for ASCII

TEXT = """
a photo of a church in the snow. a painting of a garbage truck, oil on canvas, highly detailed. a photo of the dog's
house; it's raining. we've seen a parachute over the hills, they'll say. an image of a golf ball on green grass.
a drawing of a french horn, black and white. blurry, low quality, worst quality, deformed. a sketch of a gas pump at
night with neon lights. a cassette player on a wooden table, cinematic lighting. a chain saw, product photography.
a tench in the water, close up photo. an english springer running on the beach at sunset, golden hour, 35mm film.
"""


def bytes_of_clip():
    """The printable stand-ins of the 256 bytes in the order of CLIP's own vocabulary, so that "!" has id 0."""
    first = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in first]
    return [chr(b) for b in first] + [chr(256 + i) for i in range(len(rest))]


def train(merges=200):
    """Vocabulary and merges (Sennrich et al. 2016): 256 bytes, 256 bytes at ends of words, merges, start, end."""
    words = Counter((*word[:-1], word[-1] + "</w>") for word in re.findall(PATTERN, TEXT.lower()))
    pairs = []
    for _ in range(merges):
        counts = Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                counts[pair] += count
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        pairs.append(best)
        words = Counter({merged(word, best): count for word, count in words.items()})
    alphabet = bytes_of_clip()
    entries = alphabet + [c + "</w>" for c in alphabet] + ["".join(pair) for pair in pairs] + [START, END]
    assert len(set(entries)) == len(entries)
    return {entry: i for i, entry in enumerate(entries)}, pairs


def merged(word, pair):
    """The word with every occurrence of the pair as one entry."""
    out = []
    for part in word:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return tuple(out)


def save(folder: Path, pad_token=END):
    """Writes a `tokenizer` folder as Stable Diffusion's are laid out."""
    vocab, pairs = train()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False, separators=(",", ":")))
    merges = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in pairs)
    (folder / "merges.txt").write_text(merges)

    def token(content):
        return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}

    special = {"bos_token": token(START), "eos_token": token(END), "pad_token": pad_token, "unk_token": token(END)}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    config = {
        "add_prefix_space": False,
        "bos_token": {"__type": "AddedToken", **token(START)},
        "do_lower_case": True,
        "eos_token": {"__type": "AddedToken", **token(END)},
        "errors": "replace",
        "model_max_length": 77,
        "pad_token": pad_token,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": {"__type": "AddedToken", **token(END)},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return len(vocab)
