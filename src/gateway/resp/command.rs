//! All commands by name: what each takes, which keys it touches, who does it; and those that are refused, with the reason.

use super::answer::{Answer, Protocol};
use super::ask::Begin;
use super::framing::Words;
use super::gate::Gate;
use super::queue::{Touches, Work};
use super::session::{Outcome, Session};
use super::table::COMMANDS;
use std::rc::Rc;

/// A command that Redis has.
pub(super) struct Command {
    /// Its name, in small letters.
    pub(super) name: &'static str,
    /// How many words it has, its name counted; below 0: so many at least.
    pub(super) arity: i64,
    /// What it is for.
    pub(super) summary: &'static str,
    /// Which of its words are keys.
    pub(super) keys: Keys,
    /// Who does it.
    pub(super) does: Does,
}

/// Which words of a command are keys.
#[derive(Clone, Copy)]
pub(super) enum Keys {
    /// None of them.
    None,
    /// The first behind the name.
    First,
    /// All behind the name.
    All,
    /// Every second one: values stand between them.
    EverySecond,
}

/// What a command does.
pub(super) enum Does {
    /// Is answered at once, by what the connection knows.
    Here(fn(&mut Session, &Words) -> Outcome),
    /// The same, before the token has been shown, too.
    Stranger(fn(&mut Session, &Words) -> Outcome),
    /// Ends the connection.
    Quit,
    /// Asks about the peer.
    Peer(Begin),
    /// Reads its keys.
    Read(Begin),
    /// Changes its keys.
    Write(Begin),
    /// Looks at all keys.
    Look(Begin),
    /// Is not done, for this reason.
    Refused(&'static str),
}

/// What becomes of a command.
pub(super) enum Step {
    /// It is answered.
    Answer(Answer, Protocol),
    /// It has to be done.
    Work(Work, Touches),
    /// It is answered, and is the last one.
    Close(Answer, Protocol),
}

/// Begins a command. Requires: it has a word.
pub(super) fn begin(gate: &Rc<Gate>, session: &mut Session, words: Words) -> Step {
    let found = find(&words[0]);
    let answer = |answer: Outcome, session: &Session| Step::Answer(answer.unwrap_or_else(|error| error), session.protocol);
    if !session.is_welcome() && !found.is_some_and(|command| matches!(command.does, Does::Stranger(_) | Does::Quit)) {
        return answer(Err(Answer::error("NOAUTH Authentication required.")), session);
    }
    let Some(command) = found else { return answer(Err(unknown(&words)), session) };
    session.note(command.name);
    if let Does::Refused(reason) = command.does {
        return Step::Answer(session.refuse(command.name, reason), session.protocol);
    }
    if session.is_in_refused_transaction(command.name) {
        return answer(Err(Answer::error(BEHIND_MULTI)), session);
    }
    let count = i64::try_from(words.len()).unwrap_or(i64::MAX);
    if (command.arity >= 0 && count != command.arity) || count < -command.arity {
        return answer(Err(Answer::error(format!("ERR wrong number of arguments for '{}' command", command.name))), session);
    }
    match &command.does {
        Does::Here(act) | Does::Stranger(act) => {
            let outcome = act(session, &words);
            answer(outcome, session)
        }
        Does::Quit => Step::Close(Answer::OK, session.protocol),
        Does::Peer(begin) => Step::Work(begin(gate.clone(), words), Touches::Nothing),
        Does::Look(begin) => Step::Work(begin(gate.clone(), words), Touches::All),
        Does::Read(begin) | Does::Write(begin) => {
            let writes = matches!(command.does, Does::Write(_));
            let touches = command.touches(gate, &words, writes);
            Step::Work(begin(gate.clone(), words), touches)
        }
        Does::Refused(reason) => answer(Err(Answer::error(*reason)), session),
    }
}

const BEHIND_MULTI: &str = "ERR not done: it stands behind a MULTI, which was refused; EXEC or DISCARD ends that";

fn unknown(words: &Words) -> Answer {
    /// So much of a word is shown.
    const SHOWN: usize = 64;
    let shown = |word: &bytes::Bytes| word[..word.len().min(SHOWN)].escape_ascii().to_string();
    let mut arguments = String::new();
    for word in words[1..].iter().take(3) {
        arguments.push_str(&format!("'{}' ", shown(word)));
    }
    Answer::error(format!("ERR unknown command '{}', with args beginning with: {arguments}", shown(&words[0])))
}

/// The command of this name, in letters of any size.
pub(super) fn find(name: &[u8]) -> Option<&'static Command> {
    /// Longer than any name.
    const BYTES_MAX: usize = 32;
    let mut small = [0; BYTES_MAX];
    let small = small.get_mut(..name.len())?;
    small.copy_from_slice(name);
    small.make_ascii_lowercase();
    COMMANDS.binary_search_by(|command| command.name.as_bytes().cmp(small)).ok().map(|index| &COMMANDS[index])
}

/// The commands that work.
pub(super) fn supported() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(|command| command.is_supported())
}

impl Command {
    /// True if it works.
    pub(super) fn is_supported(&self) -> bool {
        !matches!(self.does, Does::Refused(_))
    }

    /// Where its keys stand: the first, the last (below 0: from the end), and how far one is from the next.
    pub(super) fn key_places(&self) -> (i64, i64, i64) {
        match self.keys {
            Keys::None => (0, 0, 0),
            Keys::First => (1, 1, 1),
            Keys::All => (1, -1, 1),
            Keys::EverySecond => (1, -1, 2),
        }
    }

    /// What Redis would say of it.
    pub(super) fn flags(&self) -> &'static [&'static str] {
        match self.does {
            Does::Write(_) => &["write"],
            Does::Read(_) | Does::Look(_) => &["readonly"],
            Does::Stranger(_) | Does::Quit => &["fast", "no_auth"],
            _ => &["fast"],
        }
    }

    /// Which group of commands it belongs to.
    pub(super) fn group(&self) -> &'static str {
        match (&self.does, self.keys) {
            (Does::Stranger(_) | Does::Quit, _) => "connection",
            (Does::Here(_) | Does::Peer(_), _) => "server",
            (Does::Look(_), _) => "generic",
            _ if ["sadd", "srem", "smembers", "sismember", "smismember", "scard", "sscan"].contains(&self.name) => "set",
            _ if ["del", "unlink", "exists", "touch", "type", "persist"].contains(&self.name) => "generic",
            _ if self.name.contains("expire") || self.name.ends_with("ttl") => "generic",
            _ => "string",
        }
    }

    fn touches(&self, gate: &Gate, words: &Words, writes: bool) -> Touches {
        let keys = match self.keys {
            Keys::None => &words[..0],
            Keys::First => &words[1..2],
            Keys::All | Keys::EverySecond => &words[1..],
        };
        let step = if matches!(self.keys, Keys::EverySecond) { 2 } else { 1 };
        Touches::keys(keys.iter().step_by(step).map(|key| &key[..]), writes, &gate.hasher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_in_the_order_of_their_names_and_are_found_in_any_case() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(find(b"GeT").map(|command| command.name), Some("get"));
        assert!(COMMANDS.iter().all(|command| find(command.name.as_bytes()).is_some()));
        for name in [&b""[..], b"ge", b"gett", &[b'x'; 1_000], b"g\xffet"] {
            assert!(find(name).is_none());
        }
    }

    #[test]
    fn every_refusal_is_an_error_with_a_way_out() {
        let refused: Vec<&Command> = COMMANDS.iter().filter(|command| !command.is_supported()).collect();
        assert!(refused.len() > 50);
        for command in refused {
            let Does::Refused(reason) = command.does else { unreachable!("it is refused") };
            assert!(reason.starts_with("ERR ") && reason.len() > 40, "{}: {reason}", command.name);
        }
    }
}
