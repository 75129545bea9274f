use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::say;

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd").join(name)
}

/// Exposure in tenths, as `systemd-analyze security` counts it, and the most that is allowed.
const UNITS: &[(&str, u32)] = &[("holdfast.service", 13), ("holdfast-worker.service", 15)];

pub(crate) fn units_are_valid_and_hardened() {
    let folder = tempfile::tempdir().unwrap();
    for (name, allowed) in UNITS {
        // Verified with an executable that exists; unknown keys are mere warnings, so nothing at all may be said.
        let text = std::fs::read_to_string(unit(name)).unwrap().replace("/usr/bin/holdfast", "/bin/true");
        let copy = folder.path().join(name);
        std::fs::write(&copy, text).unwrap();
        let Ok(output) = Command::new("systemd-analyze").arg("verify").arg(&copy).output() else {
            say("skipped units::units_are_valid_and_hardened: no systemd-analyze here");
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", &format!("--threshold={allowed}")])
            .arg(&copy)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{name}: {}", said.lines().last().unwrap_or_default());
    }
}

pub(crate) fn the_sample_configuration_is_accepted() {
    let sources = runtime::settings::Sources { config: Some(unit("holdfast.toml")), ..Default::default() };
    let settings = runtime::settings::Settings::load(&sources).unwrap();
    assert_eq!(settings.store_bucket, "holdfast");
}
