//! `cargo xtask guests`: the stock guests that hako is tried with, from Debian packages, without root.
//!
//! Everything lies in a cache outside the source tree and is made once. Nothing of it is ours to distribute, so nothing of
//! it is in the repository.

pub mod cache;
mod cpio;
mod image;
mod initramfs;
mod kernel;
mod lz4;
mod packages;
mod tiny;

use clap::{Args, ValueEnum};

use crate::Outcome;
use cache::Cache;

/// Options of `guests`.
#[derive(Args)]
pub struct Options {
    /// What to prepare [default: everything but the tiny kernels]
    #[arg(value_enum)]
    what: Vec<What>,
    /// The tiny kernels too: built from Debian's kernel source, some minutes of CPU time each
    #[arg(long)]
    tiny_kernel: bool,
}

impl Options {
    /// All guests.
    pub fn everything() -> Options {
        Options { what: What::value_variants().to_vec(), tiny_kernel: true }
    }
}

/// A guest.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Debian's cloud kernel as bzImage and vmlinux, with its initial RAM disk
    Cloud,
    /// Debian's generic kernel, likewise
    Generic,
    /// A disk with an ext2 root and an init that says hello
    Disk,
    /// debian-installer's netboot kernel and RAM disk
    Installer,
}

/// Runs `guests`.
pub fn run(options: &Options) -> Outcome {
    let cache = Cache::open()?;
    let wanted: &[What] = match options.what.as_slice() {
        [] if options.tiny_kernel => &[What::Disk],
        [] => What::value_variants(),
        some => some,
    };
    for what in wanted {
        match what {
            What::Cloud => kernel::prepare(&cache, "cloud", "linux-image-cloud-amd64")?,
            What::Generic => kernel::prepare(&cache, "generic", "linux-image-amd64")?,
            What::Disk => image::prepare(&cache)?,
            What::Installer => installer(&cache)?,
        }
    }
    if options.tiny_kernel {
        tiny::prepare(&cache, &tiny::VARIANTS)?;
    }
    println!("{}", cache.path("").display());
    Ok(())
}

/// What the tests want: the disk, and the small kernels but for the one for slow machines. Made once, in some minutes.
pub fn for_tests() -> Outcome {
    let cache = Cache::open()?;
    image::prepare(&cache)?;
    tiny::prepare(&cache, &["up-mptable", "smp-acpi"])
}

/// debian-installer's text images.
fn installer(cache: &Cache) -> Outcome {
    const FROM: &str = "usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64";
    cache.make("installer", &[], |folder| {
        let package = packages::unpack(cache, "debian-installer-12-netboot-amd64")?;
        for name in ["linux", "initrd.gz"] {
            cache::copy(&package.path().join(FROM).join(name), &folder.join(name))?;
        }
        Ok(())
    })
}
