"""Makes a client of a server's OpenAPI document with a public generator (PyPI `openapi-python-client`), and takes part in a round with it.

    pip install openapi-python-client blake3 pyhpke
    python server/tests/generated_client.py http://127.0.0.1:7878 admin.token round.json prompts.bin

`round.json` is a round's plan for one client, `prompts.bin` a prompt set in wire format, which is sealed to the round's key (PyPI
`pyhpke`) as docs/wire-format.md says. Prints what came as JSON.
"""

import importlib
import io
import json
import secrets
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import blake3
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from openapi_python_client.strings import PythonIdentifier
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey

address, token_file, plan_file, prompts_file = sys.argv[1:]
admin_token = Path(token_file).read_text().strip()
prompts = Path(prompts_file).read_bytes()

with urllib.request.urlopen(f"{address}/openapi.json") as answer:
    document = json.load(answer)

folder = tempfile.TemporaryDirectory()
place = Path(folder.name)
(place / "openapi.json").write_text(json.dumps(document))


def media_types(part):
    for key, value in part.items():
        if key == "content":
            yield from value
        elif isinstance(value, dict):
            yield from media_types(value)


# The generator knows bytes under one name; what is sent keeps its own.
is_bytes = lambda name: not name.endswith("json") and not name.startswith("text/")  # noqa: E731
settings = {
    "content_type_overrides": {name: "application/octet-stream" for name in media_types(document["paths"]) if is_bytes(name)},
    "post_hooks": [],
}
(place / "settings.json").write_text(json.dumps(settings))
command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--path", place / "openapi.json"]
command += ["--config", place / "settings.json", "--output-path", place / "federation"]
# Warnings tell of what it cannot read and leaves out.
subprocess.run(command, check=True, stdout=sys.stderr)
sys.path.insert(0, str(place))
from federation import AuthenticatedClient, Client, models  # noqa: E402
from federation.types import File  # noqa: E402


def operation(method, path):
    described = document["paths"][path][method]
    name = str(PythonIdentifier(described["operationId"], ""))
    return importlib.import_module(f"federation.api.{described['tags'][0]}.{name}")


def ask(client, method, path, *arguments, expected=(200,), **named):
    answer = operation(method, path).sync_detailed(*arguments, client=client, **named)
    assert int(answer.status_code) in expected, (method, path, answer)
    return answer


def sealed(wire, sealing):
    """A prompt set in the envelope of sealed ones, padded to its size class."""
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305)
    key = KEMKey.from_pyca_cryptography_key(X25519PublicKey.from_public_bytes(bytes.fromhex(sealing.key)))
    padded = struct.pack("<I", len(wire)) + wire
    step = 512 if len(padded) <= 512 else 2 ** (len(padded).bit_length() - 4)
    padded += bytes(-len(padded) % step)
    header = b"PFSP" + struct.pack("<H", 1)
    encapsulated, context = suite.create_sender_context(key, b"promptfed sealed prompts")
    return header + encapsulated + context.seal(padded, header + struct.pack("<II", sealing.round_id, sealing.client_id))


# Nothing of them is left out.
operations = [(method, path) for path, methods in document["paths"].items() for method in methods]
for method, path in operations:
    operation(method, path)

nobody = Client(base_url=address)
admin = AuthenticatedClient(base_url=address, token=admin_token)
health = ask(nobody, "get", "/health").parsed
assert health.version == document["info"]["version"]

registration = models.RegistrationRequest.from_dict({"name": "generated"})
invitation = ask(admin, "post", "/v1/clients", body=registration, expected=(201,)).parsed
token = f"pfc-{invitation.client_id}-{secrets.token_hex(32)}"
enrolment = models.EnrolmentRequest.from_dict(
    {"code": invitation.code, "token_hash": blake3.blake3(token.encode()).hexdigest()}
)
assert ask(nobody, "post", "/v1/enrolment", body=enrolment).parsed.name == "generated"
client = AuthenticatedClient(base_url=address, token=token)

plan = json.loads(Path(plan_file).read_text())
opened = ask(admin, "post", "/v1/rounds", body=models.RoundSpec.from_dict(plan), expected=(201,)).parsed
number = opened.round_id
spec = ask(client, "get", "/v1/rounds/{round_id}", number).parsed
classes = [entry.name for entry in spec.label_space.classes]
assert spec.to_dict()["label_space"] == plan["label_space"]

sealing = ask(client, "get", "/v1/rounds/{round_id}/sealing", number).parsed
sent = sealed(prompts, sealing)
submission = "/v1/rounds/{round_id}/submission"
stored = ask(client, "put", submission, number, body=File(payload=io.BytesIO(sent)), expected=(201,)).parsed
receipt = ask(client, "get", submission, number).parsed
assert receipt.to_dict() == stored.receipt.to_dict()
refused = ask(nobody, "get", "/v1/rounds/{round_id}/status", number, expected=(401,)).parsed

until = time.monotonic() + 120
while True:
    status = ask(client, "get", "/v1/rounds/{round_id}/status", number).parsed
    state = status.to_dict()["state"]
    if state == "done":
        break
    assert time.monotonic() < until and "failed" not in state and "paused" not in state, status
    time.sleep(0.05)
results = ask(client, "get", "/v1/rounds/{round_id}/results", number).parsed
model = ask(client, "get", "/v1/rounds/{round_id}/model", number)

print(
    json.dumps(
        {
            "operations": len(operations),
            "classes": classes,
            "receipt": receipt.to_dict(),
            "sent": blake3.blake3(sent).hexdigest(),
            "refused": refused.to_dict(),
            "status": status.to_dict(),
            "pooled": results.to_dict()["pooled"],
            "model_hash": results.to_dict()["model"]["hash"],
            "model": blake3.blake3(model.content).hexdigest(),
        }
    )
)
