//! Buffers that are used again. The allocator gives a large one back to the system a second after it was freed, so that a
//! point that took a new one for each piece held twice the memory that it used.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// How many are kept.
const KEPT: usize = 8;
/// Larger ones are not: one piece with a huge row must not be paid for until the end.
const LARGEST: usize = 8 * 1024 * 1024;

/// Buffers that nobody uses just now. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// An empty one, with room for as much as was in it before.
    pub fn take(&self) -> Buffer {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        Buffer { bytes, home: self.clone() }
    }
}

/// Goes back to where it came from when it is dropped.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffer {
    /// What is in it, to be handed around; the buffer goes back when the last one lets go.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && (1..=LARGEST).contains(&bytes.capacity()) {
            kept.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_when_the_last_one_lets_go_and_a_huge_one_does_not() {
        let buffers = Buffers::default();
        let mut one = buffers.take();
        one.extend_from_slice(b"rows of one piece");
        let frozen = one.freeze();
        let part = frozen.slice(0..4);
        drop(frozen);
        assert!(buffers.take().capacity() == 0, "it is in use");
        assert_eq!(&part[..], b"rows");
        drop(part);
        let again = buffers.take();
        assert!(again.is_empty() && again.capacity() >= 17);
        let mut huge = buffers.take();
        huge.reserve(LARGEST + 1);
        drop(huge);
        assert_eq!(buffers.take().capacity(), 0);
    }
}
