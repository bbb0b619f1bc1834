//! What a Redis client sends: arrays of words, and lines typed by hand.

use super::super::{Outcome, Probe, Target, outcome_class};
use super::{no_mending, no_rules};
use bytes::BytesMut;
use henge::gateway::resp::framing::{Bounds, Framing};

/// Claims of much, ends, quotes and escapes.
const WORDS: &[&[u8]] = &[
    b"*",
    b"$",
    b"*2\r\n",
    b"*131072\r\n",
    b"*2147483647\r\n",
    b"*-1\r\n",
    b"$0\r\n\r\n",
    b"$-1\r\n",
    b"$1048576\r\n",
    b"$9223372036854775807\r\n",
    b"$+1\r\n",
    b"$01\r\n",
    b"\r\n",
    b"\n",
    b"\"",
    b"'",
    b"\\x00",
    b"\\n",
    b"\\",
    b" ",
];

pub(super) fn targets() -> Vec<Target> {
    vec![Target {
        name: "resp",
        seeds,
        words: WORDS,
        mend: no_mending,
        perturb: no_rules,
        check,
        // An inbox that grows doubles. A word typed by hand takes two bytes of its line and some hundred in memory; one of an array six, and a range
        // and a slice.
        memory_max: |bytes| 2_048 + 128 * bytes,
    }]
}

/// Streams behind a byte that says how they are cut, and whether a stranger sends them.
fn seeds() -> Vec<Vec<u8>> {
    let streams: [&[u8]; 8] = [
        b"*3\r\n$3\r\nSET\r\n$4\r\nname\r\n$3\r\nAda\r\n*2\r\n$3\r\nGET\r\n$4\r\nname\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"PING\r\n\r\nset a \"b \\x41\\n c\" 'd\\'e'\n*0\r\n*-1\r\nQUIT\r\n",
        b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
        b"*5\r\n$4\r\nSADD\r\n$1\r\ns\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n",
        b"*2\r\n$4\r\nAUTH\r\n$16\r\nan open sesame 1\r\n",
        b"*17\r\n$3\r\nDEL\r\n",
        b"\"\" \"\"\n",
    ];
    streams.iter().zip(0_u8..).map(|(stream, cut)| [&[cut][..], stream].concat()).collect()
}

/// Commands, and why the stream ended.
type Taken = (Vec<Vec<Vec<u8>>>, Option<String>);

fn take(stream: &[u8], bounds: Bounds, mut piece: impl FnMut() -> usize, probe: &mut Probe) -> Taken {
    let (mut inbox, mut framing, mut rest, mut commands) = (BytesMut::new(), Framing::default(), stream, Vec::new());
    loop {
        loop {
            match probe.decode(|| framing.take(&mut inbox, bounds)) {
                Ok(Some((words, _))) => commands.push(words.iter().map(|word| word.to_vec()).collect()),
                Ok(None) => break,
                Err(error) => return (commands, Some(error.to_string())),
            }
        }
        if rest.is_empty() {
            return (commands, None);
        }
        let (piece, later) = rest.split_at(piece().clamp(1, rest.len()));
        inbox.extend_from_slice(piece);
        rest = later;
    }
}

/// However it is cut, a stream is the same commands, and these, written as arrays, are read as themselves.
fn check(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let Some((&seed, stream)) = input.split_first() else { return Ok(Outcome::Refused(0)) };
    let bounds = if seed & 128 == 0 { Bounds::CLIENT } else { Bounds::STRANGER };
    let (commands, end) = take(stream, bounds, || usize::MAX, probe);
    let mut dice = u32::from(seed) + 1;
    let pieces = take(
        stream,
        bounds,
        || {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (dice >> 26) as usize
        },
        probe,
    );
    let whole = (commands, end);
    if whole != pieces {
        return Err(format!("cut into pieces a stream is another: {whole:?} and {pieces:?}"));
    }
    let (commands, end) = whole;
    let mut written = Vec::new();
    for command in &commands {
        written.extend(format!("*{}\r\n", command.len()).bytes());
        for word in command {
            written.extend(format!("${}\r\n", word.len()).bytes());
            written.extend(word);
            written.extend(b"\r\n");
        }
    }
    let again = take(&written, Bounds::CLIENT, || usize::MAX, probe);
    if again != (commands.clone(), None) {
        return Err(format!("{commands:?} was written, and {again:?} was read"));
    }
    let class = outcome_class(end.as_deref().unwrap_or("whole"), &[commands.len(), commands.iter().map(Vec::len).sum()]);
    Ok(if end.is_some() { Outcome::Refused(class) } else { Outcome::Accepted(class) })
}
