//! Looking at a guest's disks.

use hako_board::Board;
use hako_chips::Block;

use crate::error::Error;
use crate::machine::Machine;

impl Machine {
    /// A sector of the hard disk with this number as it is now: the image first, if it is one, then IDE's, then virtio's.
    pub fn read_sector(&mut self, disk: usize, lba: u64) -> Result<[u8; 512], Error> {
        let ide: &mut [Box<dyn Block>] = match &mut self.core.board {
            Board::Pc(pc) => &mut pc.disks().hard,
            Board::Bare(_) => &mut [],
        };
        let virtio = self.virtio_disks.iter_mut().map(|d| d as &mut dyn Block);
        let mut all = ide.iter_mut().map(|d| &mut **d as &mut dyn Block).chain(virtio);
        let hard =
            all.nth(disk).ok_or_else(|| Error::Usage(format!("the machine has no hard disk {disk}")))?;
        let mut sector = [0; 512];
        hard.read(lba, &mut sector)
            .map_err(|e| Error::Host(format!("cannot read sector {lba} of hard disk {disk}: {e}")))?;
        Ok(sector)
    }
}
