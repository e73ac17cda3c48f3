//! The initial RAM disk: busybox, the kernel's virtio modules, and a script that starts a shell or goes on to a disk.

use std::fs;
use std::path::Path;

use super::cache::{Cache, at};
use super::cpio::Archive;
use super::packages;
use crate::{Outcome, tools};

/// The modules, in the order in which each finds what it needs.
pub const MODULES: [&str; 9] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "virtio-rng",
    "virtio_balloon",
];

/// busybox's applets that the script and a visitor use.
const APPLETS: &str = "sh cat chroot cttyhack cut dd dmesg echo free grep halt hexdump insmod ln ls lsmod mkdir mount nproc \
                       poweroff ps reboot rm sed setsid sha256sum sleep stty switch_root sync time top umount uname vi";

/// Writes the archive.
pub fn prepare(cache: &Cache, modules: &Path, to: &Path) -> Outcome {
    let busybox = packages::unpack(cache, "busybox-static")?;
    let busybox = busybox.path().join("bin/busybox");
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "lib", "lib/modules", "proc", "root", "sys"] {
        archive.folder(folder);
    }
    // What init's standard input and output are, before devtmpfs is mounted.
    archive.device("dev/console", 5, 1);
    archive.file("bin/busybox", &at(&busybox, fs::read(&busybox))?);
    for applet in APPLETS.split_whitespace() {
        archive.link(&format!("bin/{applet}"), "busybox");
    }
    for module in MODULES {
        let file = modules.join(format!("{module}.ko"));
        archive.file(&format!("lib/modules/{module}.ko"), &at(&file, fs::read(&file))?);
    }
    archive.file("lib/modules/order", MODULES.join("\n").as_bytes());
    let script = tools::root().join("guests/linux/init.sh");
    archive.file("init", &at(&script, fs::read(&script))?);
    at(to, fs::write(to, archive.finish()))
}
