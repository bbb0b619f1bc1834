//! Who is owed what, and paying it back at the debtor's pace (Dynamo, SOSP 2007, §4.6).

#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]
