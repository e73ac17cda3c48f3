//! Port routing: which chip answers at which port, as a table.

use hako_engine::Time;
use hako_x86::Width;

use super::Pc;
use super::events::Touched;
use super::ports::{INDEX, TABLE};

/// One access to a port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Io {
    /// When.
    pub now: Time,
    /// The port.
    pub port: u16,
    /// The port's distance from the range's first.
    pub reg: u8,
    /// The width of each item.
    pub width: Width,
}

/// How a range takes accesses.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    /// Registers of one byte: the bus makes wider accesses into accesses to the ports that follow.
    Bytes { read: fn(&mut Pc, Io) -> u8, write: fn(&mut Pc, Io, u8) },
    /// Any width and number of items at once, also where an item is wider than the range (16-bit data registers).
    Items { read: fn(&mut Pc, Io, &mut [u8]), write: fn(&mut Pc, Io, &[u8]) },
}

/// Ports that one chip answers.
#[derive(Clone, Copy)]
pub(super) struct Range {
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
    /// How.
    pub handler: Handler,
    /// What a read gives may differ from one time to the next though nothing was written and no input came: it passes
    /// with time, or a read takes it away.
    pub volatile: bool,
    /// What an access may touch.
    pub touches: Touched,
}

impl Range {
    /// Byte registers.
    pub const fn bytes(
        first: u16,
        last: u16,
        read: fn(&mut Pc, Io) -> u8,
        write: fn(&mut Pc, Io, u8),
    ) -> Range {
        Range {
            first,
            last,
            handler: Handler::Bytes { read, write },
            volatile: false,
            touches: Touched::all(),
        }
    }

    /// Registers of any width.
    pub const fn items(
        first: u16,
        last: u16,
        read: fn(&mut Pc, Io, &mut [u8]),
        write: fn(&mut Pc, Io, &[u8]),
    ) -> Range {
        Range {
            first,
            last,
            handler: Handler::Items { read, write },
            volatile: false,
            touches: Touched::all(),
        }
    }

    /// No access moves an interrupt wire, A20 or an event: the bus need not look.
    pub const fn still(self) -> Range {
        self.touching(Touched::empty())
    }

    /// An access may move interrupt wires and A20, and no events but these.
    pub const fn moving(self, events: Touched) -> Range {
        self.touching(events.union(Touched::LINES))
    }

    const fn touching(mut self, touches: Touched) -> Range {
        self.touches = touches;
        self
    }

    /// Reads show the passing of time, or take away what they read.
    pub const fn volatile(mut self) -> Range {
        self.volatile = true;
        self
    }
}

/// Ports that have an entry in an [`Index`]; the table has none above.
const INDEXED: usize = 0x1000;

/// For each port the place of its range in the table, so that an access costs no search.
pub(super) type Index = [u8; INDEXED];

/// No range.
const NONE: u8 = 0xff;

/// The index of `table`, which is sorted and free of overlap.
pub(super) const fn index(table: &[Range]) -> Index {
    assert!(table.len() < NONE as usize);
    let mut index = [NONE; INDEXED];
    let mut i = 0;
    while i < table.len() {
        let mut port = table[i].first as usize;
        while port <= table[i].last as usize {
            index[port] = i as u8;
            port += 1;
        }
        i += 1;
    }
    index
}

/// The range that `port` belongs to.
#[inline]
fn find(port: u16) -> Option<&'static Range> {
    let i = *INDEX.get(usize::from(port))?;
    TABLE.get(usize::from(i))
}

impl Pc {
    /// IN or INS.
    pub(super) fn route_in(&mut self, now: Time, port: u16, width: Width, data: &mut [u8]) {
        if data.len() == 1 || width == Width::B1 {
            for byte in data.chunks_mut(1) {
                self.read_item(now, port, Width::B1, byte);
            }
            return;
        }
        let range = find(port);
        if range.is_none()
            && let Some(bar) = self.devices.port(port)
        {
            for item in data.chunks_mut(width.bytes()) {
                self.bar_read(now, bar, item);
            }
            return;
        }
        match range {
            Some(&Range { first, handler: Handler::Items { read, .. }, volatile, touches, .. }) => {
                self.volatile_reads += u64::from(volatile);
                self.touched |= touches;
                read(self, Io { now, port, reg: (port - first) as u8, width }, data);
            }
            _ => {
                for item in data.chunks_mut(width.bytes()) {
                    for (i, byte) in item.chunks_mut(1).enumerate() {
                        self.read_item(now, port.wrapping_add(i as u16), Width::B1, byte);
                    }
                }
            }
        }
    }

    /// One item that is no wider than its register.
    #[inline]
    fn read_item(&mut self, now: Time, port: u16, width: Width, data: &mut [u8]) {
        let Some(&Range { first, handler, volatile, touches, .. }) = find(port) else {
            match self.devices.port(port) {
                Some(bar) => self.bar_read(now, bar, data),
                None => data.fill(0xff),
            }
            return;
        };
        self.volatile_reads += u64::from(volatile);
        self.touched |= touches;
        let io = Io { now, port, reg: (port - first) as u8, width };
        match handler {
            Handler::Bytes { read, .. } => data.fill(read(self, io)),
            Handler::Items { read, .. } => read(self, io, data),
        }
    }

    /// OUT or OUTS.
    pub(super) fn route_out(&mut self, now: Time, port: u16, width: Width, data: &[u8]) {
        if self.debug_exit_hit(port, width, data) {
            return;
        }
        if width == Width::B1 {
            for byte in data {
                self.write_item(now, port, core::slice::from_ref(byte));
            }
            return;
        }
        let range = find(port);
        if range.is_none()
            && let Some(bar) = self.devices.port(port)
        {
            for item in data.chunks(width.bytes()) {
                self.bar_write(now, bar, item);
            }
            return;
        }
        match range {
            Some(&Range { first, handler: Handler::Items { write, .. }, touches, .. }) => {
                self.touched |= touches;
                write(self, Io { now, port, reg: (port - first) as u8, width }, data);
            }
            _ => {
                for item in data.chunks(width.bytes()) {
                    for (i, byte) in item.chunks(1).enumerate() {
                        self.write_item(now, port.wrapping_add(i as u16), byte);
                    }
                }
            }
        }
    }

    /// One byte.
    #[inline]
    fn write_item(&mut self, now: Time, port: u16, data: &[u8]) {
        let Some(&Range { first, handler, touches, .. }) = find(port) else {
            if let Some(bar) = self.devices.port(port) {
                self.bar_write(now, bar, data);
            }
            return;
        };
        self.touched |= touches;
        let io = Io { now, port, reg: (port - first) as u8, width: Width::B1 };
        match handler {
            Handler::Bytes { write, .. } => write(self, io, data.first().copied().unwrap_or(0)),
            Handler::Items { write, .. } => write(self, io, data),
        }
    }
}
