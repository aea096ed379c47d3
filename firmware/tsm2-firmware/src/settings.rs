//! Settings: lines of `key = value` in flash. `#` begins a comment at the start of a line and after
//! a space.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::net::{Ipv4Addr, SocketAddrV4};

/// Settings of a station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the stream: one device's time series.
    pub stream: String,
    /// Address and port of the MQTT broker; without it only the serial line serves.
    pub broker: Option<SocketAddrV4>,
    /// Own address and prefix length; without it DHCP is asked.
    pub address: Option<(Ipv4Addr, u8)>,
    /// Gateway of an own address.
    pub gateway: Option<Ipv4Addr>,
    /// Topic of the readings; `{stream}` stands for the stream.
    pub topic: String,
    /// First part of the topics of the forecasts.
    pub prefix: String,
    /// User name at the broker.
    pub user: Option<String>,
    /// Password at the broker.
    pub password: Option<String>,
    /// Field of the time in a payload.
    pub time_field: String,
    /// Longest gap in time steps that is bridged.
    pub max_gap: u64,
    /// Time steps in which a variate without a reading repeats its last value.
    pub forward_fill_limit: u64,
    /// Seconds for which a time bin waits for late readings.
    pub allowed_lateness_s: u64,
}

/// A line of the settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The line, from 1; 0 where a line is missing.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            stream: String::new(),
            broker: None,
            address: None,
            gateway: None,
            topic: "sensors/{stream}/telemetry".into(),
            prefix: "tsm2".into(),
            user: None,
            password: None,
            time_field: "time".into(),
            max_gap: 1440,
            forward_fill_limit: 0,
            allowed_lateness_s: 0,
        }
    }
}

impl Settings {
    /// Reads the settings at the start of `flash`.
    ///
    /// # Errors
    /// The first line at fault.
    pub fn read(flash: &[u8]) -> Result<Self, SettingsError> {
        let end = flash.iter().position(|&byte| byte == 0 || byte == 255).unwrap_or(flash.len());
        let fault = |line, what| SettingsError { line, what };
        let text = core::str::from_utf8(&flash[..end]).map_err(|_| fault(1, "the settings are not UTF-8 text".into()))?;
        let mut settings = Settings::default();
        for (line, content) in (1..).zip(text.lines()) {
            let content = without_comment(content);
            if content.is_empty() {
                continue;
            }
            let Some((key, value)) = content.split_once('=') else {
                return Err(fault(line, format!("`{content}` is not `key = value`")));
            };
            settings.set(key.trim(), value.trim()).map_err(|what| fault(line, what))?;
        }
        let is_level = |text: &str| !text.is_empty() && !text.contains(['/', '+', '#']);
        match is_level(&settings.stream) {
            true => Ok(settings),
            false => Err(fault(
                0,
                "`stream` must be a name without `/`, `+` and `#`; add the line `stream = NAME`".into(),
            )),
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let wrong = |kind: &str| format!("`{key} = {value}` is not {kind}");
        let number = || value.parse::<u64>().map_err(|_| wrong("a number"));
        match key {
            "stream" => self.stream = value.into(),
            "broker" => self.broker = Some(value.parse().map_err(|_| wrong("an address and port such as 192.168.1.2:1883"))?),
            "address" => {
                let (address, prefix) = value.split_once('/').ok_or_else(|| wrong("an address such as 192.168.1.9/24"))?;
                let prefix = prefix.parse().ok().filter(|&prefix| prefix <= 32);
                // The network stack refuses any other address of its own.
                let is_unicast = |it: &Ipv4Addr| !(it.is_broadcast() || it.is_multicast() || it.is_unspecified());
                let address = address.parse().ok().filter(is_unicast).zip(prefix);
                self.address = Some(address.ok_or_else(|| wrong("an address such as 192.168.1.9/24"))?);
            }
            "gateway" => self.gateway = Some(value.parse().map_err(|_| wrong("an address such as 192.168.1.1"))?),
            "topic" => self.topic = value.into(),
            "prefix" => self.prefix = value.into(),
            "user" => self.user = Some(value.into()),
            "password" => self.password = Some(value.into()),
            "time_field" => self.time_field = value.into(),
            "max_gap" => self.max_gap = number()?,
            "forward_fill_limit" => self.forward_fill_limit = number()?,
            "allowed_lateness_s" => self.allowed_lateness_s = number()?,
            _ => return Err(format!("there is no key `{key}`")),
        }
        Ok(())
    }

    /// The topic of the readings.
    #[must_use]
    pub fn input_topic(&self) -> String {
        // `str::replace` would bring a panic function into the program.
        let mut parts = self.topic.split('{');
        let mut topic = String::from(parts.next().unwrap_or_default());
        for part in parts {
            match part.strip_prefix("stream}") {
                Some(rest) => topic.extend([self.stream.as_str(), rest]),
                None => topic.extend(["{", part]),
            }
        }
        topic
    }

    /// The topic of a variate's forecasts.
    #[must_use]
    pub fn forecast_topic(&self, variate: &str) -> String {
        format!("{}/{}/forecast/{variate}", self.prefix, self.stream)
    }
}

/// A password may contain `#`, so only one after a space, or the first of a line, begins a comment.
fn without_comment(line: &str) -> &str {
    let begins = |&at: &usize| line[..at].chars().next_back().is_none_or(char::is_whitespace);
    let end = line.match_indices('#').map(|(at, _)| at).find(begins);
    line[..end.unwrap_or(line.len())].trim()
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "settings: {}", self.what),
            line => write!(f, "settings, line {line}: {}", self.what),
        }
    }
}

impl core::error::Error for SettingsError {}
