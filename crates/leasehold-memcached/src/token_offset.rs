//! Tokens that are lifted: a floor may ask for one above what the server's numbers give.
//!
//! By how much is remembered in an item of its own that stays for ever, so that later tokens of the name are above it.

use leasehold_core::{Error, ErrorKind, Result};

use crate::{
    batch::CommandBatch,
    client::{ClientState, TRIES, too_contended},
    lock_record::{LockKeys, item_number, refused},
    reply::Reply,
};

impl ClientState {
    /// Raises the offset of a lock's tokens to at least `wanted`.
    ///
    /// # Errors
    /// Those of [`ClientState::call`]; [`ErrorKind::Exhausted`] when there is no room.
    pub(crate) async fn raise_offset(&self, place: &LockKeys, wanted: u64) -> Result<()> {
        let key = &place.keys.offset;
        let text = wanted.to_string();
        let (mut replies, _) = self.call(CommandBatch::new().add(key, 0, text.as_bytes()).look(key)).await?;
        for tries in 0..TRIES {
            let changed = match replies.next() {
                Some(Reply::Refused(why)) => return Err(refused(&why)),
                reply => reply == Some(Reply::Done),
            };
            let item = match replies.next() {
                Some(Reply::Item(item)) => item,
                // Evicted while it was written.
                Some(Reply::Nothing) => {
                    (replies, _) =
                        self.call(CommandBatch::new().add(key, 0, text.as_bytes()).look(key)).await?;
                    continue;
                }
                _ => {
                    return Err(Error::new(
                        ErrorKind::Corrupt,
                        "the server does not answer what it was asked",
                    ));
                }
            };
            let cas = item.cas;
            if changed || item_number(Some(item)) >= wanted {
                return Ok(());
            }
            self.back_off(tries).await;
            (replies, _) = self.call(CommandBatch::new().cas(key, 0, text.as_bytes(), cas).look(key)).await?;
        }
        Err(too_contended())
    }
}
