//! The metrics recorder and what the process says of itself. Rendering is all; the listener belongs to `web`.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Buckets of every `…_seconds` histogram: from half a millisecond to half a minute.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

static INSTALLED: OnceLock<Metrics> = OnceLock::new();

/// Everything counted in this process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Makes the recorder that all `metrics::` macros write to; a second call gives the same one.
    pub fn install(version: &'static str) -> Result<Self, BuildError> {
        if let Some(there) = INSTALLED.get() {
            return Ok(there.clone());
        }
        let builder =
            PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?;
        let metrics = Self { handle: builder.install_recorder()? };
        describe_gauge!("holdfast_build_info", "The version that runs; always 1.");
        describe_gauge!("process_resident_memory_bytes", "Memory of this process now.");
        describe_gauge!("process_peak_memory_bytes", "The most memory this process has had.");
        describe_gauge!("process_threads", "Threads of this process.");
        describe_gauge!("process_open_fds", "Open files of this process.");
        gauge!("holdfast_build_info", "version" => version).set(1.0);
        Ok(INSTALLED.get_or_init(|| metrics).clone())
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        measure_process();
        self.handle.run_upkeep();
        self.handle.render()
    }

    /// Tidies up histograms now and then when nobody asks for them. Never ends.
    pub async fn tend(self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(30));
        loop {
            ticks.tick().await;
            self.handle.run_upkeep();
        }
    }
}

fn measure_process() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| -> Option<f64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    if let Some(kibibytes) = field("VmRSS:") {
        gauge!("process_resident_memory_bytes").set(kibibytes * 1024.0);
    }
    if let Some(kibibytes) = field("VmHWM:") {
        gauge!("process_peak_memory_bytes").set(kibibytes * 1024.0);
    }
    if let Some(count) = field("Threads:") {
        gauge!("process_threads").set(count);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(files.count() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_the_build_the_process_and_bounded_buckets() {
        let metrics = Metrics::install("1.2.3").unwrap();
        metrics::histogram!("holdfast_http_seconds").record(0.02);
        let text = Metrics::install("1.2.3").unwrap().render();
        assert!(text.contains("holdfast_build_info{version=\"1.2.3\"} 1"), "{text}");
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
        assert!(text.contains("holdfast_http_seconds_bucket{le=\"0.025\"} 1"), "{text}");
        drop(metrics);
    }
}
