"""Writes tests/golden/rounds.safetensors: what fluke's clients and servers make of a round of FedProx, and of two of SCAFFOLD.

  python eval/golden/rounds.py     (fluke-fl 0.8.1, torch, safetensors)

The network is that of learn/golden. Every batch holds all images of its client, so that no order is drawn. FedProx weighs clients by their images; SCAFFOLD's clients have equally
many, because fluke gives their control variates equal weights. The first round's control variates are kept too: the second begins with them and with the first one's model. With
the seed no activation is so near 0 that another order of summation switches it: ten times the rounding of f32 moves a round's change by 0.003 %.
"""
import importlib.util
import pathlib
import sys

# Others would take statistics.py beside this file for Python's own.
sys.path.pop(0)

import torch
from fluke.algorithms.fedprox import FedProxClient
from fluke.algorithms.scaffold import SCAFFOLDClient, SCAFFOLDServer
from fluke.config import OptimizerConfigurator
from fluke.data import FastDataLoader
from fluke.server import Server
from safetensors.torch import save_file

EVAL = pathlib.Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("classifier", EVAL.parent / "learn" / "golden" / "make.py")
classifier = importlib.util.module_from_spec(spec)
spec.loader.exec_module(classifier)

CLASSES, WIDTH, SIZE, EPOCHS, RATE, DECAY, SMOOTHING, MU = 5, 2, 16, 3, 0.02, 5e-4, 0.1, 5.0
FEDPROX, SCAFFOLD = (18, 12, 6), (12, 12, 12)
torch.manual_seed(SEED := 1)
pixels = torch.randint(0, 256, (36, SIZE, SIZE, 3))
labels = torch.randint(0, CLASSES, (36,))
first = classifier.ResNet(CLASSES, WIDTH).state_dict()


def network():
    net = classifier.ResNet(CLASSES, WIDTH)
    net.load_state_dict(first)
    return net


def clients(kind, sizes, **settings):
    made, start = [], 0
    for index, size in enumerate(sizes):
        seen = (pixels[start:start + size].permute(0, 3, 1, 2) / 127.5 - 1).contiguous()
        images = FastDataLoader(seen, labels[start:start + size], num_labels=CLASSES, batch_size=size, shuffle=False)
        optimiser = OptimizerConfigurator(dict(name="SGD", lr=RATE, momentum=0.0, weight_decay=DECAY))
        loss = torch.nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
        made.append(kind(index, images, None, optimiser, loss, local_epochs=EPOCHS, **settings))
        start += size
    return made


def run_round(number, server, members):
    for member in members:
        member.set_channel(server.channel)
    server.broadcast_model(members)
    for member in members:
        member.local_update(number)
    server.aggregate(members, server.receive_client_models(members, state_dict=False))


def state(prefix, tensors):
    return {f"{prefix}.{name}": tensor.detach().float().clone() for name, tensor in tensors.items() if "num_batches" not in name}


def control(prefix, tensors):
    """Of what is trained; fluke has running statistics in its control variates too."""
    return {name: tensor for name, tensor in state(prefix, tensors).items() if "running" not in name}


def main():
    torch.set_num_threads(1)
    torch.backends.mkldnn.enabled = False
    made = {"pixels": pixels.to(torch.uint8), "labels": labels.to(torch.uint8), **state("initial", first)}
    members = clients(FedProxClient, FEDPROX, mu=MU)
    server = Server(network(), None, members, weighted=True)
    run_round(1, server, members)
    made |= state("fedprox", server.model.state_dict())
    members = clients(SCAFFOLDClient, SCAFFOLD)
    server = SCAFFOLDServer(network(), None, members, weighted=True)
    for number in (1, 2):
        run_round(number, server, members)
        made |= state(f"scaffold.{number}.model", server.model.state_dict()) | control(f"scaffold.{number}.server", server.control)
        for member in members:
            made |= control(f"scaffold.{number}.{member.index}", member.control)
    save_file({name: tensor.contiguous() for name, tensor in made.items()}, EVAL / "tests" / "golden" / "rounds.safetensors")


if __name__ == "__main__":
    main()
