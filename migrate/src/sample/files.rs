//! The files of a sample: pictures, sound, text and odd names, made here.

use std::io::Cursor;

use domain::chance::Chance;
use image::{ImageFormat, Rgb, RgbImage};

use crate::error::Error;

/// A file to attach.
pub(super) struct SampleFile {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// One of each.
pub(super) fn all(chance: &Chance) -> Result<Vec<SampleFile>, Error> {
    let file = |name, kind, bytes| SampleFile { name, kind, bytes };
    let mut noise = vec![0_u8; 70_000];
    chance.fill(&mut noise);
    Ok(vec![
        file("picture.jpg", "image/jpeg", picture(chance, 320, 200, ImageFormat::Jpeg)?),
        file("icon.png", "image/png", picture(chance, 32, 32, ImageFormat::Png)?),
        file("Zürich – Karte.png", "image/png", picture(chance, 64, 48, ImageFormat::Png)?),
        file("扫描 2024-05-06.jpg", "image/jpeg", picture(chance, 90, 120, ImageFormat::Jpeg)?),
        file("voice memo.wav", "audio/wav", tone(chance)),
        file("notes.txt", "text/plain", b"plain text\nline two, without an end".to_vec()),
        file("page.html", "text/html", b"<!doctype html><title>t</title><script>alert(1)</script>".to_vec()),
        file("vector.svg", "image/svg+xml", vector()),
        file("report (final) #1 100%.csv", "text/csv", b"day,amount\n1,2.50\n2,3\n".to_vec()),
        file("🎉 party 🎉.txt", "text/plain", "🎂 at eight".as_bytes().to_vec()),
        file("empty.bin", "application/octet-stream", Vec::new()),
        file("noise.bin", "application/octet-stream", noise),
        file("picture.jpg", "image/jpeg", picture(chance, 200, 320, ImageFormat::Jpeg)?),
        file("archive.json", "application/json", br#"{"kept": true}"#.to_vec()),
    ])
}

/// A small picture for an avatar.
pub(super) fn avatar(chance: &Chance) -> Result<String, Error> {
    use base64::Engine as _;
    let bytes = picture(chance, 24, 24, ImageFormat::Png)?;
    Ok(format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(bytes)))
}

fn picture(chance: &Chance, width: u32, height: u32, format: ImageFormat) -> Result<Vec<u8>, Error> {
    let base = chance.bytes::<3>();
    let image = RgbImage::from_fn(width, height, |x, y| {
        let across = (x * 255 / width) as u8;
        let down = (y * 255 / height) as u8;
        Rgb([base[0].wrapping_add(across) / 2, base[1].wrapping_add(down) / 2, base[2]])
    });
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, format).map_err(|err| Error::Broken(format!("a sample picture cannot be made: {err}")))?;
    Ok(out.into_inner())
}

fn vector() -> Vec<u8> {
    br##"<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><circle cx="20" cy="20" r="15" fill="#26a"/></svg>"##.to_vec()
}

/// A second of a tone: 8 kHz, 8 bit, mono.
fn tone(chance: &Chance) -> Vec<u8> {
    let (rate, period) = (8_000_u32, 12 + chance.below(20));
    let mut out = Vec::new();
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(36 + rate).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt ");
    out.extend_from_slice(&16_u32.to_le_bytes());
    out.extend_from_slice(&1_u16.to_le_bytes());
    out.extend_from_slice(&1_u16.to_le_bytes());
    out.extend_from_slice(&rate.to_le_bytes());
    out.extend_from_slice(&rate.to_le_bytes());
    out.extend_from_slice(&1_u16.to_le_bytes());
    out.extend_from_slice(&8_u16.to_le_bytes());
    out.extend_from_slice(b"data");
    out.extend_from_slice(&rate.to_le_bytes());
    out.extend((0..u64::from(rate)).map(|at| if at % period < period / 2 { 100 } else { 156 }));
    out
}
