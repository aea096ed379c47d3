"""Trains a GRU on a recording and writes it for the daemon: python gru_onnx.py building.csv gru.onnx (torch, onnx, pandas)"""
import json, sys, onnx, pandas, torch
data = pandas.read_csv(sys.argv[1], index_col=0, parse_dates=True)  # the times, then a column for each sensor
x = torch.tensor(data.ffill().fillna(data.mean()).values, dtype=torch.float32)  # [time, sensors]
m, horizon, mean, std = x.shape[1], 15, x.mean(0), x.std(0) + 1e-6

class Forecaster(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.head = torch.nn.GRU(m, 64), torch.nn.Linear(64, m * horizon)
    def forward(self, readings, h):  # [time, batch, m], [1, batch, 64] -> [time, batch, m, horizon], [1, batch, 64]
        y, h = self.gru((readings - mean) / std, h)
        return readings[..., None] + self.head(y).unflatten(-1, (m, horizon)) * std[:, None], h

model = Forecaster()
optimizer = torch.optim.Adam(model.parameters(), 2e-3)
for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 500):
    spans = torch.stack([x[s : s + 160 + horizon] for s in torch.randint(len(x) - 160 - horizon, (32,))], dim=1)
    errors = model(spans[:160], torch.zeros(1, 32, 64))[0] - spans[1:].unfold(0, horizon, 1)[:160]
    optimizer.zero_grad(), (errors / std[:, None])[40:].square().mean().backward(), optimizer.step()

torch.onnx.export(model, (x[:1, None], torch.zeros(1, 1, 64)), sys.argv[2], dynamo=False, opset_version=17,
                  input_names=["readings", "h"], output_names=["forecast", "h_next"])
graph, interval = onnx.load(sys.argv[2]), data.index.to_series().diff().median()
variates = [{"name": name, "mean": mean, "std": std} for name, mean, std in zip(data, mean.tolist(), std.tolist())]
about = {"name": "gru", "variates": variates, "interval_ms": round(interval.total_seconds() * 1000)}
graph.metadata_props.add(key="tsm2", value=json.dumps(about))
onnx.save(graph, sys.argv[2])
