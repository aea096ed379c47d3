"""Home Assistant with a broker, for the tests: the core, the recorder and MQTT, nothing else.

usage: python home_assistant.py FOLDER PORT HTTP_PORT     (FOLDER is empty or of an earlier run; ends with SIGTERM)

Prints each state and each device as a line `PROBE {json}`, and its log on stderr.
"""

import asyncio
import json
import logging
import pathlib
import signal
import sys

from homeassistant import bootstrap, config_entries, core, loader
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core_config import async_process_ha_core_config
from homeassistant.helpers import device_registry as dr, entity_registry as er, recorder
from homeassistant.setup import async_setup_component

ENTRY = "01JTSM2EDGE000000000000000"


def say(**what):
    print("PROBE", json.dumps(what, default=str), flush=True)


def listen(hass):
    @core.callback
    def state_changed(event):
        state = event.data["new_state"]
        entry = er.async_get(hass).async_get(event.data["entity_id"])
        say(
            entity=event.data["entity_id"],
            unique_id=entry and entry.unique_id,
            state=state and state.state,
            attributes=state and dict(state.attributes),
        )

    @core.callback
    def device_changed(event):
        devices = dr.async_get(hass)
        device = devices.async_get(event.data["device_id"])
        via = device and device.via_device_id and devices.async_get(device.via_device_id)
        say(device=device and device.name, action=event.data["action"], via=via and via.name)

    hass.bus.async_listen(EVENT_STATE_CHANGED, state_changed)
    hass.bus.async_listen(dr.EVENT_DEVICE_REGISTRY_UPDATED, device_changed)


async def main(folder, port, http_port):
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    pathlib.Path(folder, "configuration.yaml").touch()
    hass = core.HomeAssistant(folder)
    loader.async_setup(hass)
    hass.config.skip_pip = True
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await loader.async_get_custom_components(hass)
    assert await bootstrap.async_load_base_functionality(hass)
    for domain in bootstrap.CORE_INTEGRATIONS:
        assert await async_setup_component(hass, domain, {}), domain
    await async_process_ha_core_config(hass, {})
    listen(hass)
    # What the integration's dialogue would ask for.
    if not hass.config_entries.async_entries("mqtt"):
        entry = config_entries.ConfigEntry(
            data={"broker": "127.0.0.1", "port": port},
            discovery_keys={},
            domain="mqtt",
            entry_id=ENTRY,
            minor_version=1,
            options={"discovery": True},
            source="user",
            subentries_data=(),
            title="broker",
            unique_id=None,
            version=2,
        )
        await hass.config_entries.async_add(entry)
    recorder.async_initialize_recorder(hass)
    config = {"http": {"server_host": ["127.0.0.1"], "server_port": http_port}, "recorder": {}}
    for domain in ("recorder", "mqtt"):
        assert await async_setup_component(hass, domain, config), domain
    await hass.async_start()
    say(started=True)
    stop = asyncio.Event()
    hass.loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await hass.async_stop()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
