"""Reads a dashboard as Grafana's own SDK does, and prints each key that it does not know or changes.

usage: python dashboard.py FILE          (exit status 1 if there is any)
"""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def differences(own, read, path=""):
    if isinstance(own, dict) and isinstance(read, dict):
        for key, value in own.items():
            if key in read:
                yield from differences(value, read[key], f"{path}/{key}")
            else:
                yield f"{path}/{key}: unknown"
    elif isinstance(own, list) and isinstance(read, list) and len(own) == len(read):
        for number, pair in enumerate(zip(own, read)):
            yield from differences(*pair, f"{path}/{number}")
    elif own != read:
        yield f"{path}: {own!r} becomes {read!r}"


register_default_plugins()
with open(sys.argv[1], encoding="utf-8") as file:
    own = json.load(file)
found = list(differences(own, json.loads(JSONEncoder().encode(Dashboard.from_json(own)))))
print("\n".join(found))
sys.exit(bool(found))
