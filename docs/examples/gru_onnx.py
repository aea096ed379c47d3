"""Trains a GRU on a recording and writes it for the daemon: python gru_onnx.py building.csv gru.onnx (torch, onnx, pandas)"""
import json, sys, onnx, pandas, torch
data = pandas.read_csv(sys.argv[1], index_col=0)  # the times, then a column for each sensor
mean, std = torch.tensor(data.agg(["mean", "std"]).values + [[0], [1e-6]], dtype=torch.float32)
m, horizon = data.shape[1], 15
x = (torch.tensor(data.ffill().fillna(data.mean()).values, dtype=torch.float32) - mean) / std
class Step(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.head = torch.nn.GRU(m, 64), torch.nn.Linear(64, m * horizon)
    def forward(self, readings, h):  # [m], [1, 1, 64] -> [m, horizon], [1, 1, 64]
        z = (readings - mean) / std
        y, h = self.gru(z[None, None], h)
        return (self.head(y).view(m, horizon) + z[:, None]) * std[:, None] + mean[:, None], h
model = Step()
optimizer = torch.optim.Adam(model.parameters(), 2e-3)
for step in range(int(sys.argv[3]) if len(sys.argv) > 3 else 500):
    spans = torch.stack([x[s : s + 160 + horizon] for s in torch.randint(len(x) - 160 - horizon, (32,))], dim=1)
    future = spans[1:].unfold(0, horizon, 1)[:160] - spans[:160, :, :, None]  # [time, batch, m, horizon]
    loss = (model.head(model.gru(spans[:160])[0]).view(future.shape) - future)[40:].square().mean()
    optimizer.zero_grad(), loss.backward(), optimizer.step()
# New tensors: with `mean` itself as the readings, the exporter would take every `mean` for the input.
torch.onnx.export(model, (torch.zeros(m), torch.zeros(1, 1, 64)), sys.argv[2], dynamo=False, opset_version=17,
                  input_names=["readings", "h"], output_names=["forecast", "h_next"])
graph, names = onnx.load(sys.argv[2]), zip(data.columns, mean.tolist(), std.tolist())
variates = [{"name": name, "mean": mean, "std": std} for name, mean, std in names]
graph.metadata_props.add(key="tsm2", value=json.dumps({"name": "gru", "variates": variates, "interval_ms": 60_000}))
onnx.save(graph, sys.argv[2])
