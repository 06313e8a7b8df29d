"""The workloads of compare_torch.py in PyTorch, diffusers, oneDNN and OpenVINO."""
import copy
import inspect
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import onednn

ROOT = Path(__file__).resolve().parent.parent
PRECISIONS = {"f32": torch.float32, "bf16": torch.bfloat16}


def fast_bf16():
    """Whether this processor has bf16 instructions: without them PyTorch's bf16 is many times slower than f32."""
    flags = Path("/proc/cpuinfo").read_text()
    return any(f in flags for f in ("amx_bf16", "avx512_bf16"))


def precisions():
    return {n: t for n, t in PRECISIONS.items() if n == "f32" or fast_bf16()}


def compiles(name):
    """Whether a precision is timed through torch.compile too: not f32 beside fast bf16, which is several times quicker."""
    return name == "bf16" or not fast_bf16()


FASTEST = "torch bf16" if fast_bf16() else "torch f32"
"""The variant that compare_torch.py --scaling takes."""


class Convolution:
    scaled, times = FASTEST + " channels-last", 30

    def __init__(self, channels, size):
        self.name, self.goal = f"convolution-{channels}x{size}x{size}", "1.0"
        self.channels, self.size = channels, size
        self.line = f"convolution {channels} {size}"
        self.flops = 2 * 9 * channels**2 * size**2

    def variants(self, compiled):
        found = {}
        for name, dtype in precisions().items():
            for layout, form in (("channels-first", torch.contiguous_format), ("channels-last", torch.channels_last)):
                x = torch.randn(1, self.channels, self.size, self.size).to(dtype).to(memory_format=form)
                layer = nn.Conv2d(self.channels, self.channels, 3, padding=1).to(dtype).to(memory_format=form).eval()
                found |= inference(f"torch {name} {layout}", layer, x, compiled=compiled and compiles(name))
        found |= in_onednn(onednn.convolution, self.channels, self.size)
        found |= openvino(nn.Conv2d(self.channels, self.channels, 3, padding=1), torch.randn(1, self.channels, self.size, self.size))
        return found


class Linear:
    scaled, times = FASTEST, 50
    name, goal, line, flops = "linear-4096x320x1280", "1.0", "linear 4096 320 1280", 2 * 4096 * 320 * 1280

    def variants(self, compiled):
        found = {}
        for name, dtype in precisions().items():
            x, layer = torch.randn(4096, 320).to(dtype), nn.Linear(320, 1280).to(dtype).eval()
            found |= inference(f"torch {name}", layer, x, compiled=compiled and compiles(name))
        found |= in_onednn(onednn.linear, 4096, 320, 1280)
        return found | openvino(nn.Linear(320, 1280), torch.randn(4096, 320))


class Attention:
    scaled, times = FASTEST, 5
    name, goal, line, flops = "attention-8x4096x40", "1.5", "attention 8 4096 40", 4 * 8 * 4096**2 * 40

    def variants(self, compiled):
        found = {}
        for name, dtype in precisions().items():
            q, k, v = (torch.randn(1, 8, 4096, 40).to(dtype) for _ in range(3))
            found |= inference(f"torch {name}", F.scaled_dot_product_attention, q, k, v, compiled=compiled and compiles(name))
        return found


class Pocket:
    """64 images of 64 pixels by 20 Heun steps with guidance, from prompts to pixels."""

    name, goal, scaled, times = "pocket-64px-64-images-20-heun", "2.0", FASTEST, 1

    def __init__(self, folder):
        self.folder = folder / "pocket"
        self.line = f"pocket {self.folder} 64 20"

    def variants(self, compiled):
        sys.path.insert(0, str(ROOT / "synth/pocket"))
        import pocket
        from safetensors.torch import save_file
        from tokenizers import Tokenizer

        bundled = ROOT / "assets/pocket/all"
        config = json.loads((bundled / "config.json").read_text())
        config |= {"size": 64, "patch": 8, "d": 384, "depth": 6}
        config["sampler"] = {"kind": "heun", "steps": 20, "guidance": 2.5, "interval": [0.1, 1.0]}
        shape = inspect.signature(pocket.Pocket).parameters
        model = pocket.Pocket(**{k: v for k, v in config.items() if k in shape}).eval()
        # Trained networks end in small weights; zeros would make every image the same.
        for p in model.parameters():
            nn.init.normal_(p, std=0.02)
        self.folder.mkdir()
        (self.folder / "config.json").write_text(json.dumps(config))
        (self.folder / "tokenizer.json").write_bytes((bundled / "tokenizer.json").read_bytes())
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, self.folder / "model.safetensors")
        tokenizer = Tokenizer.from_file(str(bundled / "tokenizer.json"))
        prompts = [f"a photo of object {i % 10}" for i in range(64)]
        run = lambda count, dtype: self.sampling(pocket.sample, model, tokenizer, prompts[:count], config, dtype)
        # Every image costs the same: counting the operations of one is enough.
        self.flops = len(prompts) * flops_of(run(1, torch.float32))
        found = {f"torch {name}": run(len(prompts), dtype) for name, dtype in precisions().items()}
        if compiled:
            model = copy.deepcopy(model)
            model.denoise = torch.compile(model.denoise, dynamic=False)
            found |= {f"torch {name} compiled": run(len(prompts), dtype) for name, dtype in precisions().items() if compiles(name)}
        return found

    @staticmethod
    def sampling(sample, model, tokenizer, prompts, config, dtype):
        def run():
            noise = torch.randn(len(prompts), 3, config["size"], config["size"])
            texts = [ids(tokenizer, part, config["text_len"]) for part in (prompts, [""] * len(prompts))]
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                sample(model, *texts, noise, steps=20, guidance=2.5, kind="heun")

        return run


def ids(tokenizer, prompts, length):
    rows = [tokenizer.encode(prompt).ids[:length] for prompt in prompts]
    return torch.tensor([row + [0] * (length - len(row)) for row in rows])


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.a, self.na = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.b, self.nb = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.s = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if (inputs, stride) != (outputs, 1) else nn.Identity()

    def forward(self, x):
        h = F.relu(self.na(self.a(x)))
        return F.relu(self.nb(self.b(h)) + self.s(x))


def classifier(width, blocks):
    layers, channels = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()], width
    for multiple, stride in blocks:
        layers.append(BasicBlock(channels, multiple * width, stride))
        channels = multiple * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class Training:
    """Two training steps: forward, backward, SGD with Nesterov momentum."""

    shapes = {
        "resnet18": (64, [(1, 1), (1, 1), (2, 2), (2, 1), (4, 2), (4, 1), (8, 2), (8, 1)], 128, 1),
        "small": (24, [(1, 2), (2, 2), (4, 2), (4, 1)], 64, 20),
    }

    def __init__(self, architecture):
        self.name, self.goal, self.scaled = f"training-{architecture}", "1.0", FASTEST + " channels-last"
        self.width, self.blocks, self.batch, self.times = self.shapes[architecture]
        self.line = f"training {architecture} {self.batch}"

    def variants(self, compiled):
        found = {}
        pixels = torch.randint(0, 256, (2, self.batch, 3, 32, 32), dtype=torch.uint8)
        for name, dtype in precisions().items():
            for layout, form in (("channels-first", torch.contiguous_format), ("channels-last", torch.channels_last)):
                for suffix in ("", " compiled") if compiled and compiles(name) else ("",):
                    found[f"torch {name} {layout}{suffix}"] = self.steps(pixels, dtype, form, bool(suffix))
        self.flops = flops_of(found["torch f32 channels-last"])
        return found

    def steps(self, pixels, dtype, form, compiled):
        model = classifier(self.width, self.blocks).to(memory_format=form).train()
        forward = torch.compile(model, dynamic=False) if compiled else model
        optimiser = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
        labels = torch.arange(self.batch) % 10

        def run():
            for batch in pixels:
                x = (batch.float() / 127.5 - 1).contiguous(memory_format=form)
                with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                    loss = F.cross_entropy(forward(x), labels, label_smoothing=0.1)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()

        return run


class UNet:
    """One call of a UNet of Stable Diffusion 1.5's size with random weights."""

    name, goal, scaled, times = "sd15-unet-batch-2-64x64", "1.0", FASTEST + " channels-last", 1

    def __init__(self, folder):
        self.folder = folder / "unet"
        self.line = f"unet {self.folder}"

    def variants(self, compiled):
        from diffusers import UNet2DConditionModel
        model = UNet2DConditionModel(
            sample_size=64, cross_attention_dim=768, attention_head_dim=8, block_out_channels=(320, 640, 1280, 1280)
        ).eval()
        model.save_pretrained(self.folder)
        x = torch.randn(2, 4, 64, 64)
        context = torch.randn(2, 77, 768)
        found = {}
        for name, dtype in precisions().items():
            layer = UNet2DConditionModel.from_pretrained(self.folder, torch_dtype=dtype).to(memory_format=torch.channels_last)
            inputs = x.to(dtype).to(memory_format=torch.channels_last), torch.tensor(500), context.to(dtype)
            found |= inference(f"torch {name} channels-last", layer, *inputs, compiled=compiled and compiles(name))
        self.flops = flops_of(found["torch f32 channels-last"])
        return found


def inference(name, layer, *inputs, compiled):
    """-> {name: one forward pass}, and the same through torch.compile if asked."""
    def through(layer):
        def run():
            with torch.inference_mode():
                layer(*inputs)

        return run

    return {name: through(layer)} | ({f"{name} compiled": through(torch.compile(layer, dynamic=False))} if compiled else {})


def flops_of(run):
    """Floating-point operations of the products and convolutions in one call of `run`."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def in_onednn(layer, *shape):
    """A layer of onednn.py in every precision; nothing where oneDNN is not installed. To be called before openvino()."""
    try:
        return {f"onednn {name}": layer(*shape, dtype) for name, dtype in precisions().items()}
    except ImportError:
        return {}


def openvino(module, example):
    """The same layer in OpenVINO, whose CPU plugin runs on oneDNN; nothing where it is not installed."""
    try:
        import openvino
    except ImportError:
        return {}
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY"})
    model = core.compile_model(openvino.convert_model(module.eval(), example_input=example), "CPU")
    request, values = model.create_infer_request(), example.numpy()
    return {"openvino": lambda: request.infer({0: values})}


def all_workloads(folder):
    yield Convolution(320, 64)
    yield Convolution(1280, 16)
    yield Linear()
    yield Attention()
    yield Training("resnet18")
    yield Training("small")
    yield Pocket(folder)
    yield UNet(folder)
