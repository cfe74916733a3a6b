//! The real transport: who may connect, and that streams come back.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use consensus::{Address, Transport};
use tests::consortium::{AGENCIES, genesis_of, secret};
use tests::events::issue;
use tests::network::{Clock, Member, PATIENCE, Statement, peer_secret};

fn key(place: usize) -> [u8; 32] {
    *peer_secret(place).public().as_bytes()
}

struct House {
    directory: tempfile::TempDir,
    clock: Arc<Clock>,
    members: Vec<Member>,
}

impl House {
    /// As many nodes as there are validators and strangers; none runs yet.
    fn new(validators: usize, others: usize) -> Self {
        let (genesis, clock) = (Arc::new(genesis_of(validators, |_| {})), Arc::new(Clock::default()));
        let member = |place: usize| {
            let vote = (place < validators).then(|| secret(AGENCIES[place].0, "consensus"));
            Member::new(place, vote, Arc::clone(&genesis), Arc::clone(&clock))
        };
        let members = (0..validators + others).map(member).collect();
        Self { directory: tempfile::tempdir().unwrap(), clock, members }
    }

    async fn start(&mut self, place: usize, door: Option<TcpListener>, calls: Vec<Address>, allowed: &[usize]) {
        let log = self.directory.path().join(place.to_string());
        std::fs::create_dir_all(&log).unwrap();
        let allowed: BTreeSet<_> = allowed.iter().map(|place| key(*place)).collect();
        let transport = Transport {
            secret: peer_secret(place),
            listener: door,
            peers: calls,
            allowed: Arc::new(move |key| allowed.contains(key)),
        };
        Box::pin(self.members[place].start_over(&log, Some(transport))).await;
    }

    fn sees(&self, place: usize, other: usize) -> bool {
        self.members[place].peers().iter().any(|peer| peer.key == key(other) && peer.connected)
    }

    async fn until_it_sees(&self, place: usize, other: usize) {
        let until = Instant::now() + PATIENCE;
        while !self.sees(place, other) {
            assert!(Instant::now() < until, "node {place} does not see node {other}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn end(mut self) {
        for member in &mut self.members {
            member.end().await;
        }
    }
}

fn door() -> (TcpListener, SocketAddr) {
    let door = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = door.local_addr().unwrap();
    (door, address)
}

fn call(place: usize, at: SocketAddr) -> Address {
    Address { key: key(place), at: at.to_string() }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_connect_whose_keys_are_known_on_both_ends() {
    let mut house = House::new(1, 3);
    let (listener, at) = door();
    house.start(0, Some(listener), Vec::new(), &[1]).await;
    // A node that the ledger does not list, and one that takes the listener for another.
    house.start(2, None, vec![call(0, at)], &[0]).await;
    house.start(3, None, vec![call(1, at)], &[0]).await;
    house.start(1, None, vec![call(0, at)], &[0]).await;
    house.until_it_sees(1, 0).await;
    house.until_it_sees(0, 1).await;
    // Both have had their calls refused by now, or have not been answered yet: neither is ever let in.
    assert!(!house.sees(0, 2) && !house.sees(2, 0), "a key that nobody listed is refused");
    assert!(!house.sees(0, 3) && !house.sees(3, 1), "who answers must have the key that was called");
    // Who is not TLS at all costs nothing but its own connection.
    let mut plain = std::net::TcpStream::connect(at).unwrap();
    std::io::Write::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(house.sees(0, 1));
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_agree_over_tls_and_an_observer_that_only_calls_follows() {
    let mut house = House::new(4, 1);
    let doors: Vec<_> = (0..4).map(|_| door()).collect();
    let addresses: Vec<SocketAddr> = doors.iter().map(|(_, at)| *at).collect();
    let everybody = [0, 1, 2, 3, 4];
    for (place, (listener, _)) in doors.into_iter().enumerate() {
        let others = (0..4).filter(|other| *other != place);
        let calls = others.map(|other| call(other, addresses[other])).collect();
        house.start(place, Some(listener), calls, &everybody).await;
    }
    house.start(4, None, vec![call(2, addresses[2])], &everybody).await;
    house.until_it_sees(4, 2).await;
    for place in everybody {
        let events = [issue(&format!("tls-{place}"))];
        let (nonce, now_ms) = (format!("n{place}"), house.clock.now_ms());
        let mode = chain::statement::Mode::Each;
        let statement = Statement::sign(house.members[place].genesis(), &nonce, "shop", mode, &events, now_ms);
        house.members[place].post(&statement);
        for seen_by in everybody {
            house.members[seen_by].seen.commit(statement.id).await;
        }
    }
    // One ends and comes back at the same address: the others call it again.
    house.members[1].end().await;
    let listener = TcpListener::bind(addresses[1]).expect("its address is free again");
    let calls = [0, 2, 3].map(|other| call(other, addresses[other])).to_vec();
    house.start(1, Some(listener), calls, &everybody).await;
    house.until_it_sees(0, 1).await;
    let height = house.members[0].seen.height();
    house.members[1].seen.reach(height).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_make_room_for_new_ones() {
    let mut house = House::new(1, 1);
    let (listener, at) = door();
    house.start(0, Some(listener), Vec::new(), &[1]).await;
    // More than one address may have in their handshake at once.
    let mut silent: Vec<_> = (0..12).map(|_| std::net::TcpStream::connect(at).unwrap()).collect();
    let mut oldest = silent.remove(0);
    let closed = tokio::task::spawn_blocking(move || std::io::Read::read(&mut oldest, &mut [0; 1]));
    assert!(matches!(closed.await.unwrap(), Ok(0) | Err(_)), "the oldest was ended");
    let newest = silent.last_mut().unwrap();
    newest.set_nonblocking(true).unwrap();
    let waits = std::io::Read::read(newest, &mut [0; 1]).unwrap_err();
    assert_eq!(waits.kind(), std::io::ErrorKind::WouldBlock, "the newest still has its chance");
    house.start(1, None, vec![call(0, at)], &[0]).await;
    house.until_it_sees(0, 1).await;
    house.end().await;
}
