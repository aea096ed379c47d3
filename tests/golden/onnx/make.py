"""Writes the graphs of this folder from public libraries, with what PyTorch forecasts.

    pip install torch onnx onnxscript numpy mambapy transformers  # made with torch 2.15, mambapy 1.2.0, transformers 5.24
    python make.py

- gru.onnx: `torch.nn.GRU` of PyTorch, one time step at a time.
- mamba.onnx: `mambapy.mamba.Mamba` (github.com/alxndrTL/mamba.py, MIT) by its method `step`: two layers, whose states are
  inputs and outputs, as github.com/sonos/torch-to-nnef exports streaming models.
- patchtst.onnx: `transformers.PatchTSTForPrediction` (github.com/huggingface/transformers, Apache-2.0) on a window of 24
  time steps.

The first two are written by PyTorch's older exporter, the last one by its newer one (`dynamo=True`). Weights are random: these graphs test the runtime, not a forecast.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from mambapy.mamba import Mamba, MambaConfig
from torch import nn
from transformers import PatchTSTConfig, PatchTSTForPrediction

M, H, WINDOW, STEPS = 3, 4, 24, 60
MEAN, STD = torch.tensor([20.0, -5.0, 0.25]), torch.tensor([2.5, 1.5, 0.125])
FOLDER = Path(__file__).parent


class Scaled(nn.Module):
    """A model of scaled readings as one of readings in the sensors' units."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, readings, *states):
        forecast, *states = self.model((readings - MEAN) / STD, *states)
        return (forecast * STD[:, None] + MEAN[:, None], *states)


class Gru(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.head = nn.GRU(M, 8), nn.Linear(8, M * H)

    def forward(self, z, h):
        y, h = self.gru(z[None, None], h)
        return self.head(y).view(M, H), h


class MambaStep(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.embed, self.head = nn.Linear(M, width), nn.Linear(width, M * H)
        self.mamba = Mamba(MambaConfig(d_model=width, n_layers=2, d_state=4))

    def forward(self, z, *states):
        y, caches = self.mamba.step(self.embed(z)[None], [states[0:2], states[2:4]])
        return self.head(y).view(M, H), *caches[0], *caches[1]


class PatchTST(nn.Module):
    def __init__(self):
        super().__init__()
        shape = dict(num_input_channels=M, context_length=WINDOW, prediction_length=H, patch_length=4, patch_stride=4)
        size = dict(d_model=8, num_attention_heads=2, num_hidden_layers=1, ffn_dim=16)
        self.model = PatchTSTForPrediction(PatchTSTConfig(**shape, **size, attn_implementation="eager"))

    def forward(self, z):
        return (self.model(past_values=z).prediction_outputs[0].T,)


def readings():
    rows = MEAN + STD * torch.sin(torch.arange(STEPS)[:, None] / 5 + torch.arange(M)) + 0.1 * STD * torch.randn(STEPS, M)
    rows[:3, 1] = torch.nan
    rows[20:30] = torch.nan
    rows[torch.rand(STEPS, M) < 0.1] = torch.nan
    return rows.float()


def fill(rows):
    """The last reading; before the first one the mean."""
    rows = rows.clone()
    for t in range(STEPS):
        last = rows[t - 1] if t else MEAN
        rows[t] = torch.where(rows[t].isnan(), last, rows[t])
    return rows


def window(rows, seen, t):
    """The last time steps; a variate's first reading stands for all the past."""
    past = rows[max(0, t + 1 - WINDOW) : t + 1]
    past = torch.cat([MEAN.repeat(WINDOW - len(past), 1), past])
    for m in range(M):
        first = seen[:, m].nonzero()[0, 0]
        before = t - first + 1
        if first <= t and before < WINDOW:
            past[: WINDOW - before, m] = rows[first, m]
    return past


def write(name, model, states, is_window=False):
    model = Scaled(model).eval()
    rows = readings()
    filled, seen, forecasts = fill(rows), ~rows.isnan(), []
    values = [torch.zeros(shape) for _, shape in states]
    with torch.no_grad():
        for t in range(STEPS):
            given = window(filled, seen, t)[None] if is_window else filled[t]
            forecast, *values = model(given, *values)
            forecasts.append(forecast.reshape(M, H))
        example = (given, *(torch.zeros(shape) for _, shape in states))
        names = [state for state, _ in states]
        path = FOLDER / f"{name}.onnx"
        torch.onnx.export(
            model,
            example,
            path,
            input_names=["window" if is_window else "readings", *names],
            output_names=["forecast", *(f"{state}_next" for state in names)],
            opset_version=18 if is_window else 17,
            dynamo=is_window,
            external_data=False,
        )
    graph = onnx.load(path)
    for part in (*graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output, *graph.graph.initializer):
        del part.metadata_props[:]  # the newer exporter's traces of Python code
    variates = [{"name": f"v{m}", "mean": float(MEAN[m]), "std": float(STD[m])} for m in range(M)]
    graph.metadata_props.add(key="tsm2", value=json.dumps({"name": name, "variates": variates, "interval_ms": 60000}))
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, path)
    expected = {
        "readings": [[None if np.isnan(x) else x for x in row] for row in rows.tolist()],
        "forecasts": [forecast.flatten().tolist() for forecast in forecasts],
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(expected))


torch.manual_seed(16)
write("gru", Gru(), [("h", (1, 1, 8))])
layer = [("h", (1, 16, 4)), ("taps", (1, 16, 3))]
write("mamba", MambaStep(), [(f"{name}{number}", shape) for number in (1, 2) for name, shape in layer])
write("patchtst", PatchTST(), [], is_window=True)
