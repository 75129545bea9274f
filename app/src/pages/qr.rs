//! A QR code as a picture made of one path, drawn here: a secret in it never leaves this server's answer.

use qrcode::{Color, EcLevel, QrCode};

/// White modules around the code, without which cameras do not find it.
const QUIET: usize = 4;

/// What an `svg` element needs: its side in modules, and the path of the dark ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Qr {
    pub(super) side: usize,
    pub(super) path: String,
}

impl Qr {
    /// The code of a text; none when it is longer than a code can hold.
    pub(super) fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let width = code.width();
        let mut path = String::new();
        for (row, modules) in code.to_colors().chunks(width).enumerate() {
            let mut column = 0;
            while column < width {
                let run = modules.iter().skip(column).take_while(|module| **module == Color::Dark).count();
                if run > 0 {
                    path.push_str(&format!("M{} {}h{run}v1h-{run}z", column + QUIET, row + QUIET));
                }
                column += run.max(1);
            }
        }
        Some(Self { side: width + 2 * QUIET, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_three_corners_and_room_around_it() {
        let qr = Qr::of("otpauth://totp/team:ana?secret=JBSWY3DPEHPK3PXP&issuer=team").unwrap();
        assert!(qr.side > 29 + 2 * QUIET, "{}", qr.side);
        // The upper edge of the corner on the left, seven modules wide, and the lower one.
        assert!(qr.path.starts_with("M4 4h7v1h-7z"), "{}", qr.path);
        assert!(qr.path.contains(&format!("M4 {}h7v1h-7z", qr.side - QUIET - 1)));
        assert_eq!(Qr::of(&"x".repeat(5_000)), None);
    }
}
