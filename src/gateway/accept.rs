//! Letting callers in at a door, as many as it has room for.

use crate::server::Door;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// After a failed accept (no more file handles, mostly) it is tried again after this long.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves each caller in a task of his own until the peer is asked to stop, then waits for those who are still being served: `serve` is to
/// watch [`Door::stopping`] too, and to end when the request under way is answered. When the peer hangs up, all connections are dropped.
///
/// Above `connections_max`, who calls is told `busy`, if his socket takes it at once, and turned away.
pub(super) async fn accept_all<F>(
    listener: TcpListener,
    door: Door,
    connections_max: usize,
    busy: &'static [u8],
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + 'static,
{
    let mut served = JoinSet::new();
    let stopping = door.stopping();
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) if served.len() >= connections_max => {
                    tracing::debug!(%address, connections_max, "turned a connection away: too many are open");
                    let _ = stream.try_write(busy);
                }
                Ok((stream, address)) => {
                    let (hung_up, seat, serving) = (door.hung_up(), door.sit_down(), serve(stream, address));
                    served.spawn_local(async move {
                        let _seat = seat;
                        tokio::select! {
                            () = serving => {}
                            () = hung_up => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(PAUSE).await;
                }
            },
            // One that has panicked has ended, too.
            Some(_) = served.join_next() => {}
            () = &mut stopping => break,
        }
    }
    drop(listener);
    while served.join_next().await.is_some() {}
}
