//! Counters, sets and expiry: the short way to ask for them, with the defaults of every other field.

use super::handle::{Client, unexpected};
use crate::message::{Expire, Failure, Receipt, Reply, Request, Update};
use bytes::Bytes;

impl Client {
    /// Adds to the counter at a path of a key; an empty path is the key as a whole. To see the sum, read with the receipt's context as session.
    pub async fn increment(&self, key: Bytes, path: &str, amount: i64) -> Result<Receipt, Failure> {
        self.update(Update::increment(key, path, amount)).await
    }

    /// Puts members into the set at a path of a key, and takes members out of it.
    pub async fn elements(&self, key: Bytes, path: &str, add: Vec<Bytes>, remove: Vec<Bytes>) -> Result<Receipt, Failure> {
        self.update(Update::elements(key, path, add, remove)).await
    }

    /// Sets when what a key holds expires. None: it holds nothing.
    pub async fn expire(&self, expire: Expire) -> Result<Option<Receipt>, Failure> {
        match self.request(Request::Expire(expire)).await {
            Reply::Missing(_) => Ok(None),
            Reply::Written(receipt) => Ok(Some(receipt)),
            other => Err(unexpected(other)),
        }
    }
}
