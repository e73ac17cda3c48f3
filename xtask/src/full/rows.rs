//! The stock guests, what they are started with, and what they have to say.

use std::time::Duration;

/// One guest on one engine.
pub struct Row {
    /// What a reader calls it.
    pub name: &'static str,
    /// `--engine`.
    pub engine: &'static str,
    /// Further arguments of `hako run`; `@` stands for the folder of prepared guests.
    pub args: &'static str,
    /// The kernel's command line.
    pub append: &'static str,
    /// The disk: a copy of the prepared one, and how it is attached.
    pub disk: Option<&'static str>,
    /// What has to come on the serial line, in this order, and what is typed when it has come.
    pub talk: &'static [(&'static str, &'static str)],
    /// Bytes that have to be in the disk's image afterwards.
    pub written: &'static str,
    /// Whether the guest ends by itself, with status 0; others are ended when they have said all.
    pub ends: bool,
    /// Wall time for it on a busy machine.
    pub limit: Duration,
}

const fn soft(
    name: &'static str,
    args: &'static str,
    append: &'static str,
    talk: &'static [(&'static str, &'static str)],
) -> Row {
    let limit = Duration::from_secs(240);
    Row { name, engine: "soft", args, append, disk: None, talk, written: "", ends: true, limit }
}

const fn disk(self_: Row, interface: &'static str) -> Row {
    Row { disk: Some(interface), written: "by the guest\n", ..self_ }
}

const HELLO: &[(&str, &str)] = &[("hello from /sbin/init", ""), ("synced", "")];

/// A shell with job control: commands, a job in the background, one that is interrupted, and the end.
const SHELL: &[(&str, &str)] = &[
    ("busybox on Linux 6.", ""),
    ("# ", "echo $((6*7))-is-it\r"),
    ("42-is-it", ""),
    ("# ", "sleep 1000 &\r"),
    ("# ", "jobs\r"),
    ("Running", ""),
    // What is typed before a program runs may be thrown away with the shell's terminal settings.
    ("# ", "echo ready; cat\r"),
    ("\r\nready\r\n", "line\r"),
    ("line\r\nline", "\x03"),
    ("# ", "poweroff -f\r"),
];

const CLOUD_DISK: &str = "--memory 256M --initrd @cloud/initramfs.cpio @cloud/vmlinux";
const TINY: &str = "--no-acpi @tiny/up-mptable/vmlinux";

/// All of them.
pub const ROWS: &[Row] = &[
    soft(
        "Debian cloud, vmlinux by PVH, shell",
        "--memory 256M --initrd @cloud/initramfs.cpio @cloud/vmlinux",
        "",
        SHELL,
    ),
    soft(
        "Debian cloud, bzImage, shell",
        "--memory 256M --initrd @cloud/initramfs.cpio @cloud/vmlinuz",
        "",
        SHELL,
    ),
    disk(soft("Debian cloud, ext2 root, modern virtio", CLOUD_DISK, "root=/dev/vda1", HELLO), "virtio"),
    disk(
        soft("Debian cloud, ext2 root, legacy virtio", CLOUD_DISK, "root=/dev/vda1", HELLO),
        "virtio-legacy",
    ),
    soft(
        "Debian cloud, 2 CPUs",
        "--memory 256M --cpus 2 --initrd @cloud/initramfs.cpio @cloud/vmlinux",
        "run=nproc",
        &[("busybox on Linux 6.", ""), (", 2 CPUs", "")],
    ),
    soft(
        "Debian cloud, 4 CPUs",
        "--memory 256M --cpus 4 --initrd @cloud/initramfs.cpio @cloud/vmlinux",
        "run=nproc",
        &[("busybox on Linux 6.", ""), (", 4 CPUs", "")],
    ),
    soft(
        "Debian generic, vmlinux by PVH, shell",
        "--memory 256M --initrd @generic/initramfs.cpio @generic/vmlinux",
        "",
        SHELL,
    ),
    soft(
        "Debian generic, bzImage, shell",
        "--memory 256M --initrd @generic/initramfs.cpio @generic/vmlinuz",
        "",
        SHELL,
    ),
    Row {
        ends: false,
        limit: Duration::from_secs(400),
        ..soft(
            "debian-installer, first screen",
            "--memory 1G --initrd @installer/initrd.gz @installer/linux",
            "TERM=vt102",
            &[("Select a language", "")],
        )
    },
    disk(soft("small kernel, MP table, legacy virtio", TINY, "root=/dev/vda1 rw", HELLO), "virtio-legacy"),
    disk(soft("small kernel, MP table, modern virtio", TINY, "root=/dev/vda1 rw", HELLO), "virtio"),
    disk(
        soft(
            "small kernel, bzImage by its 16-bit setup",
            "--no-acpi --protocol linux16 @tiny/up-mptable/bzImage",
            "root=/dev/vda1 rw",
            HELLO,
        ),
        "virtio",
    ),
    disk(
        soft("small SMP kernel, ACPI, 4 CPUs", "--cpus 4 @tiny/smp-acpi/vmlinux", "root=/dev/vda1 rw", HELLO),
        "virtio",
    ),
    Row {
        engine: "kvm",
        ends: false,
        ..disk(
            soft(
                "small kernel for slow machines, unpatched",
                "--no-acpi @tiny/soft-kvm/vmlinux",
                "root=/dev/vda1",
                &[("Run /sbin/init as init process", "")],
            ),
            "virtio-legacy",
        )
    },
];
