//! The hashes of every row sent, on disk until the rows are in: 17 bytes each. They become `import_base`.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use store::Load;

use crate::error::Error;
use crate::row::RowHash;
use crate::table::{ALL, Target};

/// Hashes of so many rows make one part of `import_base`.
pub(crate) const ROWS_PER_PART: usize = 16 * 1024;

/// The file.
pub(crate) struct Spool {
    file: BufWriter<File>,
    path: PathBuf,
}

impl Spool {
    pub(crate) fn create(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("hashes");
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&path);
        Ok(Self { file: BufWriter::new(file.map_err(Error::file("create", &path))?), path })
    }

    pub(crate) fn add(&mut self, target: &Target, rows: &[RowHash]) -> Result<(), Error> {
        let table = ALL.iter().position(|known| *known == target).unwrap_or_default() as u8;
        for row in rows {
            let mut record = [table; 17];
            record[1..9].copy_from_slice(&row.key.to_be_bytes());
            record[9..].copy_from_slice(&row.base.to_be_bytes());
            self.file.write_all(&record).map_err(Error::file("write", &self.path))?;
        }
        Ok(())
    }

    fn into_reader(self) -> Result<BufReader<File>, Error> {
        let failed = |err: std::io::Error| Error::file("write", &self.path)(err);
        let mut file = self.file.into_inner().map_err(|err| failed(err.into_error()))?;
        file.rewind().map_err(Error::file("read", &self.path))?;
        Ok(BufReader::new(file))
    }

    /// What catching up compares with: the hashes of every row, packed.
    pub(crate) async fn write_base(self, load: &mut Load) -> Result<(), Error> {
        let mut records = self.into_reader()?;
        let mut sink = load.copy_binary("import_base", &["name", "part", "hashes"]).await?;
        let (mut part, mut table) = (0_i32, None);
        let mut hashes: Vec<u8> = Vec::new();
        let mut record = [0_u8; 17];
        loop {
            let more = records.read_exact(&mut record).is_ok();
            let full = hashes.len() == ROWS_PER_PART * 16 || table.is_some_and(|table| table != record[0]);
            if !hashes.is_empty() && (full || !more) {
                let name = table.and_then(|at: u8| ALL.get(usize::from(at))).map_or("", |target| target.name);
                part += 1;
                sink.send(base_row(name, part, &hashes)).await?;
                hashes.clear();
            }
            if !more {
                break;
            }
            table = Some(record[0]);
            hashes.extend_from_slice(&record[1..]);
        }
        sink.finish().await?;
        Ok(())
    }
}

fn base_row(name: &str, part: i32, hashes: &[u8]) -> Bytes {
    let mut row = 3_i16.to_be_bytes().to_vec();
    for value in [name.as_bytes(), &part.to_be_bytes(), hashes] {
        row.extend_from_slice(&(value.len() as i32).to_be_bytes());
        row.extend_from_slice(value);
    }
    Bytes::from(row)
}
