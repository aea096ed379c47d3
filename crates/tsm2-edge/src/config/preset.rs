//! Presets: the documented topics and payloads of common senders, as keys of a source.

use serde::Deserialize;

/// A sender whose messages are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preset {
    /// Zigbee2MQTT: `zigbee2mqtt/NAME` with a JSON object of the device's properties. The name may
    /// have slashes. Its `last_seen` is off by default, so the time of arrival counts.
    #[serde(rename = "zigbee2mqtt")]
    Zigbee2Mqtt,
    /// Tasmota: `tele/TOPIC/SENSOR` with a JSON object per sensor, for example `ENERGY.Power`. Its
    /// `Time` is local and has no offset, so it counts where a time zone is given.
    Tasmota,
    /// ESPHome: `PREFIX/sensor/NAME/state` and `PREFIX/binary_sensor/NAME/state`, bare values.
    #[serde(rename = "esphome")]
    EspHome,
    /// Shelly of the second generation and later: `ID/events/rpc`, with the components that have
    /// changed in `params`, for example `switch:0.apower`.
    Shelly,
    /// Home Assistant's `mqtt_statestream`: `BASE/DOMAIN/OBJECT_ID/state`, bare values.
    #[serde(rename = "homeassistant-statestream")]
    StateStream,
    /// The Things Stack (The Things Network): `v3/APPLICATION/devices/DEVICE/up`, with the fields of
    /// the payload formatter.
    Ttn,
}

/// Place of the device's name in a topic.
pub(super) const DEVICE: &str = "{device}";

impl Preset {
    /// All presets.
    pub const ALL: [Preset; 6] = [
        Preset::Zigbee2Mqtt,
        Preset::Tasmota,
        Preset::EspHome,
        Preset::Shelly,
        Preset::StateStream,
        Preset::Ttn,
    ];

    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Zigbee2Mqtt => "zigbee2mqtt",
            Preset::Tasmota => "tasmota",
            Preset::EspHome => "esphome",
            Preset::Shelly => "shelly",
            Preset::StateStream => "homeassistant-statestream",
            Preset::Ttn => "ttn",
        }
    }

    /// The topic, with `DEVICE` for the name of the device.
    pub fn topic(self) -> &'static str {
        match self {
            Preset::Zigbee2Mqtt => "zigbee2mqtt/{device}",
            Preset::Tasmota => "tele/{device}/SENSOR",
            Preset::EspHome | Preset::StateStream => "{device}/+/{variate}/state",
            Preset::Shelly => "{device}/events/rpc",
            Preset::Ttn => "v3/+/devices/{device}/up",
        }
    }

    /// Path of the readings.
    pub(super) fn readings(self) -> Option<&'static str> {
        match self {
            Preset::Shelly => Some("params"),
            Preset::Ttn => Some("uplink_message.decoded_payload"),
            _ => None,
        }
    }

    /// Path of the time; `has_zone`: a zone for local times is known.
    pub(super) fn time_field(self, has_zone: bool) -> Option<&'static str> {
        match self {
            Preset::Tasmota => has_zone.then_some("Time"),
            Preset::Shelly => Some("ts"),
            Preset::Ttn => Some("received_at"),
            _ => None,
        }
    }

    /// Path of the value in a message of one variate.
    pub(super) fn value(self) -> Option<&'static str> {
        matches!(self, Preset::EspHome | Preset::StateStream).then_some("$")
    }

    /// A field and the contents of it that messages with readings have.
    pub(super) fn condition(self) -> Option<(&'static str, [&'static str; 2])> {
        (self == Preset::Shelly).then_some(("method", ["NotifyStatus", "NotifyFullStatus"]))
    }

    /// The device where none is given.
    pub(super) fn device(self) -> Option<&'static str> {
        (self == Preset::StateStream).then_some("homeassistant")
    }
}
