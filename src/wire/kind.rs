//! Kinds of frames: one number for each variant of every request, reply and message.

/// Declares the kinds once: the enum, its list, its names and the way back from a number.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What a frame is. The numbers are the protocol: they never change their meaning, and are never used again.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl Kind {
            /// Every kind, in the order of the numbers.
            pub const ALL: &[Kind] = &[$(Kind::$name,)*];

            /// The kind of this number, if there is one.
            pub fn from_number(number: u8) -> Option<Kind> {
                match number {
                    $($number => Some(Kind::$name),)*
                    _ => None,
                }
            }

            /// Its name, for people and for docs/protocol.md.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$name => stringify!($name),)*
                }
            }
        }
    };
}

kinds! {
    /// Who speaks; the first frame each way.
    Hello = 1,
    /// That the speaker knows the secret.
    Proof = 2,
    /// Why the connection is about to be closed.
    Refused = 3,

    /// `Request::Put`.
    Put = 16,
    /// `Request::Remove`.
    Remove = 17,
    /// `Request::Update`.
    Update = 18,
    /// `Request::Get`.
    Get = 19,
    /// `Request::List`.
    List = 20,
    /// `Request::Ring`.
    AskRing = 21,
    /// `Request::Status`.
    AskStatus = 22,
    /// `Request::Describe`.
    Describe = 23,
    /// `Request::Form`.
    Form = 24,
    /// `Request::Why`.
    Why = 25,
    /// `Request::Expire`.
    Expire = 26,

    /// `Reply::Written`.
    Written = 32,
    /// `Reply::Found`.
    Found = 33,
    /// `Reply::Missing`.
    Missing = 34,
    /// `Reply::Listed`.
    Listed = 35,
    /// `Reply::Ring`.
    Ring = 36,
    /// `Reply::Status`.
    Status = 37,
    /// `Reply::Description`.
    Description = 38,
    /// `Reply::Formed`.
    Formed = 39,
    /// `Reply::Failed`.
    Failed = 40,
    /// `Reply::Explained`.
    Explained = 41,

    /// `Message::Apply`.
    Apply = 64,
    /// `Message::Applied`.
    Applied = 65,
    /// `Message::Fetch`.
    Fetch = 66,
    /// `Message::Fetched`.
    Fetched = 67,
    /// `Message::ScanAsk`.
    ScanAsk = 68,
    /// `Message::ScanPage`.
    ScanPage = 69,
    /// `Message::Forward`.
    Forward = 70,
    /// `Message::Forwarded`.
    Forwarded = 71,

    /// `Gossip::Probe`.
    Probe = 72,
    /// `Gossip::ProbeAck`.
    ProbeAck = 73,
    /// `Gossip::ProbeFor`.
    ProbeFor = 74,
    /// `Gossip::ProbeMissed`.
    ProbeMissed = 75,
    /// `Gossip::Tell`.
    Tell = 76,
    /// `Gossip::Compare`.
    Views = 77,
    /// `Gossip::CatchUp`.
    CatchUp = 78,
    /// `Comparing::Compare`.
    Compare = 80,
    /// `Comparing::Compared`.
    Compared = 81,
    /// `Comparing::Walk`.
    Walk = 82,
    /// `Comparing::Walked`.
    Walked = 83,
    /// `Comparing::FetchEntries`.
    FetchEntries = 84,
    /// `Comparing::Entries`.
    Entries = 85,
    /// `Comparing::Declined`.
    Declined = 86,
    /// `Message::FenceAsk`.
    FenceAsk = 88,
    /// `Message::FencePromise`.
    FencePromise = 89,
    /// `Message::ActorAsk`.
    ActorAsk = 90,
    /// `Message::ActorDenial`.
    ActorDenial = 91,
}
