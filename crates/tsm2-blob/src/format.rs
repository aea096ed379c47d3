//! Constants of the format.

/// The first word: the bytes `TSM2`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"TSM2");
/// Version of the format, written and read.
pub const VERSION: u32 = 2;
/// A blob begins at a multiple of this many bytes.
pub const ALIGNMENT: usize = align_of::<f32>();

/// Bytes before the first checked byte: magic, version, length, checksum.
pub(crate) const UNCHECKED: usize = 16;
/// Bytes of the header: what is unchecked, digest, interval, coverage, length of the configuration.
pub(crate) const HEADER: usize = UNCHECKED + 32 + 8 + 4 + 4;

/// CRC-32C (Castagnoli), the checksum of a blob and of all else that firmware keeps.
pub const CHECKSUM: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
