"""Makes a tiny CLIP and a tiny BLIP of random weights, and what transformers computes with them.

  pip install -r vision/golden/requirements.txt
  python vision/golden/make.py

Writes vision/tests/golden/: a folder for each model (f16 weights), `clip.safetensors` and `blip.safetensors` with the numbers
(f32), and `image.png`, which both look at.
"""

import json
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BlipConfig, BlipForConditionalGeneration, CLIPConfig, CLIPModel
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

OUT = Path(__file__).resolve().parents[1] / "tests" / "golden"
TEXTS = ["a photo of a church", "A pencil sketch!", "", "the " * 40]
WORDS = ["a photo of a church in the snow", "a pencil sketch of two dogs", "a painting of the sea at night, oil on canvas"]


def picture():
    """A picture of waves and edges, 53 x 37."""
    y, x = np.mgrid[0:37, 0:53]
    red = 127 + 120 * np.sin(x / 5) * np.cos(y / 7)
    green = 255 * ((x // 9 + y // 6) % 2)
    blue = x * 4 + y
    return Image.fromarray(np.stack([red, green, blue], -1).clip(0, 255).astype(np.uint8))


def randomise(model, seed):
    """Weights that keep the size of what flows through them, rounded to f16."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            values = torch.randn(weight.shape, generator=generator)
            if "embedding" in name:
                values *= 0.5
            elif weight.ndim >= 2:
                values /= weight[0].numel() ** 0.5
            elif weight.ndim == 1:
                values = 0.1 * values + (1.0 if name.lower().endswith("norm.weight") else 0.0)
            else:
                values = torch.tensor(2.5)
            weight.copy_(values.half().float())
    model.tie_weights()
    return model.eval()


def kept(file: Path, train):
    """The tokenizer in `file`, trained where there is none: training breaks ties in another way each time."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        train().save(str(file))
    return Tokenizer.from_file(str(file))


def save(model, folder: Path, processor):
    model.half().save_pretrained(folder)
    model.float()
    (folder / "generation_config.json").unlink(missing_ok=True)
    processor.save_pretrained(folder)


def clip_tokenizer():
    """CLIP's kind: lower-cased byte-level BPE with `</w>` at the ends of words, trained on a few words."""
    tokenizer = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    special = ["<|startoftext|>", "<|endoftext|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(WORDS, trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False))
    start, end = (tokenizer.token_to_id(token) for token in special)
    tokenizer.post_processor = processors.RobertaProcessing((special[1], end), (special[0], start), add_prefix_space=False)
    return tokenizer


def bert_tokenizer():
    """BERT's kind: word pieces, with the token that begins captions last."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(WORDS, trainers.WordPieceTrainer(
        vocab_size=90, special_tokens=special, show_progress=False))
    tokenizer.add_special_tokens(["[DEC]"])
    return tokenizer


def clip():
    tokenizer = kept(OUT / "clip" / "tokenizer.json", clip_tokenizer)
    vocabulary = tokenizer.get_vocab_size()
    end = tokenizer.token_to_id("<|endoftext|>")
    text = dict(vocab_size=vocabulary, hidden_size=24, intermediate_size=48, num_hidden_layers=2, num_attention_heads=3,
                max_position_embeddings=20, bos_token_id=0, eos_token_id=end, pad_token_id=end)
    vision = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=28, patch_size=7)
    model = randomise(CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)), 1)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    save(model, OUT / "clip", processor)
    pixels = processor(picture(), return_tensors="pt").pixel_values
    texts = []
    for sentence in TEXTS:
        ids = tokenizer.encode(sentence).ids
        # Cut as transformers cuts: the end token stays.
        ids = ids[:19] + [end] if len(ids) > 20 else ids
        texts.append(model.get_text_features(input_ids=torch.tensor([ids])))
    texts = torch.cat([getattr(t, "pooler_output", t) for t in texts])
    image = model.get_image_features(pixel_values=pixels)
    image = getattr(image, "pooler_output", image)
    texts, image = (f / f.norm(dim=-1, keepdim=True) for f in (texts, image))
    scores = (model.logit_scale.exp() * image @ texts.T).softmax(-1)
    save_file({"pixels": pixels[0], "texts": texts, "image": image, "scores": scores}, OUT / "clip.safetensors")


def blip():
    tokenizer = kept(OUT / "blip" / "tokenizer.json", bert_tokenizer)
    vocabulary = tokenizer.get_vocab_size()
    text = dict(vocab_size=vocabulary, hidden_size=24, encoder_hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                num_attention_heads=3, max_position_embeddings=32, bos_token_id=tokenizer.token_to_id("[DEC]"),
                sep_token_id=tokenizer.token_to_id("[SEP]"), pad_token_id=0, eos_token_id=2)
    vision = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8)
    config = BlipConfig(text_config=text, vision_config=vision)
    model = randomise(BlipForConditionalGeneration(config), 2)
    processor = BlipImageProcessorPil(size={"height": 32, "width": 32})
    save(model, OUT / "blip", processor)
    pixels = processor(picture(), return_tensors="pt").pixel_values
    features = model.vision_model(pixels)[0]
    ids = torch.tensor([[text["bos_token_id"], 5, 9, 30, 7]])
    logits = model.text_decoder(ids, encoder_hidden_states=features, is_decoder=True).logits[0]
    written = model.generate(pixels, max_length=20, num_beams=1, do_sample=False)[0, 1:]
    written = [int(i) for i in written if i != text["sep_token_id"]]
    save_file({"pixels": pixels[0], "features": features[0], "logits": logits, "ids": ids[0].to(torch.int32),
               "written": torch.tensor(written, dtype=torch.int32)}, OUT / "blip.safetensors")
    print(tokenizer.decode(written))


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    OUT.mkdir(exist_ok=True)
    picture().save(OUT / "image.png")
    with torch.no_grad():
        clip()
        blip()
    for name in ["clip", "blip"]:
        print(name, len(load_file(OUT / name / "model.safetensors")), json.loads((OUT / name / "preprocessor_config.json").read_text()))
    print(sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()) / 1e3, "kB")


if __name__ == "__main__":
    main()
