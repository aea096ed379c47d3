"""Simulated devices of a small home at a broker on this machine: two Zigbee2MQTT sensors and a Tasmota plug.

usage: devices.py PORT MINUTES_AGO COUNT PAUSE

Publishes COUNT minutes, the first of them MINUTES_AGO, with PAUSE seconds after each.
"""

import datetime
import json
import math
import subprocess
import sys
import time

port, ago, count, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
now = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)


def noise(number):
    """Between -0.5 and 0.5, the same each time."""
    return math.sin(number * 12.9898) * 43758.5453 % 1 - 0.5


def publisher(topic):
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-q", "1", "-t", topic, "-l"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, text=True)


publishers = [publisher(topic) for topic in ("zigbee2mqtt/living room", "zigbee2mqtt/kitchen", "tele/heater/SENSOR")]
for minute in range(count):
    moment = now - datetime.timedelta(minutes=ago - minute)
    number = int(moment.timestamp()) // 60
    day = math.sin((number - 480) * 2 * math.pi / 1440)
    is_heating = day < 0.3 and number // 37 % 2 == 0
    living = 21 + 1.2 * day + 0.4 * math.sin(number / 23) + 0.1 * noise(number)
    kitchen = 20.5 + day + 0.3 * math.sin((number - 12) / 23) + 0.1 * noise(number + 7)
    seen = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    messages = [
        {"temperature": round(living, 2), "humidity": round(48 - 4 * day + noise(number + 3), 1), "battery": 97, "last_seen": seen},
        {"temperature": round(kitchen, 2), "battery": 81, "last_seen": seen},
        {"Time": seen[:-1], "ENERGY": {"Power": round(1500 * is_heating + 5 + 5 * noise(number + 9)), "Total": 12.3}},
    ]
    for process, message in zip(publishers, messages):
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
    time.sleep(pause)
for process in publishers:
    process.stdin.close()
    process.wait()
