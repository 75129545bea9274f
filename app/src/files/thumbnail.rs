//! Small pictures of pictures, kept in memory for a while.

use std::collections::VecDeque;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use tokio::sync::Semaphore;

/// The longest side, in pixels.
const LONGEST: u32 = 600;
const QUALITY: u8 = 90;
/// Pictures of more bytes than this are not reduced.
pub const MOST_BYTES: i64 = 64 * 1024 * 1024;
/// A picture that needs more memory than this to decode is not reduced, in bytes.
const MOST_MEMORY: u64 = 256 * 1024 * 1024;
/// Longest side of a picture that is decoded, in pixels.
const MOST_SIDE: u32 = 20_000;
/// Thumbnails kept, in bytes.
const KEPT_BYTES: usize = 16 * 1024 * 1024;
/// Pictures decoded at the same time.
const AT_ONCE: usize = 2;

/// Makes thumbnails, few at a time, and remembers them. Cheap to clone.
#[derive(Clone)]
pub struct Thumbnails(Arc<Inner>);

struct Inner {
    kept: Mutex<Kept>,
    slots: Semaphore,
}

#[derive(Default)]
struct Kept {
    newest_last: VecDeque<(String, Bytes)>,
    bytes: usize,
}

impl Default for Thumbnails {
    fn default() -> Self {
        Self(Arc::new(Inner { kept: Mutex::default(), slots: Semaphore::new(AT_ONCE) }))
    }
}

impl Thumbnails {
    /// Whether files of this type have thumbnails.
    pub fn suit(kind: &str, size: i64) -> bool {
        matches!(kind, "image/png" | "image/jpeg" | "image/jpg") && (1..=MOST_BYTES).contains(&size)
    }

    /// The thumbnail made before, by the file's place in the file store.
    pub fn find(&self, key: &str) -> Option<Bytes> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.newest_last.iter().position(|(known, _)| known == key)?;
        let entry = kept.newest_last.remove(at)?;
        let bytes = entry.1.clone();
        kept.newest_last.push_back(entry);
        Some(bytes)
    }

    /// Makes and keeps the thumbnail of a picture; none when it cannot be read as one.
    pub async fn make(&self, key: &str, picture: Bytes) -> Option<Bytes> {
        let slot = self.0.slots.acquire().await.ok()?;
        let made = tokio::task::spawn_blocking(move || reduce(&picture)).await.ok().flatten();
        drop(slot);
        let made = Bytes::from(made?);
        self.keep(key, made.clone());
        Some(made)
    }

    fn keep(&self, key: &str, made: Bytes) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += made.len();
        kept.newest_last.push_back((key.to_owned(), made));
        while kept.bytes > KEPT_BYTES {
            let Some((_, oldest)) = kept.newest_last.pop_front() else { break };
            kept.bytes -= oldest.len();
        }
    }
}

fn reduce(picture: &[u8]) -> Option<Vec<u8>> {
    let mut reader = ImageReader::new(Cursor::new(picture)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_MEMORY);
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_SIDE), Some(MOST_SIDE));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let turn = decoder.orientation().ok();
    let mut decoded = DynamicImage::from_decoder(decoder).ok()?;
    if let Some(turn) = turn {
        decoded.apply_orientation(turn);
    }
    let small = if decoded.width() > LONGEST || decoded.height() > LONGEST {
        decoded.resize(LONGEST, LONGEST, FilterType::Triangle)
    } else {
        decoded
    };
    let mut out = Vec::new();
    on_white(small).write_with_encoder(JpegEncoder::new_with_quality(&mut out, QUALITY)).ok()?;
    Some(out)
}

/// JPEG knows no transparency: what shows through becomes white.
fn on_white(picture: DynamicImage) -> DynamicImage {
    if !picture.color().has_alpha() {
        return DynamicImage::ImageRgb8(picture.into_rgb8());
    }
    let clear = picture.into_rgba8();
    let (width, height) = clear.dimensions();
    let solid = image::RgbImage::from_fn(width, height, |x, y| {
        let image::Rgba([r, g, b, alpha]) = *clear.get_pixel(x, y);
        let blend = |c: u8| {
            let mixed = u32::from(c) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
            u8::try_from(mixed / 255).unwrap_or(u8::MAX)
        };
        image::Rgb([blend(r), blend(g), blend(b)])
    });
    DynamicImage::ImageRgb8(solid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        DynamicImage::new_rgba8(width, height).write_to(&mut out, image::ImageFormat::Png).expect("encodes");
        out.into_inner()
    }

    #[tokio::test]
    async fn the_longest_side_is_bounded_and_the_result_kept() {
        let thumbnails = Thumbnails::default();
        let made = thumbnails.make("k", png(1200, 300).into()).await.expect("a thumbnail");
        let seen = image::load_from_memory(&made).expect("decodes");
        assert_eq!((seen.width(), seen.height()), (600, 150));
        assert_eq!(seen.to_rgb8().get_pixel(5, 5).0, [255, 255, 255]);
        assert_eq!(thumbnails.find("k"), Some(made));
        assert_eq!(thumbnails.find("other"), None);
    }

    #[tokio::test]
    async fn small_pictures_keep_their_size_and_garbage_has_none() {
        let thumbnails = Thumbnails::default();
        let made = thumbnails.make("k", png(40, 30).into()).await.expect("a thumbnail");
        assert_eq!(image::load_from_memory(&made).map(|seen| seen.width()).ok(), Some(40));
        assert_eq!(thumbnails.make("g", Bytes::from_static(b"\x89PNG no picture")).await, None);
    }
}
