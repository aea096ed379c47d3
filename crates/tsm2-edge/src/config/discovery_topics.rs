//! Topics between the daemon and Home Assistant: discovery, and Home Assistant's birth message.

use sha2::{Digest, Sha256};

/// See the module's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryTopics {
    prefix: String,
    /// The daemon, one level: by `output.prefix`, which no two daemons at a broker share.
    node: String,
}

impl DiscoveryTopics {
    pub(super) fn new(discovery_prefix: &str, output_prefix: &str) -> Self {
        DiscoveryTopics {
            prefix: discovery_prefix.to_owned(),
            node: discovery_id(output_prefix),
        }
    }

    /// The device of the daemon.
    pub fn daemon(&self) -> String {
        format!("{}/device/{}/config", self.prefix, self.node)
    }

    /// The device of a stream.
    pub fn stream(&self, stream: &str) -> String {
        self.of_id(&discovery_id(stream))
    }

    /// Whether a message there is the device of a stream.
    pub fn is_stream(&self, topic: &str) -> bool {
        let id = topic
            .strip_prefix(&format!("{}/device/{}/", self.prefix, self.node))
            .and_then(|rest| rest.strip_suffix("/config"));
        id.is_some_and(|id| !id.is_empty() && !id.contains('/'))
    }

    /// Where Home Assistant publishes `online` when it starts, not retained.
    pub fn birth(&self) -> String {
        format!("{}/status", self.prefix)
    }

    /// The filters of what the daemon reads: the birth message, and what it has announced itself.
    pub fn filters(&self) -> [String; 2] {
        [self.birth(), self.of_id("+")]
    }

    fn of_id(&self, id: &str) -> String {
        format!("{}/device/{}/{id}/config", self.prefix, self.node)
    }
}

/// A name as a part of a discovery topic, where only letters, digits, `_` and `-` are allowed. Two
/// names never give the same.
pub fn discovery_id(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(allowed) {
        return name.to_owned();
    }
    let plain: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    let digest = Sha256::digest(name.as_bytes());
    let hex: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{plain}-{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_topic_can_have_stay_distinct() {
        assert_eq!(discovery_id("hall_3-a"), "hall_3-a");
        let (one, other) = (discovery_id("room 1"), discovery_id("room.1"));
        assert!(
            one.starts_with("room_1-") && other.starts_with("room_1-") && one != other,
            "{one} {other}"
        );
        let topics = DiscoveryTopics::new("homeassistant", "site/forecasts");
        let topic = topics.stream("Küche");
        assert!(topics.is_stream(&topic), "{topic}");
        assert!(topic.is_ascii() && !topics.is_stream(&topics.daemon()), "{topic}");
    }
}
