"""Runs every sampler of diffusers on a model that costs nothing, and writes the whole way of the latents.

  pip install -r synth/golden/sd/requirements.txt
  python synth/golden/sd/samplers.py

Writes synth/tests/golden/sd/samplers.json (configurations and runs) and samplers.safetensors (f32 latents before every call and
after the last, and the timesteps of the calls).
"""

import importlib
import json
from pathlib import Path

import diffusers
import torch
from safetensors.torch import save_file

import families

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "sd"
VALUES = 4
STEPS = [1, 4, 5, 10, 20]

CLASSES = {
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "dpm++2m": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": False}),
    "dpm++2m-karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    # The product's pndm never has the Runge-Kutta warm-up.
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
}
EVERY = list(CLASSES)
BY_SIGMA = ["euler", "dpm++2m", "dpm++2m-karras", "unipc"]

XL = families.EULER
# name: configuration, samplers, numbers of steps, strengths
CONFIGS = {
    "sd15": (families.PNDM, EVERY, STEPS, [1.0]),
    "sd15-image": (families.PNDM, EVERY, [5, 10], [0.6]),
    "sd21-v": (families.DDIM_V, EVERY, STEPS, [1.0]),
    "sdxl": (XL, EVERY, STEPS, [1.0]),
    "sdxl-image": (XL, [s for s in EVERY if s != "pndm"], [4, 10], [0.3, 0.75]),
    "turbo": (families.TURBO, EVERY, [1, 2, 3, 4, 7, 20], [1.0]),
    "lcm": (families.LCM, EVERY, [1, 2, 4, 8], [1.0]),
    "linspace": ({**XL, "timestep_spacing": "linspace"}, EVERY, STEPS, [1.0]),
    "v-zero-snr": (
        {**XL, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
        ["ddim", *BY_SIGMA, "euler-ancestral"], STEPS, [1.0],
    ),
    "sample": (
        {**XL, "prediction_type": "sample"}, ["ddim", *BY_SIGMA, "lcm"], [5, 20], [1.0],
    ),
    "karras": ({**XL, "use_karras_sigmas": True}, BY_SIGMA, STEPS, [1.0]),
    "karras-bounds": ({**XL, "use_karras_sigmas": True, "sigma_min": 0.05, "sigma_max": 10.0}, BY_SIGMA, [5], [1.0]),
    "sigma-min": ({**XL, "final_sigmas_type": "sigma_min"}, BY_SIGMA, [1, 4, 20], [1.0]),
    "cosine": (
        {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
        # Not with Karras's levels: diffusers makes 998 of 998.9999 there.
        ["ddim", "euler", "dpm++2m", "unipc", "euler-ancestral", "lcm"], [5, 20], [1.0],
    ),
    "defaults": ({}, EVERY, [5], [1.0]),
    "heun": ({**XL, "solver_type": "heun"}, BY_SIGMA, [4, 20], [1.0]),
    # Without noise at the end, diffusers computes infinity times 0 here.
    "bh1": ({**XL, "solver_type": "bh1", "final_sigmas_type": "sigma_min"}, ["unipc"], [1, 4, 20], [1.0]),
    "third-order": ({**XL, "solver_order": 3, "disable_corrector": [0, 2]}, ["unipc"], [1, 2, 3, 5, 20], [1.0]),
    "first-order": ({**XL, "solver_order": 1}, BY_SIGMA, [4], [1.0]),
    "no-lower-order": (
        {**XL, "lower_order_final": False, "final_sigmas_type": "sigma_min"}, BY_SIGMA, [5, 20], [1.0],
    ),
    "end": ({**XL, "euler_at_final": True, "set_alpha_to_one": True}, EVERY, [5, 20], [1.0]),
    "trained": ({**XL, "num_train_timesteps": 100, "trained_betas": [0.001 * (i + 1) for i in range(100)]}, EVERY, [5], [1.0]),
}


def model(x, t):
    """A UNet for a vector: what it gives depends on the latents and on the timestep."""
    places = torch.arange(VALUES, dtype=torch.float64)
    return (0.7 * x.double() + 0.3 * torch.sin(0.01 * float(t) + places)).float()


def run(sampler, config, steps, strength, start, fresh):
    """Latents before every call and after the last, and the timesteps."""
    name, forced = CLASSES[sampler]
    cls = getattr(diffusers, name)
    module = importlib.import_module(cls.__module__)
    scheduler = cls.from_config({**config, **forced})
    scheduler.set_timesteps(steps)
    # As StableDiffusionImg2ImgPipeline.get_timesteps counts.
    begin = max(steps - min(int(steps * strength), steps), 0) if strength < 1 else 0
    timesteps = scheduler.timesteps[begin:]
    if hasattr(scheduler, "set_begin_index"):
        # Said at strength 1 too: left to itself, diffusers begins with the second of two equal timesteps.
        scheduler.set_begin_index(begin)
    if strength < 1:
        x = scheduler.add_noise(start[1:], start[:1], timesteps[:1])
    else:
        x = start[:1] * scheduler.init_noise_sigma
    drawn = iter(fresh)
    original = getattr(module, "randn_tensor", None)
    module.randn_tensor = lambda shape, **_: next(drawn).reshape(shape)
    latents = [x]
    for t in timesteps:
        output = model(scheduler.scale_model_input(x, t), t)
        x = scheduler.step(output, t, x).prev_sample
        latents.append(x)
    module.randn_tensor = original
    return torch.cat(latents), timesteps.double()


def main():
    torch.set_num_threads(1)
    diffusers.utils.logging.set_verbosity_error()
    generator = torch.Generator().manual_seed(8)
    start = torch.randn((2, VALUES), generator=generator)
    fresh = torch.randn((32, VALUES), generator=generator)
    tensors, runs = {"start": start, "fresh": fresh}, []
    for family, (config, samplers, counts, strengths) in CONFIGS.items():
        for sampler in samplers:
            for steps in counts:
                for strength in strengths:
                    latents, timesteps = run(sampler, config, steps, strength, start, fresh)
                    key = f"{family}.{sampler}.{steps}.{strength}"
                    if not latents.isfinite().all():
                        raise SystemExit(f"{key}: diffusers gives {latents}")
                    tensors[key] = latents.float().contiguous()
                    tensors[f"{key}.timesteps"] = timesteps.float()
                    runs.append({"config": family, "sampler": sampler, "steps": steps, "strength": strength})
    configs = {name: config for name, (config, *_) in CONFIGS.items()}
    lines = ",\n".join("  " + json.dumps(run) for run in runs)
    text = f'{{"configs": {json.dumps(configs, indent=1)},\n"runs": [\n{lines}\n]}}\n'
    (OUT / "samplers.json").write_text(text)
    save_file(tensors, OUT / "samplers.safetensors")
    print(f"{len(runs)} runs, {(OUT / 'samplers.safetensors').stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
