//! Client connections after their hello.

use super::connection::Connection;
use super::core::SharedCore;
use super::handshake::{self, Greeted};
use super::reader::FrameReader;
use crate::limits;
use crate::wire::{Frame, RefusalCode, Refused, WireError, decode_request};
use std::rc::Rc;

/// Serves one client until its connection ends.
pub(super) async fn serve_client(core: SharedCore, greeted: Greeted) {
    let Greeted { mut reader, connection } = greeted;
    let Some(client) = core.borrow_mut().add_client(connection.clone()) else {
        return handshake::turn_away(&connection, &Refused::too_many_connections(limits::CLIENT_CONNECTIONS_MAX));
    };
    loop {
        match take_turn(&core, &mut reader, &connection, client) {
            Turn::Read => {
                if !reader.read(&connection).await {
                    break;
                }
            }
            Turn::Yield => tokio::task::yield_now().await,
            Turn::Wait => connection.paused().await,
            Turn::End => break,
        }
        if connection.is_closed() {
            break;
        }
    }
    core.borrow_mut().remove_client(client);
    connection.close();
}

/// What a reader does after its turn.
enum Turn {
    /// Reads more.
    Read,
    /// Lets the others go first: it has more, but has had its share.
    Yield,
    /// Waits until the client has taken its answers.
    Wait,
    /// The connection is over.
    End,
}

/// Steps the peer with what has arrived in whole, up to one connection's share of a turn.
fn take_turn(core: &SharedCore, reader: &mut FrameReader, connection: &Rc<Connection>, client: u64) -> Turn {
    let mut core = core.borrow_mut();
    for _ in 0..limits::FRAMES_PER_TURN_MAX {
        if !core.may_read(client) {
            return Turn::Wait;
        }
        match reader.take() {
            Ok(Some(frame)) => {
                if !take_request(&mut core, &frame, connection, client) {
                    return Turn::End;
                }
            }
            Ok(None) => return Turn::Read,
            Err(error) => {
                end_stream(connection, &error);
                return Turn::End;
            }
        }
    }
    Turn::Yield
}

/// False if nothing sound can follow this frame.
fn take_request(core: &mut super::core::Core, frame: &Frame, connection: &Rc<Connection>, client: u64) -> bool {
    match decode_request(frame) {
        Ok(request) => {
            core.request(client, frame.id(), request);
            true
        }
        Err(error) => match error.failure() {
            Some(failure) => {
                core.answer(client, frame.id(), failure);
                true
            }
            None => {
                end_stream(connection, &error);
                false
            }
        },
    }
}

/// Says why nothing sound can follow, and closes the connection.
fn end_stream(connection: &Rc<Connection>, error: &WireError) {
    tracing::debug!(address = %connection.address, %error, "closed a client connection");
    handshake::turn_away(connection, &Refused { code: RefusalCode::NoHello, message: error.to_string() });
}
