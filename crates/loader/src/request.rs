//! What goes along with a kernel.

use alloc::format;
use alloc::string::String;

use hako_mem::{Gpa, MemoryRange};

use crate::{LoadError, Protocol};

/// A file that goes along with the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Its arguments.
    pub args: &'a str,
    /// Its contents.
    pub bytes: &'a [u8],
}

/// What goes along with a kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// What the image is called: the first word of a Multiboot command line.
    pub name: &'a str,
    /// The command line.
    pub append: &'a str,
    /// The initial RAM disk: for Multiboot kernels, and PVH kernels, the first module.
    pub initrd: Option<&'a [u8]>,
    /// Modules.
    pub modules: &'a [Module<'a>],
    /// The memory map, by rising address.
    pub memory: &'a [MemoryRange],
    /// Where the ACPI root pointer will be when the plan is written, if there is one.
    pub rsdp: Option<Gpa>,
    /// The protocol to use; default: what [`crate::detect`] says.
    pub protocol: Option<Protocol>,
}

impl<'a> Request<'a> {
    /// Strings end at their first zero byte for every kernel: there must be none in them.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let strings = self.modules.iter().flat_map(|m| [m.name, m.args]).chain([self.name, self.append]);
        for text in strings {
            if text.contains('\0') {
                return Err(LoadError::Unsupported {
                    what: format!("the string {text:?} has a zero byte in it, which would end it early"),
                    remedy: "leave it out",
                });
            }
        }
        Ok(())
    }

    /// The initial RAM disk and the modules, in this order.
    pub(crate) fn all_modules(&self) -> impl Iterator<Item = Module<'a>> + use<'a> {
        let initrd = self.initrd.map(|bytes| Module { name: "initrd", args: "", bytes });
        initrd.into_iter().chain(self.modules.iter().copied())
    }
}

/// Two words with a blank between, where there are two.
pub(crate) fn words(first: &str, rest: &str) -> String {
    match (first, rest) {
        ("", one) | (one, "") => one.into(),
        (first, rest) => format!("{first} {rest}"),
    }
}
