//! A door into a network namespace: what connects to a port of this machine is passed on to one inside.
//!
//! The REST door of a node without TLS is on loopback, and the loopback of a namespace is reached from inside alone. One
//! thread enters it and dials; the listener was made outside and stays there. So every client and every command of the
//! binary reaches the node as it does without namespaces.

use std::fs::File;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::trial::Broken;

/// A door; it is closed when it is dropped.
pub struct Door {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Opens a door to an address inside a namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered, or there is no port.
    pub fn open(namespace: &str, inside: SocketAddr) -> Result<Self, Broken> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let namespace = File::open(format!("/run/netns/{namespace}"))?;
        let closed = Arc::new(AtomicBool::new(false));
        let (entered, outcome) = mpsc::channel();
        let over = Arc::clone(&closed);
        let serve = move || {
            // This thread alone moves, and what it dials from now on is dialled inside.
            let moved = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
            let inside_now = moved.is_ok();
            let _ = entered.send(moved);
            while let (true, Ok((outer, _))) = (inside_now, listener.accept()) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                // A node that does not run refuses, and the caller is hung up on.
                if let Ok(inner) = TcpStream::connect(inside) {
                    pass_on(&outer, &inner);
                }
            }
        };
        let thread = thread::Builder::new().name("door".to_owned()).spawn(serve)?;
        outcome.recv()?.map_err(io::Error::from)?;
        Ok(Self { address, closed, thread: Some(thread) })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // It waits for somebody to come.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Passes bytes on in both directions until both have ended. Its threads end with their connections.
fn pass_on(outer: &TcpStream, inner: &TcpStream) {
    // Nothing is held back to be sent with more: a request is smaller than a packet.
    drop(outer.set_nodelay(true));
    drop(inner.set_nodelay(true));
    for (from, to) in [(outer, inner), (inner, outer)] {
        let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
        thread::spawn(move || {
            // However it ends, the other side hears of it.
            drop(io::copy(&mut from, &mut to));
            drop(to.shutdown(Shutdown::Write));
            drop(from.shutdown(Shutdown::Read));
        });
    }
}
