//! Compressors that are used again. One takes one to three MiB of the system's allocator; made anew for each stream, on
//! threads that change, they stay behind in as many of its arenas as there are threads.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::format::buffers::{Buffer, Buffers};
use zstd::zstd_safe::{CCtx, CParameter, compress_bound, get_error_name};

/// zstd's level: its default, which keeps up with any disk.
const LEVEL: i32 = 3;

/// Compressors that nobody uses just now. Clones share them; they go with the last of the clones.
#[derive(Clone, Default)]
pub(super) struct Compressors {
    idle: Arc<Mutex<Vec<CCtx<'static>>>>,
    /// For what comes out of them.
    outputs: Buffers,
}

impl Compressors {
    /// Does something with one that is nobody else's meanwhile. What a stream that was given up leaves in it goes when the
    /// next one begins.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut CCtx<'static>) -> io::Result<T>) -> io::Result<T> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut context = match kept {
            Some(context) => context,
            None => made()?,
        };
        let done = work(&mut context);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(context);
        done
    }

    /// What bytes become, in one step: without the window of a stream, which would be a copy of them.
    pub(super) fn compress(&self, plain: &[u8]) -> io::Result<Buffer> {
        let mut out = self.outputs.take();
        out.reserve(compress_bound(plain.len()));
        self.with(|context| context.compress2(&mut *out, plain).map_err(named))?;
        Ok(out)
    }
}

fn made() -> io::Result<CCtx<'static>> {
    let mut context = CCtx::try_create().ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
    context.set_parameter(CParameter::CompressionLevel(LEVEL)).map_err(named)?;
    Ok(context)
}

fn named(code: usize) -> io::Error {
    io::Error::other(get_error_name(code))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_compressor_forgets_what_it_did_before() {
        let compressors = Compressors::default();
        let given_up = compressors.with(|context| {
            let mut encoder = zstd::Encoder::with_context(Vec::new(), context);
            encoder.set_pledged_src_size(Some(1000))?;
            encoder.write_all(b"half of something")?;
            Err::<(), _>(io::Error::other("given up"))
        });
        assert!(given_up.is_err());
        let plain = b"one two three ".repeat(99);
        let again = compressors.compress(&plain).unwrap();
        let streamed = compressors
            .with(|context| {
                let mut encoder = zstd::Encoder::with_context(Vec::new(), context);
                encoder.write_all(&plain)?;
                encoder.finish()
            })
            .unwrap();
        assert_eq!(*again, *Compressors::default().compress(&plain).unwrap());
        for packed in [&*again, &streamed] {
            assert_eq!(zstd::decode_all(packed.as_slice()).unwrap(), plain);
        }
        assert_eq!(compressors.idle.lock().unwrap().len(), 1, "all three had the same one");
    }
}
