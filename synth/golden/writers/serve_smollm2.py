"""Serves SmolLM2-135M-Instruct by llama.cpp behind OpenAI's chat/completions, to try writers/chat against a program that others wrote:

    python synth/golden/writers/fetch_smollm2.py
    pip install -r synth/golden/writers/requirements.txt
    python synth/golden/writers/serve_smollm2.py
    promptfed write prompts.json --writer chat:http://127.0.0.1:PORT/v1 --out written.jsonl"""

import time
from pathlib import Path

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = str(Path(__file__).parents[3] / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf")
params.n_ctx = 2048
params.n_parallel = 1
server = xllamacpp.Server(params)
print(f"promptfed write PROMPTS --writer chat:{server.listening_address}/v1", flush=True)
while True:
    time.sleep(3600)
