"""Simulated devices of a small home at a broker on this machine: two Zigbee2MQTT sensors and a Tasmota plug.

usage: devices.py PORT MINUTES_AGO COUNT PAUSE

Publishes COUNT minutes, the first of them MINUTES_AGO, with PAUSE seconds after each. The broker has taken
each message before the next one is sent, so that they are in order at any speed.
"""

import datetime
import json
import math
import socket
import sys
import time

port, ago, count, pause = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
now = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)


class Broker:
    """A session of MQTT 3.1.1 that publishes with QoS 1."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = self.socket.makefile("rb")
        # A clean session without a keep-alive, under a name that the broker chooses.
        self.send(0x10, self.text("MQTT") + bytes([4, 2, 0, 0]) + self.text(""))

    def publish(self, topic, payload):
        self.send(0x32, self.text(topic) + b"\0\1" + payload.encode())

    def send(self, kind, body):
        length, rest = b"", len(body)
        while rest >= 128:
            length, rest = length + bytes([rest % 128 + 128]), rest // 128
        self.socket.sendall(bytes([kind]) + length + bytes([rest]) + body)
        if len(answer := self.answers.read(4)) < 4 or (kind == 0x10 and answer[3]):
            sys.exit("devices.py: the broker refuses the connection")

    @staticmethod
    def text(text):
        text = text.encode()
        return len(text).to_bytes(2, "big") + text


def noise(number):
    """Between -0.5 and 0.5, the same each time."""
    return math.sin(number * 12.9898) * 43758.5453 % 1 - 0.5


broker = Broker(port)
for minute in range(count):
    moment = now - datetime.timedelta(minutes=ago - minute)
    number = int(moment.timestamp()) // 60
    day = math.sin((number - 480) * 2 * math.pi / 1440)
    is_heating = day < 0.3 and number // 37 % 2 == 0
    living = 21 + 1.2 * day + 0.4 * math.sin(number / 23) + 0.1 * noise(number)
    kitchen = 20.5 + day + 0.3 * math.sin((number - 12) / 23) + 0.1 * noise(number + 7)
    power = round(1500 * is_heating + 5 + 5 * noise(number + 9))
    seen = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    humidity = round(48 - 4 * day + noise(number + 3), 1)
    messages = {
        "zigbee2mqtt/living room": {"temperature": round(living, 2), "humidity": humidity, "battery": 97, "last_seen": seen},
        "zigbee2mqtt/kitchen": {"temperature": round(kitchen, 2), "battery": 81, "last_seen": seen},
        "tele/heater/SENSOR": {"Time": seen[:-1], "ENERGY": {"Power": power, "Total": 12.3}},
    }
    for topic, message in messages.items():
        broker.publish(topic, json.dumps(message))
    time.sleep(pause)
