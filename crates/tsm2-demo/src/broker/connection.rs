//! One client's connection: from CONNECT to its end, by whatever cause.

use super::hub::{Hub, Seat};
use super::packet::{self, Connect, Message, Packet, PacketError};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Packet(#[from] PacketError),
    #[error("the client sent nothing for one and a half keep-alive intervals")]
    Silent,
    #[error("the first packet is not CONNECT, or a later one is")]
    OutOfOrder,
    #[error("only MQTT 3.1 and 3.1.1 are spoken here")]
    Version,
    #[error("a session that outlives its connection needs a client identifier")]
    NoIdentifier,
    #[error("another connection of the same client took over")]
    TakenOver,
}

impl From<std::io::Error> for ConnectionError {
    fn from(error: std::io::Error) -> Self {
        Self::Packet(error.into())
    }
}

/// Serves a client until it disconnects. Reading and writing go on side by side, since a client may read nothing while it writes.
pub(super) async fn serve(socket: TcpStream, hub: &Hub) -> Result<(), ConnectionError> {
    socket.set_nodelay(true)?;
    let (reader, mut writer) = socket.into_split();
    let mut reader = BufReader::new(reader);
    let connect = match timeout(CONNECT_WITHIN, packet::read(&mut reader)).await {
        Ok(packet) => match packet? {
            Packet::Connect(connect) => connect,
            _ => return Err(ConnectionError::OutOfOrder),
        },
        Err(_) => return Err(ConnectionError::Silent),
    };
    if let Some((code, error)) = refusal(&connect) {
        writer.write_all(&packet::conn_ack(false, code)).await?;
        return Err(error);
    }
    let mut will = connect.will.clone();
    let seat = Sitting {
        hub,
        seat: hub.sit_down(&connect),
    };
    writer.write_all(&packet::conn_ack(seat.seat.session_present, 0)).await?;
    let ended = tokio::select! {
        ended = receive(&mut reader, hub, &seat.seat, &connect, &mut will) => ended,
        ended = send(&mut writer, hub, &seat.seat) => ended,
    };
    drop(seat);
    if let Some(will) = will {
        hub.publish(will);
    }
    ended
}

/// Leaves the session when the connection's future is dropped, however it ends.
struct Sitting<'a> {
    hub: &'a Hub,
    seat: Seat,
}

impl Drop for Sitting<'_> {
    fn drop(&mut self) {
        self.hub.stand_up(&self.seat);
    }
}

/// The return codes of 3.2.2.3 that apply.
fn refusal(connect: &Connect) -> Option<(u8, ConnectionError)> {
    if !connect.supported {
        Some((1, ConnectionError::Version))
    } else if connect.client_id.is_empty() && !connect.clean_session {
        Some((2, ConnectionError::NoIdentifier))
    } else {
        None
    }
}

/// `will` is emptied by a DISCONNECT and left by every other end (3.14.4).
async fn receive(
    reader: &mut (impl AsyncRead + Unpin),
    hub: &Hub,
    seat: &Seat,
    connect: &Connect,
    will: &mut Option<Message>,
) -> Result<(), ConnectionError> {
    loop {
        let packet = match connect.keep_alive_s {
            0 => packet::read(reader).await?,
            seconds => {
                let patience = Duration::from_secs(u64::from(seconds)) * 3 / 2;
                timeout(patience, packet::read(reader))
                    .await
                    .map_err(|_| ConnectionError::Silent)??
            }
        };
        match packet {
            Packet::Connect(_) => return Err(ConnectionError::OutOfOrder),
            Packet::Publish(message, id) => {
                hub.publish(message);
                if let Some(id) = id {
                    hub.answer(seat, &packet::pub_ack(id));
                }
            }
            Packet::PubAck(id) => hub.acknowledged(seat, id),
            Packet::Subscribe(id, filters) => hub.subscribe(seat, id, &filters),
            Packet::Unsubscribe(id, filters) => {
                hub.unsubscribe(seat, &filters);
                hub.answer(seat, &packet::unsub_ack(id));
            }
            Packet::PingReq => hub.answer(seat, &packet::PING_RESP),
            Packet::Disconnect => {
                *will = None;
                return Ok(());
            }
        }
    }
}

async fn send(writer: &mut (impl AsyncWrite + Unpin), hub: &Hub, seat: &Seat) -> Result<(), ConnectionError> {
    let mut wire = Vec::new();
    loop {
        seat.wake.notified().await;
        if !hub.holds(seat) {
            return Err(ConnectionError::TakenOver);
        }
        loop {
            hub.take(seat, &mut wire);
            if wire.is_empty() {
                break;
            }
            writer.write_all(&wire).await?;
            wire.clear();
        }
    }
}
