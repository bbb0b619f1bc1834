//! Who is alive: SWIM probing (Das, Gupta, Motivala, DSN 2002) with Lifeguard's local-health awareness (Dadgar, Phillips, Currey, 2017),
//! members' records, and how both spread.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]
