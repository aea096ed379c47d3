"""Trains a GRU on a recording and writes it for the daemon: python gru_onnx.py building.csv gru.onnx (torch, onnx, numpy)"""
import json, sys
import numpy as np, onnx, torch

with open(sys.argv[1]) as file:
    names = file.readline().strip().split(",")[1:]  # after the column of times
    rows = torch.tensor(np.genfromtxt(file, delimiter=",", usecols=range(1, len(names) + 1)), dtype=torch.float32)
mean, std, horizon, m = rows.nanmean(0), torch.tensor(np.nanstd(rows, axis=0) + 1e-6), 15, len(names)
x = torch.nan_to_num((rows - mean) / std)

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
    spans = torch.stack([x[s : s + 160 + horizon] for s in torch.randint(0, len(x) - 160 - horizon, (32,))], dim=1)
    future = spans[1:].unfold(0, horizon, 1)[:160] - spans[:160, :, :, None]  # [time, batch, m, horizon]
    loss = (model.head(model.gru(spans[:160])[0]).view(160, 32, m, horizon) - future)[40:].square().mean()
    optimizer.zero_grad(), loss.backward(), optimizer.step()
print(f"mean squared error of the last batch, in standard deviations: {loss.item():.3f}")

# Not `mean` itself as the readings: the exporter would take every `mean` for the input.
torch.onnx.export(model.eval(), (torch.zeros(m), torch.zeros(1, 1, 64)), sys.argv[2], dynamo=False, opset_version=17,
                  input_names=["readings", "h"], output_names=["forecast", "h_next"])
graph = onnx.load(sys.argv[2])
variates = [{"name": name, "mean": mean[i].item(), "std": std[i].item()} for i, name in enumerate(names)]
graph.metadata_props.add(key="tsm2", value=json.dumps({"name": "gru", "variates": variates, "interval_ms": 60_000}))
onnx.save(graph, sys.argv[2])
