//! Screenshots.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use hako_machine::Image;

/// Writes a picture as a PNG file.
pub fn write(path: &Path, image: &Image) -> Result<(), String> {
    encode(path, image).map_err(|why| format!("cannot write the screenshot {}: {why}", path.display()))
}

fn encode(path: &Path, image: &Image) -> Result<(), png::EncodingError> {
    // A screen has a few hundred pixels a side; what does not fit into 32 bits the encoder refuses.
    let side = |n: usize| u32::try_from(n).unwrap_or(0);
    let mut encoder =
        png::Encoder::new(BufWriter::new(File::create(path)?), side(image.width), side(image.height));
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&image.rgb)?;
    writer.finish()
}
