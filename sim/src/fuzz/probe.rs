//! Judging one input: panics are caught, memory is counted, the target's law is asked.

use super::Target;
use super::corpus::hex;
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Once;
use twox_hash::XxHash3_64;

/// What became of an input: alike for inputs of which nothing new can be learnt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was read as something, of this class.
    Accepted(u64),
    /// It was refused, for a reason of this class.
    Refused(u64),
}

/// What every input has to keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// No panic.
    NoPanic,
    /// No more memory than the input's length allows.
    Memory,
    /// The target's own.
    Own,
}

/// A law that is broken, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Which law.
    pub law: Law,
    /// How, for people.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let law = match self.law {
            Law::NoPanic => "it panics",
            Law::Memory => "it takes too much memory",
            Law::Own => "it does not come back as it was",
        };
        write!(f, "{law}: {}", self.what)
    }
}

/// Counts the memory of what is read.
#[derive(Default, Debug)]
pub struct Probe {
    memory: u64,
}

impl Probe {
    /// Reads something. What it holds at one time, its result included, is held against what the target allows.
    pub fn decode<T>(&mut self, decode: impl FnOnce() -> T) -> T {
        let mut result = None;
        // A panic must not fly past the count, which would go on for ever.
        let info = allocation_counter::measure(|| result = Some(catch_unwind(AssertUnwindSafe(decode))));
        self.memory = self.memory.max(info.bytes_max);
        match result.expect("it was called") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }
}

thread_local! {
    /// The target and the input that are being tried on this thread, as long as they are.
    static TRIED: RefCell<Option<(&'static str, Vec<u8>)>> = const { RefCell::new(None) };
    /// What the last panic on this thread said.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Tries an input: what became of it, or which law it broke; and the memory that was held while it was read, in bytes.
pub fn judge(target: &Target, input: &[u8]) -> (Result<Outcome, Failure>, u64) {
    let mut probe = Probe::default();
    TRIED.with_borrow_mut(|tried| {
        let (name, bytes) = tried.get_or_insert_default();
        *name = target.name;
        bytes.clear();
        bytes.extend_from_slice(input);
    });
    let result = catch_unwind(AssertUnwindSafe(|| (target.check)(input, &mut probe)));
    TRIED.with_borrow_mut(|tried| *tried = None);
    let max = (target.memory_max)(input.len()) as u64;
    let result = match result {
        Err(panic) => Err(Failure { law: Law::NoPanic, what: said(panic.as_ref()) }),
        Ok(Err(what)) => Err(Failure { law: Law::Own, what }),
        Ok(Ok(_)) if probe.memory > max => {
            let what = format!("{} bytes for an input of {}, where {max} are allowed", probe.memory, input.len());
            Err(Failure { law: Law::Memory, what })
        }
        Ok(Ok(outcome)) => Ok(outcome),
    };
    (result, probe.memory)
}

fn said(panic: &dyn Any) -> String {
    let said = SAID.take();
    match panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied()) {
        _ if !said.is_empty() => said,
        Some(text) => text.into(),
        None => "a panic that says nothing".into(),
    }
}

/// From here on a panic of what is being tried is noted and not printed. In a build in which a panic ends the process, it is printed with
/// the input, and the line that tries it again.
pub fn listen_to_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let tried = TRIED.with_borrow(Clone::clone);
            match tried {
                None => usual(info),
                Some((name, input)) if cfg!(panic = "abort") => {
                    usual(info);
                    eprintln!("{name} panicked; find its shortest input with: {}", retry_line(name, &input));
                }
                Some(_) => SAID.with_borrow_mut(|said| *said = info.to_string()),
            }
        }));
    });
}

/// The line that tries an input again, in a build that survives panics.
pub fn retry_line(name: &str, input: &[u8]) -> String {
    format!("cargo run -p sim -- fuzz --target {name} --input {}", hex(input))
}

/// A number for an outcome: of what a text says without the numbers in it, up to the first quotation, and of some numbers' sizes.
pub fn outcome_class(text: &str, sizes: &[usize]) -> u64 {
    let plain = text.bytes().take_while(|byte| !matches!(byte, b'"' | b'\'' | b'`')).filter(|byte| !byte.is_ascii_digit());
    let sizes = sizes.iter().map(|size| usize::BITS.saturating_sub(size.leading_zeros()) as u8 | 0x80);
    let bytes: Vec<u8> = plain.take(64).chain(sizes).collect();
    XxHash3_64::oneshot(&bytes)
}
