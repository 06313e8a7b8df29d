"""Makes synth/tests/golden/smollm2.json: what llama.cpp reads and writes for SmolLM2-135M-Instruct, as the reference of writers/gguf.

    python synth/golden/writers/fetch_smollm2.py
    pip install -r synth/golden/writers/requirements.txt
    python synth/golden/writers/smollm2.py

Tokens are those of llama.cpp's own tokenizer, with ChatML's entries as it parses them; continuations are its likeliest tokens
(temperature 0) with its probabilities. Small differences of products (llama.cpp rounds activations to 8 bits in blocks of its own) can swap
tokens that are nearly as likely, so that the two likeliest are recorded with their logarithms of probability."""

import json
import urllib.request
from pathlib import Path

import xllamacpp

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
    conversations = []
    for system, user, answer in CONVERSATIONS:
        prompt = tokens(chatml(system, user, answer), True)
        written = post(
            "completion",
            {"prompt": prompt, "n_predict": TOKENS, "temperature": 0.0, "n_probs": 2, "return_tokens": True, "cache_prompt": False},
        )
        steps = [
            [[top["id"], round(top["logprob"], 4)] for top in step["top_logprobs"]]
            for step in written["completion_probabilities"]
        ]
        conversations.append(
            {"system": system, "user": user, "answer": answer, "ids": prompt, "likeliest": steps, "text": written["content"]}
        )
    golden = {"llama.cpp": xllamacpp.BUILD_INFO, "model": MODEL.name, "texts": texts, "conversations": conversations}
    OUT.write_text(json.dumps(golden, ensure_ascii=False) + "\n")
    for conversation in conversations:
        print(repr(conversation["text"]))


main()
