//! What a connection is: who speaks, which protocol, let in or not. HELLO, AUTH, CLIENT and what else concerns the connection alone.

use super::answer::{Answer, Protocol};
use super::framing::Words;
use super::gate::Gate;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A connection, as others see it in CLIENT LIST.
pub(super) struct Visitor {
    pub(super) id: i64,
    /// `HOST:PORT` of the client, and of the door.
    pub(super) address: String,
    local: String,
    since: Instant,
    name: RefCell<String>,
    library: RefCell<String>,
    library_version: RefCell<String>,
    protocol: Cell<Protocol>,
    last_command: Cell<&'static str>,
    last_at: Cell<Instant>,
}

/// The state of one connection.
pub(super) struct Session {
    gate: Rc<Gate>,
    pub(super) visitor: Rc<Visitor>,
    pub(super) protocol: Protocol,
    has_shown_token: bool,
    /// It has sent a MULTI, which was refused, and neither EXEC nor DISCARD yet.
    in_refused_transaction: bool,
    /// When it came, or was reset.
    since: Instant,
}

/// Longest name of a client, of its library, and of that one's version (bytes): they are kept for all to see.
const NAME_BYTES_MAX: usize = 256;

/// An answer, or an error in its place.
pub(super) type Outcome = Result<Answer, Answer>;

impl Session {
    pub(super) fn new(gate: &Rc<Gate>, address: SocketAddr, stream: &TcpStream) -> Session {
        let now = Instant::now();
        let visitor = Rc::new(Visitor {
            id: gate.next_visitor(),
            address: address.to_string(),
            local: stream.local_addr().map(|local| local.to_string()).unwrap_or_default(),
            since: now,
            name: RefCell::default(),
            library: RefCell::default(),
            library_version: RefCell::default(),
            protocol: Cell::default(),
            last_command: Cell::new("NULL"),
            last_at: Cell::new(now),
        });
        gate.visitors.borrow_mut().insert(visitor.id, visitor.clone());
        Session {
            gate: gate.clone(),
            visitor,
            protocol: Protocol::Two,
            has_shown_token: false,
            in_refused_transaction: false,
            since: now,
        }
    }

    /// The door.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// True if it may do what it likes: it has shown the token, or needs none.
    pub(super) fn is_welcome(&self) -> bool {
        self.has_shown_token || self.gate.options.token.is_none()
    }

    /// Since when it has been expected to show the token.
    pub(super) fn stranger_since(&self) -> Option<Instant> {
        (!self.is_welcome()).then_some(self.since)
    }

    /// Notes what it does.
    pub(super) fn note(&self, command: &'static str) {
        self.visitor.last_command.set(command);
        self.visitor.last_at.set(Instant::now());
    }

    /// Refuses a command that is not supported. Libraries send MULTI, the commands of a transaction and EXEC all at once: when the first is refused,
    /// those behind it must not be done.
    pub(super) fn refuse(&mut self, command: &str, reason: &'static str) -> Answer {
        match command {
            "multi" => self.in_refused_transaction = true,
            "exec" | "discard" => self.in_refused_transaction = false,
            _ => {}
        }
        Answer::error(reason)
    }

    /// True if this command stands behind a MULTI that was refused.
    pub(super) fn is_in_refused_transaction(&self, command: &str) -> bool {
        self.in_refused_transaction && !["multi", "exec", "discard", "reset", "quit"].contains(&command)
    }

    /// `AUTH [user] password`.
    pub(super) fn auth(&mut self, words: &Words) -> Outcome {
        let [_, shown @ ..] = &words[..] else { return Err(syntax()) };
        match shown {
            [password] => self.show(b"default", password)?,
            [user, password] => self.show(user, password)?,
            _ => return Err(syntax()),
        }
        Ok(Answer::OK)
    }

    fn show(&mut self, user: &[u8], password: &[u8]) -> Result<(), Answer> {
        let Some(token) = &self.gate.options.token else {
            return Err(Answer::error(
                "ERR AUTH <password> called without any password configured: this peer has no --client-token-file and lets everybody in",
            ));
        };
        if user != b"default" || !token.is(password) {
            tracing::debug!(address = %self.visitor.address, "a wrong token was shown at the door for Redis clients");
            return Err(Answer::error(
                "WRONGPASS invalid username-password pair or user is disabled: the user is `default`, the password the token",
            ));
        }
        self.has_shown_token = true;
        Ok(())
    }

    /// `HELLO [version [AUTH user password] [SETNAME name]]`.
    pub(super) fn hello(&mut self, words: &Words) -> Outcome {
        let mut rest = &words[1..];
        let mut protocol = self.protocol;
        if let [version, behind @ ..] = rest {
            protocol = match &version[..] {
                b"2" => Protocol::Two,
                b"3" => Protocol::Three,
                _ => return Err(Answer::error("NOPROTO unsupported protocol version: 2 and 3 are spoken here")),
            };
            rest = behind;
        }
        let mut name = None;
        while let [option, behind @ ..] = rest {
            rest = match behind {
                [user, password, behind @ ..] if option.eq_ignore_ascii_case(b"AUTH") => {
                    self.show(user, password)?;
                    behind
                }
                [given, behind @ ..] if option.eq_ignore_ascii_case(b"SETNAME") => {
                    name = Some(checked_name(given)?);
                    behind
                }
                _ => return Err(Answer::error(format!("ERR Syntax error in HELLO option '{}'", option.escape_ascii()))),
            };
        }
        if !self.is_welcome() {
            return Err(Answer::error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option \
                 can be used to authenticate the client and select the RESP protocol version at the same time",
            ));
        }
        if let Some(name) = name {
            *self.visitor.name.borrow_mut() = name;
        }
        self.speak(protocol);
        let number = if protocol == Protocol::Three { 3 } else { 2 };
        Ok(Answer::Map(vec![
            (Answer::bulk("server"), Answer::bulk("redis")),
            (Answer::bulk("version"), Answer::bulk(SPOKEN_VERSION)),
            (Answer::bulk("proto"), Answer::Integer(number)),
            (Answer::bulk("id"), Answer::Integer(self.visitor.id)),
            (Answer::bulk("mode"), Answer::bulk("standalone")),
            (Answer::bulk("role"), Answer::bulk("master")),
            (Answer::bulk("modules"), Answer::Array(Vec::new())),
        ]))
    }

    fn speak(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        self.visitor.protocol.set(protocol);
    }

    /// `RESET`: as it was when it came.
    pub(super) fn reset(&mut self, _: &Words) -> Outcome {
        self.speak(Protocol::Two);
        self.has_shown_token = false;
        self.in_refused_transaction = false;
        self.since = Instant::now();
        self.visitor.name.borrow_mut().clear();
        Ok(Answer::Simple("RESET"))
    }

    /// `SELECT 0`.
    pub(super) fn select(&mut self, words: &Words) -> Outcome {
        match std::str::from_utf8(&words[1]).ok().and_then(|text| text.parse::<i64>().ok()) {
            Some(0) => Ok(Answer::OK),
            Some(_) => {
                Err(Answer::error("ERR DB index is out of range: there is one database, 0; put a prefix before your keys instead"))
            }
            None => Err(Answer::error("ERR invalid DB index")),
        }
    }

    /// `CLIENT …`.
    pub(super) fn client(&mut self, words: &Words) -> Outcome {
        let visitor = &self.visitor;
        let subcommand = words[1].to_ascii_uppercase();
        match (&subcommand[..], &words[2..]) {
            (b"ID", []) => Ok(Answer::Integer(visitor.id)),
            (b"GETNAME", []) => Ok(match &*visitor.name.borrow() {
                name if name.is_empty() => Answer::Null,
                name => Answer::Bulk(name.clone().into()),
            }),
            (b"SETNAME", [name]) => {
                *visitor.name.borrow_mut() = checked_name(name)?;
                Ok(Answer::OK)
            }
            (b"SETINFO", [attribute, value]) => {
                let place = match &attribute.to_ascii_uppercase()[..] {
                    b"LIB-NAME" => &visitor.library,
                    b"LIB-VER" => &visitor.library_version,
                    _ => return Err(Answer::error(format!("ERR Unrecognized option '{}'", attribute.escape_ascii()))),
                };
                *place.borrow_mut() = checked_name(value)?;
                Ok(Answer::OK)
            }
            (b"INFO", []) => Ok(Answer::Text(visitor.line())),
            // Of those who ask for some alone, all are told: none is left out.
            (b"LIST", _) => Ok(Answer::Text(self.gate.visitors.borrow().values().map(|visitor| visitor.line()).collect())),
            (b"NO-EVICT" | b"NO-TOUCH", [switch]) if is_switch(switch) => Ok(Answer::OK),
            (b"REPLY", [mode]) if mode.eq_ignore_ascii_case(b"ON") => Ok(Answer::OK),
            (b"TRACKING", [switch, ..]) if switch.eq_ignore_ascii_case(b"OFF") => Ok(Answer::OK),
            (b"GETREDIR", []) => Ok(Answer::Integer(-1)),
            (b"REPLY" | b"TRACKING" | b"CACHING" | b"PAUSE" | b"UNPAUSE" | b"KILL" | b"UNBLOCK", _) => Err(Answer::error(format!(
                "ERR CLIENT {} is not supported: no peer sees all writes, and none governs the clients of the others",
                subcommand.escape_ascii()
            ))),
            _ => Err(Answer::error(format!(
                "ERR unknown subcommand or wrong number of arguments for '{}'. Try CLIENT ID, GETNAME, SETNAME, SETINFO, INFO, LIST",
                words[1].escape_ascii()
            ))),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.gate.visitors.borrow_mut().remove(&self.visitor.id);
    }
}

impl Visitor {
    fn line(&self) -> String {
        let protocol = if self.protocol.get() == Protocol::Three { 3 } else { 2 };
        format!(
            "id={} addr={} laddr={} name={} age={} idle={} flags=N db=0 cmd={} user=default lib-name={} lib-ver={} resp={protocol}\n",
            self.id,
            self.address,
            self.local,
            self.name.borrow(),
            self.since.elapsed().as_secs(),
            self.last_at.get().elapsed().as_secs(),
            self.last_command.get(),
            self.library.borrow(),
            self.library_version.borrow(),
        )
    }
}

/// The version of Redis whose commands are spoken, where they are: clients ask for it to know what they may use.
pub(super) const SPOKEN_VERSION: &str = "7.0.0";

fn is_switch(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"ON") || word.eq_ignore_ascii_case(b"OFF")
}

fn checked_name(name: &[u8]) -> Result<String, Answer> {
    match std::str::from_utf8(name) {
        Ok(text) if text.len() <= NAME_BYTES_MAX && text.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) => Ok(text.to_owned()),
        _ => Err(Answer::error(format!(
            "ERR Client names cannot contain spaces, newlines or special characters, and have at most {NAME_BYTES_MAX} bytes"
        ))),
    }
}

/// The error of Redis for options that do not fit together.
pub(super) fn syntax() -> Answer {
    Answer::error("ERR syntax error")
}
