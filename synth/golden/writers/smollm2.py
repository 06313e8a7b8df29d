"""Makes synth/tests/golden/smollm2.json: what llama.cpp reads and writes for SmolLM2-135M-Instruct, as the reference of writers/gguf.

    python synth/golden/writers/fetch_smollm2.py
    pip install -r synth/golden/writers/requirements.txt
    python synth/golden/writers/smollm2.py

Tokens are those of llama.cpp's own tokenizer, with ChatML's entries as it parses them; continuations are its likeliest tokens
(temperature 0). Beside them stand the logarithms of probability of the two likeliest tokens of each step: llama.cpp's own, and those of the same
weights in NumPy without rounding of activations. What the three differ in is rounding."""

import json
import urllib.request
from pathlib import Path

import numpy as np
import xllamacpp
from gguf import GGUFReader, dequantize

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
OUT = ROOT / "synth" / "tests" / "golden" / "smollm2.json"

TEXTS = [
    "a photo of a dog, in the snow",
    "It's 2024: 12,345 caf\u00e9s\n\n  and  two\ttabs",
    "\u4e00\u53ea\u732b \u2764\ufe0f don't we'll",
    "  leading and trailing  ",
]
CONVERSATIONS = [
    ("You are a helpful AI assistant named SmolLM, trained by Hugging Face", "What is the capital of France?", ""),
    ("You write prompts for a text-to-image model.", "Write a prompt of a picture of: dog.", "a photo of a dog,"),
    ("You write prompts for a text-to-image model.", "Write a prompt of a picture of: church.", "a sketch of a church,"),
]
TOKENS = 24


def chatml(system, user, answer):
    return f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n{answer}"


class Unrounded:
    """Llama's forward pass over dequantised weights in f32, in NumPy."""

    heads, groups, size, base, epsilon, layers = 9, 3, 64, 100000.0, 1e-5, 30

    def __init__(self, file):
        tensors = GGUFReader(file).tensors
        self.weights = {t.name: dequantize(t.data, t.tensor_type).reshape(tuple(reversed(t.shape))) for t in tensors}

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon) * self.weights[name]

    def rotate(self, x):
        """x: position, head, dimension; pairs are neighbours."""
        angles = np.arange(len(x))[:, None] * self.base ** (-np.arange(0, self.size, 2) / self.size)
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)

    def log_probabilities(self, ids):
        table = self.weights["token_embd.weight"]
        x, n = table[ids], len(ids)
        future = np.triu(np.full((n, n), -np.inf), 1)
        for layer in range(self.layers):
            linear = lambda x, name: x @ self.weights[f"blk.{layer}.{name}.weight"].T
            h = self.norm(x, f"blk.{layer}.attn_norm.weight")
            q = self.rotate(linear(h, "attn_q").reshape(n, self.heads, self.size))
            k = self.rotate(linear(h, "attn_k").reshape(n, self.groups, self.size))
            v = linear(h, "attn_v").reshape(n, self.groups, self.size)
            k, v = (np.repeat(each, self.heads // self.groups, 1) for each in (k, v))
            scores = np.einsum("thd,shd->hts", q, k) / np.sqrt(self.size) + future
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            scores /= scores.sum(-1, keepdims=True)
            x = x + linear(np.einsum("hts,shd->thd", scores, v).reshape(n, -1), "attn_output")
            h = self.norm(x, f"blk.{layer}.ffn_norm.weight")
            gate = linear(h, "ffn_gate")
            x = x + linear(gate / (1 + np.exp(-gate)) * linear(h, "ffn_up"), "ffn_down")
        logits = self.norm(x, "output_norm.weight") @ table.T
        logits -= logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def main():
    params = xllamacpp.CommonParams()
    params.model.path = str(MODEL)
    params.n_ctx = 2048
    params.n_parallel = 1
    params.warmup = False
    server = xllamacpp.Server(params)

    def post(path, body):
        request = urllib.request.Request(
            f"{server.listening_address}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        return json.load(urllib.request.urlopen(request))

    def tokens(text, special):
        return post("tokenize", {"content": text, "add_special": False, "parse_special": special})["tokens"]

    texts = [{"text": text, "ids": tokens(text, False)} for text in TEXTS]
    conversations, unrounded, differences = [], Unrounded(MODEL), []
    for system, user, answer in CONVERSATIONS:
        prompt = tokens(chatml(system, user, answer), True)
        written = post(
            "completion",
            {"prompt": prompt, "n_predict": TOKENS, "temperature": 0.0, "n_probs": 2, "return_tokens": True, "cache_prompt": False},
        )
        tops = [step["top_logprobs"] for step in written["completion_probabilities"]]
        then = [first["id"] for first, _ in tops]
        exact = unrounded.log_probabilities(np.array(prompt + then[:-1]))[len(prompt) - 1 :]
        steps = [
            [{"id": top["id"], "llama.cpp": round(top["logprob"], 4), "unrounded": round(float(row[top["id"]]), 4)} for top in step]
            for step, row in zip(tops, exact)
        ]
        differences += [abs(top["llama.cpp"] - top["unrounded"]) for step in steps for top in step]
        conversations.append(
            {"system": system, "user": user, "answer": answer, "ids": prompt, "likeliest": steps, "text": written["content"]}
        )
    golden = {"llama.cpp": xllamacpp.BUILD_INFO, "model": MODEL.name, "texts": texts, "conversations": conversations}
    OUT.write_text(json.dumps(golden, ensure_ascii=False) + "\n")
    for conversation in conversations:
        print(repr(conversation["text"]))
    print(f"llama.cpp differs from what is not rounded by {np.mean(differences):.4f} on average, {np.max(differences):.4f} at most")


main()
