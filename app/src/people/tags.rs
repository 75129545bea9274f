//! What may be said about tags: a pattern and its colour; the same for a tenant and for a member.

use wire::Color;

/// Whether `key` is a pattern and its colour a colour.
///
/// # Errors
/// The sentence that says what is wrong.
pub fn check(key: &str, colour: Option<&Color>) -> Result<(), String> {
    if key.trim().is_empty() {
        return Err("tag key must not be empty".to_owned());
    }
    if let Err(error) = regex::RegexBuilder::new(key).size_limit(1 << 20).nest_limit(50).build() {
        let reason = error.to_string().lines().last().unwrap_or_default().to_owned();
        return Err(format!("tag key \"{key}\" is not a valid regex pattern: {reason}"));
    }
    let Some(colour) = colour else { return Ok(()) };
    let parts = [("red", colour.red), ("green", colour.green), ("blue", colour.blue)];
    let alpha = colour.alpha.map(|alpha| ("alpha", alpha));
    for (part, value) in parts.into_iter().chain(alpha) {
        if !(0.0..=1.0).contains(&value) {
            return Err(format!("background_color for \"{key}\": {part} must be between 0 and 1"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_colours_are_checked() {
        let red = |red| Color { red, ..Color::default() };
        assert!(check("work/.*", Some(&red(0.5))).is_ok());
        assert!(check("[", None).is_err());
        assert!(check("c", Some(&red(2.0))).is_err_and(|why| why.contains("red must be between 0 and 1")));
        assert!(check("c", Some(&red(f32::NAN))).is_err());
    }
}
