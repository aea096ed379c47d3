"""Home Assistant's own schemas on discovery messages, read as JSON from stdin.

Input:  {"devices": [discovery message, ..], "classes": {class: {"units": [..], "is_measurement": bool}, ..}}
Output: a line for each fault; exit status 1 if there is any.
"""

import asyncio
import enum
import json
import sys

from homeassistant import core
from homeassistant.components.mqtt import binary_sensor, sensor
from homeassistant.components.mqtt.discovery import SHARED_OPTIONS
from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA, validate_device_discovery_components
from homeassistant.components.sensor.const import DEVICE_CLASS_STATE_CLASSES, DEVICE_CLASS_UNITS, SensorDeviceClass, SensorStateClass

# These schemas accept no unknown key; those of discovery drop it without a word.
STRICT = {"sensor": sensor.PLATFORM_SCHEMA_MODERN, "binary_sensor": binary_sensor.PLATFORM_SCHEMA_MODERN}



async def check():
    """The schemas want an event loop, for their templates."""
    hass = core.HomeAssistant("/tmp")
    faults = []
    given = json.load(sys.stdin)
    for message in given["devices"]:
        try:
            device = validate_device_discovery_components(DEVICE_DISCOVERY_SCHEMA(message))
        except Exception as error:
            faults.append(f"{message.get('device')}: {error}")
            continue
        for name, component in device["components"].items():
            config = {key: device[key] for key in SHARED_OPTIONS if key in device} | component
            platform = config.pop("platform")
            if not config.keys() - set(SHARED_OPTIONS):
                continue  # a removal
            config |= {"device": device["device"], "origin": device["origin"]}
            try:
                STRICT[platform](config)
            except Exception as error:
                faults.append(f"{name}: {error}")
    for name, own in given["classes"].items():
        device_class = SensorDeviceClass(name)
        units = {unit.value if isinstance(unit, enum.Enum) else unit for unit in DEVICE_CLASS_UNITS[device_class]} - {None}
        if units != set(own["units"]):
            faults.append(f"{name}: units {sorted(own['units'])}, Home Assistant has {sorted(units)}")
        states = DEVICE_CLASS_STATE_CLASSES[device_class]
        if (SensorStateClass.MEASUREMENT in states or SensorStateClass.MEASUREMENT_ANGLE in states) != own["is_measurement"]:
            faults.append(f"{name}: state classes {states}")
    await hass.async_stop(force=True)
    return faults


faults = asyncio.run(check())
print("\n".join(faults))
sys.exit(bool(faults))
