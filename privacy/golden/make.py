"""Writes privacy/tests/golden/sealed.json: prompt sets sealed by another implementation of HPKE, for the tests to open.

  python privacy/golden/make.py     (pyhpke 0.6.5, cryptography 50.0.2)

Keys, those of the senders among them, and contents are SHA-256 of counted texts, so that each run writes the same.
"""
import hashlib
import json
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey, KEMKeyPair

SUITE = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305)
HEADER = b"PFSP" + struct.pack("<H", 1)
INFO = b"promptfed sealed prompts"


def numbers(name, count):
    """Bytes that nothing but their name decides."""
    blocks = (hashlib.sha256(f"{name} {i}".encode()).digest() for i in range(count // 32 + 1))
    return b"".join(blocks)[:count]


def size_class(needed):
    """Eight classes from one power of two to the next; one below 512."""
    if needed <= 512:
        return 512
    step = 2 ** (needed.bit_length() - 4)
    return (needed + step - 1) // step * step


def pair(name):
    key = X25519PrivateKey.from_private_bytes(numbers(name, 32))
    return [KEMKey.from_pyca_cryptography_key(half) for half in (key, key.public_key())]


def case(length, number, client):
    name = f"key {length}"
    private, public = pair(name)
    content = numbers(f"content {length}", length)
    padded = struct.pack("<I", length) + content
    padded += bytes(size_class(len(padded)) - len(padded))
    encapsulated, context = SUITE.create_sender_context(public, INFO, eks=KEMKeyPair(*pair(f"sender {length}")))
    ciphertext = context.seal(padded, HEADER + struct.pack("<II", number, client))
    return {
        "key": numbers(name, 32).hex(),
        "public": public.to_public_bytes().hex(),
        "round": number,
        "client": client,
        "content": content.hex(),
        "sealed": (HEADER + encapsulated + ciphertext).hex(),
    }


def main():
    cases = [case(0, 1, 1), case(245, 1, 2), case(508, 7, 3), case(509, 4294967295, 258), case(3000, 65536, 4294967295)]
    file = pathlib.Path(__file__).resolve().parents[1] / "tests/golden/sealed.json"
    file.write_text(json.dumps({"cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
