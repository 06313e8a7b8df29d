"""Writes tests/golden/creamfl.json: one round of CreamFL's aggregation and losses, with their gradients by PyTorch.

  python eval/golden/creamfl.py     (torch 2, in f64)

Formulas of Yu et al. 2023 (arXiv:2302.08888), sections 3.2 and 3.3, with the authors' constants: temperature 0.5, 0.5 of both contrasts, 0.3 of the
distillation. The squared distance of the distillation is summed over the numbers of a representation; the authors' code takes their mean, under an
optimiser for which a factor is next to nothing.
"""
import json
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(0)
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
PAIRS, WIDTH, TEMPERATURE, CONTRAST, DISTILLATION = 7, 5, 0.5, 0.5, 0.3


def units(*shape):
    return F.normalize(torch.randn(*shape), dim=-1)


def aggregate(told, other):
    scores = torch.stack([torch.log_softmax(rows @ other.T, dim=1).diagonal() for rows in told])
    return (torch.softmax(scores, dim=0)[:, :, None] * told).sum(0)


def with_gradient(loss, outputs):
    outputs = outputs.clone().requires_grad_()
    value = loss(F.normalize(outputs, dim=-1))
    value.backward()
    return dict(loss=value.item(), gradient=outputs.grad.flatten().tolist())


def consensus(z):
    inter = F.cross_entropy(z @ captions.T / TEMPERATURE, indices)
    near, far = (z * images[indices]).sum(1), (z * last[indices]).sum(1)
    intra = F.cross_entropy(torch.stack([near, far], 1) / TEMPERATURE, torch.zeros(len(indices), dtype=torch.long))
    return CONTRAST * (inter + intra)


images, captions, last = units(PAIRS, WIDTH), units(PAIRS, WIDTH), units(PAIRS, WIDTH)
told_of_images, told_of_captions = units(3, PAIRS, WIDTH), units(2, PAIRS, WIDTH)
aggregated_images, aggregated_captions = aggregate(told_of_images, captions), aggregate(told_of_captions, images)
indices = torch.tensor([5, 0, 3])
outputs = 2 * torch.randn(3, WIDTH)
made = dict(
    width=WIDTH, temperature=TEMPERATURE, contrast=CONTRAST, distillation=DISTILLATION,
    indices=indices.tolist(), outputs=outputs.flatten().tolist(), last=last.flatten().tolist(),
    global_images=images.flatten().tolist(), global_captions=captions.flatten().tolist(),
    told_of_images=told_of_images.flatten(1).tolist(), told_of_captions=told_of_captions.flatten(1).tolist(),
    aggregated_images=aggregated_images.flatten().tolist(), aggregated_captions=aggregated_captions.flatten().tolist(),
    consensus=with_gradient(consensus, outputs),
    imitation=with_gradient(lambda z: DISTILLATION * (z - aggregated_images[indices]).square().sum(1).mean(), outputs),
)
(pathlib.Path(__file__).parent.parent / "tests" / "golden" / "creamfl.json").write_text(json.dumps(made) + "\n")
