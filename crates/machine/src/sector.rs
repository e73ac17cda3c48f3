//! Looking at a guest's disks.

use hako_board::Board;

use crate::error::Error;
use crate::machine::Machine;

impl Machine {
    /// A sector of the hard disk with this number (the image first, if it is one) as it is now.
    pub fn read_sector(&mut self, disk: usize, lba: u64) -> Result<[u8; 512], Error> {
        let hard = match &mut self.core.board {
            Board::Pc(pc) => pc.disks().hard.get_mut(disk),
            Board::Bare(_) => None,
        };
        let hard = hard.ok_or_else(|| Error::Usage(format!("the machine has no hard disk {disk}")))?;
        let mut sector = [0; 512];
        hard.read(lba, &mut sector)
            .map_err(|e| Error::Host(format!("cannot read sector {lba} of hard disk {disk}: {e}")))?;
        Ok(sector)
    }
}
