//! Screenshots.

use std::fmt::Display;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use hako_machine::Image;

/// A PNG file that is created before the run, so that a path that cannot be is known before anything is lost.
pub struct Screenshot<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> Screenshot<'a> {
    /// Creates the file.
    pub fn create(path: &'a Path) -> Result<Screenshot<'a>, String> {
        match File::create(path) {
            Ok(file) => Ok(Screenshot { path, file }),
            Err(why) => Err(message(path, &why)),
        }
    }

    /// Writes the picture.
    pub fn write(self, image: &Image) -> Result<(), String> {
        encode(self.file, image).map_err(|why| message(self.path, &why))
    }
}

fn message(path: &Path, why: &dyn Display) -> String {
    format!("cannot write the screenshot {}: {why}", path.display())
}

fn encode(file: File, image: &Image) -> Result<(), png::EncodingError> {
    // A screen has a few hundred pixels a side; what does not fit into 32 bits the encoder refuses.
    let side = |n: usize| u32::try_from(n).unwrap_or(0);
    let mut encoder = png::Encoder::new(BufWriter::new(file), side(image.width), side(image.height));
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&image.rgb)?;
    writer.finish()
}
