//! Topics between the daemon and Home Assistant: discovery, and Home Assistant's birth message.

/// See the module's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryTopics {
    /// What the topics of streams begin with. The daemon's level is by `output.prefix`, which no two
    /// daemons at a broker share.
    streams: String,
    daemon: String,
    birth: String,
}

/// What ends the topic of a device.
const CONFIG: &str = "/config";

impl DiscoveryTopics {
    pub(super) fn new(discovery_prefix: &str, output_prefix: &str) -> Self {
        let node = format!("{discovery_prefix}/device/{}", discovery_id(output_prefix));
        DiscoveryTopics {
            streams: format!("{node}/"),
            daemon: format!("{node}{CONFIG}"),
            birth: format!("{discovery_prefix}/status"),
        }
    }

    /// The device of the daemon.
    pub fn daemon(&self) -> &str {
        &self.daemon
    }

    /// The device of a stream.
    pub fn stream(&self, stream: &str) -> String {
        format!("{}{}{CONFIG}", self.streams, discovery_id(stream))
    }

    /// Whether a message there is the device of a stream.
    pub fn is_stream(&self, topic: &str) -> bool {
        let id = topic.strip_prefix(&self.streams).and_then(|rest| rest.strip_suffix(CONFIG));
        id.is_some_and(|id| !id.is_empty() && !id.contains('/'))
    }

    /// Where Home Assistant publishes `online` when it starts, not retained.
    pub fn birth(&self) -> &str {
        &self.birth
    }

    /// The filters of what the daemon reads: the birth message, and what it has announced itself.
    pub fn filters(&self) -> [String; 2] {
        [self.birth.clone(), format!("{}+{CONFIG}", self.streams)]
    }
}

/// A name as a part of a discovery topic or of an ID, where only letters, digits, `_` and `-` are
/// allowed. Two names never give the same: a name with other characters, or with `--`, has each
/// character but letters, digits and `_` as `--` and the two hexadecimal digits of each byte.
pub fn discovery_id(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.contains("--") && name.bytes().all(|byte| is_plain(byte) || byte == b'-') {
        return name.to_owned();
    }
    let mut id = String::with_capacity(4 * name.len());
    for byte in name.bytes() {
        match is_plain(byte) {
            true => id.push(char::from(byte)),
            false => id.push_str(&format!("--{byte:02x}")),
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_streams_never_have_the_same_topic() {
        let names = |length| {
            (0..7_usize.pow(length)).map(move |number| {
                let characters = (0..length).map(|place| ['a', '2', '-', '_', ' ', 'd', 'ü'][number / 7_usize.pow(place) % 7]);
                characters.collect::<String>()
            })
        };
        let (mut ids, mut count) = (std::collections::HashSet::new(), 0);
        let forged = ["room 1", "room_1", "room--201", "room_1-ba6a25fa", "room--2d--2d201"].map(str::to_owned);
        for name in (1..=6).flat_map(names).chain(forged) {
            let id = discovery_id(&name);
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{id}");
            ids.insert(id);
            count += 1;
        }
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn names_that_no_topic_can_have_are_spelled() {
        assert_eq!(discovery_id("hall_3-a"), "hall_3-a");
        assert_eq!(discovery_id("room 1"), "room--201");
        let topics = DiscoveryTopics::new("homeassistant", "site/forecasts");
        let topic = topics.stream("Küche");
        assert!(topics.is_stream(&topic), "{topic}");
        assert!(topic.is_ascii() && !topics.is_stream(topics.daemon()), "{topic}");
    }
}
