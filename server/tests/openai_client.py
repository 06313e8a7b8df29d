"""Asks `promptfed synth serve` with the client that OpenAI publishes (PyPI `openai`), and writes down what came.

    promptfed synth serve --engine pocket --token-file images.token &
    pip install openai
    python server/tests/openai_client.py http://127.0.0.1:7979/v1 images.token > server/tests/openai_client.json

The result beside this script is of the bundled weights `all`. Hashes of pictures hold for one kind of processor; the rest holds everywhere.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

import openai

address, token_file = sys.argv[1:]
client = openai.OpenAI(base_url=address, api_key=Path(token_file).read_text().strip(), max_retries=0)
told = {"openai": openai.__version__}

models = client.models.list()
told["models"] = [model.id for model in models]
told["model"] = client.models.retrieve("pocket").owned_by


def sha256(image):
    picture = base64.b64decode(image.b64_json)
    assert picture.startswith(b"\x89PNG"), picture[:8]
    return hashlib.sha256(picture).hexdigest()


answer = client.images.generate(
    model="pocket",
    prompt="a photo of a church",
    n=2,
    size="auto",
    response_format="b64_json",
    extra_body={"seed": 7, "negative_prompt": "low quality", "steps": 4, "guidance_scale": 2.0},
)
told["images"] = [sha256(image) for image in answer.data]
again = client.images.generate(
    model="pocket",
    prompt="a photo of a church",
    extra_body={"seed": answer.data[1].seed, "negative_prompt": "low quality", "steps": 4, "guidance_scale": 2.0},
)
told["second image made again alone"] = sha256(again.data[0]) == told["images"][1]

told["refused"] = {}
for name, ask in {
    "unknown model": lambda: client.images.generate(model="dall-e-2", prompt="x"),
    "size": lambda: client.images.generate(model="pocket", prompt="x", size="1024x1024"),
    "quality": lambda: client.images.generate(model="pocket", prompt="x", quality="hd"),
    "token": lambda: openai.OpenAI(base_url=address, api_key="wrong", max_retries=0).models.list(),
}.items():
    try:
        ask()
        told["refused"][name] = "not refused"
    except openai.APIStatusError as error:
        told["refused"][name] = f"{type(error).__name__}: {error.body['message']}"

print(json.dumps(told, indent=2))
