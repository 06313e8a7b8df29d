"""Makes the golden numbers of fusion from a short NumPy reference of each formula.

  python synth/golden/fuse.py          # needs numpy

Writes synth/tests/golden/fuse.json.
"""
import json
import pathlib

import numpy as np

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "fuse.json"
rng = np.random.default_rng(23)


def f32(a):
    return np.asarray(a, np.float32).astype(np.float64)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# FuseGen, equation 3: p of each of K models for the sample's own class.
own = f32(rng.random((12, 4)))
agreement = {"own": own, "confidence": own.mean(1), "variability": own.std(1, ddof=1)}


# FuseGen, section 3.4.
def beta(n, iterations):
    return 1 + np.sqrt(max(1.0, 2 * np.log(n / iterations)))


def adjusted(w, p, correct, b):
    new = w * b ** (-(1 - correct) * (1 - p))
    return new * w.sum() / new.sum()


p, correct = f32(rng.random((5, 9))), rng.integers(0, 2, (5, 9))
w, steps = np.full(9, 0.5), []
for row, right in zip(p, correct):
    w = adjusted(w, row, right, beta(9, 5))
    steps.append(w)
weights = {"p": p, "correct": correct.astype(bool), "iterations": 5, "steps": steps,
           "beta": [[n, e, beta(n, e)] for n, e in [(1000, 30), (100, 30), (20, 30), (5000, 10)]]}


# Influence of the last layer, Koh and Liang 2017, on the reverse cross-entropy with log 0 = -4.
def with_one(x):
    return np.hstack([x, np.ones((len(x), 1))])


n, m, d, c, damping = 40, 15, 5, 3, 5e-3
weight, bias = f32(rng.normal(size=(c, d))), f32(rng.normal(size=c))
x, y = f32(rng.normal(size=(n, d))), rng.integers(0, c, n)
held, held_y = f32(rng.normal(size=(m, d))), rng.integers(0, c, m)
theta = np.hstack([weight, bias[:, None]])
one_hot = np.eye(c)


def hessian(x):
    h = np.zeros((c * (d + 1),) * 2)
    for row, q in zip(with_one(x), softmax(with_one(x) @ theta.T)):
        h += np.kron(np.diag(q) - np.outer(q, q), np.outer(row, row))
    return h / len(x)


q = softmax(with_one(held) @ theta.T)
q_y = q[np.arange(m), held_y][:, None]
gradient = ((-4 * q_y * (one_hot[held_y] - q)).T @ with_one(held) / m).ravel()
solution = np.linalg.solve(hessian(x) + damping * np.eye(c * (d + 1)), gradient)
q = softmax(with_one(x) @ theta.T)
per_image = np.einsum("nc,nd->ncd", q - one_hot[y], with_one(x)).reshape(n, -1)
s, scale, samples = gradient.copy(), 50.0, 100
for t in range(samples):
    i = t % n
    s = gradient + s - (hessian(x[i:i + 1]) + damping * np.eye(c * (d + 1))) @ s / scale
influence = {"weight": weight, "bias": bias, "features": x, "labels": y, "held_out_features": held, "held_out_labels": held_y,
             "damping": damping, "gradient": gradient, "solution": solution, "influence": -per_image @ solution,
             "lissa_scale": scale, "lissa_samples": samples, "lissa": s / scale}

# Images that the map is not fitted to, in two parts: each measured on the other, and one that it is fitted to on both.
first = 8


def solved(x_, y_):
    q = softmax(with_one(x_) @ theta.T)
    own = q[np.arange(len(y_)), y_][:, None]
    g = ((-4 * own * (one_hot[y_] - q)).T @ with_one(x_) / len(y_)).ravel()
    return np.linalg.solve(hessian(x) + damping * np.eye(c * (d + 1)), g)


def influence_by(x_, y_, s_):
    q = softmax(with_one(x_) @ theta.T)
    return -np.einsum("nc,nd->ncd", q - one_hot[y_], with_one(x_)).reshape(len(y_), -1) @ s_


across = np.concatenate([influence_by(held[:first], held_y[:first], solved(held[first:], held_y[first:])),
                         influence_by(held[first:], held_y[first:], solved(held[:first], held_y[:first])),
                         influence_by(x[:1], y[:1], solved(held, held_y))])
influence_across = {"first": first, "influence": across}

# WASP, section 3.2.
private, private_y = f32(rng.normal(size=(20, 4))), rng.integers(0, 2, 20)
synthetic, synthetic_y = f32(rng.normal(size=(30, 4))), rng.integers(0, 2, 30)
near, far, neighbours = np.zeros(30), np.zeros(30), 5
for row, label in zip(private, private_y):
    mine = np.flatnonzero(synthetic_y == label)
    order = mine[np.argsort(((synthetic[mine] - row) ** 2).sum(1), kind="stable")]
    for place in range(neighbours):
        near[order[place]] += 0.5 ** place
        far[order[-1 - place]] += 0.5 ** place
votes = {"private": private, "private_labels": private_y, "synthetic": synthetic, "synthetic_labels": synthetic_y,
         "neighbours": neighbours, "near": near, "far": far}


# Shares: softmax(score / tau), mixed with a floor, and whole numbers by largest remainder.
def shares(scores, tau, floor):
    return floor / len(scores) + (1 - floor) * softmax(np.asarray(scores) / tau)


def whole(parts, total):
    exact = np.asarray(parts) / np.sum(parts) * total
    seats = np.floor(exact).astype(int)
    for i in np.argsort(-(exact - seats), kind="stable")[:total - seats.sum()]:
        seats[i] += 1
    return seats


quotas = []
for scores, tau, floor, total in [([0.3, 0.5, 0.4], 0.1, 0.2, 100), ([0.9, 0.1], 0.05, 0.1, 17), ([0.2, 0.2, 0.2, 0.2], 1.0, 0.0, 10),
                                  ([5.0, 1.0, 3.0], 2.0, 0.3, 1)]:
    part = shares(scores, tau, floor)
    quotas.append({"scores": scores, "tau": tau, "floor": floor, "total": total, "shares": part, "whole": whole(part, total)})


# k-centre: from the point nearest to the mean, always the point farthest from those taken.
def k_centre(x, k):
    first = int(((x - x.mean(0)) ** 2).sum(1).argmin())
    taken, distance = [first], ((x - x[first]) ** 2).sum(1)
    while len(taken) < k:
        taken.append(int(distance.argmax()))
        distance = np.minimum(distance, ((x - x[taken[-1]]) ** 2).sum(1))
    return taken


points = f32(rng.normal(size=(25, 3)))
points /= np.linalg.norm(points, axis=1, keepdims=True)
points = f32(points)
diversity = {"points": points, "taken": k_centre(points, 8)}


# Soft labels: Reed et al. 2015, with the mean of other models' votes.
soft_labels = []
for share, label, models in [(0.3, 1, 2), (1.0, 0, 3), (0.5, 3, 1), (0.6, 2, 0)]:
    votes_ = f32(softmax(2 * rng.normal(size=(models, 4))))
    mean = votes_.mean(0) if models else np.eye(4)[label]
    soft_labels.append({"share": share, "label": label, "votes": votes_, "target": (1 - share) * np.eye(4)[label] + share * mean})


def plain(value):
    if isinstance(value, dict):
        return {key: plain(of) for key, of in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(of) for of in value]
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


cases = {"agreement": agreement, "weights": weights, "influence": influence, "influence_across": influence_across, "votes": votes, "quotas": quotas, "diversity": diversity,
         "soft_labels": soft_labels}
OUT.write_text(json.dumps(plain(cases)) + "\n")
