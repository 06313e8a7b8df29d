"""Writes data/tests/seeds.json and tests/golden/seeds.json of synth and eval: the seeds that docs/architecture.md promises, derived by other code.

  python synth/golden/seeds.py     (blake3 1.0.11)

BLAKE3 is that of PyPI's `blake3`; ChaCha, with the 64-bit counter and the rounds of rand_chacha, is below and is compared with the key stream
of RFC 7539, section 2.3.2.
"""
import json
import pathlib
import struct

from blake3 import blake3

ROOT = pathlib.Path(__file__).resolve().parents[2]
MASK = 0xFFFFFFFF


def chacha(key, rounds, tail=(0, 0, 0, 0)):
    """The first block of a stream: 16 words."""
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *struct.unpack("<8I", key), *tail]
    x = list(start)

    def quarter(a, b, c, d):
        for one, two, other, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[one] = (x[one] + x[two]) & MASK
            mixed = x[other] ^ x[one]
            x[other] = ((mixed << bits) | (mixed >> (32 - bits))) & MASK

    for _ in range(rounds // 2):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for diagonal in range(4):
            quarter(diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4)
    return [(a + b) & MASK for a, b in zip(x, start)]


RFC = chacha(bytes(range(32)), 20, (1, 0x09000000, 0x4A000000, 0))
assert RFC[:4] == [0xE4E7F110, 0x15593BD1, 0x1FDD0F50, 0xC47120A3], [hex(word) for word in RFC]


def numbers(key, rounds):
    """The first two 64-bit numbers of a stream, as text: JSON's numbers are too short for some readers."""
    words = chacha(key, rounds)
    return [str(words[i] | words[i + 1] << 32) for i in (0, 2)]


def u32(number):
    return struct.pack("<I", number)


def u64(number):
    return struct.pack("<Q", number)


def text(value):
    return u64(len(value.encode())) + value.encode()


def derived(context, *parts):
    return blake3(b"".join(parts), derive_key_context=context).digest()


def data(purpose, seed, scheme):
    key = derived("promptfed data seed v1", text(purpose), u64(seed), scheme.encode())
    return dict(purpose=purpose, seed=str(seed), scheme=scheme, numbers=numbers(key, 8))


def image(job, label, index, positive, negative):
    parts = (u64(job), u32(label), u64(index), text(positive), text(negative))
    seed = derived("promptfed synth 2026 image seed v1", *parts)
    redrawn = derived("promptfed synth 2026 redraw seed v1", seed, u32(2))
    noise = derived("promptfed synth 2026 stream v1", seed, b"noise")
    return dict(
        job=str(job), label=label, index=str(index), positive=positive, negative=negative,
        seed=seed.hex(), attempt_2=redrawn.hex(), noise=numbers(noise, 20),
    )


def number(value):
    return dict(number=str(value), seed=derived("promptfed synth 2026 number seed v1", u64(value)).hex())


def fusion(seed, purpose):
    first = derived("promptfed synth 2026 fuse seed v1", u64(seed), purpose.encode())[:8]
    return dict(seed=str(seed), purpose=purpose, derived=str(struct.unpack("<Q", first)[0]))


def run(seed, purpose):
    first = blake3(b"promptfed seed" + u64(seed) + purpose.encode()).digest()[:8]
    return dict(seed=str(seed), purpose=purpose, derived=str(struct.unpack("<Q", first)[0]))


LARGE = 2**64 - 1
write = {
    # That crate's golden folder holds pictures alone.
    "data/tests": [data("partition", 7, "dirichlet:5:0.5"), data("stratified split", 0, "0.1"), data("", LARGE, "")],
    "synth/tests/golden": dict(
        images=[
            image(0, 0, 0, "a cat", ""),
            image(LARGE, 344, 10_000_000, "a caf\u00e9, seen from above", "blurry"),
        ],
        numbers=[number(7), number(LARGE)],
        fusions=[fusion(0, "candidates"), fusion(LARGE, "")],
    ),
    "eval/tests/golden": [run(0, "partition"), run(1, "fedavg 3 2"), run(LARGE, "validation of client 4")],
}
for folder, values in write.items():
    (ROOT / folder / "seeds.json").write_text(json.dumps(values, indent=1, ensure_ascii=True) + "\n")
