//! The door for Redis clients: what works as in Redis, what is refused, and what holds while a peer is gone.

mod harness;
mod resp_client;

use harness::{Cluster, Folder, Peer, free_ports, json, put, until};
use henge::message::Body;
use resp_client::{Redis, encoded};
use std::process::Command;
use tokio::task::JoinSet;

/// A cluster whose peers have a door for Redis clients each, and where these are.
async fn with_doors(name: &str, peers: usize, arguments: &[&str]) -> (Cluster, Vec<String>) {
    let folder = Folder::new(name);
    let doors: Vec<String> = (0..peers).map(|_| format!("127.0.0.1:{}", free_ports(1))).collect();
    let peers = doors.iter().enumerate().map(|(index, door)| {
        let mut peer = Peer::new(folder.path(), &format!("peer-{}", index + 1));
        peer.arguments = ["--resp", door].iter().chain(arguments).map(ToString::to_string).collect();
        peer
    });
    let peers = peers.collect();
    (Cluster::of(peers, folder).await, doors)
}

/// Asks one after the other, and holds the answers against what they should be.
async fn session(redis: &mut Redis, lines: &[(&str, &str)]) {
    for (command, expected) in lines {
        assert_eq!(redis.ask(command).await, *expected, "{command}");
    }
}

#[tokio::test]
async fn strings_keys_and_scans_work_as_in_redis() {
    let (cluster, doors) = with_doors("resp-strings", 3, &[]).await;
    let mut redis = Redis::connect(&doors[0]).await;
    session(
        &mut redis,
        &[
            ("PING", "+PONG"),
            ("ECHO hello", "hello"),
            ("SELECT 0", "+OK"),
            ("SELECT 1", "-ERR DB index is out of range: there is one database, 0; put a prefix before your keys instead"),
            ("GET nothing", "nil"),
            ("SET a 1", "+OK"),
            ("get a", "1"),
            ("MSET b 2 c 3 a 0 a 4", "+OK"),
            ("MGET a b nothing c", "[4 2 nil 3]"),
            ("STRLEN a", ":1"),
            ("SET text Hello", "+OK"),
            ("GETRANGE text 1 -2", "ell"),
            ("EXISTS a a nothing", ":2"),
            ("TYPE a", "+string"),
            ("TYPE nothing", "+none"),
            ("TOUCH a b", ":2"),
            ("DBSIZE", ":4"),
            ("KEYS *", "[a b c text]"),
            ("KEYS t?x[a-t]", "[text]"),
            ("DEL a b nothing a", ":2"),
            ("UNLINK text", ":1"),
            ("DBSIZE", ":1"),
            ("GET a", "nil"),
            ("GET", "-ERR wrong number of arguments for 'get' command"),
            ("MSET a", "-ERR wrong number of arguments for 'mset' command"),
            ("SET a 1 EX x", "-ERR value is not an integer or out of range"),
            ("SET a 1 EX 0", "-ERR invalid expire time in 'set' command"),
            ("what is this", "-ERR unknown command 'what', with args beginning with: 'is' 'this' "),
        ],
    )
    .await;
    // Lines that are typed by hand, several in one packet.
    redis.send(b"PING\r\n\r\nset typed \"by hand\"\r\nget typed\n").await;
    assert_eq!(
        [redis.next().await, redis.next().await, redis.next().await],
        ["+PONG", "+OK", "by hand"].map(|text| Some(text.to_string()))
    );
    // Bytes of all kinds, through another peer.
    let all: Vec<u8> = (0..=255).collect();
    redis.send(&[&b"*3\r\n$3\r\nSET\r\n$5\r\nb\r\nin\r\n$256\r\n"[..], &all, b"\r\n"].concat()).await;
    assert_eq!(redis.next().await.as_deref(), Some("+OK"));
    let mut other = Redis::connect(&doors[1]).await;
    assert_eq!(other.ask_words(&["STRLEN", "b\r\nin"]).await, ":256");
    assert_eq!(other.ask("QUIT").await, "+OK");
    assert_eq!(other.next().await, None);
    // Who says that he is done gets the answers that he still waits for.
    let mut done = Redis::connect(&doors[1]).await;
    done.send(b"SET last 1\r\nGET last\r\nGET la").await;
    done.finish().await;
    assert_eq!([done.next().await, done.next().await, done.next().await], [Some("+OK".to_string()), Some("1".to_string()), None]);
    scans(&doors).await;
    refusals(&doors[0]).await;
    cluster.check_events();
}

/// A scan by pages finds every key once; a cursor is of the peer that gave it.
async fn scans(doors: &[String]) {
    let mut redis = Redis::connect(&doors[0]).await;
    let keys: Vec<String> = (0..250).map(|number| format!("scan:{number:03}")).collect();
    let sets: Vec<String> = keys.iter().map(|key| format!("SET {key} x")).collect();
    assert!(redis.pipeline(&sets).await.iter().all(|answer| answer == "+OK"));
    let (mut cursor, mut found, mut pages) = ("0".to_string(), Vec::new(), 0);
    loop {
        let page = redis.ask(&format!("SCAN {cursor} MATCH scan:* COUNT 40 TYPE string")).await;
        let (next, listed) = page.trim_start_matches('[').trim_end_matches("]").split_once(" [").expect("a cursor and keys");
        found.extend(listed.split_whitespace().map(str::to_string));
        cursor = next.to_string();
        pages += 1;
        if cursor == "0" {
            break;
        }
        let foreign = Redis::connect(&doors[1]).await.ask(&format!("SCAN {cursor}")).await;
        assert!(foreign.starts_with("-ERR invalid cursor: it is of another peer"), "{foreign}");
    }
    assert_eq!((found, pages), (keys, 7));
    assert_eq!(redis.ask("SCAN 0 MATCH scan:* TYPE set").await.matches("scan:").count(), 0);
    assert_eq!(redis.ask("SCAN x").await, "-ERR invalid cursor");
}

/// What nobody can promise is refused, with the reason and with a way out.
async fn refusals(door: &str) {
    let mut redis = Redis::connect(door).await;
    for (command, says) in [
        ("SET a 1 NX", "two clients could both be the first"),
        ("SET a 1 XX", "EXISTS"),
        ("SET a 1 GET", "Use GET, then SET"),
        ("SETNX a 1", "a service that elects a leader"),
        ("GETSET a 1", "Read with GET"),
        ("GETDEL a", "then write with SET or DEL"),
        ("GETEX a EX 10", "Use GET, then EXPIRE"),
        ("APPEND a 1", "nobody decides who"),
        ("INCRBYFLOAT a 1.5", "smallest unit"),
        ("EXEC", "transaction=False"),
        ("WATCH a", "transactions are not supported"),
        ("EXPIRE a 10 GT", "Read it with TTL"),
        ("EVAL x 0", "scripts are not supported"),
        ("BLPOP a 0", "lists and streams"),
        ("HSET a b c", "document"),
        ("ZADD a 1 b", "sorted sets"),
        ("RENAME a b", "GET the value"),
        ("SUBSCRIBE a", "message broker"),
        ("FLUSHALL", "SCAN"),
        ("CLUSTER SLOTS", "cluster support disabled"),
        ("CONFIG SET save x", "CONFIG GET alone"),
    ] {
        let refused = redis.ask(command).await;
        assert!(refused.starts_with("-ERR ") && refused.contains(says), "{command}: {refused}");
    }
    assert_eq!(redis.ask("GETEX a").await, "nil");
    // Of a transaction that is sent all at once, nothing is done.
    let transaction: Vec<String> = ["MULTI", "SET a 1", "INCR b", "EXEC", "GET a", "SET a 2"].map(str::to_string).into();
    let answers = redis.pipeline(&transaction).await;
    assert!(answers[0].contains("transactions are not supported") && answers[3] == answers[0], "{answers:?}");
    assert!(answers[1].starts_with("-ERR not done") && answers[2] == answers[1], "{answers:?}");
    assert_eq!(answers[4..], ["nil", "+OK"]);
}

#[tokio::test]
async fn pipelined_commands_take_effect_key_by_key_in_their_order_and_are_answered_in_it() {
    let (cluster, doors) = with_doors("resp-order", 3, &[]).await;
    let mut redis = Redis::connect(&doors[2]).await;
    let (mut commands, mut expected) = (Vec::new(), Vec::new());
    for number in 0..200 {
        // One key over and over, others beside it, and some that look at all keys.
        for (command, answer) in [
            (format!("SET same {number}"), "+OK".to_string()),
            ("GET same".to_string(), number.to_string()),
            (format!("SET key{number} {number}"), "+OK".to_string()),
            (format!("MGET same key{number} key{}", number + 1), format!("[{number} {number} nil]")),
            ("PING".to_string(), "+PONG".to_string()),
        ] {
            commands.push(command);
            expected.push(answer);
        }
        if number % 50 == 0 {
            commands.extend([format!("DEL key{number}"), "DBSIZE".to_string(), format!("SET key{number} x")]);
            expected.extend([":1".to_string(), format!(":{}", number + 1), "+OK".to_string()]);
        }
    }
    assert_eq!(redis.pipeline(&commands).await, expected);
    // What a command changes of the connection holds for those behind it, and not for those before it.
    let answers: Vec<u8> = ["GET nothing", "HELLO 3", "GET nothing", "HELLO 2", "GET nothing"]
        .iter()
        .flat_map(|command| encoded(&command.split(' ').collect::<Vec<_>>()))
        .collect();
    redis.send(&answers).await;
    assert_eq!(redis.next().await.as_deref(), Some("nil"));
    redis.three = true;
    assert!(redis.next().await.is_some_and(|hello| hello.contains("proto=:3")));
    assert_eq!(redis.next().await.as_deref(), Some("null"));
    redis.three = false;
    assert!(redis.next().await.is_some_and(|hello| hello.contains("proto :2")));
    assert_eq!(redis.next().await.as_deref(), Some("nil"));
    cluster.check_events();
}

#[tokio::test]
async fn counters_and_sets_lose_nothing_and_keys_expire() {
    let (cluster, doors) = with_doors("resp-counters", 3, &[]).await;
    let mut clients = JoinSet::new();
    for (number, door) in doors.iter().cloned().chain(doors.iter().cloned()).enumerate() {
        clients.spawn(async move {
            let mut redis = Redis::connect(&door).await;
            for round in 0..25 {
                let answers =
                    redis.pipeline(&[format!("INCRBY hits {}", round + 1), format!("SADD tags {number}:{round} all")]).await;
                assert!(answers[0].starts_with(':'), "{answers:?}");
                assert!(matches!(answers[1].as_str(), ":0" | ":1" | ":2"), "{answers:?}");
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("no client has failed");
    }
    let mut redis = Redis::connect(&doors[0]).await;
    redis.three = true;
    assert!(redis.ask("HELLO 3").await.contains("proto=:3"));
    session(
        &mut redis,
        &[
            ("GET hits", "1950"),
            ("DECRBY hits 50", ":1900"),
            ("DECR hits", ":1899"),
            ("INCR hits", ":1900"),
            ("TYPE hits", "+string"),
            ("INCRBY hits 9223372036854775807", "-ERR increment or decrement would overflow"),
            ("SCARD tags", ":151"),
            ("SISMEMBER tags all", ":1"),
            ("SREM tags all nothing", ":1"),
            ("SMISMEMBER tags all 0:0", "[:0 :1]"),
            ("TYPE tags", "+set"),
            ("GET tags", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("MGET tags hits", "[null 1900]"),
            ("SADD small b a b", ":2"),
            ("SMEMBERS small", "~[a b]"),
            ("SSCAN small 0 MATCH a*", "[0 [a]]"),
            ("SREM small a b", ":2"),
            ("EXISTS small", ":0"),
            ("SET plain 5", "+OK"),
            ("SADD plain x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ],
    )
    .await;
    let refused = redis.ask("INCR plain").await;
    assert!(refused.starts_with("-WRONGTYPE the key holds a string, and not a counter"), "{refused}");
    expiry(&mut redis).await;
    cluster.check_events();
}

async fn expiry(redis: &mut Redis) {
    session(
        redis,
        &[
            ("SET mortal 1 EX 100", "+OK"),
            ("SET mortal 2 KEEPTTL", "+OK"),
            ("GET mortal", "2"),
            ("EXPIRE nothing 10", ":0"),
            ("TTL nothing", ":-2"),
            ("EXPIREAT mortal 4000000000", ":1"),
            ("EXPIRETIME mortal", ":4000000000"),
            ("PEXPIRETIME mortal", ":4000000000000"),
            ("PERSIST mortal", ":1"),
            ("PERSIST mortal", ":0"),
            ("TTL mortal", ":-1"),
            ("SETEX mortal 1000 3", "+OK"),
            ("PEXPIRE mortal -1", ":1"),
            ("GET mortal", "null"),
            ("PSETEX soon 1 x", "+OK"),
            ("SET over x PXAT 1", "+OK"),
            ("INCR count", ":1"),
            ("EXPIRE count 1000", ":1"),
            ("INCR count", ":2"),
        ],
    )
    .await;
    for key in ["soon", "over"] {
        until("the end of a value", async || (redis.ask(&format!("GET {key}")).await == "null").then_some(())).await;
    }
    // A counter that expires goes on to do so.
    let ttl: i64 = redis.ask("TTL count").await.trim_start_matches(':').parse().expect("a number");
    assert!((900..=1_000).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn nobody_does_anything_before_he_has_shown_the_token() {
    let folder = Folder::new("resp-token");
    let token = folder.path().join("token");
    std::fs::write(&token, "correct-horse-battery\n").expect("a file");
    let (cluster, doors) = with_doors("resp-auth", 1, &["--client-token-file", &token.display().to_string()]).await;
    let mut redis = Redis::connect(&doors[0]).await;
    session(
        &mut redis,
        &[
            ("GET a", "-NOAUTH Authentication required."),
            ("PING", "-NOAUTH Authentication required."),
            ("CLIENT LIST", "-NOAUTH Authentication required."),
            ("what", "-NOAUTH Authentication required."),
            ("AUTH wrong-horse-battery", WRONG_PASSWORD),
            ("AUTH admin correct-horse-battery", WRONG_PASSWORD),
            ("AUTH default correct-horse-battery", "+OK"),
            ("SET a 1", "+OK"),
            ("RESET", "+RESET"),
            ("GET a", "-NOAUTH Authentication required."),
            ("AUTH correct-horse-battery", "+OK"),
            ("GET a", "1"),
            ("HELLO 4", "-NOPROTO unsupported protocol version: 2 and 3 are spoken here"),
        ],
    )
    .await;
    let mut other = Redis::connect(&doors[0]).await;
    assert!(other.ask("HELLO 3").await.starts_with("-NOAUTH HELLO must be called"));
    other.send(&encoded(&["HELLO", "3", "AUTH", "default", "correct-horse-battery", "SETNAME", "ada"])).await;
    other.three = true;
    assert!(other.next().await.is_some_and(|hello| hello.contains("proto=:3")));
    assert_eq!(other.ask("CLIENT GETNAME").await, "ada");
    assert_eq!(redis.ask("CLIENT LIST").await.matches(" addr=").count(), 2);
    // A stranger gets no room for more than it takes to show a token.
    for (lie, says) in [("*11\r\n", "invalid multibulk length"), ("*2\r\n$20000\r\n", "invalid bulk length")] {
        let mut stranger = Redis::connect(&doors[0]).await;
        stranger.send(lie.as_bytes()).await;
        let refused = stranger.next().await.expect("a reason");
        assert!(refused.starts_with("-ERR Protocol error") && refused.contains(says), "{refused}");
        assert_eq!(stranger.next().await, None);
    }
    cluster.check_events();
}

const WRONG_PASSWORD: &str =
    "-WRONGPASS invalid username-password pair or user is disabled: the user is `default`, the password the token";

#[tokio::test]
async fn no_client_harms_the_others() {
    let (cluster, doors) = with_doors("resp-harm", 1, &[]).await;
    let door = &doors[0];
    let mut good = Redis::connect(door).await;
    // Lies about lengths, arrays in arrays, noise.
    let deep = "*1\r\n".repeat(100_000);
    for (lie, says) in [
        ("*2147483647\r\n", "invalid multibulk length"),
        ("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1073741824\r\n", "invalid bulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        (&deep, "expected '$', got '*'"),
        ("*1\r\n$4\r\nPINGxx", "does not end"),
        ("SET a \"b\r\n", "unbalanced quotes"),
    ] {
        let mut liar = Redis::connect(door).await;
        liar.send(lie.as_bytes()).await;
        let refused = liar.next().await.expect("a reason");
        assert!(refused.contains(says), "{refused}");
    }
    // One who asks for much and reads nothing is not read from any more, and holds no more than his share.
    let value = "x".repeat(1 << 20);
    assert_eq!(good.ask_words(&["SET", "large", &value]).await, "+OK");
    let mut deaf = Redis::connect(door).await;
    deaf.send(&encoded(&["GET", "large"]).repeat(300)).await;
    // One who announces much and brings it slowly.
    let mut slow = Redis::connect(door).await;
    slow.send(b"*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$1048576\r\nx").await;
    let held = async |redis: &mut Redis| {
        let info = redis.ask("INFO memory").await;
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory_buffers:")).expect("it is told").to_string();
        line.parse::<usize>().expect("a number")
    };
    until("answers that nobody takes", async || (held(&mut good).await > 4 << 20).then_some(())).await;
    for number in 0..20 {
        assert_eq!(good.ask(&format!("SET fine {number}")).await, "+OK");
        assert!(held(&mut good).await < 160 << 20);
    }
    // He is cut off in the end, and what was kept for him is given back.
    until("the end of the one who does not read", async || (held(&mut good).await < 1 << 20).then_some(())).await;
    // Who reads gets all of it, however much it is.
    let mut greedy = Redis::connect(door).await;
    greedy.send(&encoded(&["GET", "large"]).repeat(100)).await;
    for _ in 0..100 {
        assert_eq!(greedy.next().await.map(|answer| answer.len()), Some(1 << 20));
    }
    let too_large = "x".repeat((1 << 20) + 1);
    assert!(good.ask_words(&["SET", "large", &too_large]).await.contains("invalid bulk length"));
    assert_eq!(good.next().await, None);
    cluster.check_events();
}

#[tokio::test]
async fn writes_go_on_while_a_peer_is_gone_and_fail_with_a_reason_when_too_many_are() {
    let (mut cluster, doors) = with_doors("resp-gone", 3, &[]).await;
    let mut redis = Redis::connect(&doors[0]).await;
    assert_eq!(redis.ask("SET a before").await, "+OK");
    cluster.peers[2].kill().await;
    for number in 0..200 {
        let answers = redis.pipeline(&[format!("SET key{} {number}", number % 7), format!("GET key{}", number % 7)]).await;
        // A write that was on its way to the one who died may be unknown; what was acknowledged is read.
        if answers[0] == "+OK" {
            assert_eq!(answers[1], number.to_string());
        } else {
            assert!(answers[0].starts_with("-UN"), "{answers:?}");
        }
    }
    cluster.linked().await;
    assert_eq!(redis.ask("GET a").await, "before");
    assert_eq!(redis.ask("DEL a").await, ":1");
    cluster.peers[1].kill().await;
    let refused = until("a refusal", async || Some(redis.ask("SET a after").await).filter(|answer| answer.starts_with('-'))).await;
    assert!(refused.starts_with("-UNAVAILABLE ") || refused.starts_with("-UNKNOWN "), "{refused}");
    assert!(redis.ask("MGET a b").await.starts_with("-UNAVAILABLE "));
    // One who stops is told, and what he has begun is answered.
    let mut stopping = Redis::connect(&doors[0]).await;
    assert_eq!(stopping.ask("PING").await, "+PONG");
    assert_eq!(cluster.peers[0].stop().await.code(), Some(0));
    assert_eq!(stopping.next().await, None);
    cluster.check_events();
}

#[tokio::test]
async fn conflicts_are_resolved_in_the_answer_and_counted_and_documents_are_read_as_json() {
    let (cluster, doors) = with_doors("resp-conflicts", 3, &[]).await;
    let client = cluster.client().await;
    let first = client.put(put("both", Body::Bytes("first".into()))).await.expect("written");
    for value in ["left", "right"] {
        let put = henge::message::Put { context: first.context.clone(), ..put("both", Body::Bytes(value.into())) };
        client.put(put).await.expect("written");
    }
    let typed = henge::message::Typed::new("text/plain", b"typed").expect("a content type");
    client.put(put("typed", Body::Typed(typed))).await.expect("written");
    client.put(put("ada", json(&serde_json::json!({ "name": "Ada" })))).await.expect("written");
    let mut redis = Redis::connect(&doors[1]).await;
    session(
        &mut redis,
        &[
            ("GET both", "right"),
            ("GET ada", r#"{"name":"Ada"}"#),
            ("TYPE ada", "+string"),
            ("GET typed", "typed"),
            ("STRLEN typed", ":5"),
            ("GETRANGE typed 1 -2", "ype"),
            ("TYPE typed", "+string"),
            ("MGET typed nothing", "[typed nil]"),
            ("EXPIRE typed 1000", ":1"),
            ("GET typed", "typed"),
            ("SADD typed x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("SADD ada x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ],
    )
    .await;
    let kept = henge::message::Typed::new("text/plain", b"typed").expect("a content type");
    assert_eq!(harness::read(&client, "typed").await.value, Some(henge::message::Value::Typed(kept)), "an expiry changes no type");
    let info = redis.ask("INFO stats").await;
    assert!(info.contains("conflicts_resolved:1\r\n") && info.contains("conflicts_hidden_siblings:1\r\n"), "{info}");
    // A write at this door covers both.
    session(&mut redis, &[("SET both one", "+OK"), ("GET both", "one")]).await;
    assert!(redis.ask("INFO stats").await.contains("conflicts_resolved:1\r\n"));
    cluster.check_events();
}

/// True if this command ends well; if not, the test says that it does not run here.
fn is_there(program: &str, arguments: &[&str]) -> bool {
    let there = Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: `{program} {}` does not work on this machine", arguments.join(" "));
    }
    there
}

#[tokio::test]
async fn the_tools_of_redis_work_unchanged_where_they_are_installed() {
    if !is_there("redis-cli", &["--version"]) {
        return;
    }
    let (cluster, doors) = with_doors("resp-tools", 3, &[]).await;
    let port = doors[0].rsplit_once(':').expect("a port").1.to_string();
    let cli = async |arguments: &[&str]| {
        let ended = harness::process::run(Command::new("redis-cli").args(["-p", &port]).args(arguments)).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.said
    };
    assert_eq!(cli(&["set", "a", "1"]).await, "OK\n");
    assert_eq!(cli(&["-3", "mget", "a", "b"]).await, "1\n\n");
    assert_eq!(cli(&["--scan", "--pattern", "a*"]).await, "a\n");
    assert_eq!(cli(&["-r", "10", "incr", "n"]).await.lines().last(), Some("10"));
    if is_there("redis-benchmark", &["--version"]) {
        let arguments = ["-p", &port, "-t", "set,get,mset,incr,ping", "-n", "2000", "-P", "16", "-c", "20", "-r", "1000", "-q"];
        let ended = harness::process::run(Command::new("redis-benchmark").args(arguments)).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.said.contains("MSET (10 keys): ") && !ended.said.contains("rror"), "{ended:?}");
    }
    cluster.check_events();
}

#[tokio::test]
async fn a_session_of_a_python_client_works_where_it_is_installed() {
    if !is_there("python3", &["-c", "import redis"]) {
        return;
    }
    let (cluster, doors) = with_doors("resp-python", 3, &[]).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/resp_session.py");
    let ports: Vec<&str> = doors.iter().map(|door| door.rsplit_once(':').expect("a port").1).collect();
    let ended = harness::process::run(Command::new("python3").arg(script).args(ports)).await;
    assert_eq!((ended.code, ended.said.trim()), (Some(0), "ok"), "{ended:?}");
    cluster.check_events();
}
