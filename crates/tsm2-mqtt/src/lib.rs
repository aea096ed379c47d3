//! Payload codecs, topic templates and the one MQTT session of TSM2 Edge.
