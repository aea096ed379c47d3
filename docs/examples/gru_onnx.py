"""Trains a GRU on a recording and writes it for the daemon: python gru_onnx.py building.csv gru.onnx (torch, onnxscript, pandas)"""
import json, sys, pandas, torch
data = pandas.read_csv(sys.argv[1], index_col=0, parse_dates=True).ffill().bfill()  # the times, then a column for each sensor
x, horizon = torch.tensor(data.values, dtype=torch.float32), 15  # [time, sensors]
std, mean = torch.std_mean(x, dim=0)

class Forecaster(torch.nn.ModuleList):
    def forward(self, readings, h):  # [batch, time, sensors], [1, batch, 64] -> [batch, time, sensors, horizon], [1, batch, 64]
        y, h = self[0]((readings - mean) / std, h)
        return readings[..., None] + self[1](y).unflatten(-1, (-1, horizon)) * std[:, None], h

model = Forecaster([torch.nn.GRU(len(mean), 64, batch_first=True), torch.nn.Linear(64, len(mean) * horizon)])
optimizer = torch.optim.Adam(model.parameters(), 2e-3)
for spans in torch.utils.data.DataLoader(x.unfold(0, 160 + horizon, 1).mT, batch_size=64, shuffle=True):
    errors = model(spans[:, :160], torch.zeros(1, len(spans), 64))[0] - spans[:, 1:].unfold(1, horizon, 1)
    optimizer.zero_grad()
    (errors / std[:, None])[:, 40:].square().mean().backward()
    optimizer.step()

graph = torch.onnx.export(model, (x[None, :1], torch.zeros(1, 1, 64)), dynamo=True, output_names=["forecast", "h_next"])
variates = [{"name": name, "mean": m, "std": s} for name, m, s in zip(data, mean.tolist(), std.tolist())]
graph.model.metadata_props["tsm2"] = json.dumps({"variates": variates, "interval_ms": data.index.diff().median().value // 10**6})
graph.save(sys.argv[2])
