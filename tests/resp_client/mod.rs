//! A Redis client, as plain as can be: bytes over a socket. What comes back is read by a library that is not ours.

use redis_protocol::resp2::types::OwnedFrame as Two;
use redis_protocol::resp3::types::OwnedFrame as Three;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub struct Redis {
    stream: TcpStream,
    inbox: Vec<u8>,
    /// True once it speaks RESP 3.
    pub three: bool,
}

impl Redis {
    pub async fn connect(address: &str) -> Redis {
        let stream = TcpStream::connect(address).await.expect("the door is open");
        Redis { stream, inbox: Vec::new(), three: false }
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("the door reads in time").expect("it is open");
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.expect("it is open");
    }

    /// The next answer; none if the connection has been closed.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let taken = match self.three {
                true => redis_protocol::resp3::decode::complete::decode(&self.inbox)
                    .expect("RESP 3")
                    .map(|(frame, bytes)| (show_three(&frame), bytes)),
                false => redis_protocol::resp2::decode::decode(&self.inbox)
                    .expect("RESP 2")
                    .map(|(frame, bytes)| (show_two(&frame), bytes)),
            };
            if let Some((shown, bytes)) = taken {
                self.inbox.drain(..bytes);
                return Some(shown);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.inbox)).await.expect("an answer in time");
            if !read.is_ok_and(|read| read > 0) {
                assert!(self.inbox.is_empty(), "cut off within an answer: {}", self.inbox.escape_ascii());
                return None;
            }
        }
    }

    /// The answer to a command that has no spaces in its words.
    pub async fn ask(&mut self, command: &str) -> String {
        self.ask_words(&command.split(' ').collect::<Vec<_>>()).await
    }

    /// The answer to a command.
    pub async fn ask_words(&mut self, words: &[&str]) -> String {
        self.send(&encoded(words)).await;
        self.next().await.expect("an answer")
    }

    /// The answers to commands that are sent all at once.
    pub async fn pipeline(&mut self, commands: &[String]) -> Vec<String> {
        let bytes: Vec<u8> = commands.iter().flat_map(|command| encoded(&command.split(' ').collect::<Vec<_>>())).collect();
        self.send(&bytes).await;
        let mut answers = Vec::new();
        for _ in commands {
            answers.push(self.next().await.expect("an answer"));
        }
        assert_eq!(self.inbox, b"", "nobody has asked for this");
        answers
    }
}

/// A command as clients send it.
pub fn encoded(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    words.iter().for_each(|word| bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes()));
    bytes
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn show_two(frame: &Two) -> String {
    match frame {
        Two::SimpleString(text) => format!("+{}", self::text(text)),
        Two::Error(text) => format!("-{text}"),
        Two::Integer(number) => format!(":{number}"),
        Two::BulkString(bytes) => text(bytes),
        Two::Null => "nil".to_string(),
        Two::Array(frames) => format!("[{}]", frames.iter().map(show_two).collect::<Vec<_>>().join(" ")),
    }
}

fn show_three(frame: &Three) -> String {
    let all = |frames: &mut dyn Iterator<Item = &Three>| frames.map(show_three).collect::<Vec<_>>();
    match frame {
        Three::SimpleString { data, .. } => format!("+{}", text(data)),
        Three::SimpleError { data, .. } => format!("-{data}"),
        Three::Number { data, .. } => format!(":{data}"),
        Three::BlobString { data, .. } => text(data),
        Three::VerbatimString { data, .. } => format!("text {}", text(data)),
        Three::Null => "null".to_string(),
        Three::Array { data, .. } => format!("[{}]", all(&mut data.iter()).join(" ")),
        Three::Set { data, .. } => {
            let mut members = all(&mut data.iter());
            members.sort();
            format!("~[{}]", members.join(" "))
        }
        Three::Map { data, .. } => {
            let mut pairs: Vec<String> =
                data.iter().map(|(name, value)| format!("{}={}", show_three(name), show_three(value))).collect();
            pairs.sort();
            format!("{{{}}}", pairs.join(" "))
        }
        other => format!("{other:?}"),
    }
}
