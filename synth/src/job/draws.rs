//! Who draws the images of a job.

use super::draw::Artist;
use super::drawn::Drawn;
use super::plan::PlannedImage;
use crate::Result;

/// Where a running job has its images drawn.
pub(super) trait Draws {
    /// How many batches are asked for before the first of them is waited for, 1 or more.
    fn ahead(&self) -> usize;

    /// The most images of the batch that begins with image `first` of the plan.
    fn batch(&self, first: u64) -> u64;

    /// Asks for a batch; batches are asked for in the order of the plan.
    fn ask(&mut self, batch: &[PlannedImage]) -> Result<()>;

    /// The images of the first batch that was asked for and not drawn yet.
    fn draw(&mut self, artist: &mut Artist<'_>, batch: &[PlannedImage]) -> Result<Vec<Drawn>>;

    /// Takes note that the rows of a batch are in the manifest.
    fn settled(&mut self, batch: &[PlannedImage]) -> Result<()>;

    /// Ends the run; `finished` where no image of the plan is left.
    fn end(&mut self, finished: bool) -> Result<()>;
}

/// The engine of this process.
pub(super) struct Own {
    /// Images of a batch.
    pub(super) batch: u64,
}

impl Draws for Own {
    fn ahead(&self) -> usize {
        1
    }

    fn batch(&self, _first: u64) -> u64 {
        self.batch
    }

    fn ask(&mut self, _batch: &[PlannedImage]) -> Result<()> {
        Ok(())
    }

    fn draw(&mut self, artist: &mut Artist<'_>, batch: &[PlannedImage]) -> Result<Vec<Drawn>> {
        artist.draw(batch)
    }

    fn settled(&mut self, _batch: &[PlannedImage]) -> Result<()> {
        Ok(())
    }

    fn end(&mut self, _finished: bool) -> Result<()> {
        Ok(())
    }
}
