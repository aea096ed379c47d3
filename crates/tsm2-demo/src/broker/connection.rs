//! One client's connection: from CONNECT to its end, by whatever cause.

use super::packet::{self, Packet, PacketError};
use super::registry::{Client, Registry};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
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
    #[error("only MQTT 3.1 and 3.1.1 are supported")]
    Version,
}

impl From<std::io::Error> for ConnectionError {
    fn from(error: std::io::Error) -> Self {
        Self::Packet(error.into())
    }
}

/// Serves a client until it disconnects. Reading and writing are concurrent, since a client may read nothing while it writes.
pub(super) async fn serve(socket: TcpStream, registry: &Registry) -> Result<(), ConnectionError> {
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
    if !connect.supported {
        writer.write_all(&packet::conn_ack(1)).await?;
        return Err(ConnectionError::Version);
    }
    let (client, outbox) = registry.connect(connect.client_id);
    client.send(packet::conn_ack(0).to_vec());
    tokio::select! {
        ended = receive(&mut reader, &client, connect.keep_alive_s) => ended,
        ended = send(&mut writer, outbox) => ended,
    }
}

async fn receive(reader: &mut (impl AsyncRead + Unpin), client: &Client<'_>, keep_alive_s: u16) -> Result<(), ConnectionError> {
    loop {
        let packet = match keep_alive_s {
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
                client.publish(message);
                if let Some(id) = id {
                    client.send(packet::pub_ack(id).to_vec());
                }
            }
            Packet::PubAck => {}
            Packet::Subscribe(id, filters) => {
                client.send(packet::sub_ack(id, &filters));
                client.subscribe(filters);
            }
            Packet::Unsubscribe(id, filters) => {
                client.unsubscribe(&filters);
                client.send(packet::unsub_ack(id).to_vec());
            }
            Packet::PingReq => client.send(packet::PING_RESP.to_vec()),
            Packet::Disconnect => return Ok(()),
        }
    }
}

/// Ends when the registry drops the connection: a newer one of the same client took over.
async fn send(writer: &mut (impl AsyncWrite + Unpin), mut outbox: Receiver<Vec<u8>>) -> Result<(), ConnectionError> {
    while let Some(packet) = outbox.recv().await {
        writer.write_all(&packet).await?;
    }
    Ok(())
}
