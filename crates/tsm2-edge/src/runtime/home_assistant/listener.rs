//! Home Assistant before the router: its birth message and the devices of earlier runs are not
//! readings. They are taken here and acknowledged.

use std::sync::Arc;

use crate::runtime::home_assistant::announcer::Announcer;
use crate::runtime::source::{Acknowledge, Message, Source};

/// A source without what Home Assistant sends.
pub(crate) struct Listener<S> {
    pub(crate) source: S,
    /// `None`: the configuration does not name Home Assistant.
    pub(crate) announcer: Option<Arc<Announcer>>,
}

impl<S: Source> Source for Listener<S> {
    type Ack = S::Ack;

    async fn recv(&mut self) -> Option<Message<S::Ack>> {
        loop {
            let message = self.source.recv().await?;
            match &self.announcer {
                Some(announcer) if announcer.take(&message.topic, &message.payload, message.retained) => message.ack.done(),
                _ => return Some(message),
            }
        }
    }
}
