"""Plots the newest forecast of one sensor: python plot_forecast.py TOPIC [HOST] [PORT]

For example: python plot_forecast.py tsm2/building/forecast/co2
Needs: pip install paho-mqtt pandas matplotlib
"""
import json
import sys

import matplotlib
import pandas as pd
import paho.mqtt.subscribe as subscribe

matplotlib.use("Agg")

arguments = sys.argv[1:]
topic, host, port = arguments + ["", "localhost", "1883"][len(arguments):]
# The daemon's forecasts are retained: the newest one comes at once.
message = json.loads(subscribe.simple(topic, hostname=host, port=int(port)).payload)

# With output.steps the message lists its steps; else it has all of them, from 1.
steps = pd.Index(message.get("step", range(1, len(message["mean"]) + 1)))
times = pd.Timestamp(message["start"]) + (steps - 1) * pd.Timedelta(seconds=message["interval_s"])
forecast = pd.DataFrame({name: message[name] for name in ("mean", "lower", "upper")}, index=times)
print(forecast)

axes = forecast["mean"].plot(figsize=(9, 4), title=f"{topic}, after the reading of {message['origin']}")
axes.fill_between(forecast.index, forecast["lower"], forecast["upper"], alpha=0.2)
axes.figure.savefig("forecast.png", bbox_inches="tight")
print("wrote forecast.png")
