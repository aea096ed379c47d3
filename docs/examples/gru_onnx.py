"""Trains a GRU on a recording and writes it for the daemon: python gru_onnx.py building.csv gru.onnx (torch, onnx, pandas)"""
import json, sys, onnx, pandas, torch
data = pandas.read_csv(sys.argv[1], index_col=0, parse_dates=True).ffill().bfill()  # the times, then a column for each sensor
x, horizon = torch.tensor(data.values, dtype=torch.float32), 15  # [time, sensors]
std, mean = torch.std_mean(x, dim=0)

class Forecaster(torch.nn.ModuleList):
    def forward(self, readings, h):  # [time, batch, sensors], [1, batch, 64] -> [time, batch, sensors, horizon], [1, batch, 64]
        y, h = self[0]((readings - mean) / std, h)
        return readings[..., None] + self[1](y).unflatten(-1, (-1, horizon)) * std[:, None], h

model = Forecaster([torch.nn.GRU(len(mean), 64), torch.nn.Linear(64, len(mean) * horizon)])
optimizer = torch.optim.Adam(model.parameters(), 2e-3)
for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 500):
    spans = torch.stack([x[s : s + 160 + horizon] for s in torch.randint(len(x) - 160 - horizon, (32,))], dim=1)
    errors = model(spans[:160], torch.zeros(1, 32, 64))[0] - spans[1:].unfold(0, horizon, 1)[:160]
    (errors / std[:, None])[40:].square().mean().backward()
    optimizer.step(), optimizer.zero_grad()

names = {"input_names": ["readings", "h"], "output_names": ["forecast", "h_next"]}
torch.onnx.export(model, (x[:1, None], torch.zeros(1, 1, 64)), sys.argv[2], dynamo=False, opset_version=17, **names)
variates = [{"name": name, "mean": m, "std": s} for name, m, s in zip(data, mean.tolist(), std.tolist())]
about = {"name": "gru", "variates": variates, "interval_ms": data.index.diff().median() // pandas.Timedelta("1ms")}
onnx.helper.set_model_props(graph := onnx.load(sys.argv[2]), {"tsm2": json.dumps(about)})
onnx.save(graph, sys.argv[2])
