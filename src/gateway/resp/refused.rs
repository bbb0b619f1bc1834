//! What a store without a leader cannot promise: refused, with the reason and with what to use instead.

/// Why `SET` does not take this option (in capitals), if it is one that Redis knows.
pub(super) fn set_option(option: &[u8]) -> Option<&'static str> {
    match option {
        b"NX" => Some(NX),
        b"XX" => Some(XX),
        b"GET" => Some(SET_GET),
        b"IFEQ" | b"IFNE" | b"IFDEQ" | b"IFDNE" => Some(IF_EQUAL),
        _ => None,
    }
}

const NX: &str = "ERR SET … NX is not supported: any peer takes writes without asking the others, so two clients could both be the first. \
                  For a lock use a service that elects a leader; for a value that anybody may set, SET it; for a count, INCR";
const XX: &str = "ERR SET … XX is not supported: whether a key is there at the moment of a write is known to no single peer. \
                  Read it with EXISTS, then SET";
const SET_GET: &str = "ERR SET … GET is not supported: two clients could both be told the same old value. Use GET, then SET";
const IF_EQUAL: &str = "ERR SET with a condition on the value is not supported: no single peer decides between two writers. \
                        Use henge's own protocol, which keeps both writes of two clients as siblings";
/// Conditions on how long a key lives.
pub(super) const EXPIRE_CONDITION: &str = "ERR NX, XX, GT and LT are not supported: the present expiry at the moment of the write is known to no \
                                           single peer. Read it with TTL, then set it";
/// GETEX with options.
pub(super) const GETEX: &str =
    "ERR GETEX with options is not supported: reading and setting an expiry are two steps here. Use GET, then EXPIRE or PERSIST";
/// SETNX, MSETNX, HSETNX.
pub(super) const SETNX: &str = "ERR not supported: any peer takes writes without asking the others, so two clients could both be the first. \
                                For a lock use a service that elects a leader; else SET or MSET";
/// Read and write in one step.
pub(super) const READ_AND_WRITE: &str = "ERR not supported: it reads and writes in one step, and between two clients at two peers nobody decides who \
                                         comes first. Read with GET, then write with SET or DEL; for a count use INCRBY, for a collection SADD and SREM";
/// A count with fractions.
pub(super) const FLOAT: &str = "ERR not supported: counters are whole numbers, because sums of fractions depend on their order. Count in the smallest \
                                unit with INCRBY";
/// Several commands as one.
pub(super) const TRANSACTION: &str = "ERR transactions are not supported: commands on different keys take effect on different peers, each by itself. \
                                      Send them as a plain pipeline (in many libraries: transaction=False), and make each of them safe to repeat. What stands between MULTI and EXEC is not done";
/// Scripts.
pub(super) const SCRIPT: &str = "ERR scripts are not supported: no single peer has all keys to itself while a script runs. Use single commands; for a count \
                                 INCRBY, for a collection SADD and SREM";
/// Lists, streams and what waits for them.
pub(super) const LIST: &str = "ERR lists and streams are not supported: the order of what two clients append at two peers is nobody's to decide. Use a set \
                               (SADD), or one key for each item and SCAN";
/// Hashes.
pub(super) const HASH: &str = "ERR hashes are not supported at this door: use one key for each field (`name:field`, listed by SCAN MATCH name:*), or a \
                               document, of which `henge patch` and the HTTP door change single paths";
/// Sorted sets, and what is built on them.
pub(super) const SORTED: &str = "ERR sorted sets are not supported: use a set (SADD) and sort what SMEMBERS returns, or keys that are named in the order \
                                 you want (SCAN returns keys in order)";
/// What sets cannot do.
pub(super) const SET: &str = "ERR not supported for sets: it reads and writes in one step, or looks at several keys as of one moment. Use SMEMBERS, SADD and \
                              SREM, and combine sets in the client";
/// Channels.
pub(super) const CHANNEL: &str =
    "ERR publish and subscribe are not supported: what is not stored cannot be kept safe here. Use a message broker";
/// Renaming and copying.
pub(super) const RENAME: &str = "ERR not supported: two keys lie on different peers and do not change as one. GET the value, SET it under the other name, \
                                 then DEL the first";
/// Emptying.
pub(super) const FLUSH: &str = "ERR not supported: other peers may take writes at the same time, so there is no moment at which all is gone. Find keys with \
                                SCAN and DEL them, or begin with empty folders";
/// Other databases.
pub(super) const DATABASE: &str = "ERR there is one database, 0: put a prefix before your keys instead";
/// Bits, and other parts of strings.
pub(super) const BITS: &str = "ERR not supported: a change of a part of a string would be lost beside another client's write of it. Use one key for each \
                               flag, or a set (SADD) of those that are set";
/// Waiting for replicas.
pub(super) const WAIT: &str =
    "ERR WAIT is not supported: each write has been acknowledged by a majority of its replicas when it is answered";
/// Running a server.
pub(super) const SERVER: &str =
    "ERR not supported: every peer keeps its own log at all times. See `henge status` and docs/operations.md for how to run one";
/// The protocol of Redis Cluster.
pub(super) const CLUSTER: &str =
    "ERR This instance has cluster support disabled: connect to any peer as to a single Redis, it finds the keys";
/// Watching what others do.
pub(super) const MONITOR: &str = "ERR not supported: no peer sees the commands of all others. See `henge status`";
/// Other kinds of values.
pub(super) const KIND: &str = "ERR this kind of value is not supported: there are strings, counters and sets. What cannot be any of them can be a \
                               document, which `henge put --json` and the HTTP door write";
/// One key of many, by chance.
pub(super) const RANDOM: &str = "ERR not supported: no peer holds all keys. Use SCAN";
/// Keys as Redis packs them.
pub(super) const DUMP: &str = "ERR not supported: values are not packed as Redis packs them. Use GET and SET";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_redis_knows_are_refused_and_others_are_not_known() {
        for option in [&b"NX"[..], b"XX", b"GET", b"IFEQ"] {
            let reason = set_option(option).unwrap();
            assert!(reason.starts_with("ERR ") && reason.contains("not supported"), "{reason}");
        }
        assert_eq!(set_option(b"WHAT"), None);
    }
}
