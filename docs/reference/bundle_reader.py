"""A reader of TSM2's model files, written from bundle.md alone. Double precision, numpy.

    python3 bundle_reader.py model.safetensors steps.json

steps.json holds a list of {"time": ms, "readings": [...], "future": [[...] or null, ...]}, with
null for a missing reading or an unknown value. The program prints a forecast [F][H] for each step.
"""

import json
import struct
import sys

import numpy as np

DTYPES = {"F32": "<f4", "I8": "<i1", "I32": "<i4", "I64": "<i8"}
RATES = (0.5, 0.8, 0.95)
DAY = 86_400_000


def read(path):
    """Metadata, and every tensor by name."""
    data = open(path, "rb").read()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    meta = json.loads(header.pop("__metadata__")["tsm2"])
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        numbers = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        tensors[name] = numbers.reshape(entry["shape"])
    for name in [name for name in tensors if name.endswith(".scale")]:
        scale = tensors.pop(name)[..., None]
        tensors[name.removesuffix(".scale")] = tensors[name.removesuffix(".scale")] * scale
    return meta, tensors


def bands(horizon):
    start = 0
    while start < horizon:
        end = min(start + max(1, start // 2), horizon)
        yield range(start, end)
        start = end


def share(numbers, bounds):
    """1 within all bounds, 0 where a number is beyond twice its bound."""
    reach = np.abs(numbers) / np.maximum(bounds, 1e-9)
    return max(2 / max(1, *reach) - 1, 0) if len(reach) else 1


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    y = np.maximum(x, -7)
    return np.where(x < -7, 0, y / (1 + np.exp(-1.595769 * (y + 0.044715 * y**3))))


class S6:
    """A selective mixer with its memory."""

    def __init__(self, tensors, prefix):
        self.w = {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
        self.e, self.n = self.w["a_log"].shape
        self.past = np.zeros((self.w["conv.weight"].shape[1], self.e))
        self.h = np.zeros((self.e, self.n))

    def step(self, v):
        w = self.w
        self.past = np.vstack([self.past[1:], v])
        c = silu(w["conv.bias"] + np.sum(w["conv.weight"].T * self.past, axis=0))
        r = w["dt_proj.weight"].shape[1]
        d, b, out = np.split(w["x_proj.weight"] @ c, [r, r + self.n])
        b, out = b + w["b_bias"], out + w["c_bias"]
        dt = np.log1p(np.exp(w["dt_proj.weight"] @ d + w["dt_proj.bias"]))
        decay = np.exp(-np.exp(w["a_log"]) * dt[:, None])
        self.h = decay * self.h + dt[:, None] * b[None, :] * c[:, None]
        return self.h @ out + w["d"] * c


class Variate:
    """Samples, normalizer, averages and future values of one variate."""

    def __init__(self, half_life, half_lives, period, bins, rates):
        self.g = None if half_life is None else 2 ** (-1 / half_life)
        self.samples, self.was_read = [], False
        self.shares = np.array([1 - 2 ** (-1 / half_life) for half_life in half_lives])
        self.exponential, self.readings = np.zeros(len(half_lives)), 0
        self.period, self.rates, self.visited = period, rates, 0
        self.mu, self.v, self.w, self.sigma = 0.0, 0.0, 0.0, 1.0
        self.seasons = np.zeros((len(rates), bins))
        self.known = {}

    def push(self, z):
        t = len(self.samples)
        if z is None:
            z = self.known.get(t)
        is_read = z is not None
        if z is None:
            z = self.samples[-1] if t else 0.0
        first = t == 0 or (is_read and not self.was_read)
        self.was_read |= is_read
        if first:
            self.samples = [z] * t
        self.samples.append(z)
        if self.g is not None and (is_read or not self.was_read):
            if first:
                self.mu, self.v = z, 0.0
            self.w = self.g * self.w + 1
            s, delta = 1 / self.w, z - self.mu
            self.mu += s * delta
            self.v = (1 - s) * (self.v + s * delta * delta)
            self.sigma = np.sqrt(self.v + 1e-4)
        if is_read:
            self.readings += 1
            share = np.maximum(self.shares, 1 / self.readings)
            self.exponential += share * (z - self.exponential)
        if self.period:
            n, place, bins = (z - self.mu) / self.sigma, self.place(t), self.seasons.shape[1]
            if first:
                self.seasons[:, : self.visited] = n
            for average, g in zip(self.seasons, self.rates):
                g = g ** (bins / self.period)
                is_new = place >= self.visited
                average[place] = n if is_new else g * average[place] + (1 - g) * n
            self.visited = max(self.visited, place + 1)

    def place(self, t):
        return t % self.period * self.seasons.shape[1] // self.period

    def normalized(self, z):
        return (np.array(z) - self.mu) / self.sigma

    def lags(self, count, back=0):
        padded = [self.samples[0]] * (count + back) + self.samples
        end = len(padded) - back
        return self.normalized(padded[end - count : end])

    def seasonal(self, anchor):
        if not self.period:
            return np.zeros(0)
        values = self.seasons - anchor
        values[:, self.visited :] = 0
        return np.roll(values, -self.place(len(self.samples) - 1) - 1, axis=1).ravel()

    def set_future(self, values):
        self.known, known = {}, [i for i, value in enumerate(values) if value is not None]
        for i in range(known[0], known[-1] + 1) if known else []:
            last = max(k for k in known if k <= i)
            self.known[len(self.samples) + i] = values[last]

    def future(self, horizon):
        now, z = len(self.samples), self.samples[-1]
        known = {t: value for t, value in self.known.items() if t >= now}
        last = max(known, default=None)

        def value(t):
            return known[last] if known and t > last else known.get(t, z)

        return [np.mean([value(now + i) - z for i in band]) for band in bands(horizon)]


class Model:
    def __init__(self, path):
        meta, tensors = read(path)
        assert meta["format_version"] in (1, 2)
        self.c, self.variates = meta["config"], meta["variates"]
        self.w = {name: t.astype(float) for name, t in tensors.items() if t.dtype.kind == "f"}
        self.m, self.h = self.c["variates"], self.c["horizon"]
        self.k = self.c.get("future_covariates", 0)
        self.f = self.m - self.k - self.c.get("past_covariates", 0)
        self.net, self.lin = self.c.get("network"), self.c.get("linear_head", {})
        normalizer = self.c["normalizer"]
        half_life = None if normalizer == "global" else normalizer["exponential"]["half_life"]
        season = self.lin.get("season", {})
        period = season.get("period", 0)
        averages = self.c.get("averages", {"count": 0})
        intervals = max(averages["count"] - 1, 1)
        half_lives = [
            averages["shortest"] * (averages["longest"] / averages["shortest"]) ** (i / intervals)
            for i in range(averages["count"])
        ]
        rates = (season["rate"],) if "rate" in season else RATES
        sizes = (half_life, half_lives, period, season.get("bins", period), rates)
        self.v = [Variate(*sizes) for _ in range(self.m)]
        if self.net:
            layers = range(self.net["layers"])
            name = "layers.{}.time."
            self.time = [[S6(self.w, name.format(l)) for _ in self.v] for l in layers]
        none = np.full((self.m, 2 + len(half_lives)), np.inf)
        for v, bounds in zip(self.v, self.w.get("linear_head.bounds", none)):
            v.sample_bound, v.lag_bound, v.average_bounds = bounds[0], bounds[1], bounds[2:]
        self.linear = None
        if "linear_head.weight" in self.w:
            self.expand(tensors.get("linear_head.blocks"))
        if "linear_head.core.weight" in self.w:
            names = ("step", "core", "feature")
            step, core, feature = (self.w[f"linear_head.{name}.weight"] for name in names)
            self.linear = step @ core.reshape(-1, *core.shape[-2:]) @ feature

    def expand(self, blocks):
        if blocks is None:
            weight = self.w["linear_head.weight"]
            self.linear = weight.reshape(-1, *weight.shape[-2:])
            return
        lin, season, averages = self.lin, self.v[0].seasons.size, len(self.v[0].exponential)
        features = lin.get("lags", 0) + averages * lin.get("averages", False) + season
        features += (self.m - 1) * lin.get("cross_lags", 0)
        common = lin.get("common_lags", 0) + averages * lin.get("common_averages", False)
        features += self.m * common
        features += 2 * sum(self.harmonics()) * lin.get("calendar", False)
        features += lin.get("future_covariates", False) * self.k * len(list(bands(self.h)))
        matrices = self.f if lin.get("per_variate") else 1
        flat, at = self.w["linear_head.weight"], 0
        self.linear = np.zeros((matrices, self.h, features))
        for s, e, p, q in blocks:
            count = matrices * (e - s) * (q - p)
            self.linear[:, s:e, p:q] = flat[at : at + count].reshape(matrices, e - s, q - p)
            at += count

    def harmonics(self):
        calendar = self.c.get("calendar", {"day": 1, "week": 1})
        return calendar["day"], calendar["week"]

    def scaled(self, m, x):
        v = self.variates[m]
        return None if x is None else float(np.clip((x - v["mean"]) / v["std"], -1000, 1000))

    def step(self, time, readings, future=()):
        for m, values in zip(range(self.m - self.k, self.m), future):
            if values is not None:
                self.v[m].set_future([self.scaled(m, x) for x in values])
        for m, x in enumerate(readings):
            self.v[m].push(self.scaled(m, x))
        turns = [(time % DAY) / DAY, ((time + 3 * DAY) % (7 * DAY)) / (7 * DAY)]
        turns = [k * turn for turn, n in zip(turns, self.harmonics()) for k in range(1, n + 1)]
        self.calendar = [f(2 * np.pi * turn) for turn in turns for f in (np.sin, np.cos)]
        self.future = [x for v in self.v[self.m - self.k :] for x in v.future(self.h)]
        features = self.network() if self.net else None
        return [self.forecast(m, features) for m in range(self.f)]

    def norm(self, prefix, x):
        centred = x - x.mean()
        scaled = centred / np.sqrt(np.mean(centred**2) + 1e-5)
        return scaled * self.w[prefix + "norm.weight"] + self.w[prefix + "norm.bias"]

    def network(self):
        w, calendar = self.w, self.calendar if self.net.get("calendar") else []
        u = []
        for v, own in zip(self.v, w["embed.variate"]):
            averages = v.normalized(v.exponential) if self.net.get("averages") else []
            samples = np.concatenate([v.lags(self.net["patch"]), averages])
            samples = np.clip(samples, -v.sample_bound, v.sample_bound)
            samples, future = (np.clip(x, -30, 30) for x in (samples, self.future))
            patch = np.concatenate([samples, calendar, future])
            u.append(w["embed.weight"] @ patch + w["embed.bias"] + own)
        ts, vs = [np.array(u)], [np.array(u)]
        for l in range(self.net["layers"]):
            p = f"layers.{l}."
            names = ("alpha", "beta", "theta", "gamma")
            alpha, beta, theta, gamma = (w[f"{p}average.{name}"] for name in names)
            x = sum(a * t + b * v for a, t, b, v in zip(alpha, ts, beta, vs))
            mixed = [self.time_mixer(p + "time.", s6, xm) for s6, xm in zip(self.time[l], x)]
            ts.append(x + np.array(mixed))
            x = sum(a * t for a, t in zip(theta, ts)) + sum(b * v for b, v in zip(gamma, vs))
            vs.append(x + self.variate_mixer(p + "variate.", x))
        return vs[-1]

    def time_mixer(self, p, s6, x):
        values, gate = np.split(self.w[p + "in_proj.weight"], 2)
        g = gate @ self.norm(p, x) + self.w[p + "gate_bias"]
        return self.w[p + "out_proj.weight"] @ (s6.step(np.clip(values @ x, -30, 30)) * silu(g))

    def variate_mixer(self, p, x):
        w, out = self.w, np.zeros_like(x)
        if p + "in_proj.weight" in w:
            forward, backward, gate = np.split(w[p + "in_proj.weight"], 3)
            y = np.zeros((self.m, len(gate)))
            for name, rows, order in (("forward.", forward, 1), ("backward.", backward, -1)):
                s6 = S6(w, p + name)
                for m in range(self.m)[::order]:
                    y[m] += s6.step(np.clip(rows @ x[m], -30, 30))
            for m in range(self.m):
                g = gate @ self.norm(p, x[m]) + w[p + "gate_bias"]
                out[m] += w[p + "out_proj.weight"] @ (y[m] * silu(g))
        if p + "mlp.out.weight" in w:
            reduced = np.concatenate([w[p + "mlp.reduce.weight"] @ self.norm(p, xm) for xm in x])
            hidden = gelu(w[p + "mlp.hidden.weight"] @ reduced + w[p + "mlp.hidden.bias"])
            out += (w[p + "mlp.out.weight"] @ hidden).reshape(x.shape)
        return out

    def forecast(self, m, features):
        y, v = np.zeros(self.h), self.v[m]
        if self.net:
            own = (m,) if self.net["head"] == "per_variate" else ()
            y = self.w["head.weight"][own] @ features[m] + self.w["head.bias"][own]
        if self.linear is not None:
            lin, cross = self.lin, self.lin.get("cross_lags", 0)
            own, let_through = self.relative(v, lin.get("lags", 0), lin.get("averages"))
            phi = [own, let_through * v.seasonal(self.anchor(v))]
            phi += [self.relative(o, cross, False)[0] for o in self.v if o is not v]
            common = (lin.get("common_lags", 0), lin.get("common_averages"))
            phi += [self.relative(o, *common)[0] for o in self.v]
            phi += [self.calendar] if lin.get("calendar") else []
            phi += [self.future] if lin.get("future_covariates") else []
            y = y + self.linear[m if lin.get("per_variate") else 0] @ np.concatenate(phi)
            y = y + self.anchor(v)
        scale = self.variates[m]
        return (y * v.sigma + v.mu) * scale["std"] + scale["mean"]

    def anchor(self, v):
        return v.lags(1)[0] if self.lin.get("relative") else 0.0

    def relative(self, v, lags, averages):
        numbers = v.lags(lags, 1 if self.lin.get("relative") else 0)
        averages = v.normalized(v.exponential) if averages else []
        numbers = np.concatenate([numbers, averages]) - self.anchor(v)
        bounds = np.concatenate([np.full(lags, v.lag_bound), v.average_bounds])
        let_through = share(numbers, bounds[: len(numbers)])
        return let_through * numbers, let_through


if __name__ == "__main__":
    model = Model(sys.argv[1])
    for step in json.load(open(sys.argv[2])):
        forecast = model.step(step["time"], step["readings"], step.get("future", ()))
        print(json.dumps([list(row) for row in forecast]))
