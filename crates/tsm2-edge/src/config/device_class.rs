//! Device classes of Home Assistant's sensors, and the units that each of them has.
//!
//! Home Assistant refuses a sensor whose unit does not fit its class. The table is that of release
//! 2026.11; a test sends each pair through its schema.

/// What a sensor measures, in Home Assistant's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceClass {
    /// Its name.
    pub name: &'static str,
    /// Its units; empty: it has none.
    pub units: &'static [&'static str],
    /// Whether its values are measurements, which have long-term statistics; else they are totals.
    pub is_measurement: bool,
}

const fn measured(name: &'static str, units: &'static [&'static str]) -> DeviceClass {
    DeviceClass {
        name,
        units,
        is_measurement: true,
    }
}

const fn counted(name: &'static str, units: &'static [&'static str]) -> DeviceClass {
    DeviceClass {
        is_measurement: false,
        ..measured(name, units)
    }
}

const ENERGY: &[&str] = &[
    "Wh", "kWh", "MWh", "GWh", "TWh", "mWh", "J", "kJ", "MJ", "GJ", "cal", "kcal", "Mcal", "Gcal", "thm",
];
const PRESSURE: &[&str] = &[
    "Pa", "hPa", "kPa", "mPa", "bar", "mbar", "cbar", "psi", "mmHg", "inHg", "inH₂O", "atm",
];
const VOLUME: &[&str] = &["L", "mL", "m³", "ft³", "CCF", "MCF", "gal", "fl. oz."];

/// The classes, each with the class that a unit alone stands for before others with that unit.
pub const DEVICE_CLASSES: &[DeviceClass] = &[
    measured("temperature", &["°C", "°F", "K"]),
    measured("power", &["W", "kW", "MW", "GW", "TW", "mW"]),
    measured("voltage", &["V", "mV", "kV", "MV", "μV"]),
    measured("current", &["A", "mA", "μA"]),
    measured("frequency", &["Hz", "kHz", "MHz", "GHz", "mHz"]),
    counted("energy", ENERGY),
    measured("energy_storage", ENERGY),
    measured("apparent_power", &["VA", "kVA", "mVA"]),
    measured("reactive_power", &["var", "kvar", "mvar"]),
    counted("reactive_energy", &["varh", "kvarh"]),
    measured("pressure", PRESSURE),
    measured("atmospheric_pressure", PRESSURE),
    measured("illuminance", &["lx"]),
    measured("irradiance", &["W/m²", "BTU/(h⋅ft²)"]),
    measured(
        "wind_speed",
        &["km/h", "m/s", "mph", "kn", "ft/s", "m/min", "in/s", "mm/s", "Beaufort"],
    ),
    measured(
        "speed",
        &[
            "km/h", "m/s", "mph", "kn", "ft/s", "m/min", "in/s", "mm/s", "mm/h", "mm/d", "in/h", "in/d", "Beaufort",
        ],
    ),
    measured("wind_direction", &["°"]),
    measured("precipitation", &["mm", "cm", "in"]),
    measured("precipitation_intensity", &["mm/h", "mm/d", "in/h", "in/d"]),
    measured("distance", &["m", "mm", "cm", "km", "in", "ft", "yd", "mi", "nmi"]),
    measured("weight", &["kg", "g", "mg", "μg", "lb", "oz", "st"]),
    measured(
        "volume_flow_rate",
        &[
            "m³/h", "m³/min", "m³/s", "L/h", "L/min", "L/s", "mL/s", "ft³/min", "gal/d", "gal/h", "gal/min",
        ],
    ),
    counted("volume", VOLUME),
    measured("volume_storage", VOLUME),
    counted("water", &["L", "m³", "ft³", "CCF", "MCF", "gal"]),
    counted("gas", &["L", "m³", "ft³", "CCF", "MCF"]),
    measured("humidity", &["%"]),
    measured("moisture", &["%"]),
    measured("battery", &["%"]),
    measured("power_factor", &["%"]),
    measured("absolute_humidity", &["g/m³", "mg/m³"]),
    measured("carbon_dioxide", &["ppm"]),
    measured("carbon_monoxide", &["ppm", "ppb", "mg/m³", "μg/m³"]),
    measured("nitrogen_dioxide", &["ppm", "ppb", "μg/m³"]),
    measured("nitrogen_monoxide", &["ppb", "μg/m³"]),
    measured("nitrous_oxide", &["μg/m³"]),
    measured("ozone", &["ppm", "ppb", "μg/m³"]),
    measured("sulphur_dioxide", &["ppb", "μg/m³"]),
    measured("pm1", &["μg/m³"]),
    measured("pm25", &["μg/m³"]),
    measured("pm4", &["μg/m³"]),
    measured("pm10", &["μg/m³"]),
    measured("volatile_organic_compounds", &["μg/m³", "mg/m³"]),
    measured("volatile_organic_compounds_parts", &["ppb", "ppm"]),
    measured("radon", &["Bq/m³", "pCi/L"]),
    measured("conductivity", &["μS/cm", "mS/cm", "S/cm"]),
    measured("sound_pressure", &["dB", "dBA"]),
    measured("signal_strength", &["dBm", "dB"]),
    measured("aqi", &[]),
    measured("ph", &[]),
];

/// Units that one quantity alone has: their class needs no configuration. `°`, `%`, `ppm` and the
/// like are not among them.
const BY_UNIT: &[&str] = &[
    "temperature",
    "power",
    "voltage",
    "current",
    "frequency",
    "apparent_power",
    "reactive_power",
    "irradiance",
    "illuminance",
    "pressure",
];

/// The class of this name.
pub fn by_name(name: &str) -> Option<&'static DeviceClass> {
    DEVICE_CLASSES.iter().find(|class| class.name == name)
}

/// The class that a unit implies.
pub fn by_unit(unit: &str) -> Option<&'static DeviceClass> {
    let implied = DEVICE_CLASSES.iter().filter(|class| BY_UNIT.contains(&class.name));
    { implied }.find(|class| class.units.contains(&unit))
}

/// A unit as Home Assistant writes it.
pub fn spelled(unit: &str) -> String {
    let unit = unit.trim();
    let known = match unit {
        "C" | "degC" | "deg C" | "deg_C" | "Deg C" | "Deg_C" | "celsius" | "Celsius" | "ºC" | "℃" => "°C",
        "F" | "degF" | "deg F" | "ºF" | "℉" => "°F",
        "lux" | "Lux" => "lx",
        "W/m2" | "W/m^2" | "W/m**2" => "W/m²",
        "m3" | "m^3" | "m**3" => "m³",
        "m3/h" | "m^3/h" => "m³/h",
        "l" => "L",
        "ml" => "mL",
        "l/s" => "L/s",
        "l/min" => "L/min",
        "l/h" => "L/h",
        "pct" | "percent" | "Pct" => "%",
        "kvarh" | "kVarh" | "kVArh" => "kvarh",
        "kvar" | "kVar" | "kVAr" => "kvar",
        "VAr" => "var",
        "mBar" => "mbar",
        "Bar" => "bar",
        "PSI" => "psi",
        "Volt" | "Volts" | "volts" => "V",
        "Amp" | "Amps" => "A",
        other => return other.replace('µ', "μ"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_implies_its_class_only_where_one_quantity_has_it() {
        let class = |unit: &str| by_unit(&spelled(unit)).map(|class| class.name);
        for (unit, name) in [
            ("degC", "temperature"),
            ("kW", "power"),
            ("hPa", "pressure"),
            ("W/m2", "irradiance"),
            ("lux", "illuminance"),
        ] {
            assert_eq!(class(unit), Some(name), "{unit}");
        }
        for unit in ["%", "ppm", "m/s", "m³", "µg/m³", "kWh", "widgets", ""] {
            assert_eq!(class(unit), None, "{unit}");
        }
    }

    #[test]
    fn every_class_that_a_unit_implies_is_a_measurement() {
        for name in BY_UNIT {
            assert!(by_name(name).is_some_and(|class| class.is_measurement), "{name}");
        }
    }
}
