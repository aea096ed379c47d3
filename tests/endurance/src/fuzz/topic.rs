//! Topic templates: a template, and on the lines after it topics that arrive.

use tsm2_mqtt::{Template, topic_level};

/// Parses a template and reads topics by it.
///
/// # Panics
/// When a filter cannot be subscribed to, a captured name is no name, or a topic filled in is not read back.
pub fn topic(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let Some(Ok(template)) = lines.next().map(Template::parse) else {
        return;
    };
    let filter = template.filter();
    assert!(!filter.contains(['{', '}', '#']) && !filter.is_empty());
    assert!(filter.split('/').all(|level| level == "+" || !level.contains('+')));
    assert_eq!(Template::parse(template.as_str()).as_ref(), Ok(&template));
    for topic in lines {
        if let Ok(captured) = template.capture(topic) {
            assert_eq!(captured.stream.is_some(), template.has_stream());
            assert_eq!(captured.variate.is_some(), template.has_variate());
            for name in [captured.stream, captured.variate].into_iter().flatten() {
                assert!(!name.is_empty() && name.len() <= 128 && !name.contains('/') && !name.chars().any(char::is_control));
            }
            let filled = template.fill(captured.stream.unwrap_or_default(), captured.variate.unwrap_or_default());
            assert!(template.has_any() || filled == topic, "{filled:?}");
        }
        let name = topic_level(topic);
        assert!(!name.contains(['/', '+', '#']) && topic_level(&name) == name);
        if !name.is_empty() && name.len() <= 128 {
            let filled = template.fill(&name, &name);
            assert!(template.capture(&filled).is_ok(), "{filled:?}");
        }
    }
}
