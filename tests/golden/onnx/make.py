"""Writes the graphs of this folder from PyTorch, with what PyTorch forecasts: `python make.py` (torch, onnx, numpy).

- gru.onnx: `torch.nn.GRU`, one time step at a time.
- mamba.onnx: a Mamba block (arXiv 2312.00752) step by step, as `Mamba.step` of github.com/state-spaces/mamba.
- dlinear.onnx: DLinear (arXiv 2205.13504, github.com/cure-lab/LTSF-Linear) on a window of 24 time steps.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

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


class Mamba(nn.Module):
    def __init__(self, d=8, e=16, n=4, r=2, taps=4):
        super().__init__()
        self.embed, self.norm, self.in_proj = nn.Linear(M, d), nn.LayerNorm(d), nn.Linear(d, 2 * e, bias=False)
        self.conv = nn.Conv1d(e, e, taps, groups=e)
        self.x_proj, self.dt_proj = nn.Linear(e, r + 2 * n, bias=False), nn.Linear(r, e)
        self.a_log = nn.Parameter(torch.log(torch.arange(1, n + 1, dtype=torch.float32)).repeat(e, 1))
        self.d, self.out_proj, self.head = nn.Parameter(torch.ones(e)), nn.Linear(e, d, bias=False), nn.Linear(d, M * H)
        self.split = [r, n, n]

    def forward(self, z, conv_state, ssm_state):
        u = self.embed(z)[None]
        x, gate = self.in_proj(self.norm(u)).chunk(2, dim=-1)
        conv_state = torch.cat([conv_state[:, :, 1:], x[:, :, None]], dim=-1)
        x = F.silu((conv_state * self.conv.weight[:, 0]).sum(-1) + self.conv.bias)
        dt, b, c = self.x_proj(x).split(self.split, dim=-1)
        dt = F.softplus(self.dt_proj(dt))
        decay = torch.exp(dt[:, :, None] * -torch.exp(self.a_log))
        ssm_state = ssm_state * decay + dt[:, :, None] * b[:, None, :] * x[:, :, None]
        y = (ssm_state * c[:, None, :]).sum(-1) + self.d * x
        u = u + self.out_proj(y * F.silu(gate))
        return self.head(u).view(M, H), conv_state, ssm_state


class DLinear(nn.Module):
    def __init__(self, kernel=9):
        super().__init__()
        self.average, self.pad = nn.AvgPool1d(kernel, stride=1), (kernel - 1) // 2
        self.seasonal, self.trend = nn.Linear(WINDOW, H), nn.Linear(WINDOW, H)

    def forward(self, z):
        x = z.transpose(1, 2)
        ends = x[:, :, :1].repeat(1, 1, self.pad), x[:, :, -1:].repeat(1, 1, self.pad)
        trend = self.average(torch.cat([ends[0], x, ends[1]], dim=-1))
        return (self.seasonal(x - trend) + self.trend(trend),)


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
            opset_version=17,
            dynamo=False,
        )
    graph = onnx.load(path)
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
write("mamba", Mamba(), [("conv_state", (1, 16, 4)), ("ssm_state", (1, 16, 4))])
write("dlinear", DLinear(), [], is_window=True)
