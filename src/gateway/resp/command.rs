//! All commands by name: what each takes, which keys it touches, who does it; and those that are refused, with the reason.

use super::about;
use super::answer::{Answer, Protocol};
use super::ask::Begin;
use super::framing::Words;
use super::gate::Gate;
use super::queue::{Touches, Work};
use super::session::{Outcome, Session};
use super::{keys, listing, refused, strings};
use std::rc::Rc;

/// A command that Redis has.
pub(super) struct Command {
    /// Its name, in small letters.
    pub(super) name: &'static str,
    /// How many words it has, its name counted; below 0: so many at least.
    pub(super) arity: i64,
    /// What it is for.
    pub(super) summary: &'static str,
    keys: Keys,
    does: Does,
}

/// Which of its words are keys.
#[derive(Clone, Copy)]
enum Keys {
    None,
    First,
    All,
    EverySecond,
}

enum Does {
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
        return answer(Err(Answer::error(reason)), session);
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

const fn command(name: &'static str, arity: i64, keys: Keys, does: Does, summary: &'static str) -> Command {
    Command { name, arity, keys, does, summary }
}

const fn refuse(name: &'static str, reason: &'static str) -> Command {
    Command { name, arity: -1, keys: Keys::None, does: Does::Refused(reason), summary: "not supported" }
}

use Does::{Here, Look, Peer, Quit, Read, Stranger, Write};
use Keys::{All, EverySecond, First};

/// In the order of their names.
static COMMANDS: &[Command] = &[
    refuse("acl", refused::SERVER),
    refuse("append", refused::READ_AND_WRITE),
    refuse("asking", refused::CLUSTER),
    command("auth", -2, Keys::None, Stranger(Session::auth), "shows the token"),
    refuse("bgrewriteaof", refused::SERVER),
    refuse("bgsave", refused::SERVER),
    refuse("bitcount", refused::BITS),
    refuse("bitfield", refused::BITS),
    refuse("bitfield_ro", refused::BITS),
    refuse("bitop", refused::BITS),
    refuse("bitpos", refused::BITS),
    refuse("blmove", refused::LIST),
    refuse("blmpop", refused::LIST),
    refuse("blpop", refused::LIST),
    refuse("brpop", refused::LIST),
    refuse("brpoplpush", refused::LIST),
    refuse("bzmpop", refused::SORTED),
    refuse("bzpopmax", refused::SORTED),
    refuse("bzpopmin", refused::SORTED),
    command("client", -2, Keys::None, Here(Session::client), "who is connected"),
    refuse("cluster", refused::CLUSTER),
    command("command", -1, Keys::None, Here(about::commands), "which commands there are"),
    command("config", -2, Keys::None, Here(about::config), "CONFIG GET: what some options of Redis would be"),
    refuse("copy", refused::RENAME),
    command("dbsize", 1, Keys::None, Look(listing::dbsize), "how many keys there are"),
    refuse("debug", refused::SERVER),
    command("del", -2, All, Write(keys::del), "removes keys, each by itself"),
    refuse("delifeq", refused::READ_AND_WRITE),
    refuse("digest", refused::READ_AND_WRITE),
    refuse("discard", refused::TRANSACTION),
    refuse("dump", refused::DUMP),
    command("echo", 2, Keys::None, Here(about::echo), "gives the text back"),
    refuse("eval", refused::SCRIPT),
    refuse("eval_ro", refused::SCRIPT),
    refuse("evalsha", refused::SCRIPT),
    refuse("evalsha_ro", refused::SCRIPT),
    refuse("exec", refused::TRANSACTION),
    command("exists", -2, All, Read(keys::exists), "how many of the keys hold something"),
    refuse("failover", refused::SERVER),
    refuse("fcall", refused::SCRIPT),
    refuse("fcall_ro", refused::SCRIPT),
    refuse("flushall", refused::FLUSH),
    refuse("flushdb", refused::FLUSH),
    refuse("function", refused::SCRIPT),
    refuse("geoadd", refused::SORTED),
    refuse("geodist", refused::SORTED),
    refuse("geohash", refused::SORTED),
    refuse("geopos", refused::SORTED),
    refuse("georadius", refused::SORTED),
    refuse("georadiusbymember", refused::SORTED),
    refuse("geosearch", refused::SORTED),
    refuse("geosearchstore", refused::SORTED),
    command("get", 2, First, Read(strings::get), "the value of a key"),
    refuse("getbit", refused::BITS),
    refuse("getdel", refused::READ_AND_WRITE),
    command("getex", -2, First, Read(strings::getex), "the value of a key; without options, like GET"),
    command("getrange", 4, First, Read(strings::getrange), "a part of a value"),
    refuse("getset", refused::READ_AND_WRITE),
    refuse("hdel", refused::HASH),
    command("hello", -1, Keys::None, Stranger(Session::hello), "chooses the protocol, shows the token, names the client"),
    refuse("hexists", refused::HASH),
    refuse("hget", refused::HASH),
    refuse("hgetall", refused::HASH),
    refuse("hincrby", refused::HASH),
    refuse("hincrbyfloat", refused::HASH),
    refuse("hkeys", refused::HASH),
    refuse("hlen", refused::HASH),
    refuse("hmget", refused::HASH),
    refuse("hmset", refused::HASH),
    refuse("hrandfield", refused::HASH),
    refuse("hscan", refused::HASH),
    refuse("hset", refused::HASH),
    refuse("hsetnx", refused::HASH),
    refuse("hstrlen", refused::HASH),
    refuse("hvals", refused::HASH),
    refuse("incrbyfloat", refused::FLOAT),
    command("info", -1, Keys::None, Peer(about::info), "how this peer is"),
    command("keys", 2, Keys::None, Look(listing::keys), "all keys that match a pattern"),
    refuse("lastsave", refused::SERVER),
    refuse("latency", refused::SERVER),
    refuse("lcs", refused::BITS),
    refuse("lindex", refused::LIST),
    refuse("linsert", refused::LIST),
    refuse("llen", refused::LIST),
    refuse("lmove", refused::LIST),
    refuse("lmpop", refused::LIST),
    refuse("lpop", refused::LIST),
    refuse("lpos", refused::LIST),
    refuse("lpush", refused::LIST),
    refuse("lpushx", refused::LIST),
    refuse("lrange", refused::LIST),
    refuse("lrem", refused::LIST),
    refuse("lset", refused::LIST),
    refuse("ltrim", refused::LIST),
    refuse("memory", refused::SERVER),
    command("mget", -2, All, Read(strings::mget), "the values of several keys, each read by itself"),
    refuse("migrate", refused::DUMP),
    refuse("module", refused::SERVER),
    refuse("monitor", refused::MONITOR),
    refuse("move", refused::RENAME),
    command("mset", -3, EverySecond, Write(strings::mset), "writes several values, each by itself"),
    refuse("msetex", refused::SETNX),
    refuse("msetnx", refused::SETNX),
    refuse("multi", refused::TRANSACTION),
    refuse("object", refused::SERVER),
    refuse("pfadd", refused::KIND),
    refuse("pfcount", refused::KIND),
    refuse("pfmerge", refused::KIND),
    command("ping", -1, Keys::None, Stranger(about::ping), "is answered, as a sign of life"),
    command("psetex", 4, First, Write(strings::psetex), "writes a value that lives for some milliseconds"),
    refuse("psubscribe", refused::CHANNEL),
    refuse("psync", refused::SERVER),
    refuse("publish", refused::CHANNEL),
    refuse("pubsub", refused::CHANNEL),
    refuse("punsubscribe", refused::CHANNEL),
    command("quit", -1, Keys::None, Quit, "ends the connection"),
    refuse("randomkey", refused::RANDOM),
    refuse("readonly", refused::CLUSTER),
    refuse("readwrite", refused::CLUSTER),
    refuse("rename", refused::RENAME),
    refuse("renamenx", refused::RENAME),
    refuse("replicaof", refused::SERVER),
    command("reset", 1, Keys::None, Stranger(Session::reset), "makes the connection as it was when it came"),
    refuse("restore", refused::DUMP),
    refuse("rpop", refused::LIST),
    refuse("rpoplpush", refused::LIST),
    refuse("rpush", refused::LIST),
    refuse("rpushx", refused::LIST),
    refuse("save", refused::SERVER),
    command("scan", -2, Keys::None, Look(listing::scan), "keys in order, page by page"),
    refuse("script", refused::SCRIPT),
    refuse("sdiff", refused::SET),
    refuse("sdiffstore", refused::SET),
    command("select", 2, Keys::None, Here(Session::select), "chooses database 0, the only one"),
    command("set", -3, First, Write(strings::set), "writes a value, with EX, PX, EXAT, PXAT or KEEPTTL"),
    refuse("setbit", refused::BITS),
    command("setex", 4, First, Write(strings::setex), "writes a value that lives for some seconds"),
    refuse("setnx", refused::SETNX),
    refuse("setrange", refused::READ_AND_WRITE),
    refuse("shutdown", refused::SERVER),
    refuse("sinter", refused::SET),
    refuse("sintercard", refused::SET),
    refuse("sinterstore", refused::SET),
    refuse("slaveof", refused::SERVER),
    refuse("slowlog", refused::SERVER),
    refuse("smove", refused::SET),
    refuse("sort", refused::LIST),
    refuse("sort_ro", refused::LIST),
    refuse("spop", refused::SET),
    refuse("spublish", refused::CHANNEL),
    refuse("srandmember", refused::SET),
    refuse("ssubscribe", refused::CHANNEL),
    command("strlen", 2, First, Read(strings::strlen), "how many bytes a value has"),
    refuse("subscribe", refused::CHANNEL),
    command("substr", 4, First, Read(strings::getrange), "a part of a value; the old name of GETRANGE"),
    refuse("sunion", refused::SET),
    refuse("sunionstore", refused::SET),
    refuse("sunsubscribe", refused::CHANNEL),
    refuse("swapdb", refused::DATABASE),
    refuse("sync", refused::SERVER),
    command("time", 1, Keys::None, Here(about::time), "what this machine takes the time to be"),
    command("touch", -2, All, Read(keys::exists), "how many of the keys hold something"),
    command("type", 2, First, Read(keys::kind), "what kind of value a key holds"),
    command("unlink", -2, All, Write(keys::del), "removes keys, each by itself"),
    refuse("unsubscribe", refused::CHANNEL),
    refuse("unwatch", refused::TRANSACTION),
    refuse("wait", refused::WAIT),
    refuse("waitaof", refused::WAIT),
    refuse("watch", refused::TRANSACTION),
    refuse("xack", refused::LIST),
    refuse("xadd", refused::LIST),
    refuse("xautoclaim", refused::LIST),
    refuse("xclaim", refused::LIST),
    refuse("xdel", refused::LIST),
    refuse("xgroup", refused::LIST),
    refuse("xinfo", refused::LIST),
    refuse("xlen", refused::LIST),
    refuse("xpending", refused::LIST),
    refuse("xrange", refused::LIST),
    refuse("xread", refused::LIST),
    refuse("xreadgroup", refused::LIST),
    refuse("xrevrange", refused::LIST),
    refuse("xtrim", refused::LIST),
    refuse("zadd", refused::SORTED),
    refuse("zcard", refused::SORTED),
    refuse("zcount", refused::SORTED),
    refuse("zdiff", refused::SORTED),
    refuse("zdiffstore", refused::SORTED),
    refuse("zincrby", refused::SORTED),
    refuse("zinter", refused::SORTED),
    refuse("zintercard", refused::SORTED),
    refuse("zinterstore", refused::SORTED),
    refuse("zlexcount", refused::SORTED),
    refuse("zmpop", refused::SORTED),
    refuse("zmscore", refused::SORTED),
    refuse("zpopmax", refused::SORTED),
    refuse("zpopmin", refused::SORTED),
    refuse("zrandmember", refused::SORTED),
    refuse("zrange", refused::SORTED),
    refuse("zrangebylex", refused::SORTED),
    refuse("zrangebyscore", refused::SORTED),
    refuse("zrangestore", refused::SORTED),
    refuse("zrank", refused::SORTED),
    refuse("zrem", refused::SORTED),
    refuse("zremrangebylex", refused::SORTED),
    refuse("zremrangebyrank", refused::SORTED),
    refuse("zremrangebyscore", refused::SORTED),
    refuse("zrevrange", refused::SORTED),
    refuse("zrevrangebylex", refused::SORTED),
    refuse("zrevrangebyscore", refused::SORTED),
    refuse("zrevrank", refused::SORTED),
    refuse("zscan", refused::SORTED),
    refuse("zscore", refused::SORTED),
    refuse("zunion", refused::SORTED),
    refuse("zunionstore", refused::SORTED),
];

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
