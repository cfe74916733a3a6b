//! A receiver of webhooks: takes what comes, tells what it got, and answers as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// What came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Got {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    /// The id of the message.
    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Its events: one, or several.
    pub(crate) fn events(&self) -> Vec<Value> {
        let json = self.json();
        json.as_array().cloned().unwrap_or_else(|| vec![json])
    }

    pub(crate) fn leaves(&self) -> Vec<u64> {
        self.events().iter().map(|event| event["data"]["leaf_index"].as_u64().unwrap()).collect()
    }

    /// Whether one of its signatures is of this secret, as a receiver looks.
    pub(crate) fn is_signed(&self, secret: &str) -> bool {
        let secret = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(format!("{}.{}.", self.id(), self.header("webhook-timestamp")).as_bytes());
        mac.update(&self.body);
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

/// Answers that are to be given before all others, which are 200; `None` is no answer at all.
type Answers = VecDeque<Option<&'static str>>;

/// The receiver.
pub(crate) struct Receiver {
    pub(crate) url: String,
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<Mutex<Answers>>,
    /// Held while nothing is answered.
    gate: Arc<Mutex<()>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://127.0.0.1:{}/in", listener.local_addr().unwrap().port());
        let (got, answers) = (Arc::<Mutex<Vec<Got>>>::default(), Arc::<Mutex<Answers>>::default());
        let gate = Arc::<Mutex<()>>::default();
        let receiver = Self { url, got: Arc::clone(&got), answers: Arc::clone(&answers), gate: Arc::clone(&gate) };
        thread::spawn(move || {
            let mut unanswered = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // One that gave up says nothing.
                let Some(message) = read(&stream) else { continue };
                got.lock().unwrap().push(message);
                drop(gate.lock().unwrap());
                let answer = answers.lock().unwrap().pop_front();
                match answer.unwrap_or(Some("200 OK")) {
                    Some(answer) => {
                        let _ = write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
                    }
                    None => unanswered.push(stream),
                }
            }
        });
        receiver
    }

    /// Answers nothing while the guard lives, but takes what comes.
    pub(crate) fn hold_answers(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap()
    }

    /// Gives these answers first.
    pub(crate) fn answer(&self, answers: &[Option<&'static str>]) {
        self.answers.lock().unwrap().extend(answers);
    }

    /// Answers 200 from now on.
    pub(crate) fn answer_as_ever(&self) {
        self.answers.lock().unwrap().clear();
    }

    /// What it got so far.
    pub(crate) fn got(&self) -> MutexGuard<'_, Vec<Got>> {
        self.got.lock().unwrap()
    }

    /// The leaves of all that it got.
    pub(crate) fn leaves(&self) -> Vec<u64> {
        self.got().iter().flat_map(Got::leaves).collect()
    }

    /// How many messages it got.
    pub(crate) fn count(&self) -> usize {
        self.got().len()
    }
}

fn read(stream: &TcpStream) -> Option<Got> {
    let mut reader = BufReader::new(stream);
    let (mut headers, mut line) = (BTreeMap::new(), String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.to_owned())),
            None if line == "\r\n" => break,
            None => assert!(line.starts_with("POST /in"), "{line}"),
        }
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    Some(Got { headers, body })
}
