"""Writes tests/golden/strategies.json: what Flower's strategies make of the same clients' weights, round after round.

  python eval/golden/strategies.py     (flwr 1.42.0, numpy)

FedAdam and FedYogi begin with a second moment of tau^2, as the paper has it (Reddi et al. 2021, algorithm 2), where Flower begins with 0; Flower's correction of FedAdam's first rounds,
which the paper has not, is divided out of its learning rate.
"""
import json
import pathlib

import numpy as np
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAdam, FedAvg, FedYogi

ROUNDS, SIZES = 4, (30, 7, 63)
SETTINGS = dict(eta=0.05, beta_1=0.9, beta_2=0.99, tau=1e-3)
rng = np.random.default_rng(0)
initial = [rng.normal(size=6), rng.normal(size=3)]
# What each client has in each round, whatever the server sent.
told = [[[rng.normal(size=6), rng.normal(size=3)] for _ in SIZES] for _ in range(ROUNDS)]


def fit(weights, size):
    return None, FitRes(Status(Code.OK, ""), ndarrays_to_parameters(weights), size, {})


def aggregate(strategy, number):
    parameters, _ = strategy.aggregate_fit(number + 1, [fit(w, n) for w, n in zip(told[number], SIZES)], [])
    return [a.tolist() for a in parameters_to_ndarrays(parameters)]


def adaptive(kind):
    strategy = kind(initial_parameters=ndarrays_to_parameters(initial), **SETTINGS)
    strategy.current_weights = [a.copy() for a in initial]
    strategy.m_t = [np.zeros_like(a) for a in initial]
    strategy.v_t = [np.full_like(a, SETTINGS["tau"] ** 2) for a in initial]
    out = []
    for number in range(ROUNDS):
        if kind is FedAdam:
            power = number + 2.0
            strategy.eta = SETTINGS["eta"] * (1 - SETTINGS["beta_1"] ** power) / np.sqrt(1 - SETTINGS["beta_2"] ** power)
        out.append(aggregate(strategy, number))
    return out


lists = lambda arrays: [a.tolist() for a in arrays]
made = dict(sizes=SIZES, settings=SETTINGS, initial=lists(initial), told=[[lists(c) for c in r] for r in told],
            fedavg=[aggregate(FedAvg(), n) for n in range(ROUNDS)], fedadam=adaptive(FedAdam), fedyogi=adaptive(FedYogi))
(pathlib.Path(__file__).parent.parent / "tests" / "golden" / "strategies.json").write_text(json.dumps(made) + "\n")
