//! Topic templates: what they subscribe to, what they capture, what they refuse.

use tsm2_mqtt::{Captured, Template, TemplateError, TopicError, topic_level};

#[test]
fn a_template_makes_a_filter_and_captures_names() {
    let template = Template::parse("plant/{stream}/{variate}/state").unwrap();
    assert_eq!(template.filter(), "plant/+/+/state");
    assert!(template.has_stream() && template.has_variate());
    let captured = template.capture("plant/boiler 1/temp/state").unwrap();
    assert_eq!(
        captured,
        Captured {
            stream: Some("boiler 1"),
            variate: Some("temp")
        }
    );
    assert_eq!(template.fill("a", "b"), "plant/a/b/state");

    let fixed = Template::parse("home/boiler").unwrap();
    assert_eq!(fixed.filter(), "home/boiler");
    assert_eq!(fixed.capture("home/boiler").unwrap(), Captured::default());
}

#[test]
fn templates_overlap_where_a_topic_may_match_both() {
    let overlaps = |a: &str, b: &str| Template::parse(a).unwrap().overlaps(&Template::parse(b).unwrap());
    assert!(overlaps("plant/{stream}/{variate}", "plant/{stream}/known"));
    assert!(overlaps("{stream}/now", "plant/{variate}"));
    assert!(!overlaps("plant/{stream}/{variate}", "known/{stream}/{variate}"));
    assert!(!overlaps("plant/{stream}", "plant/{stream}/{variate}"));
}

#[test]
fn topics_that_do_not_match_are_refused() {
    let template = Template::parse("sensors/{stream}/telemetry").unwrap();
    for topic in [
        "",
        "sensors",
        "sensors/a",
        "sensors/a/other",
        "sensors/a/telemetry/more",
        "x/a/telemetry",
    ] {
        assert!(matches!(template.capture(topic), Err(TopicError::NoMatch { .. })), "{topic}");
    }
    let long = format!("sensors/{}/telemetry", "x".repeat(129));
    for topic in ["sensors//telemetry", "sensors/a\nb/telemetry", "sensors/\0/telemetry", &long] {
        assert!(matches!(template.capture(topic), Err(TopicError::Name { .. })), "{topic:?}");
    }
}

#[test]
fn templates_that_are_none_are_refused_by_name() {
    let refused = |template: &str| Template::parse(template).unwrap_err();
    assert_eq!(refused(""), TemplateError::Empty);
    for template in ["a/x+/b", "a/#", "#", "a/\n", "+{stream}"] {
        assert!(matches!(refused(template), TemplateError::Character { .. }), "{template}");
    }
    for template in ["a/x{stream}", "a/{streams}", "a/{", "a/{Stream}/b"] {
        assert!(matches!(refused(template), TemplateError::Level { .. }), "{template}");
    }
    assert!(matches!(
        refused("{stream}/{stream}"),
        TemplateError::Twice {
            placeholder: "{stream}",
            ..
        }
    ));
    assert!(
        refused("a/{sensor}/b").to_string().contains("\"{sensor}\""),
        "the message names the culprit"
    );
}

#[test]
fn a_level_may_be_empty_or_without_meaning() {
    let template = Template::parse("/{stream}/+/state").unwrap();
    assert_eq!(template.filter(), "/+/+/state");
    assert_eq!(template.capture("/a/sensor/state").unwrap().stream, Some("a"));
    assert!(template.capture("/a//state").is_ok() && template.capture("a/sensor/state").is_err());
    let any = Template::parse("+/x").unwrap();
    assert!(any.capture("a/x").is_ok() && any.capture("$SYS/x").is_err());
    assert!(any.overlaps(&Template::parse("{stream}/x").unwrap()));
}

#[test]
fn a_name_becomes_one_topic_level() {
    assert_eq!(topic_level("Volume Flow RateRMS"), "Volume Flow RateRMS");
    assert_eq!(topic_level("a/b+c#d\n"), "a_b_c_d_");
}
