//! The daemon against real brokers.
