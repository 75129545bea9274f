//! The least of tar that every `tar` reads: plain files with a name, a time and nothing else.

/// Blocks of a tar have this size.
const BLOCK: usize = 512;

/// Adds a file: its header and content, filled up to whole blocks.
///
/// A name longer than 100 bytes gets a pax header before it.
pub fn append(out: &mut Vec<u8>, name: &str, modified: i64, content: &[u8]) {
    if name.len() > 100 {
        let record = pax_record("path", name);
        out.extend_from_slice(&header("pax", record.len(), 0, b'x'));
        push_content(out, record.as_bytes());
    }
    out.extend_from_slice(&header(name, content.len(), modified, b'0'));
    push_content(out, content);
}

/// What ends a tar.
pub fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK]
}

fn push_content(out: &mut Vec<u8>, content: &[u8]) {
    out.extend_from_slice(content);
    out.resize(out.len() + (BLOCK - content.len() % BLOCK) % BLOCK, 0);
}

/// `length key=value newline`, where the length counts itself.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

fn header(name: &str, size: usize, modified: i64, kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let cut = (0..=name.len().min(100)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    put(&mut block, 0, name.get(..cut).unwrap_or_default().as_bytes());
    put(&mut block, 100, b"0000644\0");
    put(&mut block, 108, b"0000000\0");
    put(&mut block, 116, b"0000000\0");
    put(&mut block, 124, format!("{size:011o}\0").as_bytes());
    put(&mut block, 136, format!("{:011o}\0", modified.clamp(0, 0o77_777_777_777)).as_bytes());
    put(&mut block, 148, b"        ");
    put(&mut block, 156, &[kind]);
    put(&mut block, 257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    block
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    for (to, from) in block.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tar_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let long = format!("{}.md", "n".repeat(150));
        let mut all = b"# what was there before".to_vec();
        let before = all.len();
        append(&mut all, "first.md", 1_700_000_000, b"# one\n");
        append(&mut all, &long, 5, &[7; 513]);
        append(&mut all, "empty.md", 0, b"");
        all.extend(end());
        all.drain(..before);
        let file = folder.path().join("all.tar");
        std::fs::write(&file, all).unwrap();
        let out = folder.path().join("out");
        std::fs::create_dir(&out).unwrap();
        let done = std::process::Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(&out).status().unwrap();
        assert!(done.success());
        assert_eq!(std::fs::read(out.join("first.md")).unwrap(), b"# one\n");
        assert_eq!(std::fs::read(out.join(&long)).unwrap(), [7; 513]);
        assert_eq!(std::fs::read(out.join("empty.md")).unwrap(), b"");
    }
}
